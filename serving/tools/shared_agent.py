"""One agent for all callers of a process: loaded at the first call, then one call at a time.

    shared = SharedAgent.load("mine.sqlite")            # nothing is read yet
    shared.run(lambda agent: agent.call("a corgi"))     # waits for its turn
    await shared.arun(lambda agent: agent.call("a corgi"))

A call computes on all cores already, and the engine keeps the cache of one prompt: calls side by side would
only take it from each other. So there is one lock, and asynchronous calls stand in line before one thread.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TYPE_CHECKING, Self, TypeVar

if TYPE_CHECKING:
    from diffagent.agent.agent import Agent

Result = TypeVar("Result")


class SharedAgent:
    """An agent that is loaded when it is needed, and a line before it."""

    def __init__(self, load: Callable[[], Agent]) -> None:
        self._load = load
        self._agent: Agent | None = None
        self._lock = threading.Lock()
        self._line = ThreadPoolExecutor(1, thread_name_prefix="diffagent")

    @classmethod
    def of(cls, agent: Agent) -> Self:
        """A line before an agent that is loaded already."""
        return cls(lambda: agent)

    @staticmethod
    def load(catalog: str | None = None, llm: str | None = None, engine: str = "transformers") -> SharedAgent:
        """The process's one agent of these settings, those of ``Agent.load``; kept for good."""
        return _of_settings(catalog, llm, engine)

    @property
    def is_loaded(self) -> bool:
        return self._agent is not None

    @property
    def is_busy(self) -> bool:
        """Whether a call is under way."""
        return self._lock.locked()

    def run(self, work: Callable[[Agent], Result]) -> Result:
        """``work`` on the agent, in the caller's thread, when nobody else's is under way.

        An agent that could not be loaded is tried again at the next call.
        """
        with self._lock:
            if self._agent is None:
                self._agent = self._load()
            return work(self._agent)

    async def arun(self, work: Callable[[Agent], Result]) -> Result:
        """:meth:`run` in a thread of its own, first come, first served.

        Cancelled while it waits, the work is never begun; cancelled while it is under way, the caller goes on
        at once, and what is under way is finished and dropped.
        """
        return await asyncio.get_running_loop().run_in_executor(self._line, self.run, work)

    def close(self) -> None:
        """Drops what waits; nothing can be asked asynchronously from then on."""
        self._line.shutdown(wait=False, cancel_futures=True)


@cache
def _of_settings(catalog: str | None, llm: str | None, engine: str) -> SharedAgent:
    def load() -> Agent:
        from diffagent.agent.agent import Agent

        return Agent.load(catalog, llm, engine)

    return SharedAgent(load)
