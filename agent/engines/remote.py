"""The client of a model server with OpenAI's API: requests, faults, concurrency.

In: a path and a body. Out: the answer's JSON. Requests can be repeated safely, so every transient fault is
retried, after Retry-After where it is given.
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
"""Seconds; a longer Retry-After is an error."""


class RejectedRequest(EngineError):
    """The server rejects a request; ``status`` is 400, 422 or similar."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class _NoSuchPath(EngineGone):
    """HTTP 404."""


class Remote:
    """A server; safe to call from many threads, ``concurrency`` of which :meth:`all` uses.

    ``url`` is with or without ``/v1``; ``key`` is sent as a bearer token, over https or to this machine only;
    ``llm`` is the model's name, by default the first that the server lists. ``backoff`` is the first wait
    after a fault and ``timeout`` the time limit of an answer, in seconds.

    Raises:
        BadInput: a bad URL or key.
    """

    def __init__(
        self,
        url: str,
        *,
        key: str | None = None,
        llm: str | None = None,
        concurrency: int = 64,
        backoff: float = 0.5,
        timeout: float = 120.0,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        import httpx

        from diffagent.agent.executors.wire import secret, server_url

        base = server_url(url).removesuffix("/chat/completions")
        self.url = base if base.endswith("/v1") else f"{base}/v1"
        self.concurrency, self.backoff, self.llm = concurrency, backoff, llm
        self._is_there = False
        """Whether the server has answered yet."""
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
    def models(self) -> list[Any]:
        """The server's list of models; empty where it has none, or where it fails and ``llm`` is given."""
        try:
            answer = self.ask("GET", "/models", None)
        except (_NoSuchPath, RejectedRequest):
            return []
        except EngineGone:
            if self.llm and self._is_there:
                return []
            raise
        entries = answer.get("data") if isinstance(answer, dict) else None
        return entries if isinstance(entries, list) else []

    @cached_property
    def model(self) -> str:
        """The name of the model in requests."""
        if self.llm:
            return self.llm
        try:
            return str(self.models[0]["id"])
        except (KeyError, IndexError, TypeError):
            raise EngineGone(
                f"{self.url}/models lists no model",
                "start the server with one (vllm serve FOLDER), or name it with --llm",
            ) from None

    @property
    def is_vllm(self) -> bool:
        """Whether the server's list names vLLM as an owner."""
        return any(isinstance(model, dict) and model.get("owned_by") == "vllm" for model in self.models)

    def close(self) -> None:
        """Closes the connections; no request may follow."""
        self._http.close()

    def all(self, asks: Sequence[Callable[[], T]]) -> list[T | EngineError]:
        """Returns each call's result or error; raises an error of the server."""
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
        """Returns the JSON of a path.

        Raises:
            EngineGone: the server does not answer, or refuses the key or the model.
            RejectedRequest: it rejects this request.
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
                f"{self.url}{path}: HTTP 404: no such server or model", "check --engine and --llm"
            )
        if status in (408, 409, 425, 429) or (status >= 500 and status != 501):
            after = retry_after(response.headers)
            if after is not None and after > LONGEST_WAIT:
                raise EngineGone(
                    f"{self.url}: HTTP {status}, to be asked again in {after:.0f} s: run again then"
                )
            raise Transient(f"HTTP {status}", after)
        if status != 200:
            raise RejectedRequest(f"{self.url}: HTTP {status}: {words(response.text)}", status)
        try:
            return response.json()
        except ValueError:
            raise Transient("an answer that is not JSON") from None
