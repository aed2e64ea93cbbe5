"""Cores that other processes leave free, and a thread count that keeps to them.

A forward pass waits for its slowest thread at every matrix product. Beside a busy process a core, two threads
on two cores take many times as long as one does, so a pass takes as many threads as cores are free.
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
    """How many threads of the whole machine run or wait for a core at this moment; None where the system
    does not say (Linux does)."""
    try:
        return int(load.read_text("ascii").split()[3].partition("/")[0])
    except (OSError, ValueError, IndexError):
        return None


def running_here(tasks: Path = TASKS) -> int:
    """How many of those are this process's own."""
    count = 0
    for task in tasks.glob("*/stat"):
        try:
            count += task.read_bytes().rpartition(b") ")[2][:1] == b"R"
        except OSError:  # a thread that has ended since
            continue
    return count


def free_cores(load: Path = LOAD, tasks: Path = TASKS) -> int | None:
    """How many of the cores that this process may use no other process wants, 1 at least; None where the
    system does not say.

    Where a process may use only some of the machine's cores, its share of the others' threads is counted.
    """
    everybody = running(load)
    if everybody is None:
        return None
    there = os.cpu_count() or 1
    mine = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else there
    others = max(0, everybody - running_here(tasks)) * mine / there
    return max(1, round(mine - others))


@contextmanager
def fitting_threads() -> Iterator[None]:
    """Torch computes inside with no more threads than cores are free, and with as many as before behind it.

    Costs about 0.1 ms.
    """
    import torch

    most = torch.get_num_threads()
    free = free_cores() if most > 1 else None
    if free is None or free >= most:
        yield
        return
    torch.set_num_threads(free)
    try:
        yield
    finally:
        torch.set_num_threads(most)


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
