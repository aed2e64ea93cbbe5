"""Engines: the language models that decide, behind two methods.

``choose`` returns log-probabilities of one-token labels as the answer's next token; ``write`` writes the
answer inside a grammar. :func:`~diffagent.agent.engines.loading.load_engine` loads an engine by name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from diffagent.agent.engines.grammar import Grammar
from diffagent.data.errors import EngineError


@dataclass(frozen=True)
class Prompt:
    """The model's input: instructions, the same for all requests, and one request.

    ``earlier``: the previous turns, each the user's message and the answer.
    """

    system: str
    user: str
    earlier: tuple[tuple[str, str], ...] = ()


@runtime_checkable
class Engine(Protocol):
    """The agent's interface of a language model. Every method may be called from several threads."""

    digest: str
    """SHA-256 of the weights."""

    def choose(self, prompt: Prompt, options: Sequence[str], draft: str = "") -> list[float]:
        """Returns each option's log-probability as the answer's next token, normalised over the options.

        ``draft`` is the expected text of a following ``write``; a good guess saves time, a bad one changes
        nothing.
        """
        ...

    def write(self, prompt: Prompt, grammar: Grammar, draft: str = "") -> str:
        """Writes the answer inside ``grammar``, its priors fused with the model's probabilities."""
        ...

    def generate(self, prompt: Prompt, max_new_tokens: int) -> str:
        """Returns the model's own greedy answer, without a grammar."""
        ...

    def generate_many(self, prompts: Sequence[Prompt], max_new_tokens: int, batch_size: int = 8) -> list[str]:
        """Calls :meth:`generate` for each prompt, in batches."""
        ...


@dataclass(frozen=True)
class Choice:
    """The arguments of one :meth:`Engine.choose`."""

    prompt: Prompt
    options: tuple[str, ...]
    draft: str = ""


@dataclass(frozen=True)
class Writing:
    """The arguments of one :meth:`Engine.write`."""

    prompt: Prompt
    grammar: Grammar
    draft: str = ""


@runtime_checkable
class BatchEngine(Engine, Protocol):
    """An engine that answers batches of requests; a request without an answer gets an error."""

    batch_size: int
    """The number of requests per batch."""

    def choose_many(self, choices: Sequence[Choice]) -> list[list[float] | EngineError]:
        """Calls :meth:`Engine.choose` for each."""
        ...

    def write_many(self, writings: Sequence[Writing]) -> list[str | EngineError]:
        """Calls :meth:`Engine.write` for each."""
        ...
