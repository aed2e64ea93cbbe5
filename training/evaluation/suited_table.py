"""Fine-tuned beside aligned on plain requests, where the reward was the suitability.

In: systems and the requests of part ``test`` with their graded candidates. The language model alone chooses
among a request's graded candidates: by a letter (candidates form), or by a name (memory form). Out, with 95 %
bootstrap intervals over requests:

    optimised       suitability, as the share of a request's other candidates that suit it less
    not optimised   grades of the choice (good, acceptable, wrong), which no reward reads; rating, downloads
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from diffagent.agent.agent import Agent
from diffagent.agent.answering import answer, memory
from diffagent.agent.answering.answer import LABELS
from diffagent.agent.asking.wishes import wishes
from diffagent.agent.choosing.prefilter import Candidate
from diffagent.agent.engines import Engine
from diffagent.data.errors import BadInput
from diffagent.data.records import Card
from diffagent.training.evaluation.image_table import gain
from diffagent.training.fitting.plain_requests import Asked
from diffagent.training.rewards.standing import standings
from diffagent.training.rewards.suited import Suited
from diffagent.training.sft.dialogues import Form

Progress = Callable[[Iterable[Any], str], Iterable[Any]]
OPTIMISED = ("suitability",)
NOT_OPTIMISED = ("good", "acceptable", "wrong", "rating", "downloads")


@dataclass(frozen=True)
class Offer:
    """A request with its graded candidates, in an order of its own; ``measures``: name → value of each."""

    prompt: str
    candidates: tuple[Candidate, ...]
    measures: Mapping[str, Any]


def offers(agent: Agent, requests: Sequence[Asked], reward: Suited, progress: Progress) -> list[Offer]:
    """Of the requests that have two graded candidates in the catalog, at most as many as there are letters.

    Raises:
        BadInput: there are none.
    """
    cards = {card.air: card for card in agent.prefilter.cards}
    places = {air: place for place, air in enumerate(cards)}
    standing = standings(agent.prefilter.cards)
    found = []
    for number, asked in enumerate(progress(requests, "suitability")):
        graded = [one for one in asked.candidates if one.air in cards]
        order = np.random.default_rng(number).permutation(len(graded))[: len(LABELS)]
        graded = [graded[i] for i in order]
        if len(graded) < 2:
            continue
        prompt = wishes(asked.english).prompt
        airs, grades = [one.air for one in graded], np.array([one.grade for one in graded])
        suits = reward.measure(prompt, airs)
        below = (suits[:, None] > suits[None]).sum(1) / (len(suits) - 1)
        measures = {
            "suitability": below,
            "good": grades == 3,
            "acceptable": grades >= 2,
            "wrong": grades == 0,
            "rating": np.array([standing[air].rating for air in airs]),
            "downloads": np.array([standing[air].downloads for air in airs]),
        }
        logits = agent.prefilter.scores(agent.prefilter.require(prompt))
        listed = tuple(Candidate(cards[air], float(logits[places[air]])) for air in airs)
        found.append(Offer(prompt, listed, measures))
    if not found:
        raise BadInput("no request has two graded candidates in this catalog: give requests graded for it")
    return found


def choices(engine: Engine, offered: Sequence[Offer], form: Form, progress: Progress) -> list[int]:
    """The place of the candidate that a language model alone takes of each offer."""
    return [_choose(engine, one, form) for one in progress(offered, "choices")]


def _choose(engine: Engine, offer: Offer, form: Form) -> int:
    if form == "memory":
        cards: list[Card] = [one.card for one in offer.candidates]
        named = memory.recall(engine, offer.prompt, memory.names(cards), memory.by_identity(cards))
        return cards.index(named)
    letters = engine.choose(
        answer.question(offer.candidates, offer.prompt), list(LABELS[: len(offer.candidates)])
    )
    return int(np.argmax(letters))


def table(found: Mapping[str, Sequence[int]], offered: Sequence[Offer], seed: int = 0) -> dict[str, Any]:
    """System → means in percent; ``chance``: of a choice at random; ``gain``: the last system less the first,
    paired over requests."""
    names = (*OPTIMISED, *NOT_OPTIMISED)
    values = {
        system: {name: _taken(offered, places, name) for name in names} for system, places in found.items()
    }
    chance = {name: np.array([float(np.mean(one.measures[name])) for one in offered]) for name in names}
    rows: dict[str, Any] = {
        "n": len(offered),
        "optimised": list(OPTIMISED),
        "not_optimised": list(NOT_OPTIMISED),
        "chance": {name: round(100 * float(chance[name].mean()), 2) for name in names},
    }
    for system, measured in values.items():
        rows[system] = {name: gain(measured[name], seed) for name in names}
    if len(values) > 1:
        first, *_, last = values.values()
        rows["gain"] = {name: gain(last[name] - first[name], seed) for name in names}
    return rows


def _taken(offered: Sequence[Offer], places: Sequence[int], name: str) -> Any:
    return np.array([float(one.measures[name][at]) for one, at in zip(offered, places, strict=True)])
