"""Connections: their number, and how long each may keep the server waiting.

uvicorn's protocol closes connections that are silent between requests. This one also closes connections whose
request never becomes complete, and those whose client does not take its answer; :class:`Guard` bounds bodies.
At the limit a new connection replaces the one that has been idle longest; if all are being answered, the new
one is refused.
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
from diffagent.serving.server.listener import LastingCondition

log = logging.getLogger("diffagent.server")
FILES = 64
"""Descriptors reserved for files, databases and image servers."""
FEWEST = 8
READ = 2**14
"""Bytes read at once; a body of tiny chunks then takes its parser milliseconds."""
PROGRESS = 2**14
"""Bytes of an answer that a client has to take within ``stall_seconds``, or else all of it."""
_FULL = json.dumps(
    {"error": {"type": "busy", "message": "too many connections are being answered: ask again in a second"}}
).encode()
_REFUSAL = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nRetry-After: 1\r\n"
    b"Connection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(_FULL), _FULL)
)


class Connection(H11Protocol):
    """One client's connection; :func:`protocol_of` returns its class."""

    limits: ServerConfig
    most: int
    crowd: LastingCondition

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._head: asyncio.TimerHandle | None = None
        self._stall: asyncio.TimerHandle | None = None
        self._unsent_before = 0
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
        """No warning: the request is answered without the upgrade."""

    @property
    def waits(self) -> bool:
        """Whether no request is being answered and no bytes of an answer are unsent."""
        return (self.cycle is None or self.cycle.response_complete) and not self._unsent_bytes()

    def _unsent_bytes(self) -> int:
        return self.transport.get_write_buffer_size()

    def _make_room(self) -> None:
        self.crowd.occurs(connections=self.most)
        others = [
            connection
            for connection in self.connections
            if isinstance(connection, Connection) and connection is not self
        ]
        waiting = [connection for connection in others if connection.waits]
        oldest = min(waiting, key=lambda connection: connection._waits_since, default=None)
        if oldest is not None:
            self.connections.discard(oldest)
            oldest.transport.abort()
        else:
            self.connections.discard(self)
            self.transport.write(_REFUSAL)
            self.transport.close()

    def _watch_head(self) -> None:
        """Starts the timer at the first byte of a head, or of the rest of a body that nobody reads."""
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
        if self._stall is None and self._unsent_bytes():
            self._unsent_before = self._unsent_bytes()
            self._stall = self.loop.call_later(self.limits.stall_seconds, self._look_at_answer)

    def _look_at_answer(self) -> None:
        self._stall = None
        if self._unsent_bytes() > max(0, self._unsent_before - PROGRESS):
            self.transport.abort()
        else:
            self._watch_answer()


def protocol_of(config: ServerConfig) -> type[Connection]:
    """The protocol class of a server's connections, with the server's limits."""

    class Bounded(Connection):
        limits = config
        most = min(config.connections, max(FEWEST, descriptors() - FILES))
        crowd = LastingCondition(
            "as many connections as may be: those that wait make room", "fewer connections again"
        )

    return Bounded


def descriptors() -> int:
    """The number of files and sockets that this process may still open."""
    try:
        import resource

        limit: Any = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        return 2**31 if limit == resource.RLIM_INFINITY else int(limit) - len(os.listdir("/dev/fd"))
    except (ImportError, OSError):  # Windows has no such limit for sockets
        return 2**31
