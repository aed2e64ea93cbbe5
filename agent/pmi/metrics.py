"""Identification tasks and what is measured on them (CGI paper, section 5.1).

A task is a set of example images of one model; a method's answer is a distance to each model. Rank
r = 1 + |{i: A_i < A_m}| of the true model m, and top-k the share of tasks with r ≤ k. That
flatters a method which finds models equal, so the share of tasks with a tie is told beside.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from math import comb

import numpy as np
import numpy.typing as npt

from diffagent.agent.pmi.space import Doubles, Ints

MOST_TASKS = 500
"""Of one model."""
TOPS = (1, 2, 3, 4, 5)


@dataclass(frozen=True)
class Tasks:
    """``images`` [t, n]: rows of the test images; ``models`` [t]: who made them."""

    images: Ints
    models: Ints

    def __len__(self) -> int:
        return len(self.models)


def tasks(models: Ints, size: int, most: int = MOST_TASKS, seed: int = 0) -> Tasks:
    """All sets of ``size`` test images of one model; beyond ``most`` a model, that many, drawn with
    ``seed``."""
    rng = np.random.default_rng(seed)
    images: list[tuple[int, ...]] = []
    for model in np.unique(models):
        own = np.flatnonzero(models == model).tolist()
        if comb(len(own), size) <= most:
            images += combinations(own, size)
        else:
            drawn: set[tuple[int, ...]] = set()
            while len(drawn) < most:
                drawn.add(tuple(sorted(rng.choice(own, size, replace=False).tolist())))
            images += sorted(drawn)
    rows = np.array(images, np.int64).reshape(-1, size)
    return Tasks(rows, models[rows[:, 0]])


def ranks_of_true(distances: Doubles, true: Ints) -> npt.NDArray[np.float64]:
    """Rank of the true model in each row of distances [t, M], by the paper's formula."""
    own = distances[np.arange(len(true)), true][:, None]
    found: npt.NDArray[np.float64] = 1.0 + (distances < own).sum(1)
    return found


def measure(distances: Doubles, true: Ints) -> dict[str, float]:
    """Top-1…5 as shares, the mean rank, and the share of tasks with a tie."""
    ranks = ranks_of_true(distances, true)
    found = {f"top{k}": float((ranks <= k).mean()) for k in TOPS}
    own = distances[np.arange(len(true)), true][:, None]
    tied = ((distances == own).sum(1) > 1).mean()
    return {**found, "rank": float(ranks.mean()), "tied": float(tied)}


def confusions(distances: Doubles, true: Ints, names: list[str], most: int = 15) -> list[dict[str, object]]:
    """The pairs that are mistaken most often: {"true", "taken_for", "share"} of the true model's tasks."""
    first = distances.argmin(1)
    found = []
    for model in np.unique(true):
        taken, counts = np.unique(first[true == model], return_counts=True)
        total = counts.sum()
        found += [
            {"true": names[model], "taken_for": names[other], "share": round(float(count / total), 4)}
            for other, count in zip(taken.tolist(), counts.tolist(), strict=True)
            if other != model
        ]
    return sorted(found, key=lambda one: (-float(str(one["share"])), str(one["true"])))[:most]


def reliability(log_probabilities: Doubles, true: Ints, bins: int = 10) -> list[dict[str, float]]:
    """How often the first model is right, by how probable it was said to be: {"from", "said", "right",
    "n"}."""
    said = np.exp(log_probabilities.max(1))
    right = log_probabilities.argmax(1) == true
    which = np.minimum((said * bins).astype(np.int64), bins - 1)
    return [
        {
            "from": one / bins,
            "said": float(said[which == one].mean()),
            "right": float(right[which == one].mean()),
            "n": int((which == one).sum()),
        }
        for one in np.unique(which).tolist()
    ]
