"""The limits of a training run, and the type of its progress messages."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

Say = Callable[[str], None]
"""Receives one line about the run."""


@dataclass(frozen=True)
class Limits:
    """Limits that end a run before its epochs; ``began`` is a time of :func:`time.monotonic`."""

    steps: int | None = None
    minutes: float | None = None
    began: float = 0.0

    def spent(self) -> float:
        """The elapsed share of the time, 0 without a limit; all processes of a run have to call it."""
        if self.minutes is None:
            return 0.0
        return _broadcast((time.monotonic() - self.began) / (60 * self.minutes))


def _broadcast(share: float) -> float:
    """The first process's share, in all processes: different rates would split their weights, different
    ends would hang them."""
    import torch

    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return share
    from accelerate.utils import broadcast_object_list

    broadcast: float = broadcast_object_list([share])[0]
    return broadcast
