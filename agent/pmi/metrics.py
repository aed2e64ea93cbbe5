"""Identification tasks and their measures (CGI paper, section 5.1).

A task is a set of example images of one model; a method's answer is a distance to each model. Rank
r = 1 + |{i: A_i < A_m}| of the true model m, and top-k the share of tasks with r ≤ k. That favours a method
which finds models equal, so the share of tasks with a tie is reported too.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from math import comb

import numpy as np
import numpy.typing as npt

from diffagent.agent.pmi.space import Doubles, Ints

MOST_TASKS = 500
"""The most tasks of one model."""
TOPS = (1, 2, 3, 4, 5)


@dataclass(frozen=True)
class Tasks:
    """``images`` [t, n]: rows of the test images; ``models`` [t]: their models."""

    images: Ints
    models: Ints

    def __len__(self) -> int:
        return len(self.models)


def tasks(models: Ints, size: int, most: int = MOST_TASKS, seed: int = 0) -> Tasks:
    """Returns all sets of ``size`` test images of one model; ``most`` per model, drawn with ``seed``, where
    there are more."""
    rng = np.random.default_rng(seed)
    images: list[tuple[int, ...]] = []
    for model in np.unique(models):
        members = np.flatnonzero(models == model).tolist()
        if comb(len(members), size) <= most:
            images += combinations(members, size)
        else:
            drawn: set[tuple[int, ...]] = set()
            while len(drawn) < most:
                drawn.add(tuple(sorted(rng.choice(members, size, replace=False).tolist())))
            images += sorted(drawn)
    rows = np.array(images, np.int64).reshape(-1, size)
    return Tasks(rows, models[rows[:, 0]])


def ranks_of_true(distances: Doubles, true: Ints) -> npt.NDArray[np.float64]:
    """Returns the true model's rank in each row of distances [t, M], by the paper's formula."""
    true_distances = distances[np.arange(len(true)), true][:, None]
    ranks: npt.NDArray[np.float64] = 1.0 + (distances < true_distances).sum(1)
    return ranks


def measure(distances: Doubles, true: Ints) -> dict[str, float]:
    """Returns top-1…5 as shares, the mean rank, and the share of tasks with a tie."""
    ranks = ranks_of_true(distances, true)
    shares = {f"top{k}": float((ranks <= k).mean()) for k in TOPS}
    true_distances = distances[np.arange(len(true)), true][:, None]
    tied = ((distances == true_distances).sum(1) > 1).mean()
    return {**shares, "rank": float(ranks.mean()), "tied": float(tied)}


def confusions(distances: Doubles, true: Ints, names: list[str], most: int = 15) -> list[dict[str, object]]:
    """Returns the most frequent confusions: {"true", "taken_for", "share"} of the true model's tasks."""
    first = distances.argmin(1)
    pairs = []
    for model in np.unique(true):
        others, counts = np.unique(first[true == model], return_counts=True)
        total = counts.sum()
        pairs += [
            {"true": names[model], "taken_for": names[other], "share": round(float(count / total), 4)}
            for other, count in zip(others.tolist(), counts.tolist(), strict=True)
            if other != model
        ]
    return sorted(pairs, key=lambda pair: (-float(str(pair["share"])), str(pair["true"])))[:most]


def reliability(log_probabilities: Doubles, true: Ints, bins: int = 10) -> list[dict[str, float]]:
    """Returns the share of right first models by their probability: {"from", "said", "right", "n"} per
    bin."""
    probabilities = np.exp(log_probabilities.max(1))
    right = log_probabilities.argmax(1) == true
    which = np.minimum((probabilities * bins).astype(np.int64), bins - 1)
    return [
        {
            "from": bin_number / bins,
            "said": float(probabilities[which == bin_number].mean()),
            "right": float(right[which == bin_number].mean()),
            "n": int((which == bin_number).sum()),
        }
        for bin_number in np.unique(which).tolist()
    ]
