"""The process's device and its rank among several processes.

accelerate and torchrun start one process per GPU and number them in the environment: ``RANK`` of
``WORLD_SIZE`` over all machines, ``LOCAL_RANK`` on one.
"""

from __future__ import annotations

import os


def share() -> tuple[int, int]:
    """Returns the process's rank and the number of processes; (0, 1) for a single one."""
    return int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))


def own_device() -> str:
    """``cuda`` for a single process, ``cuda:N`` for one of several, so that each has its own GPU; ``cpu``
    without CUDA."""
    import torch

    if not torch.cuda.is_available():
        return "cpu"
    if share()[1] == 1:
        return "cuda"
    return f"cuda:{int(os.environ.get('LOCAL_RANK', 0)) % torch.cuda.device_count()}"
