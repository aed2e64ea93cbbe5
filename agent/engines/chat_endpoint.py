"""A writer over HTTP: any server of OpenAI's chat completions.

    write = ChatEndpoint("https://api.example.com/v1", "some-model", key=os.environ["OPENAI_API_KEY"])
    write(["Describe …", "Describe …"])

Prompts of a batch are sent together, at most ``concurrency`` at once. 408, 409, 425, 429 and 5xx, a dropped
connection, a timeout and a body that is not a completion are retried with jitter, after Retry-After where it
is given. A prompt that keeps failing gets an empty answer; a batch of failing prompts is an error.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from diffagent.data.errors import BadInput, EngineError
from diffagent.data.retries import Transient, retry_after, tries

if TYPE_CHECKING:
    import httpx

ATTEMPTS = 5
LONGEST_WAIT = 120.0
"""Seconds; a longer Retry-After is a failure."""
MAX_TOKENS = 700
"""The most tokens of an answer."""
TOKENS_AN_ANSWER = 60
CHARACTERS_A_TOKEN = 4.0
"""For English text, in the estimate before anything is sent."""


class _PromptRefusal(Exception):
    """The server refuses this prompt, for good or for longer than is waited."""


@dataclass
class ChatEndpoint:
    """One server: ``url`` with or without ``/v1``; the key travels in the Authorization header only.

    Raises:
        BadInput: a bad URL or key.
        EngineError: in a call, the server refuses the key or the model, or answers none of the prompts.
    """

    url: str
    model: str
    key: str | None = field(default=None, repr=False)
    concurrency: int = 8
    backoff: float = 1.0
    """The first wait after a fault, in seconds."""
    transport: httpx.AsyncBaseTransport | None = None

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise BadInput(f"{self.url!r} is not an http or https address of a chat completions server")
        if parts.username or parts.password:
            raise BadInput("the URL holds a password: give the key in OPENAI_API_KEY")
        if self.key and (not self.key.isascii() or not self.key.isprintable() or " " in self.key):
            raise BadInput("OPENAI_API_KEY holds blanks or characters that keys do not have: copy it again")
        if self.key and parts.scheme == "http" and parts.hostname not in ("localhost", "127.0.0.1", "::1"):
            raise BadInput(
                f"{self.url} is not encrypted and would show OPENAI_API_KEY: use https or unset it"
            )
        path = parts.path.rstrip("/").removesuffix("/chat/completions") or "/v1"
        self.url = f"{parts.scheme}://{parts.netloc}{path}"

    def __call__(self, prompts: list[str]) -> list[str]:
        """Returns an answer for each prompt, in order; empty where the server had none."""
        return asyncio.run(self._answers(prompts))

    async def _answers(self, prompts: list[str]) -> list[str]:
        import httpx

        headers = {"User-Agent": "diffagent"} | ({"Authorization": f"Bearer {self.key}"} if self.key else {})
        slots = asyncio.Semaphore(self.concurrency)
        reasons: list[str] = []
        fatal: list[EngineError] = []
        async with httpx.AsyncClient(
            headers=headers, timeout=httpx.Timeout(120, connect=15), transport=self.transport
        ) as http:

            async def one(prompt: str) -> str:
                async with slots:
                    try:
                        return "" if fatal else await self._ask(http, prompt)
                    except EngineError as error:
                        fatal.append(error)
                    except (Transient, _PromptRefusal) as error:
                        reasons.append(str(error))
                return ""

            answers = list(await asyncio.gather(*map(one, prompts)))
        if fatal:
            raise fatal[0]
        if reasons and len(reasons) == len(prompts):
            raise EngineError(
                f"{self.url} answered none of {len(prompts)} prompts ({reasons[-1]}); what was written "
                "before is kept: run the same command later to go on"
            )
        return answers

    async def _ask(self, http: httpx.AsyncClient, prompt: str) -> str:
        async for attempt in tries(ATTEMPTS, self.backoff, 30 * self.backoff):
            with attempt:
                return await self._once(http, prompt)
        raise AssertionError("stamina either returns or raises")

    async def _once(self, http: httpx.AsyncClient, prompt: str) -> str:
        import httpx

        body = {
            "model": self.model,
            "messages": [{"role": "user", "content": prompt}],
            "max_tokens": MAX_TOKENS,
            "temperature": 0,
        }
        try:
            response = await http.post(f"{self.url}/chat/completions", json=body)
        except httpx.RequestError as error:
            raise Transient(f"{type(error).__name__} {error}".strip()) from None
        status = response.status_code
        if status in (401, 403):
            need = "the key in OPENAI_API_KEY was refused" if self.key else "set OPENAI_API_KEY"
            raise EngineError(f"{self.url}: HTTP {status}: {need}")
        if status == 404:
            raise EngineError(f"{self.url}: HTTP 404: the server or the model {self.model!r} does not exist")
        if status in (408, 409, 425, 429) or status >= 500:
            after = retry_after(response.headers)
            if after is not None and after > LONGEST_WAIT:
                raise _PromptRefusal(f"HTTP {status}, to be asked again in {after:.0f} s")
            raise Transient(f"HTTP {status}", after)
        if status != 200:
            raise _PromptRefusal(f"HTTP {status}: {_message(response)}")
        return _content(response)


@dataclass(frozen=True)
class Estimate:
    """Tokens of first questions and answers; retries after a refused answer add to them."""

    prompts: int
    tokens_in: int
    tokens_out: int
    cost: float | None
    """In the currency of the prices; None without prices."""

    @classmethod
    def of(cls, prompts: int, characters: int, price_in: float | None, price_out: float | None) -> Estimate:
        """Estimates from prices per million tokens; where only one is given, the other is 0."""
        tokens_in = round(characters / CHARACTERS_A_TOKEN)
        tokens_out = prompts * TOKENS_AN_ANSWER
        if price_in is None and price_out is None:
            return cls(prompts, tokens_in, tokens_out, None)
        cost = (tokens_in * (price_in or 0) + tokens_out * (price_out or 0)) / 1e6
        return cls(prompts, tokens_in, tokens_out, round(cost, 4))

    def __str__(self) -> str:
        cost = "" if self.cost is None else f", about {self.cost:.2f} in the prices' currency"
        return (
            f"{self.prompts:,} prompts, about {self.tokens_in:,} tokens in and {self.tokens_out:,} out{cost}"
        )


def _content(response: httpx.Response) -> str:
    try:
        content = response.json()["choices"][0]["message"]["content"]
    except (ValueError, KeyError, IndexError, TypeError):
        raise Transient("an answer that is not a chat completion") from None
    return content if isinstance(content, str) else ""


def _message(response: httpx.Response) -> str:
    try:
        answer = response.json()
    except ValueError:
        return "refused"
    error = answer.get("error") if isinstance(answer, Mapping) else None
    text = error.get("message") if isinstance(error, Mapping) else error
    return " ".join(str(text or "refused").split())[:200]
