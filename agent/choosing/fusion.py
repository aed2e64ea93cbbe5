"""Fusion: the language model's answers beside fitted scores and counts.

The model's log-probabilities are multiplied by a fitted weight and added to priors: the rules' reading, the
candidates' suitability, the usage of a model.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from importlib.resources import files
from pathlib import Path
from typing import Self

import numpy as np

POINTS = 10
"""The number of match values: 0 to 9."""
NATS_A_POINT = 0.5
"""Nats of log-probability for each point of a match below 9."""
KEYS = {"parameter_weight": "write", "reading_weight": "read", "choice_weight": "asked"}
"""Fields whose key in the file is another."""


def matches(scores: Sequence[float]) -> list[int]:
    """Returns each candidate's probability (``scores``: log-probabilities) as a digit: 9 from 78 % up, a
    point less for each half nat below, 0 for less than 1.4 %."""
    values = np.asarray(scores, float)
    below = np.logaddexp.reduce(values) - values
    return [int(points) for points in np.maximum(0, POINTS - 1 - np.rint(below / NATS_A_POINT))]


@dataclass(frozen=True)
class Fusion:
    """Weights of the language model's log-probabilities beside the priors; fitted on the align part.

    ``parameter_weight`` multiplies the log-probability of a parameter, ``reading_weight`` that of a reading's
    slot, ``choice_weight`` that of a letter where the lines show the models' purposes.

    ``apart``: nats by which the log-probabilities of two letters never differ, for the language model with
    the digest ``weights``; None where it was not measured.
    """

    parameter_weight: float = 0.0
    reading_weight: float = 0.0
    choice_weight: float = 0.0
    apart: float | None = None
    weights: str = ""

    @classmethod
    def load(cls, path: Path | None = None) -> Self:
        """Loads a JSON file; default: the packaged one."""
        source = path or Path(str(files("diffagent.agent") / "default" / "fusion.json"))
        stored = json.loads(source.read_text("utf-8"))
        keys = {field.name: KEYS.get(field.name, field.name) for field in fields(cls)}
        return cls(**{name: stored[key] for name, key in keys.items() if key in stored})

    def to_json(self) -> str:
        """Returns the text of the file."""
        return (
            json.dumps({KEYS.get(name, name): value for name, value in asdict(self).items()}, indent=1) + "\n"
        )

    def is_open(self, prior: Sequence[float], digest: str) -> bool:
        """Whether letters can change the first candidate: not where it leads by more than they differ.

        ``prior``: log-probabilities, best first; ``digest``: the language model's.
        """
        if len(prior) < 2 or not self.choice_weight:
            return False
        if self.apart is None or digest != self.weights:
            return True
        return prior[0] - prior[1] <= self.choice_weight * self.apart

    def weigh(self, prior: Sequence[float], letters: Sequence[float]) -> list[float]:
        """Returns log-probabilities over the shown candidates from their suitability and their letters; the
        total probability stays that of the prior."""
        log_priors = np.asarray(prior)
        scores = log_priors + self.choice_weight * np.asarray(letters)
        return list(map(float, scores - np.logaddexp.reduce(scores) + np.logaddexp.reduce(log_priors)))
