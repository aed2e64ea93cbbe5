"""Connections: how many, and how long each may keep the server waiting.

uvicorn's protocol closes a connection that is silent between requests. This one also closes one whose request
never becomes complete, and one whose client does not take its answer; bodies are :class:`Guard`'s. At the
bound a new connection takes the place of the one that has waited longest for a request; where all are being
answered, it is told so.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from diffagent.serving.server.config import ServerConfig
from diffagent.serving.server.listener import Lasting

log = logging.getLogger("diffagent.server")
FILES = 64
"""Descriptors that stay for files, databases and image servers."""
FEWEST = 8
READ = 2**14
"""Bytes that are read at once: a body of tiny chunks takes its parser milliseconds."""
PROGRESS = 2**14
"""Bytes of an answer that a client takes within ``stall_seconds``, or all."""
_FULL = json.dumps(
    {"error": {"type": "busy", "message": "too many connections are being answered: ask again in a second"}}
).encode()
_REFUSAL = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nRetry-After: 1\r\n"
    b"Connection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(_FULL), _FULL)
)


class Connection(H11Protocol):
    """One client's connection; made by the class that :func:`bounded` returns."""

    limits: ServerConfig
    most: int
    crowd: Lasting

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._head: asyncio.TimerHandle | None = None
        self._stall: asyncio.TimerHandle | None = None
        self._unsent = 0
        self._waits_since = self.loop.time()
        transport.max_size = READ  # type: ignore[attr-defined]
        crowded = len(self.connections) >= self.most
        super().connection_made(transport)
        if crowded:
            self._make_room()
        else:
            self.crowd.passes()
        self._watch_head()

    def connection_lost(self, exc: Exception | None) -> None:
        for timer in (self._head, self._stall):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch_head()

    def on_response_complete(self) -> None:
        self._waits_since = self.loop.time()
        super().on_response_complete()
        self._watch_head()
        self._watch_answer()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch_answer()

    def _unsupported_upgrade_warning(self) -> None:
        """Says nothing: the request is answered as if it asked for no upgrade."""

    @property
    def waits(self) -> bool:
        """Whether no request is being answered, and nothing of an answer is left to send."""
        return (self.cycle is None or self.cycle.response_complete) and not self._left()

    def _left(self) -> int:
        return self.transport.get_write_buffer_size()

    def _make_room(self) -> None:
        self.crowd.occurs(connections=self.most)
        others = [one for one in self.connections if isinstance(one, Connection) and one is not self]
        waiting = [one for one in others if one.waits]
        oldest = min(waiting, key=lambda one: one._waits_since, default=None)
        if oldest is not None:
            self.connections.discard(oldest)
            oldest.transport.abort()
        else:
            self.connections.discard(self)
            self.transport.write(_REFUSAL)
            self.transport.close()

    def _watch_head(self) -> None:
        """Starts the clock with the first byte of a head, or what is left of a body that nobody reads."""
        done = self.transport.is_closing() or not (self.cycle is None or self.cycle.response_complete)
        if done and self._head is not None:
            self._head.cancel()
            self._head = None
        elif not done and self._head is None and self.timeout_keep_alive_task is None:
            self._head = self.loop.call_later(self.limits.head_seconds, self._late)

    def _late(self) -> None:
        if not self.transport.is_closing():
            if self.conn.our_state is h11.IDLE:
                self.conn.send(h11.ConnectionClosed())
            self.transport.close()
            self._watch_answer()

    def _watch_answer(self) -> None:
        if self._stall is None and self._left():
            self._unsent = self._left()
            self._stall = self.loop.call_later(self.limits.stall_seconds, self._look_at_answer)

    def _look_at_answer(self) -> None:
        self._stall = None
        if self._left() > max(0, self._unsent - PROGRESS):
            self.transport.abort()
        else:
            self._watch_answer()


def bounded(config: ServerConfig) -> type[Connection]:
    """The protocol of a server's connections, which share its limits."""

    class Bounded(Connection):
        limits = config
        most = min(config.connections, max(FEWEST, descriptors() - FILES))
        crowd = Lasting("as many connections as may be: those that wait make room", "fewer connections again")

    return Bounded


def descriptors() -> int:
    """How many more files and sockets this process may open."""
    try:
        import resource

        limit: Any = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        return 2**31 if limit == resource.RLIM_INFINITY else int(limit) - len(os.listdir("/dev/fd"))
    except (ImportError, OSError):  # Windows has no such limit for sockets
        return 2**31
