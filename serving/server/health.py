"""Health: whether requests can be answered, checked at most once a second.

The server is not ready while its queue does not run, while its catalog cannot be read, and for a while after
a request failed by a damaged file or a lost engine. The log has the message once; a client gets the kind.
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
"""Seconds for which a check is valid."""
AFTER = 10.0
"""Seconds for which the server is not ready after a request's failure; then requests are tried again."""


class Health:
    """The health of one server; :meth:`check` is called inside the event loop."""

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
        """Remember a request's failure if the next request would meet it too."""
        if isinstance(error, BadCatalog | EngineGone):
            self._failure, self._failed = error, time.monotonic()

    async def check(self) -> None:
        """Raise the fault (503) that keeps requests from being answered, if there is one."""
        if not self._running():
            raise Fault(503, "not_ready", "the server is starting or stopping: ask again in a moment")
        async with self._looking:
            if time.monotonic() - self._looked >= FRESH:
                self._damage = await asyncio.to_thread(self._look)
                self._looked = time.monotonic()
        recent = self._failure if time.monotonic() - self._failed < AFTER else None
        problem = self._damage or recent
        message = problem.line() if problem else ""
        if message != self._logged:
            self._logged = message
            log.warning(
                "not ready" if problem else "ready again", extra={"fields": {"message": self._logged}}
            )
        if problem is not None:
            raise Fault(503, "not_ready", str(fault_of(problem)))

    def _look(self) -> BadCatalog | None:
        try:
            self._catalog.check()
        except BadCatalog as error:
            return error
        return None
