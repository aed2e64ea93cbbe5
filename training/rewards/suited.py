"""A reward without images and without popularity: how well a model suits a plain request.

    score = the logit of :mod:`diffagent.agent.choosing.suitability` under the request's reading

The suitability is fitted on candidates that a strong language model graded
(:mod:`diffagent.training.corpora.plain_requests`, part ``train``). A run's report has its agreement with the
other grades, beside that of downloads alone: the share of pairs of different grades within a request that it
orders as graded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from diffagent.agent.asking.reading import Reading
from diffagent.agent.asking.wishes import wishes
from diffagent.agent.choosing.choosing import CardShelf
from diffagent.agent.choosing.suitability import FEATURES, Floats, Suitability, features
from diffagent.data.records import T2ICall
from diffagent.training.corpora.plain_requests import PlainRequest
from diffagent.training.fitting.suiting import GradedRequest, gather, measure
from diffagent.training.rewards import Progress

if TYPE_CHECKING:
    from diffagent.agent.choosing.prefilter import Prefilter

UNKNOWN = -100.0
"""The score of a model that may not be chosen or is not in the catalog."""


@dataclass
class SuitabilityReward:
    """A :class:`~diffagent.training.rewards.Reward`; ``readings``: prompt → its reading, else the rules'."""

    prefilter: Prefilter
    suitability: Suitability
    readings: Mapping[str, Reading]
    agreement: Mapping[str, float]
    name: str = "suitability"

    def __post_init__(self) -> None:
        self._shelf = CardShelf(self.prefilter.cards)
        self._places = {card.air: place for place, card in enumerate(self.prefilter.cards)}

    @classmethod
    def from_requests(
        cls,
        prefilter: Prefilter,
        suitability: Suitability,
        requests: Sequence[PlainRequest],
        progress: Progress,
    ) -> Self:
        """The reward with the readings of graded requests; its agreement is that on their part ``test``."""
        held_out = [request for request in requests if request.split == "test"]
        rows = [row for row in gather(prefilter, held_out, progress) if row.is_strong]
        readings = {wishes(request.english).prompt: request.reading for request in requests}
        return cls(prefilter, suitability, readings, agreement(suitability, rows))

    def measure(self, prompt: str, airs: Sequence[str]) -> Floats:
        """The score of each model: [n]."""
        reading = self.readings.get(prompt) or self._shelf.grounded(Reading.of(prompt))
        table = features(self._shelf.facts, reading, self.prefilter.match(prompt))
        logits = np.where(self._shelf.choosable, self.suitability(table), UNKNOWN)
        places = [self._places.get(air) for air in airs]
        return np.array([UNKNOWN if place is None else logits[place] for place in places])

    def prepare(self, calls: Sequence[T2ICall], progress: Progress, share: tuple[int, int]) -> None:
        """Does nothing: features are computed a prompt at a time."""

    def score(self, prompt: str, calls: Sequence[T2ICall]) -> list[float]:
        return [float(value) for value in self.measure(prompt, [call.air for call in calls])]

    def close(self) -> None:
        """Does nothing: the suitability is small and on no GPU."""

    def report(self) -> dict[str, Any]:
        return {"agreement": dict(self.agreement)}


def agreement(suitability: Suitability, rows: Sequence[GradedRequest]) -> dict[str, float]:
    """The suitability's agreement with the grades of ``rows``: pairs in order, beside downloads alone, and
    shares of first choices; only ``n`` where there are no rows."""
    if not rows:
        return {"n": 0}
    downloads = FEATURES.index("downloads")
    pairs = [ordered_pairs(suitability(row.features), row.grades) for row in rows]
    popular = [ordered_pairs(row.features[:, downloads], row.grades) for row in rows]
    counts = np.array([*filter(None, pairs)]).sum(0) if any(pairs) else np.zeros(2)
    popular_counts = np.array([*filter(None, popular)]).sum(0) if any(popular) else np.zeros(2)
    shares = {name: round(value, 4) for name, value in measure(suitability, rows).items()}
    return shares | {
        "pairs": float(counts[1]),
        "ordered": round(float(counts[0] / max(counts[1], 1)), 4),
        "ordered_by_downloads": round(float(popular_counts[0] / max(popular_counts[1], 1)), 4),
    }


def ordered_pairs(scores: Floats, grades: Any) -> tuple[float, float] | None:
    """The number of pairs of different grades that the scores order as graded, ties counted half, and the
    number of such pairs; None where there are none."""
    better = grades[:, None] > grades[None]
    if not better.any():
        return None
    gap = (scores[:, None] - scores[None])[better]
    return float((gap > 0).sum() + (gap == 0).sum() / 2), float(len(gap))
