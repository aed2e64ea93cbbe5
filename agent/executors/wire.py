"""The wire: a client of image APIs over HTTP that turns faults into typed errors.

In: a base URL, headers, a request. Out: the answer's JSON or bytes. Transient faults (429, 502, 503, 504, no
connection) are retried with jitter, after Retry-After where it is given. A GET is also retried after a
dropped or hanging connection, HTML or damaged JSON; a POST is not, because the server may be working on the
first.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit

import httpx

from diffagent.data.addresses import base_url
from diffagent.data.errors import BadInput, JobFailed, Refused, Unreachable
from diffagent.data.retries import Transient, retry_after, tries

ATTEMPTS = 5
LONGEST_WAIT = 120.0
"""Seconds; a longer Retry-After is an error."""
ENDING = 5.0
"""Seconds that ending an abandoned job may take."""
LOCAL = ("localhost", "127.0.0.1", "::1")

Result = TypeVar("Result")
Reason = Callable[[httpx.Response], str | None]
"""The API's message in a refusal, or None."""


class _TransientFault(Transient, Unreachable):
    """A fault that may pass."""


class Gone(Unreachable):
    """HTTP 404: a path that the server never had, or a file that it no longer has."""


class Wire:
    """A connection pool to one API; an async context manager.

    The pool belongs to the event loop in which the wire was entered, and is made and closed there; the wire
    may be entered again, in another loop too.

    ``timeout`` is the time limit of an answer and ``backoff`` the first wait after a fault, in seconds;
    ``remedy`` ends the message where nothing answers; ``key`` names the environment variable of the API's
    key.

    Proxies of the environment (``HTTPS_PROXY``, ``HTTP_PROXY``, ``ALL_PROXY``, ``NO_PROXY``) are used except
    for this machine; requests forbid cached answers.
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
        self.url = server_url(url)
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
        """Returns the JSON of a path."""
        return await self._ask("GET", path, params, None, self._json)

    async def post(self, path: str, body: object, params: Mapping[str, Any] | None = None) -> Any:
        """Returns the JSON that a path answers to a body; a sent request is not repeated."""
        return await self._ask("POST", path, params, body, self._json)

    async def tell(self, path: str, body: object) -> None:
        """Posts once and ignores the answer."""
        await self._once("POST", path, None, body)

    async def delete(self, path: str) -> None:
        """Deletes once and ignores the answer."""
        await self._once("DELETE", path, None, None)

    async def bytes(self, path: str, params: Mapping[str, Any] | None = None) -> bytes:
        """Returns the body of a path, or of a whole URL (without this API's headers)."""
        body = await self._ask("GET", path, params, None, lambda response: response.content)
        assert isinstance(body, bytes)
        return body

    async def _ask(
        self,
        method: str,
        path: str,
        params: Mapping[str, Any] | None,
        body: object,
        parse: Callable[[httpx.Response], Any],
    ) -> Any:
        try:
            async for attempt in tries(ATTEMPTS, self.backoff, 30 * self.backoff):
                with attempt:
                    return parse(await self._once(method, path, params, body))
        except _TransientFault as error:
            raise Unreachable(f"{error}, {ATTEMPTS} times", self.remedy) from None
        raise AssertionError("stamina either returns or raises")

    async def _once(
        self, method: str, path: str, params: Mapping[str, Any] | None, body: object
    ) -> httpx.Response:
        where = f"{method} {_shown(self.url, path)}"
        abroad = path.startswith(("http://", "https://"))
        try:
            if abroad:  # a signed link to an image elsewhere gets no key
                async with httpx.AsyncClient(timeout=self._timeout, follow_redirects=True) as elsewhere:
                    response = await elsewhere.get(path)
            else:
                assert self._pool is not None, "a wire is used inside its async with"
                response = await self._pool.request(method, path, params=params, json=body)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise _TransientFault(f"{where}: nothing answers ({type(error).__name__})") from None
        except httpx.RequestError as error:
            fault = f"{where}: {type(error).__name__}"
            if method == "GET":
                raise _TransientFault(fault) from None
            raise JobFailed(
                f"{fault} after the request was sent; it is not sent twice, for the server may be working "
                "on it: look there, then run the same command again"
            ) from None
        return self._checked(where, response)

    def _json(self, response: httpx.Response) -> Any:
        request = response.request
        where = f"{request.method} {request.url.copy_with(query=None)}"
        kind = response.headers.get("Content-Type", "").split(";")[0]
        try:
            if "json" in kind:
                return json.loads(response.content)
            wrong = f"{kind or 'no type'} instead of JSON"
        except ValueError:
            wrong = "damaged JSON"
        if request.method == "GET":
            raise _TransientFault(f"{where}: {wrong}")
        raise Unreachable(f"{where}: {wrong}", self.remedy)

    def _checked(self, where: str, response: httpx.Response) -> httpx.Response:
        status = response.status_code
        if status in (429, 502, 503, 504):
            after = retry_after(response.headers)
            if after is not None and after > LONGEST_WAIT:
                raise Unreachable(
                    f"{where}: HTTP {status}, to be asked again in {after:.0f} s: run again then"
                )
            raise _TransientFault(f"{where}: HTTP {status}", after)
        message = self._reason(response) if "json" in response.headers.get("Content-Type", "") else None
        if status == 403 and message:
            raise Refused(f"{where}: HTTP 403: {message}")
        if status in (401, 403):
            raise Refused(f"{where}: HTTP {status}: {message or 'no access'}: check {self.key}")
        if status == 402:
            raise Refused(
                f"{where}: HTTP 402: {message or 'not enough credit'}: the account cannot pay for it"
            )
        if status >= 500:
            raise JobFailed(f"{where}: HTTP {status}: {message or 'the server failed'}: see its log")
        if response.is_redirect:
            raise Unreachable(f"{where} redirects to {response.headers.get('Location', '?')}: give that URL")
        if status >= 400:
            if message is None:
                kind = Gone if status == 404 else Unreachable
                raise kind(f"{where}: HTTP {status}: no such API", self.remedy)
            raise Refused(f"{where}: HTTP {status}: {message}")
        return response


class HttpExecutor:
    """Base of executors over HTTP: opens and closes its wire with itself."""

    wire: Wire

    async def __aenter__(self) -> Self:
        await self.wire.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.wire.__aexit__(kind, error, trace)


def server_url(url: str) -> str:
    """Returns a server's address without a trailing slash; errors of :func:`base_url`."""
    return base_url(
        url,
        name="the server's URL",
        example="a server's, such as http://127.0.0.1:7860",
        keys="keys go in the environment",
    )


def is_local(url: str) -> bool:
    """Whether an address is of this machine."""
    return urlsplit(url).hostname in LOCAL


def secret(name: str, url: str, value: str | None) -> str | None:
    """Returns a key from the environment that may be sent to a server.

    Raises:
        BadInput: it holds characters that no header takes, or would travel unencrypted.
    """
    if not value:
        return None
    if not (value.isascii() and value.isprintable()) or " " in value:
        raise BadInput(f"{name} holds blanks or characters that keys do not have: copy it again")
    parts = urlsplit(url)
    if parts.scheme == "http" and parts.hostname not in LOCAL:
        raise BadInput(f"{url} is not encrypted and would show {name}: use https or unset it")
    return value


async def job_done(
    submit: Coroutine[Any, Any, str],
    wait: Callable[[str], Awaitable[Result]],
    end: Callable[[str], Awaitable[None]],
) -> Result:
    """Returns the result of a job: ``submit`` returns its id, ``wait`` its result.

    An abandoned job is ended on the server: after an error, a deadline, a cancellation and Ctrl-C, even while
    the job is still being submitted.
    """
    submitting = asyncio.ensure_future(submit)
    try:
        return await wait(await asyncio.shield(submitting))
    except BaseException:
        await to_the_end(_end(submitting, end))
        raise


async def _end(submitting: asyncio.Future[str], end: Callable[[str], Awaitable[None]]) -> None:
    await end(await submitting)


async def to_the_end(work: Coroutine[Any, Any, Any], limit: float | None = ENDING) -> None:
    """Runs ``work`` for up to ``limit`` seconds even if the caller is cancelled; ignores its faults.

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
        task.exception()  # marks it as retrieved
    if cancelled:
        raise asyncio.CancelledError


async def poll(step: Callable[[], Any], *, every: float, limit: float, what: str, remedy: str) -> Any:
    """Awaits ``step()`` every ``every`` seconds until it returns something other than None.

    Raises:
        JobFailed: it returned nothing within ``limit`` seconds.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + limit
    while True:
        answer = await step()
        if answer is not None:
            return answer
        if loop.time() + every > end:
            raise JobFailed(f"{what} is not done after {limit:.0f} s: {remedy}")
        await asyncio.sleep(every)


def json_object(response: httpx.Response) -> dict[str, Any] | None:
    """Returns a response's JSON object; None where the body is not one."""
    try:
        body = response.json()
    except ValueError:
        return None
    return body if isinstance(body, dict) else None


def words(value: object, most: int = 240) -> str:
    """Returns an API's message on one line, shortened."""
    text = " ".join(str(value).split())
    return text if len(text) <= most else text[: most - 1] + "…"


def field_errors(body: Mapping[str, Any]) -> str:
    """Returns the messages of a refusal's ``errors``, one per field."""
    errors = body.get("errors")
    if not isinstance(errors, Mapping):
        return words(errors or "")
    return "; ".join(f"{name}: {words(error)}" for name, error in errors.items())


def _shown(base: str, path: str) -> str:
    """Returns a URL as a message may show it: without the query, which holds the key of a signed link."""
    if not path.startswith(("http://", "https://")):
        return base + path
    parts = urlsplit(path)
    return f"{parts.scheme}://{parts.netloc}{parts.path}"
