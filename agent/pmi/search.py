"""The nearest models of a task in a :class:`Store`, by Eq. 9: exactly, or faster and almost always so.

Both methods scan the reduced rows once, and then evaluate Eq. 9 on the whole features of the candidates:
  - :meth:`Searcher.exact` takes the models in the order of their lower bounds, and stops where the next bound
    exceeds the k-th distance: its answer equals an evaluation of all models;
  - :meth:`Searcher.nearest` takes the first :data:`SHORTLIST` in the order of their estimates.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from types import TracebackType
from typing import Any

import numpy as np

from diffagent.agent.pmi.exact import Doubles, Floats, Ints, Task, cross_terms, squares
from diffagent.agent.pmi.store import Store, require_faiss
from diffagent.data.errors import BadInput

TOP = 16
SHORTLIST = 64
FIRST_LOOK = 4096
"""Models returned by the first scan; where they do not suffice, the next returns 8 times as many."""
CHUNK = 32
"""Candidates whose features are read at a time."""
ROUNDING = 2e-6
"""The error of distances near 1 in float32."""


@dataclass(frozen=True)
class Neighbours:
    """``models`` int64 [k], nearest first; their ``distances`` float64 [k]; the number of models
    ``evaluated`` on their whole features, and of ``scans`` of the reduced rows."""

    models: Ints
    distances: Doubles
    evaluated: int
    scans: int = 1


class Searcher:
    """Searches a store with ``threads`` threads (default: one for each processor that may be used).

    FAISS scans one query on one thread, so each thread scans its own part of the models, with FAISS's
    own pool at one thread.
    """

    def __init__(self, store: Store, threads: int | None = None) -> None:
        self.store = store
        self.threads = threads or usable_processors()
        self._faiss: Any = require_faiss()
        self._pool = ThreadPoolExecutor(
            self.threads, initializer=self._faiss.omp_set_num_threads, initargs=(1,)
        )
        edges = np.linspace(0, len(store), self.threads + 1).astype(int).tolist()
        self._parts = [(a, b) for a, b in pairwise(edges) if a < b]

    def __enter__(self) -> Searcher:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown()

    def exact(self, task: Task, k: int = TOP) -> Neighbours:
        """Returns the k models with the smallest distances of Eq. 9; ties go to the earlier model."""
        self._check(task)
        probe = self.store.reduction.probe(task)
        floor = probe.base - probe.slack - ROUNDING
        models, distances = np.empty(0, np.int64), np.empty(0)
        evaluated, scans, look = 0, 0, FIRST_LOOK
        while True:
            products, candidates = self._scan(probe.bound, look)
            scans += 1
            for start in range(evaluated, len(candidates), CHUNK):
                if len(models) == k and floor - products[start] > distances[-1]:
                    return Neighbours(models, distances, evaluated, scans)
                ids = candidates[start : start + CHUNK]
                models, distances = best(
                    np.concatenate([models, ids]), np.concatenate([distances, self.distances(ids, task)]), k
                )
                evaluated += len(ids)
            if len(candidates) == len(self.store):
                return Neighbours(models, distances, evaluated, scans)
            look *= 8

    def nearest(self, task: Task, k: int = TOP, shortlist: int = SHORTLIST) -> Neighbours:
        """Returns the k nearest of the ``shortlist`` models with the smallest estimated distances."""
        self._check(task)
        _, candidates = self._scan(self.store.reduction.probe(task).estimate, max(k, shortlist))
        models, distances = best(candidates, self.distances(candidates, task), k)
        return Neighbours(models, distances, len(candidates))

    def distances(self, models: Ints, task: Task) -> Doubles:
        """Returns Eq. 9 on the whole features of some models [m]: float64 [m]."""
        outer = (task.weights.T @ task.weights).astype(np.float64)
        twice = (2 * outer[np.tril_indices(len(outer), -1)]).astype(np.float32)
        scale = task.weights.size * task.weights.shape[1]
        distances = np.empty(len(models))
        for start in range(0, len(models), CHUNK):
            ids = models[start : start + CHUNK]
            block = self.store.features[ids].astype(np.float32)
            gram_terms = ((self.store.gram[ids] @ twice).astype(np.float64) + np.trace(outer)) / scale
            cross = cross_terms(block, squares(block), task, self.store.reduction.gamma)
            distances[start : start + CHUNK] = gram_terms - cross + 1
        return distances

    def _scan(self, query: Floats, look: int) -> tuple[Floats, Ints]:
        """Returns the ``look`` models with the largest inner products with ``query``, largest first."""
        look = min(look, len(self.store))

        def part(edges: tuple[int, int]) -> tuple[Floats, Ints]:
            chosen = self._faiss.SearchParameters(sel=self._faiss.IDSelectorRange(*edges))
            products, ids = self.store.index.search(
                query[None], min(look, edges[1] - edges[0]), params=chosen
            )
            return products[0], ids[0]

        pieces = list(self._pool.map(part, self._parts))
        products, ids = (np.concatenate(arrays) for arrays in zip(*pieces, strict=True))
        order = np.lexsort((ids, -products))[:look]
        return products[order], ids[order]

    def _check(self, task: Task) -> None:
        prompts, d = self.store.reduction.center.shape
        if task.images.shape[1] != d or task.weights.shape[1] != prompts:
            raise BadInput(
                f"images {task.images.shape} and weights {task.weights.shape} do not fit the store: "
                f"it has {d} dimensions and {prompts} prompts"
            )


def best(models: Ints, distances: Doubles, k: int) -> tuple[Ints, Doubles]:
    """Returns the k smallest distances, ascending, with their models; ties in the order of the models."""
    order = np.lexsort((models, distances))[:k]
    return models[order], distances[order]


def usable_processors() -> int:
    """Returns the number of processors that this process may use."""
    affinity: Callable[[int], set[int]] | None = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1
