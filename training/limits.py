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
        """The share of the time that is gone, 0 without a limit."""
        if self.minutes is None:
            return 0.0
        return (time.monotonic() - self.began) / (60 * self.minutes)
