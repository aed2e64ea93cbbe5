"""Deciding: the questions that wait in the queue, and the agent that answers them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from diffagent.agent.agent import Agent, Decision
    from diffagent.agent.installed_models import Installed
    from diffagent.agent.prefilter import Candidate
    from diffagent.data.errors import DiffAgentError
    from diffagent.serving.server.batch_queue import Work


@dataclass(frozen=True)
class Wanted:
    """The options of :meth:`~diffagent.agent.agent.Agent.decide`; ``images`` are image files.

    Equal ones are decided once. ``installed`` is not compared: what a server has goes with the target,
    ``only_installed`` says that it counts.
    """

    prompt: str
    negative_prompt: str = ""
    images: tuple[bytes, ...] = ()
    base_model: str | None = None
    type: str | None = None
    model: str | None = None
    k: int = 16
    seed: int | None = None
    target: str = "diffagent"
    only_installed: bool = False
    installed: Installed | None = field(default=None, compare=False)

    def options(self) -> dict[str, Any]:
        named = {one.name: getattr(self, one.name) for one in fields(self)}
        del named["only_installed"]
        return named


@dataclass(frozen=True)
class Examples:
    """Example images, and how many models to name."""

    images: tuple[bytes, ...]
    k: int


class Identifier(Protocol):
    """Finds the models that made example images."""

    def identify(self, images: Sequence[bytes], k: int) -> Sequence[Candidate]:
        """The k most probable models for image files, best first.

        Raises:
            BadInput: an image cannot be decoded.
        """
        ...


@runtime_checkable
class Batching(Protocol):
    """An agent that decides several requests faster together, where its engine can."""

    def decide_many(self, requests: Sequence[Mapping[str, Any]]) -> Sequence[Decision | DiffAgentError]:
        """A decision or an error for each request, in order."""
        ...


def together(agent: Agent) -> bool:
    """Whether the agent's engine batches; it may then be asked from several threads at once."""
    return isinstance(agent, Batching) and hasattr(agent.engine, "batch_size")


def decisions(agent: Agent) -> Work[Wanted, Decision]:
    """Answers questions by the agent: together where its engine batches, else one after another, each
    delivered as soon as it is there."""

    def work(questions: Iterable[Wanted]) -> Iterator[tuple[Wanted, Decision | Exception]]:
        if isinstance(agent, Batching) and together(agent):
            asked = list(questions)
            yield from zip(asked, agent.decide_many([one.options() for one in asked]), strict=True)
            return
        for wanted in questions:
            try:
                yield wanted, agent.decide(**wanted.options())
            except Exception as error:
                yield wanted, error

    return work


def identifications(identifier: Identifier) -> Work[Examples, tuple[Candidate, ...]]:
    """Answers questions by the identifier."""

    def work(
        questions: Iterable[Examples],
    ) -> Iterator[tuple[Examples, tuple[Candidate, ...] | Exception]]:
        for examples in questions:
            try:
                yield examples, tuple(identifier.identify(examples.images, examples.k))
            except Exception as error:
                yield examples, error

    return work
