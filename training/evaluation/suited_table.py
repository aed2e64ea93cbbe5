"""Fine-tuned beside aligned models on plain requests, with the suitability as the reward.

In: systems and the requests of part ``test`` with their graded candidates. The language model alone chooses
among a request's graded candidates: by a letter (candidates form, and choice form, which shows what each is
for), or by a name (memory form). Out, with 95 %
bootstrap intervals over requests:

    optimised       suitability, as the share of a request's other candidates that are less suitable
    not optimised   grades of the choice (good, acceptable, wrong), which no reward uses; rating, downloads
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from diffagent.agent.agent import Agent
from diffagent.agent.answering import answer, choice, memory
from diffagent.agent.answering.answer import LABELS
from diffagent.agent.asking.reading import Reading
from diffagent.agent.asking.wishes import wishes
from diffagent.agent.choosing.prefilter import Candidate
from diffagent.agent.engines import Engine
from diffagent.data.errors import BadInput
from diffagent.data.records import Card
from diffagent.training.corpora.plain_requests import PlainRequest
from diffagent.training.evaluation.image_table import gain
from diffagent.training.rewards.standing import standings
from diffagent.training.rewards.suited import SuitabilityReward
from diffagent.training.sft.dialogues import Form

Progress = Callable[[Iterable[Any], str], Iterable[Any]]
OPTIMISED = ("suitability",)
NOT_OPTIMISED = ("good", "acceptable", "wrong", "rating", "downloads")


@dataclass(frozen=True)
class Offer:
    """A request with its graded candidates, in random order; ``measures``: name → the candidates' values."""

    prompt: str
    candidates: tuple[Candidate, ...]
    measures: Mapping[str, Any]


def offers(
    agent: Agent,
    requests: Sequence[PlainRequest],
    reward: SuitabilityReward,
    progress: Progress,
    most: int = len(LABELS),
) -> list[Offer]:
    """The offers of requests with two graded candidates in the catalog, cut to ``most``.

    Raises:
        BadInput: there are no such requests.
    """
    cards = {card.air: card for card in agent.prefilter.cards}
    places = {air: place for place, air in enumerate(cards)}
    standing = standings(agent.prefilter.cards)
    offer_rows = []
    for number, request in enumerate(progress(requests, "suitability")):
        candidates = [candidate for candidate in request.candidates if candidate.air in cards]
        order = np.random.default_rng(number).permutation(len(candidates))[:most]
        candidates = [candidates[i] for i in order]
        if len(candidates) < 2:
            continue
        prompt = wishes(request.english).prompt
        airs, grades = (
            [candidate.air for candidate in candidates],
            np.array([candidate.grade for candidate in candidates]),
        )
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
        offer_rows.append(Offer(prompt, listed, measures))
    if not offer_rows:
        raise BadInput("no request has two graded candidates in this catalog: give requests graded for it")
    return offer_rows


def choices(engine: Engine, offered: Sequence[Offer], form: Form, progress: Progress) -> list[int]:
    """The index of the candidate that a language model alone chooses from each offer."""
    return [_choose(engine, offer, form) for offer in progress(offered, "choices")]


def _choose(engine: Engine, offer: Offer, form: Form) -> int:
    if form == "memory":
        cards: list[Card] = [candidate.card for candidate in offer.candidates]
        card = memory.recall(engine, offer.prompt, memory.names(cards), memory.by_identity(cards))
        return cards.index(card)
    if form == "choice":
        cards = [candidate.card for candidate in offer.candidates]
        question = choice.question(cards, offer.prompt, Reading.of(offer.prompt).line)
    else:
        question = answer.question(offer.candidates, offer.prompt)
    letters = engine.choose(question, list(LABELS[: len(offer.candidates)]))
    return int(np.argmax(letters))


def table(
    places_by_system: Mapping[str, Sequence[int]], offered: Sequence[Offer], seed: int = 0
) -> dict[str, Any]:
    """System → means in percent; ``chance``: those of a random choice; ``gain``: the last system less the
    first, paired over requests."""
    names = (*OPTIMISED, *NOT_OPTIMISED)
    values = {
        system: {name: _chosen_values(offered, places, name) for name in names}
        for system, places in places_by_system.items()
    }
    chance = {name: np.array([float(np.mean(offer.measures[name])) for offer in offered]) for name in names}
    rows: dict[str, Any] = {
        "n": len(offered),
        "optimised": list(OPTIMISED),
        "not_optimised": list(NOT_OPTIMISED),
        "chance": {name: round(100 * float(chance[name].mean()), 2) for name in names},
    }
    for system, measures in values.items():
        rows[system] = {name: gain(measures[name], seed) for name in names}
    if len(values) > 1:
        first, *_, last = values.values()
        rows["gain"] = {name: gain(last[name] - first[name], seed) for name in names}
    return rows


def _chosen_values(offered: Sequence[Offer], places: Sequence[int], name: str) -> Any:
    return np.array([float(offer.measures[name][at]) for offer, at in zip(offered, places, strict=True)])
