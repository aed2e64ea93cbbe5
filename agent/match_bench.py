"""Speed of identification in a large hub, beside Eq. 9 evaluated directly on the same machine in the same run.

The hub is :mod:`diffagent.agent.pmi.synthetic`'s. The direct evaluation gets its features as float32 in
memory, and only its arithmetic is timed; the searches are timed from task to answer.
"""

from __future__ import annotations

import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from diffagent.agent.pmi.exact import Doubles, Task, distances
from diffagent.agent.pmi.search import TOP, Found, Searcher, best
from diffagent.agent.pmi.store import FILES, Store
from diffagent.agent.pmi.synthetic import BLOCK, Hub
from diffagent.data.errors import BadInput

Progress = Callable[[Iterable[Any]], Iterable[Any]]
WARM = 3
"""Tasks that are searched before any is measured."""
COPIED = 1 << 28
"""Bytes of the array that the memory bandwidth is measured with."""


@dataclass(frozen=True)
class Matching:
    """Milliseconds a task, medians: of the reduced search, of the direct evaluation, of the exact search; their
    ratios to the direct one. ``agreement``: the mean share of the exact search's 16 models that the reduced
    one returns; ``exact_agreement``: of the direct evaluation's 16 that the exact search returns. ``rank1``:
    how often the true model comes first, exactly. Bytes that a search reads, how many models it
    evaluates from their whole features (medians), and its share of the ``bandwidth_gb_s`` of a plain copy."""

    models: int
    prompts: int
    dimensions: int
    images: int
    tasks: int
    p50_ms: float
    p95_ms: float
    naive_p50_ms: float
    ratio: float
    agreement: float
    exact_p50_ms: float
    exact_p95_ms: float
    exact_ratio: float
    exact_agreement: float
    naive_tasks: int
    rank1: float
    evaluated: int
    exact_evaluated: int
    bytes_read: int
    exact_bytes_read: int
    bandwidth_gb_s: float
    bandwidth_share: float
    exact_bandwidth_share: float
    store_bytes: int
    build_s: float
    threads: int


def match(
    hub: Hub,
    tasks: int,
    naive_tasks: int,
    images: int = 1,
    folder: Path | None = None,
    progress: Progress = iter,
) -> dict[str, Any]:
    """Measure ``tasks`` searches of either kind, and ``naive_tasks`` of them evaluated directly.

    ``folder`` keeps the store for another run; without it the store is made in a temporary folder.
    """
    with _store(hub, folder, progress) as (store, build_s), Searcher(store) as searcher:
        asked = [hub.task(number, images) for number in range(tasks)]
        for _, task in asked[:WARM]:
            searcher.nearest(task)
            searcher.exact(task)
        near, exact = [], []
        for _, task in progress(asked):
            near.append(_timed(searcher.nearest, task))
            exact.append(_timed(searcher.exact, task))
        naive_ms, naive = _directly(store, [task for _, task in asked[:naive_tasks]], progress)
        speed = bandwidth(searcher.threads)
        read = [_bytes_read(store, [found for _, found in one]) for one in (near, exact)]
        p50, exact_p50 = (statistics.median(ms for ms, _ in one) for one in (near, exact))
        naive_p50 = statistics.median(naive_ms)
        return asdict(
            Matching(
                models=len(store),
                prompts=hub.prompt_count,
                dimensions=hub.dimensions,
                images=images,
                tasks=tasks,
                p50_ms=round(p50, 1),
                p95_ms=round(float(np.quantile([ms for ms, _ in near], 0.95)), 1),
                naive_p50_ms=round(naive_p50, 1),
                ratio=round(naive_p50 / p50, 1),
                agreement=round(shared([b for _, b in exact], [a for _, a in near]), 5),
                exact_p50_ms=round(exact_p50, 1),
                exact_p95_ms=round(float(np.quantile([ms for ms, _ in exact], 0.95)), 1),
                exact_ratio=round(naive_p50 / exact_p50, 1),
                exact_agreement=round(shared(naive, [found for _, found in exact[:naive_tasks]]), 5),
                naive_tasks=naive_tasks,
                rank1=round(
                    statistics.mean(
                        found.models[0] == model
                        for (model, _), (_, found) in zip(asked, exact, strict=True)
                    ),
                    4,
                ),
                evaluated=int(statistics.median(found.evaluated for _, found in near)),
                exact_evaluated=int(statistics.median(found.evaluated for _, found in exact)),
                bytes_read=read[0],
                exact_bytes_read=read[1],
                bandwidth_gb_s=round(speed / 1e9, 2),
                bandwidth_share=round(read[0] / (p50 / 1e3) / speed, 3),
                exact_bandwidth_share=round(read[1] / (exact_p50 / 1e3) / speed, 3),
                store_bytes=sum((store.folder / name).stat().st_size for name in FILES),
                build_s=round(build_s, 1),
                threads=searcher.threads,
            )
        )
