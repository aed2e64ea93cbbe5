"""Where this process computes, and which of several processes it is.

accelerate and torchrun start a process a GPU and number them in the environment: ``RANK`` of ``WORLD_SIZE``
over all machines, ``LOCAL_RANK`` on one.
"""

from __future__ import annotations

import os


def share() -> tuple[int, int]:
    """This process's rank and their number; (0, 1) of one alone."""
    return int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))


def own_device() -> str:
    """``cuda`` of one process, ``cuda:N`` of one of several, so that none loads on another's GPU; ``cpu``
    where there is no CUDA."""
    import torch

    if not torch.cuda.is_available():
        return "cpu"
    if share()[1] == 1:
        return "cuda"
    return f"cuda:{int(os.environ.get('LOCAL_RANK', 0)) % torch.cuda.device_count()}"
