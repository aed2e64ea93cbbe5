"""The retry policy for servers: which errors are retried, and after how long."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from typing import Any


class Transient(Exception):
    """A temporary fault; ``after`` is the wait in seconds that the server asked for."""

    def __init__(self, reason: str, after: float | None = None) -> None:
        super().__init__(reason)
        self.after = after


def tries(
    attempts: int,
    backoff: float,
    longest: float,
    or_else: Callable[[Exception], bool] = lambda error: False,
) -> Any:
    """Returns attempts to iterate over: a :class:`Transient` is retried, another error if ``or_else`` is
    true.

    The wait is the server's, or else grows from ``backoff`` to ``longest`` seconds; up to ``backoff`` seconds
    are added at random.
    """
    import stamina

    def again(error: Exception) -> bool | float:
        if not isinstance(error, Transient):
            return or_else(error)
        return True if error.after is None else error.after + random.uniform(0, backoff)

    return stamina.retry_context(
        on=again,
        attempts=attempts,
        timeout=None,
        wait_initial=backoff,
        wait_max=longest,
        wait_jitter=backoff,
    )


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Returns the seconds of a Retry-After header, which holds a number or a date; None without one."""
    text = headers.get("Retry-After", "").strip()
    if text.isdigit():
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except ValueError:
        return None
