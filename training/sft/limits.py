"""When a training run ends, and where it says how it goes."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

Say = Callable[[str], None]
"""Gets a line about the run."""


@dataclass(frozen=True)
class Limits:
    """When a run ends before its epochs do; ``began`` is of :func:`time.monotonic`."""

    steps: int | None = None
    minutes: float | None = None
    began: float = 0.0

    def spent(self) -> float:
        """The share of the time that is gone, 0 without a limit; of several processes all have to ask."""
        if self.minutes is None:
            return 0.0
        return _agreed((time.monotonic() - self.began) / (60 * self.minutes))


def _agreed(share: float) -> float:
    """The first process's, in all of them: rates and ends that differ would part their weights or hang
    them."""
    import torch

    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return share
    from accelerate.utils import broadcast_object_list

    found: float = broadcast_object_list([share])[0]
    return found
