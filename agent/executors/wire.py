"""The wire: one way to talk to image APIs over HTTP, with their faults as typed errors.

In: a base URL, headers, a request. Out: its JSON or its bytes. What passes by itself (429, 502, 503, 504, a
connection that cannot be made) is asked again with jitter, after Retry-After where that is given. A GET is
also asked again after a dropped or hanging connection, HTML or damaged JSON; a POST is not, because the
server may be working on the first one.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit

import httpx

from diffagent.data.errors import BadInput, JobFailed, Refused, Unreachable
from diffagent.data.retries import Transient, retry_after, tries

ATTEMPTS = 5
LONGEST_WAIT = 120.0
"""Seconds; a server that asks for more is left for another time."""
ENDING = 5.0
"""Seconds that ending a job may take for which nobody waits any more."""
LOCAL = ("localhost", "127.0.0.1", "::1")

Result = TypeVar("Result")
Reason = Callable[[httpx.Response], str | None]
"""An API's own words in a refusal."""


class _Transient(Transient, Unreachable):
    """A fault that may pass."""


class Gone(Unreachable):
    """No such address there (HTTP 404): a path that the server never had, or a file that it had."""


class Wire:
    """A connection pool to one API; an async context manager.

    The pool belongs to the event loop in which the wire was entered, and is made and closed there; the wire
    may be entered again, in another loop too.

    ``timeout`` is how many seconds an answer may take, ``backoff`` the first wait after a fault; ``remedy``
    ends the message where nothing answers; ``key`` names the environment variable of the API's key.

    Proxies of the environment (``HTTPS_PROXY``, ``HTTP_PROXY``, ``ALL_PROXY``, ``NO_PROXY``) are used but for
    this machine; caches on the way are told to ask the server.
    """

    def __init__(
        self,
        url: str,
        *,
        remedy: str,
        headers: Mapping[str, str] | None = None,
        key: str = "the server's key",
        reason: Reason = lambda response: None,
        timeout: float = 60.0,
        backoff: float = 0.5,
    ) -> None:
        self.url = base_url(url)
        self.remedy, self.key, self.backoff = remedy, key, backoff
        self._reason = reason
        self._headers = {"User-Agent": "diffagent", "Cache-Control": "no-cache", **(headers or {})}
        self._timeout = httpx.Timeout(timeout, connect=min(15.0, timeout))
        self._pool: httpx.AsyncClient | None = None

    async def __aenter__(self) -> Self:
        self._pool = httpx.AsyncClient(
            base_url=self.url,
            headers=self._headers,
            timeout=self._timeout,
            trust_env=not is_local(self.url),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            await pool.aclose()

    async def get(self, path: str, params: Mapping[str, Any] | None = None) -> Any:
        """The JSON that a path answers."""
        return await self._ask("GET", path, params, None, self._json)

    async def post(self, path: str, body: object, params: Mapping[str, Any] | None = None) -> Any:
        """The JSON that a path answers to a body; not asked twice once it was sent."""
        return await self._ask("POST", path, params, body, self._json)

    async def tell(self, path: str, body: object) -> None:
        """Posts once; what it answers does not matter."""
        await self._once("POST", path, None, body)

    async def delete(self, path: str) -> None:
        """Asks once; what it answers does not matter."""
        await self._once("DELETE", path, None, None)

    async def bytes(self, path: str, params: Mapping[str, Any] | None = None) -> bytes:
        """The body that a path, or a whole URL (without this API's headers), answers."""
        found = await self._ask("GET", path, params, None, lambda response: response.content)
        assert isinstance(found, bytes)
        return found

    async def _ask(
        self,
        method: str,
        path: str,
        params: Mapping[str, Any] | None,
        body: object,
        read: Callable[[httpx.Response], Any],
    ) -> Any:
        try:
            async for attempt in tries(ATTEMPTS, self.backoff, 30 * self.backoff):
                with attempt:
                    return read(await self._once(method, path, params, body))
        except _Transient as error:
            raise Unreachable(f"{error}, {ATTEMPTS} times", self.remedy) from None
        raise AssertionError("stamina either returns or raises")

    async def _once(
        self, method: str, path: str, params: Mapping[str, Any] | None, body: object
    ) -> httpx.Response:
        where = f"{method} {_shown(self.url, path)}"
        abroad = path.startswith(("http://", "https://"))
        try:
            if abroad:  # a signed link to an image elsewhere: it gets no key of ours
                async with httpx.AsyncClient(timeout=self._timeout, follow_redirects=True) as elsewhere:
                    response = await elsewhere.get(path)
            else:
                assert self._pool is not None, "a wire is used inside its async with"
                response = await self._pool.request(method, path, params=params, json=body)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise _Transient(f"{where}: nothing answers ({type(error).__name__})") from None
        except httpx.RequestError as error:
            said = f"{where}: {type(error).__name__}"
            if method == "GET":
                raise _Transient(said) from None
            raise JobFailed(
                f"{said} after the request was sent; it is not sent twice, for the server may be working "
                "on it: look there, then run the same command again"
            ) from None
        return self._checked(where, response)

    def _json(self, response: httpx.Response) -> Any:
        asked = response.request
        where = f"{asked.method} {asked.url.copy_with(query=None)}"
        kind = response.headers.get("Content-Type", "").split(";")[0]
        try:
            if "json" in kind:
                return json.loads(response.content)
            wrong = f"{kind or 'no type'} instead of JSON"
        except ValueError:
            wrong = "damaged JSON"
        if asked.method == "GET":
            raise _Transient(f"{where}: {wrong}")
        raise Unreachable(f"{where}: {wrong}", self.remedy)

    def _checked(self, where: str, response: httpx.Response) -> httpx.Response:
        status = response.status_code
        if status in (429, 502, 503, 504):
            after = retry_after(response.headers)
            if after is not None and after > LONGEST_WAIT:
                raise Unreachable(
                    f"{where}: HTTP {status}, to be asked again in {after:.0f} s: run again then"
                )
            raise _Transient(f"{where}: HTTP {status}", after)
        said = self._reason(response) if "json" in response.headers.get("Content-Type", "") else None
        if status == 403 and said:
            raise Refused(f"{where}: HTTP 403: {said}")
        if status in (401, 403):
            raise Refused(f"{where}: HTTP {status}: {said or 'no access'}: check {self.key}")
        if status == 402:
            raise Refused(f"{where}: HTTP 402: {said or 'not enough credit'}: the account cannot pay for it")
        if status >= 500:
            raise JobFailed(f"{where}: HTTP {status}: {said or 'the server failed'}: see its log")
        if response.is_redirect:
            raise Unreachable(f"{where} redirects to {response.headers.get('Location', '?')}: give that URL")
        if status >= 400:
            if said is None:
                kind = Gone if status == 404 else Unreachable
                raise kind(f"{where}: HTTP {status}: no such API", self.remedy)
            raise Refused(f"{where}: HTTP {status}: {said}")
        return response


class HttpExecutor:
    """What executors over HTTP share: their wire is opened and closed with them."""

    wire: Wire

    async def __aenter__(self) -> Self:
        await self.wire.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.wire.__aexit__(kind, error, trace)


def base_url(url: str) -> str:
    """A server's address without a slash at its end.

    Raises:
        BadInput: no http or https address, or with a password in it.
    """
    try:
        parts, _ = urlsplit(url), httpx.URL(url)
    except (ValueError, httpx.InvalidURL):
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise BadInput(f"{url!r} is no web address: give a server's, such as http://127.0.0.1:7860")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise BadInput(
            "the server's URL may hold no user, password, query or fragment: keys go in the environment"
        )
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"


def is_local(url: str) -> bool:
    """Whether an address is of this machine."""
    return urlsplit(url).hostname in LOCAL


def secret(name: str, url: str, value: str | None) -> str | None:
    """A key from the environment that may go to a server.

    Raises:
        BadInput: it holds what no header takes, or would travel unencrypted.
    """
    if not value:
        return None
    if not (value.isascii() and value.isprintable()) or " " in value:
        raise BadInput(f"{name} holds blanks or characters that no key has: copy it again")
    parts = urlsplit(url)
    if parts.scheme == "http" and parts.hostname not in LOCAL:
        raise BadInput(f"{url} is not encrypted and would show {name}: use https or unset it")
    return value


async def job_done(
    submit: Coroutine[Any, Any, str],
    wait: Callable[[str], Awaitable[Result]],
    end: Callable[[str], Awaitable[None]],
) -> Result:
    """What a job gives: ``submit`` gives its id, ``wait`` waits for it.

    A job for which nobody waits any more is ended on the server: after an error, a deadline, a cancellation
    and Ctrl-C, even where that comes while the job is still being submitted.
    """
    submitting = asyncio.ensure_future(submit)
    try:
        return await wait(await asyncio.shield(submitting))
    except BaseException:
        await to_the_end(_ended(submitting, end))
        raise


async def _ended(submitting: asyncio.Future[str], end: Callable[[str], Awaitable[None]]) -> None:
    await end(await submitting)


async def to_the_end(work: Coroutine[Any, Any, Any], limit: float | None = ENDING) -> None:
    """Runs ``work`` whatever cancels the caller meanwhile, for ``limit`` seconds; its faults do not matter.

    Raises:
        CancelledError: the caller was cancelled meanwhile.
    """
    task = asyncio.ensure_future(asyncio.wait_for(work, limit))
    cancelled = False
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError:
            cancelled = True
    if not task.cancelled():
        task.exception()  # taken notice of
    if cancelled:
        raise asyncio.CancelledError


async def polled(step: Callable[[], Any], *, every: float, limit: float, what: str, remedy: str) -> Any:
    """Awaits ``step()`` every so many seconds until it gives something other than None.

    Raises:
        JobFailed: nothing within ``limit`` seconds.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + limit
    while True:
        found = await step()
        if found is not None:
            return found
        if loop.time() + every > end:
            raise JobFailed(f"{what} is not done after {limit:.0f} s: {remedy}")
        await asyncio.sleep(every)


def json_object(response: httpx.Response) -> dict[str, Any] | None:
    """The object that a response's body is; None where it is none."""
    try:
        body = response.json()
    except ValueError:
        return None
    return body if isinstance(body, dict) else None


def words(value: object, most: int = 240) -> str:
    """An API's message on one line."""
    text = " ".join(str(value).split())
    return text if len(text) <= most else text[: most - 1] + "…"


def field_errors(body: Mapping[str, Any]) -> str:
    """``errors`` of a refusal, a message a field."""
    errors = body.get("errors")
    if not isinstance(errors, Mapping):
        return words(errors or "")
    return "; ".join(f"{name}: {words(said)}" for name, said in errors.items())


def _shown(base: str, path: str) -> str:
    """A URL as a message may show it: without the query, where signed links carry their key."""
    if not path.startswith(("http://", "https://")):
        return base + path
    parts = urlsplit(path)
    return f"{parts.scheme}://{parts.netloc}{parts.path}"
