"""Ranking: the first few of many values, without sorting them all."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def greatest(values: npt.NDArray[np.floating[Any]], k: int) -> npt.NDArray[np.int64]:
    """The places of the k greatest values, the greatest first, and of equals the first: int64 [≤ k]."""
    if k <= 0:
        return np.zeros(0, np.int64)
    if k >= len(values):
        return np.argsort(-values, kind="stable")
    least = np.partition(values, len(values) - k)[len(values) - k]
    likely = np.flatnonzero(values >= least)
    return likely[np.argsort(-values[likely], kind="stable")][:k]
