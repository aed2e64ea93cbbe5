"""Health: whether requests can be answered, found out by looking, at most once a second.

The server is not ready while its queue does not run, while its catalog cannot be read, and for a while after
a request met a damaged file or an engine that is gone. What is wrong goes into the log once; a client is told
the kind.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from diffagent.data.catalog.catalog import Catalog
from diffagent.data.errors import BadCatalog, EngineGone
from diffagent.serving.server.faults import Fault, fault_of

log = logging.getLogger("diffagent.server")
FRESH = 1.0
"""Seconds that a look counts."""
AFTER = 10.0
"""Seconds after a request's failure that the server is not ready; then others may try again."""


class Health:
    """Of one server; :meth:`check` inside the event loop."""

    def __init__(self, catalog: Catalog, running: Callable[[], bool]) -> None:
        self._catalog = catalog
        self._running = running
        self._looking = asyncio.Lock()
        self._looked = -FRESH
        self._damage: BadCatalog | None = None
        self._failure: BadCatalog | EngineGone | None = None
        self._failed = -AFTER
        self._logged = ""

    def note(self, error: Exception) -> None:
        """A request's failure; those that the next request would meet too are remembered."""
        if isinstance(error, BadCatalog | EngineGone):
            self._failure, self._failed = error, time.monotonic()

    async def check(self) -> None:
        """Raises the fault (503) that keeps requests from being answered."""
        if not self._running():
            raise Fault(503, "not_ready", "the server is starting or stopping: ask again in a moment")
        async with self._looking:
            if time.monotonic() - self._looked >= FRESH:
                self._damage = await asyncio.to_thread(self._look)
                self._looked = time.monotonic()
        recent = self._failure if time.monotonic() - self._failed < AFTER else None
        wrong = self._damage or recent
        message = wrong.line() if wrong else ""
        if message != self._logged:
            self._logged = message
            log.warning("not ready" if wrong else "ready again", extra={"fields": {"message": self._logged}})
        if wrong is not None:
            raise Fault(503, "not_ready", str(fault_of(wrong)))

    def _look(self) -> BadCatalog | None:
        try:
            self._catalog.check()
        except BadCatalog as error:
            return error
        return None
