"""Engines: the language models that decide, behind two verbs.

``choose`` gives a log-probability for each of a few one-token labels as the next token of the answer;
``write`` writes the answer inside a grammar. :func:`load_engine` finds an engine by name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from diffagent.agent.engines.grammar import Grammar
from diffagent.data.errors import EngineError


@dataclass(frozen=True)
class Prompt:
    """What the model reads: instructions, the same for all requests, and this request.

    ``earlier``: the turns before this one, what the user said and what was answered.
    """

    system: str
    user: str
    earlier: tuple[tuple[str, str], ...] = ()


@runtime_checkable
class Engine(Protocol):
    """What the agent needs of a language model. Every method may be called from several threads."""

    digest: str
    """SHA-256 of the weights."""

    def choose(self, prompt: Prompt, options: Sequence[str], draft: str = "") -> list[float]:
        """Log-probability of each option as the answer's next token, normalised over the options.

        ``draft`` is the text expected of a following ``write``; a good guess saves its time, a bad one
        changes nothing.
        """
        ...

    def write(self, prompt: Prompt, grammar: Grammar, draft: str = "") -> str:
        """The answer inside ``grammar``, its priors fused with the model's probabilities."""
        ...

    def generate(self, prompt: Prompt, max_new_tokens: int) -> str:
        """The model's own greedy answer, without a grammar."""
        ...

    def generate_many(self, prompts: Sequence[Prompt], max_new_tokens: int, batch_size: int = 8) -> list[str]:
        """:meth:`generate` for each prompt, in batches."""
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
    """An engine that answers many requests faster together; one that it cannot answer gets an error."""

    batch_size: int
    """How many requests to hand over at once."""

    def choose_many(self, choices: Sequence[Choice]) -> list[list[float] | EngineError]:
        """:meth:`Engine.choose` of each."""
        ...

    def write_many(self, writings: Sequence[Writing]) -> list[str | EngineError]:
        """:meth:`Engine.write` of each."""
        ...
