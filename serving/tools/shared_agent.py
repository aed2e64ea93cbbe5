"""One agent for all callers of a process: loaded at the first call, then one call at a time.

    shared = SharedAgent.load("mine.sqlite")            # nothing is read yet
    shared.run(lambda agent: agent.call("a corgi"))     # waits for its turn
    await shared.arun(lambda agent: agent.call("a corgi"))

A call uses all cores already, and the engine caches one prompt, so concurrent calls would only slow each
other down. So there is one lock, and asynchronous calls queue for one thread.
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
    """An agent that is loaded when it is needed, and a queue in front of it."""

    def __init__(self, load: Callable[[], Agent]) -> None:
        self._load = load
        self._agent: Agent | None = None
        self._lock = threading.Lock()
        self._line = ThreadPoolExecutor(1, thread_name_prefix="diffagent")

    @classmethod
    def of(cls, agent: Agent) -> Self:
        """A queue in front of a loaded agent."""
        return cls(lambda: agent)

    @staticmethod
    def load(catalog: str | None = None, llm: str | None = None, engine: str = "transformers") -> SharedAgent:
        """The process's one agent for these arguments of ``Agent.load``; it is never unloaded."""
        return _agent_of(catalog, llm, engine)

    @property
    def is_loaded(self) -> bool:
        return self._agent is not None

    @property
    def is_busy(self) -> bool:
        """Whether a call is under way."""
        return self._lock.locked()

    def run(self, work: Callable[[Agent], Result]) -> Result:
        """``work`` on the agent, in the caller's thread, once no other work is under way.

        If loading the agent fails, the next call tries again.
        """
        with self._lock:
            if self._agent is None:
                self._agent = self._load()
            return work(self._agent)

    async def arun(self, work: Callable[[Agent], Result]) -> Result:
        """:meth:`run` in a thread of its own, first come, first served.

        Work that is cancelled while it waits is not begun. Work that is cancelled while it is under way is
        finished and its result dropped; the caller goes on at once.
        """
        return await asyncio.get_running_loop().run_in_executor(self._line, self.run, work)

    def close(self) -> None:
        """Drops waiting work; :meth:`arun` cannot be used from then on."""
        self._line.shutdown(wait=False, cancel_futures=True)


@cache
def _agent_of(catalog: str | None, llm: str | None, engine: str) -> SharedAgent:
    def load() -> Agent:
        from diffagent.agent.agent import Agent

        return Agent.load(catalog, llm, engine)

    return SharedAgent(load)
