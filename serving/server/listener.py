"""Listener: a listening socket that also answers when the process may open no more descriptors.

At that limit asyncio logs each of thousands of failing accepts and answers nobody. Here one descriptor is
held in reserve. It is closed to accept the connection, which is closed at once, and is then opened again. So
clients see that they are refused, and the log has one line at the beginning and one at the end.
"""

from __future__ import annotations

import errno
import logging
import os
import socket
import time
from typing import Any

log = logging.getLogger("diffagent.server")
BACKLOG = 2048
"""Connections that the system queues until they are accepted."""
_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_BREATH = 0.01
"""Seconds until the next try if the reserve is gone too."""


class LastingCondition:
    """A condition that lasts: one line in the log when it begins, and one when it has been over for a
    while."""

    def __init__(self, begins: str, ends: str, quiet: float = 5.0) -> None:
        self._begins = begins
        self._ends = ends
        self._quiet = quiet
        self._last: float | None = None
        self._count = 0

    def occurs(self, **fields: object) -> None:
        if self._last is None:
            self._count = 0
            log.warning(self._begins, extra={"fields": fields})
        self._last = time.monotonic()
        self._count += 1

    def passes(self) -> None:
        """The condition does not hold now."""
        if self._last is not None and time.monotonic() - self._last >= self._quiet:
            self._last = None
            log.info(self._ends, extra={"fields": {"times": self._count}})


class Listener(socket.socket):
    """A listening socket, taken over from another; its connections send small answers at once.

    ``socket.create_server`` makes sockets of protocol 0, and asyncio sets ``TCP_NODELAY`` only for protocol
    TCP. Without it an answer's second packet waits for the client's delayed acknowledgement, 40 ms.
    """

    def __init__(self, listening: socket.socket) -> None:
        super().__init__(fileno=listening.detach())
        self._exhausted = LastingCondition(
            "no descriptors left: connections are refused", "descriptors again"
        )
        self._reserve: int | None = _open_reserve()

    def accept(self) -> tuple[socket.socket, Any]:
        """The next connection.

        Raises:
            BlockingIOError: no connection waits, or it was refused for want of a descriptor.
        """
        try:
            connection, address = super().accept()
        except OSError as error:
            if error.errno not in _EXHAUSTED:
                raise
            self._refuse()
            raise BlockingIOError(errno.EAGAIN, "refused for want of a descriptor") from None
        self._exhausted.passes()
        if self._reserve is None:
            self._reserve = _open_reserve()
        if self.family != socket.AF_UNIX:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection, address

    def _refuse(self) -> None:
        self._exhausted.occurs()
        if self._reserve is None:
            self._reserve = _open_reserve()
        if self._reserve is None:
            time.sleep(_BREATH)
            return
        os.close(self._reserve)
        try:
            super().accept()[0].close()
        except OSError:
            time.sleep(_BREATH)  # another thread was faster
        finally:
            self._reserve = _open_reserve()

    def close(self) -> None:
        if self._reserve is not None:
            os.close(self._reserve)
            self._reserve = None
        super().close()


def _open_reserve() -> int | None:
    try:
        return os.open(os.devnull, os.O_RDONLY)
    except OSError:
        return None
