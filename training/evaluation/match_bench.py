"""The speed of identification in a large hub, beside Eq. 9 evaluated directly in the same run.

The hub is :mod:`diffagent.agent.pmi.synthetic`'s. The direct evaluation reads float32 features from memory,
and only its arithmetic is timed; the searches are timed from task to answer.
"""

from __future__ import annotations

import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from diffagent.agent.pmi.exact import Ints, Task, distances
from diffagent.agent.pmi.search import TOP, Neighbours, Searcher, best
from diffagent.agent.pmi.store import FILES, Store
from diffagent.agent.pmi.synthetic import BLOCK, Hub
from diffagent.data.errors import BadInput

Progress = Callable[[Iterable[Any]], Iterable[Any]]
Runs = Sequence[tuple[float, Neighbours]]
"""The milliseconds and hits of each task."""
WARM = 3
"""The number of warm-up tasks."""
COPIED = 1 << 28
"""The bytes of the array that measures the memory bandwidth."""


def match(
    hub: Hub,
    tasks: int,
    naive_tasks: int,
    images: int = 1,
    folder: Path | None = None,
    progress: Progress = iter,
) -> dict[str, Any]:
    """Measures ``tasks`` reduced and exact searches, and ``naive_tasks`` of them evaluated directly.

    ``folder`` keeps the store for another run; without it the store is temporary. Out: medians in
    milliseconds and their ratios to the direct evaluation; ``agreement``, the mean share of the exact
    search's 16 models that the reduced search returns; ``exact_agreement``, the same between direct
    evaluation and exact search; ``rank1``, the share of tasks whose true model is the nearest; and per search
    the number of models that it evaluates from whole features, the bytes that it reads, and their share of a
    plain copy's bandwidth.
    """
    with _store(hub, folder, progress) as (store, build_s), Searcher(store) as searcher:
        searches = [hub.task(number, images) for number in range(tasks)]
        for _, task in searches[:WARM]:
            searcher.nearest(task)
            searcher.exact(task)
        near = [_timed(searcher.nearest, task) for _, task in progress(searches)]
        exact = [_timed(searcher.exact, task) for _, task in progress(searches)]
        naive_ms, naive = evaluate([task for _, task in searches[:naive_tasks]], store, progress)
        speed, threads = bandwidth(searcher.threads), searcher.threads
        answers = [ranking.models for _, ranking in exact]
        hits = [answer[0] == model for answer, (model, _) in zip(answers, searches, strict=True)]
        naive_p50 = statistics.median(naive_ms)
        return {
            "models": len(store),
            **_figures("", near, naive_p50, store, speed),
            "naive_p50_ms": round(naive_p50, 1),
            "agreement": mean_overlap(answers, [ranking.models for _, ranking in near]),
            **_figures("exact_", exact, naive_p50, store, speed),
            "exact_agreement": mean_overlap(naive, answers[:naive_tasks]),
            "rank1": round(float(np.mean(hits)), 4),
            "tasks": tasks,
            "naive_tasks": naive_tasks,
            "images": images,
            "bandwidth_gb_s": round(speed / 1e9, 2),
            "store_bytes": sum((store.folder / name).stat().st_size for name in FILES),
            "build_s": round(build_s, 1),
            "threads": threads,
        }


def _figures(prefix: str, runs: Runs, naive_p50: float, store: Store, speed: float) -> dict[str, Any]:
    """The times and reads of one kind of search."""
    times = [milliseconds for milliseconds, _ in runs]
    p50 = statistics.median(times)
    bytes_of_search = statistics.median(bytes_read(store, hits) for _, hits in runs)
    figures = {
        "p50_ms": round(p50, 1),
        "p95_ms": round(float(np.quantile(times, 0.95)), 1),
        "ratio": round(naive_p50 / p50, 1),
        "evaluated": int(statistics.median(hits.evaluated for _, hits in runs)),
        "bytes_read": int(bytes_of_search),
        "bandwidth_share": round(bytes_of_search / (p50 / 1e3) / speed, 3),
    }
    return {prefix + name: value for name, value in figures.items()}


