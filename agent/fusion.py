"""Fusion: the prefilter's, the language model's and people's word in one distribution."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Self

import numpy as np


@dataclass(frozen=True)
class Fusion:
    """How much the language model's word counts beside the priors; fitted on the align part.

    ``choice`` multiplies its log-probability of a letter, ``bias`` [letters] is subtracted from that
    first (what it answers whatever the prompt; letters beyond the fitted ones take the mean), ``write``
    multiplies its log-probability of a parameter.
    """

    choice: float = 0.0
    write: float = 0.0
    bias: tuple[float, ...] = ()

    @classmethod
    def load(cls, path: Path | None = None) -> Self:
        source = path or Path(str(files("diffagent.agent") / "default" / "fusion.json"))
        stored = json.loads(source.read_text("utf-8"))
        return cls(stored["choice"], stored["write"], tuple(stored["bias"]))

    def fuse(self, prior: Sequence[float], llm: Sequence[float]) -> list[float]:
        """Log-probabilities over the candidates from the prefilter's and the language model's."""
        bias = np.full(len(llm), np.mean(self.bias) if self.bias else 0.0)
        bias[: len(self.bias)] = self.bias[: len(llm)]
        scores = np.asarray(prior) + self.choice * (np.asarray(llm) - bias)
        return list(map(float, scores - np.logaddexp.reduce(scores)))
