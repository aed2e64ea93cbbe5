"""The weights of the language model in a reading and in a choice, fitted on requests (align part).

``read``: the weight of greatest accuracy over the slots, the smallest of equals. ``asked``: the smallest
weight whose first choices among graded candidates are worth as much as the best (:func:`least_weight`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from diffagent.agent.answering import choice
from diffagent.agent.answering.answer import LABELS
from diffagent.agent.asking.reading import Reading
from diffagent.agent.choosing.suitability import features
from diffagent.training.corpora.plain_requests import WORTH, PlainRequest
from diffagent.training.fitting.suiting import model_reader, rule_reader

if TYPE_CHECKING:
    from diffagent.agent.agent import Agent
    from diffagent.agent.choosing.fusion import Fusion

Progress = Callable[[Iterable[Any], str], Iterable[Any]]
READ = (0.0, 0.3, 0.7, 1.0, 2.0, 3.0, 5.0, 8.0)
ASKED = (0.0, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0)
SLOTS = ("medium", "people", "special")


@dataclass(frozen=True)
class CandidateScores:
    """A request's graded candidates, best prior first: ``prior`` logits by suitability, ``letters``
    log-probabilities of the first :data:`~diffagent.agent.answering.choice.SHOWN`, ``grades`` [n]."""

    prior: tuple[float, ...]
    letters: tuple[float, ...]
    grades: tuple[int, ...]
    kind: str = ""

    def first(self, weight: float) -> int:
        """The grade of the candidate with the highest fused score."""
        scores = np.asarray(self.prior[: len(self.letters)]) + weight * np.asarray(self.letters)
        return self.grades[int(np.argmax(scores))]


def reader(agent: Agent, weight: float) -> Callable[[str], Reading]:
    """Prompt → the reading at a weight of the language model (0: the rules')."""
    return model_reader(agent.engine, weight, agent.shelf) if weight else rule_reader(agent.shelf)


def read_accuracy(
    agent: Agent, requests: Sequence[PlainRequest], weights: Sequence[float], progress: Progress
) -> list[dict[str, float]]:
    """The share of correct slots in the language model's readings at each weight."""
    correct = np.zeros((len(weights), len(SLOTS)))
    for request in progress(requests, "readings"):
        truth = request.reading
        for at, weight in enumerate(weights):
            reading = reader(agent, weight)(request.english)
            correct[at] += [(getattr(reading, slot) or "none") == getattr(truth, slot) for slot in SLOTS]
    shares = correct / len(requests)
    return [
        {"read": weight, **dict(zip(SLOTS, map(float, row), strict=True)), "mean": float(row.mean())}
        for weight, row in zip(weights, shares, strict=True)
    ]


def readings(
    agent: Agent, requests: Sequence[PlainRequest], weight: float, progress: Progress
) -> list[Reading]:
    """The reading of each request at a weight of the language model (0: the rules')."""
    read_prompt = reader(agent, weight)
    return [read_prompt(request.english) for request in progress(requests, "readings")]


def candidate_scores(
    agent: Agent,
    requests: Sequence[PlainRequest],
    reads: Sequence[Reading],
    progress: Progress,
    *,
    letters: bool = True,
) -> list[CandidateScores]:
    """The graded candidates of each request under its reading, for requests with any in the catalog."""
    places = {card.air: number for number, card in enumerate(agent.prefilter.cards)}
    rows = []
    for request, reading in zip(progress(requests, "choices"), reads, strict=True):
        prompt = request.english
        candidates = [candidate for candidate in request.candidates if candidate.air in places]
        if not candidates:
            continue
        match = agent.prefilter.match(prompt)
        at = [places[candidate.air] for candidate in candidates]
        draft = rule_reader(agent.shelf)(prompt)
        readings = [reading] if reading == draft else [reading, draft]
        logits = agent.suitability.among([features(agent.facts, variant, match)[at] for variant in readings])
        order = np.argsort(-logits, kind="stable")
        cards = [agent.prefilter.cards[places[candidates[i].air]] for i in order[: choice.SHOWN]]
        letter_scores: Sequence[float] = [0.0] * len(cards)
        if letters and len(cards) > 1:
            question = choice.question(cards, prompt, reading.line)
            letter_scores = agent.engine.choose(question, list(LABELS[: len(cards)]))
        rows.append(
            CandidateScores(
                tuple(map(float, logits[order])),
                tuple(letter_scores),
                tuple(candidates[i].grade for i in order),
                request.kind,
            )
        )
    return rows


def table(rows: Sequence[CandidateScores], weight: float) -> dict[str, float]:
    """Shares of first choices that are good, acceptable, wrong, and their mean worth."""
    grades = [row.first(weight) for row in rows]
    return {
        "asked": weight,
        "good": float(np.mean([grade == 3 for grade in grades])),
        "acceptable": float(np.mean([grade >= 2 for grade in grades])),
        "wrong": float(np.mean([grade == 0 for grade in grades])),
        "worth": float(np.mean([WORTH[grade] for grade in grades])),
    }


def fit(agent: Agent, requests: Sequence[PlainRequest], progress: Progress) -> tuple[Fusion, dict[str, Any]]:
    """The agent's fusion with both weights and the spread of letters, and the figures of all weights."""
    slots = read_accuracy(agent, requests, READ, progress)
    reading_weight = max(slots, key=lambda row: (round(row["mean"], 4), -row["read"]))["read"]
    rows = candidate_scores(agent, requests, readings(agent, requests, reading_weight, progress), progress)
    tables = [table(rows, weight) for weight in ASKED]
    choice_weight = least_weight(rows, ASKED)
    fusion = replace(
        agent.fusion,
        reading_weight=reading_weight,
        choice_weight=choice_weight,
        apart=letter_spread(rows),
        weights=agent.engine.digest,
    )
    return fusion, {"readings": slots, "choices": tables}


def least_weight(rows: Sequence[CandidateScores], weights: Sequence[float]) -> float:
    """The smallest weight whose first choices are worth as much as those of the best weight, within one
    standard error of the paired difference: a letter that adds nothing is not computed."""
    worth = {weight: np.array([WORTH[row.first(weight)] for row in rows]) for weight in weights}
    best = max(worth.values(), key=lambda values: float(values.mean()))
    for weight in sorted(weights):
        loss = best - worth[weight]
        if loss.mean() <= loss.std() / np.sqrt(len(rows)):
            return weight
    raise AssertionError("the best is as good as itself")


def letter_spread(rows: Sequence[CandidateScores]) -> float | None:
    """The bound in nats on two letters' difference: twice the greatest in any row; None without any."""
    widest = max((max(row.letters) - min(row.letters) for row in rows), default=0.0)
    return round(2 * widest, 2) or None