def bytes_read(store: Store, hits: Neighbours) -> int:
    """The bytes of the store that a search reads: reduced rows, and features and Gram rows of candidates."""
    whole: int = store.features[0].nbytes + store.gram[0].nbytes
    return hits.scans * len(store) * store.reduction.width * 2 + hits.evaluated * whole


def mean_overlap(expected: Sequence[Ints], answers: Sequence[Ints]) -> float:
    """The mean share of the expected models in the answers."""
    shares = [len(np.intersect1d(a, b)) / len(a) for a, b in zip(expected, answers, strict=True)]
    return round(float(np.mean(shares)), 5)


def evaluate(
    tasks: Sequence[Task], store: Store, progress: Progress = iter
) -> tuple[list[float], list[Ints]]:
    """Eq. 9 for every model: the milliseconds of each task, and its nearest 16 models."""
    times = [0.0] * len(tasks)
    distances_by_task = [np.empty(len(store)) for _ in tasks]
    for start in progress(range(0, len(store), BLOCK)):
        block = store.features[start : start + BLOCK].astype(np.float32)
        for number, task in enumerate(tasks):
            began = time.perf_counter()
            distances_by_task[number][start : start + BLOCK] = distances(block, task, store.reduction.gamma)
            times[number] += 1e3 * (time.perf_counter() - began)
    ids = np.arange(len(store))
    return times, [best(ids, task_distances, TOP)[0] for task_distances in distances_by_task]


def bandwidth(threads: int, tries: int = 5) -> float:
    """The bytes per second that a plain copy on all threads reads and writes; the best of some tries."""
    source = np.ones(COPIED // 4, np.float32)
    target = np.zeros_like(source)
    parts = list(zip(np.array_split(source, threads), np.array_split(target, threads), strict=True))
    seconds = []
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(tries):
            began = time.perf_counter()
            list(pool.map(lambda part: np.copyto(part[1], part[0]), parts))
            seconds.append(time.perf_counter() - began)
    return 2 * source.nbytes / min(seconds)


def _timed(search: Callable[[Task], Neighbours], task: Task) -> tuple[float, Neighbours]:
    began = time.perf_counter()
    hits = search(task)
    return 1e3 * (time.perf_counter() - began), hits


@contextmanager
def _store(hub: Hub, folder: Path | None, progress: Progress) -> Iterator[tuple[Store, float]]:
    """The hub's store and the seconds of its build: 0 where ``folder`` has one."""
    if folder is not None and (folder / "store.json").exists():
        yield _reopened(hub, folder), 0.0
        return
    with tempfile.TemporaryDirectory(prefix="diffagent-match-") as temporary:
        place = folder or Path(temporary)
        place.mkdir(parents=True, exist_ok=True)
        required = hub.models * hub.prompt_count * (2 * hub.dimensions + 2 * hub.prompt_count + 100)
        free = shutil.disk_usage(place).free
        if free < required:
            raise BadInput(
                f"{hub.models:,} models need {required / 1e9:.1f} GB, and {place} has {free / 1e9:.1f} GB",
                "give a --store on a larger disk, or set TMPDIR",
            )
        began = time.perf_counter()
        store = Store.build(place, progress(hub.blocks()), hub.prompts)
        yield store, time.perf_counter() - began


def _reopened(hub: Hub, folder: Path) -> Store:
    """The existing store, if it is this hub's."""
    store = Store.open(folder)
    first = next(Hub(min(hub.models, BLOCK), hub.seed, hub.prompt_count, hub.dimensions).blocks())
    stored = store.features[:1]
    if len(store) != hub.models or stored.shape != first[:1].shape or not np.array_equal(stored, first[:1]):
        raise BadInput(
            f"{folder} holds a store of {len(store):,} models of another hub",
            "give another folder, or the same --models and --seed",
        )
    return store
