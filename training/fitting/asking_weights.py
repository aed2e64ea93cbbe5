"""The weights of the language model's word in a reading and in a choice, fitted on requests (align part).

``read``: that of greatest accuracy over the slots, the smallest of equals. ``asked``: that of most good first
choices among graded candidates, by the mean worth among equals.
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
from diffagent.training.fitting.plain_requests import WORTH, Asked
from diffagent.training.fitting.suiting import model_reader, rule_reader

if TYPE_CHECKING:
    from diffagent.agent.agent import Agent
    from diffagent.agent.choosing.fusion import Fusion

Progress = Callable[[Iterable[Any], str], Iterable[Any]]
READ = (0.0, 0.3, 0.7, 1.0, 2.0, 3.0, 5.0, 8.0)
ASKED = (0.0, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0)
SLOTS = ("medium", "people", "special")


@dataclass(frozen=True)
class Weighed:
    """A request's graded candidates: ``prior`` logits by suitability, ``letters`` log-probabilities of the
    first :data:`~diffagent.agent.answering.choice.SHOWN` by prior, ``grades`` [n]; best prior first."""

    prior: tuple[float, ...]
    letters: tuple[float, ...]
    grades: tuple[int, ...]
    kind: str = ""

    def first(self, weight: float) -> int:
        """The grade of the candidate that both prefer."""
        scores = np.asarray(self.prior[: len(self.letters)]) + weight * np.asarray(self.letters)
        return self.grades[int(np.argmax(scores))]


def reader(agent: Agent, weight: float) -> Callable[[str], Reading]:
    """Prompt → the reading at one weight of the language model's word (0: the rules')."""
    return model_reader(agent.engine, weight, agent.shelf) if weight else rule_reader(agent.shelf)


def read_accuracy(
    agent: Agent, requests: Sequence[Asked], weights: Sequence[float], progress: Progress
) -> list[dict[str, float]]:
    """The share of right slots of the language model's readings at each weight."""
    right = np.zeros((len(weights), len(SLOTS)))
    for asked in progress(requests, "readings"):
        truth = asked.reading
        for at, weight in enumerate(weights):
            read = reader(agent, weight)(asked.english)
            right[at] += [(getattr(read, slot) or "none") == getattr(truth, slot) for slot in SLOTS]
    shares = right / len(requests)
    return [
        {"read": weight, **dict(zip(SLOTS, map(float, row), strict=True)), "mean": float(row.mean())}
        for weight, row in zip(weights, shares, strict=True)
    ]


def readings(agent: Agent, requests: Sequence[Asked], weight: float, progress: Progress) -> list[Reading]:
    """The reading of each request at one weight of the language model's word (0: the rules')."""
    read = reader(agent, weight)
    return [read(asked.english) for asked in progress(requests, "readings")]


def weighed(
    agent: Agent,
    requests: Sequence[Asked],
    reads: Sequence[Reading],
    progress: Progress,
    *,
    letters: bool = True,
) -> list[Weighed]:
    """The graded candidates of each request under its reading, of those with any in the catalog."""
    places = {card.air: number for number, card in enumerate(agent.prefilter.cards)}
    rows = []
    for asked, read in zip(progress(requests, "choices"), reads, strict=True):
        prompt = asked.english
        graded = [one for one in asked.candidates if one.air in places]
        if not graded:
            continue
        matched, ranked = agent.prefilter.matched(prompt)
        at = [places[one.air] for one in graded]
        draft = rule_reader(agent.shelf)(prompt)
        readings = [read] if read == draft else [read, draft]
        logits = agent.suitability.among(
            [features(agent.facts, one, matched, ranked)[at] for one in readings]
        )
        order = np.argsort(-logits, kind="stable")
        shown = [agent.prefilter.cards[places[graded[i].air]] for i in order[: choice.SHOWN]]
        said: Sequence[float] = [0.0] * len(shown)
        if letters and len(shown) > 1:
            question = choice.question(shown, prompt, read.line)
            said = agent.engine.choose(question, list(LABELS[: len(shown)]))
        rows.append(
            Weighed(
                tuple(map(float, logits[order])),
                tuple(said),
                tuple(graded[i].grade for i in order),
                asked.kind,
            )
        )
    return rows


def table(rows: Sequence[Weighed], weight: float) -> dict[str, float]:
    """Shares of first choices that are good, acceptable, wrong, and their mean worth."""
    grades = [row.first(weight) for row in rows]
    return {
        "asked": weight,
        "good": float(np.mean([grade == 3 for grade in grades])),
        "acceptable": float(np.mean([grade >= 2 for grade in grades])),
        "wrong": float(np.mean([grade == 0 for grade in grades])),
        "worth": float(np.mean([WORTH[grade] for grade in grades])),
    }


def fit(agent: Agent, requests: Sequence[Asked], progress: Progress) -> tuple[Fusion, dict[str, Any]]:
    """The agent's fusion with both weights and how far letters lie apart, and what was tried."""
    slots = read_accuracy(agent, requests, READ, progress)
    read = max(slots, key=lambda row: (round(row["mean"], 4), -row["read"]))["read"]
    rows = weighed(agent, requests, readings(agent, requests, read, progress), progress)
    tried = [table(rows, weight) for weight in ASKED]
    asked = least_weight(rows, ASKED)
    found = replace(agent.fusion, read=read, asked=asked, apart=apart(rows), weights=agent.engine.digest)
    return found, {"readings": slots, "choices": tried}


def least_weight(rows: Sequence[Weighed], weights: Sequence[float]) -> float:
    """The smallest weight whose first choices are worth as much as those of the best, within one standard
    error of the paired difference: a letter that adds nothing is not asked for."""
    worth = {weight: np.array([WORTH[row.first(weight)] for row in rows]) for weight in weights}
    best = max(worth.values(), key=lambda values: float(values.mean()))
    for weight in sorted(weights):
        lost = best - worth[weight]
        if lost.mean() <= lost.std() / np.sqrt(len(rows)):
            return weight
    raise AssertionError("the best is as good as itself")


def apart(rows: Sequence[Weighed]) -> float | None:
    """Nats by which two letters never differ: twice the greatest difference in any row; None without any."""
    widest = max((max(row.letters) - min(row.letters) for row in rows), default=0.0)
    return round(2 * widest, 2) or None
