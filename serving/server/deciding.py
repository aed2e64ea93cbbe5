"""Deciding: the questions that wait in the queue, and the agent that answers them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from diffagent.agent.engines import BatchEngine
from diffagent.serving.answers import likely_models

if TYPE_CHECKING:
    from diffagent.agent.agent import Agent
    from diffagent.agent.asking.request import Request
    from diffagent.agent.decision import Decision
    from diffagent.data.records import Card
    from diffagent.serving.server.batch_queue import Work


@dataclass(frozen=True)
class Examples:
    """Example images, and how many models to name."""

    images: tuple[bytes, ...]
    k: int


@dataclass(frozen=True)
class Seen:
    """The k most probable models with their log-probabilities; ``unsure`` where none outweighs all others."""

    models: Sequence[tuple[Card, float]]
    unsure: bool


def together(agent: Agent) -> bool:
    """Whether the agent's engine batches; it may then be asked from several threads at once."""
    return isinstance(agent.engine, BatchEngine)


def decisions(agent: Agent) -> Work[Request, Decision]:
    """Answers questions by the agent: together where its engine batches, else one after another, each
    delivered as soon as it is there."""

    def work(questions: Iterable[Request]) -> Iterator[tuple[Request, Decision | Exception]]:
        if together(agent):
            asked = list(questions)
            yield from zip(asked, agent.decide_many(asked), strict=True)
            return
        for request in questions:
            try:
                yield request, agent.decide(request)
            except Exception as error:
                yield request, error

    return work


def identifications(agent: Agent) -> Work[Examples, Seen]:
    """Answers questions by the agent's image specifications."""

    def work(questions: Iterable[Examples]) -> Iterator[tuple[Examples, Seen | Exception]]:
        for examples in questions:
            try:
                found = agent.identify(examples.images)
                yield examples, Seen(likely_models(found, agent.catalog, examples.k), found.unsure)
            except Exception as error:
                yield examples, error

    return work
