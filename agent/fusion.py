"""Fusion: the prefilter's word, the language model's and the community's in one distribution.

The question shows the language model each candidate's probability as a digit, its match, so most of what it
says of a candidate is the prefilter's own word. What it says of such a match whatever the prompt is therefore
subtracted first: what is left is what it makes of the words.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from importlib.resources import files
from pathlib import Path
from typing import Any, Self

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

    ``choice`` multiplies its log-probability of a letter; ``bias`` [letters] and ``match_bias`` [POINTS] are
    subtracted from that first: what it says of a letter and of a match whatever the prompt (letters beyond
    the fitted ones take the mean). ``write`` multiplies its log-probability of a parameter. ``standing`` is
    what the whole standing of a candidate is worth, in nats (:class:`diffagent.agent.standing.Standing`).
    """

    choice: float = 0.0
    write: float = 0.0
    bias: tuple[float, ...] = ()
    match_bias: tuple[float, ...] = ()
    standing: float = 0.0
    read: float = 0.0
    """Multiplies the language model's log-probability of a reading's slot."""
    asked: float = 0.0
    """Multiplies its log-probability of a letter where the lines show what models are for."""

    @classmethod
    def load(cls, path: Path | None = None) -> Self:
        source = path or Path(str(files("diffagent.agent") / "default" / "fusion.json"))
        stored = json.loads(source.read_text("utf-8"))
        values: dict[str, Any] = {one.name: stored[one.name] for one in fields(cls) if one.name in stored}
        for name in ("bias", "match_bias"):
            values[name] = tuple(values.get(name, ()))
        return cls(**values)

    def weigh(self, prior: Sequence[float], letters: Sequence[float]) -> list[float]:
        """Log-probabilities over the shown candidates from their suitability and those of their letters;
        together they hold what the prior holds."""
        given = np.asarray(prior)
        scores = given + self.asked * np.asarray(letters)
        return list(map(float, scores - np.logaddexp.reduce(scores) + np.logaddexp.reduce(given)))

    def fuse(
        self, prior: Sequence[float], llm: Sequence[float], standing: Sequence[float] = ()
    ) -> list[float]:
        """Log-probabilities over the candidates from the prefilter's and the language model's, and the mean
        standing of each (none: all alike)."""
        bias = np.full(len(llm), np.mean(self.bias) if self.bias else 0.0)
        bias[: len(self.bias)] = self.bias[: len(llm)]
        if self.match_bias:
            bias += np.asarray(self.match_bias)[matches(prior)]
        scores = np.asarray(prior) + self.choice * (np.asarray(llm) - bias)
        if standing:
            scores += self.standing * np.asarray(standing)
        return list(map(float, scores - np.logaddexp.reduce(scores)))
