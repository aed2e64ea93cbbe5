"""Speed of identification in a large hub, beside Eq. 9 evaluated directly in the same run.

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
from pathlib import Path
from typing import Any

import numpy as np

from diffagent.agent.pmi.exact import Ints, Task, distances
from diffagent.agent.pmi.search import TOP, Found, Searcher, best
from diffagent.agent.pmi.store import FILES, Store
from diffagent.agent.pmi.synthetic import BLOCK, Hub
from diffagent.data.errors import BadInput

Progress = Callable[[Iterable[Any]], Iterable[Any]]
Runs = Sequence[tuple[float, Found]]
"""Milliseconds and answer of each task."""
WARM = 3
"""Tasks that are searched before any is measured."""
COPIED = 1 << 28
"""Bytes of the array that the memory bandwidth is measured with."""


def match(
    hub: Hub,
    tasks: int,
    naive_tasks: int,
    images: int = 1,
    folder: Path | None = None,
    progress: Progress = iter,
) -> dict[str, Any]:
    """Measure ``tasks`` reduced and exact searches, and ``naive_tasks`` of them evaluated directly.

    ``folder`` keeps the store for another run; without it the store is made in a temporary folder. Out:
    medians in milliseconds and their ratios to the direct evaluation; ``agreement``, the mean share of the
    exact search's 16 models that the reduced search returns; ``exact_agreement``, the same between direct
    evaluation and exact search; ``rank1``, how often the true model is the nearest; and per search how many
    models it evaluates from their whole features, the bytes it reads, and their share of a plain copy's
    bandwidth.
    """
    with _store(hub, folder, progress) as (store, build_s), Searcher(store) as searcher:
        asked = [hub.task(number, images) for number in range(tasks)]
        for _, task in asked[:WARM]:
            searcher.nearest(task)
            searcher.exact(task)
        near = [_timed(searcher.nearest, task) for _, task in progress(asked)]
        exact = [_timed(searcher.exact, task) for _, task in progress(asked)]
        naive_ms, naive = evaluate([task for _, task in asked[:naive_tasks]], store, progress)
        speed, threads = bandwidth(searcher.threads), searcher.threads
        answers = [found.models for _, found in exact]
        hits = [answer[0] == model for answer, (model, _) in zip(answers, asked, strict=True)]
        naive_p50 = statistics.median(naive_ms)
        return {
            "models": len(store),
            **_figures("", near, naive_p50, store, speed),
            "naive_p50_ms": round(naive_p50, 1),
            "agreement": shared(answers, [found.models for _, found in near]),
            **_figures("exact_", exact, naive_p50, store, speed),
            "exact_agreement": shared(naive, answers[:naive_tasks]),
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
    """What one kind of search took and read."""
    times = [milliseconds for milliseconds, _ in runs]
    p50 = statistics.median(times)
    read = statistics.median(bytes_read(store, found) for _, found in runs)
    figures = {
        "p50_ms": round(p50, 1),
        "p95_ms": round(float(np.quantile(times, 0.95)), 1),
        "ratio": round(naive_p50 / p50, 1),
        "evaluated": int(statistics.median(found.evaluated for _, found in runs)),
        "bytes_read": int(read),
        "bandwidth_share": round(read / (p50 / 1e3) / speed, 3),
    }
    return {prefix + name: value for name, value in figures.items()}


def bytes_read(store: Store, found: Found) -> int:
    """Bytes of the store that a search reads: reduced rows, and features and Gram rows of candidates."""
    whole: int = store.features[0].nbytes + store.gram[0].nbytes
    return found.scans * len(store) * store.reduction.width * 2 + found.evaluated * whole


def shared(expected: Sequence[Ints], answers: Sequence[Ints]) -> float:
    """The mean share of the expected models that an answer holds."""
    shares = [len(np.intersect1d(a, b)) / len(a) for a, b in zip(expected, answers, strict=True)]
    return round(float(np.mean(shares)), 5)


def evaluate(
    tasks: Sequence[Task], store: Store, progress: Progress = iter
) -> tuple[list[float], list[Ints]]:
    """Eq. 9 for every model: milliseconds of each task, and its nearest 16 models."""
    spent = [0.0] * len(tasks)
    found = [np.empty(len(store)) for _ in tasks]
    for start in progress(range(0, len(store), BLOCK)):
        block = store.features[start : start + BLOCK].astype(np.float32)
        for number, task in enumerate(tasks):
            began = time.perf_counter()
            found[number][start : start + BLOCK] = distances(block, task, store.reduction.gamma)
            spent[number] += 1e3 * (time.perf_counter() - began)
    ids = np.arange(len(store))
    return spent, [best(ids, one, TOP)[0] for one in found]


def bandwidth(threads: int, tries: int = 5) -> float:
    """Bytes a second that a plain copy reads and writes, each thread a part; the best of some tries."""
    source = np.ones(COPIED // 4, np.float32)
    target = np.zeros_like(source)
    parts = list(zip(np.array_split(source, threads), np.array_split(target, threads), strict=True))
    spent = []
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(tries):
            began = time.perf_counter()
            list(pool.map(lambda part: np.copyto(part[1], part[0]), parts))
            spent.append(time.perf_counter() - began)
    return 2 * source.nbytes / min(spent)


def _timed(search: Callable[[Task], Found], task: Task) -> tuple[float, Found]:
    began = time.perf_counter()
    found = search(task)
    return 1e3 * (time.perf_counter() - began), found


@contextmanager
def _store(hub: Hub, folder: Path | None, progress: Progress) -> Iterator[tuple[Store, float]]:
    """The hub's store and the seconds that making it took: 0 where ``folder`` has one."""
    if folder is not None and (folder / "store.json").exists():
        yield _reopened(hub, folder), 0.0
        return
    with tempfile.TemporaryDirectory(prefix="diffagent-match-") as temporary:
        place = folder or Path(temporary)
        place.mkdir(parents=True, exist_ok=True)
        needed = hub.models * hub.prompt_count * (2 * hub.dimensions + 2 * hub.prompt_count + 100)
        free = shutil.disk_usage(place).free
        if free < needed:
            raise BadInput(
                f"{hub.models:,} models need {needed / 1e9:.1f} GB, and {place} has {free / 1e9:.1f} GB",
                "give a --store on a larger disk, or set TMPDIR",
            )
        began = time.perf_counter()
        store = Store.build(place, progress(hub.blocks()), hub.prompts)
        yield store, time.perf_counter() - began


def _reopened(hub: Hub, folder: Path) -> Store:
    """The store that is there, if it is this hub's."""
    store = Store.open(folder)
    first = next(Hub(min(hub.models, BLOCK), hub.seed, hub.prompt_count, hub.dimensions).blocks())
    known = store.features[:1]
    if len(store) != hub.models or known.shape != first[:1].shape or not np.array_equal(known, first[:1]):
        raise BadInput(
            f"{folder} holds a store of {len(store):,} models of another hub",
            "give another folder, or the same --models and --seed",
        )
    return store
