"""Deciding: the questions in the queue, and their answers by the agent."""

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
class ExampleImages:
    """Example images, and the number of models to name."""

    images: tuple[bytes, ...]
    k: int


@dataclass(frozen=True)
class LikelyModels:
    """The k most probable models with their natural-log probabilities.

    ``unsure``: no model is more probable than all others together.
    """

    models: Sequence[tuple[Card, float]]
    unsure: bool


def batches(agent: Agent) -> bool:
    """Whether the agent's engine batches; several threads may then use it at once."""
    return isinstance(agent.engine, BatchEngine)


def decisions(agent: Agent) -> Work[Request, Decision]:
    """Work that decides requests: together if the engine batches, else one after another, each delivered as
    soon as it is there."""

    def work(questions: Iterable[Request]) -> Iterator[tuple[Request, Decision | Exception]]:
        if batches(agent):
            requests = list(questions)
            yield from zip(requests, agent.decide_many(requests), strict=True)
            return
        for request in questions:
            try:
                yield request, agent.decide(request)
            except Exception as error:
                yield request, error

    return work


def identifications(agent: Agent) -> Work[ExampleImages, LikelyModels]:
    """Work that identifies models by the agent's image specifications."""

    def work(questions: Iterable[ExampleImages]) -> Iterator[tuple[ExampleImages, LikelyModels | Exception]]:
        for examples in questions:
            try:
                identification = agent.identify(examples.images)
                yield (
                    examples,
                    LikelyModels(
                        likely_models(identification, agent.catalog, examples.k), identification.unsure
                    ),
                )
            except Exception as error:
                yield examples, error

    return work
