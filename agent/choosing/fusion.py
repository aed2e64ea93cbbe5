"""Fusion: the language model's word beside what was fitted or counted without it.

Its log-probabilities are multiplied by a fitted weight and added to priors: the rules' reading, the
candidates' suitability, what people use a model with.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from importlib.resources import files
from pathlib import Path
from typing import Self

import numpy as np

POINTS = 10
"""Matches: 0 to 9."""
NATS_A_POINT = 0.5
"""Of a candidate's log-probability, for each point of its match below 9."""


def matches(scores: Sequence[float]) -> list[int]:
    """The probability of each among the candidates (``scores``: log-probabilities) in a digit: 9 from 78 %
    up, a point less for each half nat below, 0 for less than 1.4 %."""
    given = np.asarray(scores, float)
    below = np.logaddexp.reduce(given) - given
    return [int(points) for points in np.maximum(0, POINTS - 1 - np.rint(below / NATS_A_POINT))]


@dataclass(frozen=True)
class Fusion:
    """How much the language model's word counts beside the priors; fitted on the align part.

    ``write`` multiplies its log-probability of a parameter, ``read`` that of a reading's slot, ``asked`` that
    of a letter where the lines show what models are for.

    ``apart``: nats by which the log-probabilities of two letters never differ, of the language model whose
    digest is ``weights``; None where nobody measured it.
    """

    write: float = 0.0
    read: float = 0.0
    asked: float = 0.0
    apart: float | None = None
    weights: str = ""

    @classmethod
    def load(cls, path: Path | None = None) -> Self:
        """From a JSON file; by default the one that ships."""
        source = path or Path(str(files("diffagent.agent") / "default" / "fusion.json"))
        stored = json.loads(source.read_text("utf-8"))
        return cls(**{one.name: stored[one.name] for one in fields(cls) if one.name in stored})

    def is_open(self, prior: Sequence[float], digest: str) -> bool:
        """Whether letters can change which candidate is first: not where it leads by more than they differ.

        ``prior``: log-probabilities, best first; ``digest``: of the language model that would be asked.
        """
        if len(prior) < 2 or not self.asked:
            return False
        if self.apart is None or digest != self.weights:
            return True
        return prior[0] - prior[1] <= self.asked * self.apart

    def weigh(self, prior: Sequence[float], letters: Sequence[float]) -> list[float]:
        """Log-probabilities over the shown candidates from their suitability and those of their letters;
        together they hold what the prior holds."""
        given = np.asarray(prior)
        scores = given + self.asked * np.asarray(letters)
        return list(map(float, scores - np.logaddexp.reduce(scores) + np.logaddexp.reduce(given)))
