"""Cores that other processes leave free, and a thread count that stays within them.

A forward pass waits for its slowest thread at every matrix product. With a busy process on each core, two
threads on two cores take many times as long as one, so a pass uses as many threads as cores are free.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

LOAD = Path("/proc/loadavg")
TASKS = Path("/proc/self/task")


def running(load: Path = LOAD) -> int | None:
    """Returns how many threads of the whole machine run or wait for a core now; None where the system does
    not tell (Linux does)."""
    try:
        return int(load.read_text("ascii").split()[3].partition("/")[0])
    except (OSError, ValueError, IndexError):
        return None


def running_here(tasks: Path = TASKS) -> int:
    """Returns how many of those belong to this process."""
    count = 0
    for task in tasks.glob("*/stat"):
        try:
            count += task.read_bytes().rpartition(b") ")[2][:1] == b"R"
        except OSError:  # the thread has ended
            continue
    return count


def free_cores(load: Path = LOAD, tasks: Path = TASKS) -> int | None:
    """Returns how many of this process's cores no other process uses, at least 1; None where the system does
    not tell.

    Where a process may use only some of the machine's cores, a proportional share of other threads counts.
    """
    everybody = running(load)
    if everybody is None:
        return None
    there = os.cpu_count() or 1
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else there
    others = max(0, everybody - running_here(tasks)) * allowed / there
    return max(1, round(allowed - others))


@contextmanager
def fitting_threads() -> Iterator[None]:
    """Limits torch to as many threads as cores are free, and restores its number of threads afterwards.

    Costs about 0.1 ms.
    """
    import torch

    most = torch.get_num_threads()
    free = free_cores() if most > 1 else None
    if free is None or free >= most:
        yield
        return
    with torch_threads(free):
        yield


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Torch computes on so many threads inside, and on as many as before behind it."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def one_numpy_thread() -> Iterator[None]:
    """NumPy's products are computed inside on one thread, and with as many as before behind it.

    Further threads would spin for a while after their work, on the cores that the language model needs next:
    on two cores a call took 130 ms instead of 67. Costs about 0.02 ms.
    """
    with _thread_pools().limit(limits=1, user_api="blas"):
        yield


@cache
def _thread_pools() -> Any:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
