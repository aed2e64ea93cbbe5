"""The wire to a model server that speaks OpenAI's API: requests, faults, and many at once.

In: a path and a body. Out: the answer's JSON. Answers are the same however often they are asked, so every
fault that may pass is asked again, after Retry-After where that is given.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from diffagent.data.errors import EngineError, EngineGone
from diffagent.data.retries import Transient, retry_after, tries

if TYPE_CHECKING:
    import httpx

T = TypeVar("T")
KEY = "OPENAI_API_KEY"
ATTEMPTS = 5
LONGEST_WAIT = 120.0
"""Seconds; a server that asks for more is left for another time."""


class NotTaken(EngineError):
    """The server does not take a request as it stands; ``status`` is 400, 422 or alike."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class _NoSuchPath(EngineGone):
    """HTTP 404."""


class Remote:
    """A server; safe to call from many threads, ``concurrency`` of which :meth:`all` uses.

    ``url`` is with or without ``/v1``; ``key`` is sent as a bearer token, over https or to this machine only;
    ``named`` is the model to ask for, by default the first that the server lists. In seconds: ``backoff`` is
    the first wait after a fault, ``timeout`` what an answer may take.

    Raises:
        BadInput: a bad URL or key.
    """

    def __init__(
        self,
        url: str,
        *,
        key: str | None = None,
        named: str | None = None,
        concurrency: int = 64,
        backoff: float = 0.5,
        timeout: float = 120.0,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        import httpx

        from diffagent.agent.executors.wire import base_url, secret

        base = base_url(url).removesuffix("/chat/completions")
        self.url = base if base.endswith("/v1") else f"{base}/v1"
        self.concurrency, self.backoff, self.named = concurrency, backoff, named
        self._is_there = False
        """Whether anything was answered yet."""
        sent = secret(KEY, base, key)
        self._http = httpx.Client(
            headers={"User-Agent": "diffagent", **({"Authorization": f"Bearer {sent}"} if sent else {})},
            timeout=httpx.Timeout(timeout, connect=min(15.0, timeout)),
            limits=httpx.Limits(max_connections=concurrency),
            transport=transport,
        )

    @cached_property
    def _pool(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(self.concurrency, thread_name_prefix="remote")

    @cached_property
    def listed(self) -> list[Any]:
        """What the server lists as its models; empty where it has no such list, or it fails and the model is
        named."""
        try:
            answer = self.ask("GET", "/models", None)
        except (_NoSuchPath, NotTaken):
            return []
        except EngineGone:
            if self.named and self._is_there:
                return []
            raise
        models = answer.get("data") if isinstance(answer, dict) else None
        return models if isinstance(models, list) else []

    @cached_property
    def model(self) -> str:
        """The name of the model that is asked."""
        if self.named:
            return self.named
        try:
            return str(self.listed[0]["id"])
        except (KeyError, IndexError, TypeError):
            raise EngineGone(
                f"{self.url}/models lists no model",
                "start the server with one (vllm serve FOLDER), or name it with --llm",
            ) from None

    @property
    def is_vllm(self) -> bool:
        """Whether the server says that vLLM runs its models."""
        return any(isinstance(one, dict) and one.get("owned_by") == "vllm" for one in self.listed)

    def close(self) -> None:
        """Ends the connections; nothing may be asked any more."""
        self._http.close()

    def all(self, asks: Sequence[Callable[[], T]]) -> list[T | EngineError]:
        """What each gives or the error that belongs to it; an error of the server is raised."""
        futures = [self._pool.submit(ask) for ask in asks]
        answers: list[T | EngineError] = []
        try:
            for future in futures:
                try:
                    answers.append(future.result())
                except EngineGone:
                    raise
                except EngineError as error:
                    answers.append(error)
        finally:
            for future in futures:
                future.cancel()
        return answers

    def ask(self, method: str, path: str, body: object) -> Any:
        """The JSON that a path answers.

        Raises:
            EngineGone: nobody answers, or the server refuses the key or the model.
            NotTaken: it refuses this request.
        """
        try:
            for attempt in tries(ATTEMPTS, self.backoff, 30 * self.backoff):
                with attempt:
                    return self._once(method, path, body)
        except Transient as error:
            raise EngineGone(
                f"{self.url}: {error}, {ATTEMPTS} times: is the server up? Run again to go on"
            ) from None
        raise AssertionError("stamina either returns or raises")

    def _once(self, method: str, path: str, body: object) -> Any:
        import httpx

        from diffagent.agent.executors.wire import words

        try:
            response = self._http.request(method, self.url + path, json=body)
        except httpx.RequestError as error:
            raise Transient(f"{type(error).__name__} {error}".strip()) from None
        self._is_there, status = True, response.status_code
        if status in (401, 403):
            raise EngineGone(f"{self.url}: HTTP {status}: set {KEY} to a key that the server takes")
        if status == 404:
            raise _NoSuchPath(
                f"{self.url}{path}: HTTP 404: there is no such server or model", "check --engine and --llm"
            )
        if status in (408, 409, 425, 429) or (status >= 500 and status != 501):
            after = retry_after(response.headers)
            if after is not None and after > LONGEST_WAIT:
                raise EngineGone(
                    f"{self.url}: HTTP {status}, to be asked again in {after:.0f} s: run again then"
                )
            raise Transient(f"HTTP {status}", after)
        if status != 200:
            raise NotTaken(f"{self.url}: HTTP {status}: {words(response.text)}", status)
        try:
            return response.json()
        except ValueError:
            raise Transient("an answer that is no JSON") from None
