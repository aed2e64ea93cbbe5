"""One bounded queue in front of the model: requests wait here, are taken in batches, and answered.

    waiting (at most ``limit``) → a batch (at most ``size``) → a thread that asks the model → answers

The transformers engine answers one prompt at a time, so one thread owns it; an engine that batches is asked
from several, so that a request need not wait for the batch before it. Equal requests of a batch are
computed once. A request whose client left or whose deadline passed leaves the queue, and is skipped in a
batch that has not come to it. Where a batch breaks, what it left unanswered is asked again one by one, so
that one question never takes others with it.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from diffagent.data.errors import EngineGone
from diffagent.serving.server.faults import Fault

Q = TypeVar("Q", bound=Hashable)
A = TypeVar("A")
Work = Callable[[Iterable[Q]], Iterator[tuple[Q, "A | Exception"]]]
"""Answers questions, in any order; it may take them one by one (those given up are left out then)."""
RECENT = 0.2
"""Weight of the newest answer in the mean time of one."""


@dataclass(frozen=True)
class Answered(Generic[A]):
    """An answer, and the seconds that its question waited."""

    answer: A
    waited: float


@dataclass(eq=False)
class _Job(Generic[Q, A]):
    question: Q
    answer: asyncio.Future[A]
    asked: float = field(default_factory=time.perf_counter)
    taken: float = 0.0
    """When the model was asked."""


class BatchQueue(Generic[Q, A]):
    """Made inside or outside an event loop; :meth:`start` and :meth:`close` inside it."""

    def __init__(
        self,
        work: Work[Q, A],
        *,
        limit: int,
        size: int,
        threads: int = 1,
        on_batch: Callable[[int], None] = lambda size: None,
    ) -> None:
        self.limit = limit
        self.size = size
        self._work = work
        self._on_batch = on_batch
        self._waiting: deque[_Job[Q, A]] = deque()
        self._wake = asyncio.Event()
        self._closing = False
        self._threads = threads
        self._runners: list[asyncio.Task[None]] = []
        self._pool = ThreadPoolExecutor(threads, "diffagent-agent")
        self._seconds = 0.5
        """Of one answer, as of late."""

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def running(self) -> bool:
        return bool(self._runners) and not any(one.done() for one in self._runners) and not self._closing

    def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._runners = [loop.create_task(self._run()) for _ in range(self._threads)]

    async def close(self) -> None:
        """Answers what was accepted, takes nothing more, and ends the threads."""
        self._closing = True
        self._wake.set()
        await asyncio.gather(*self._runners)
        self._pool.shutdown()

    async def ask(self, question: Q, deadline: float) -> Answered[A]:
        """The answer, at most ``deadline`` seconds from now.

        Raises:
            Fault: the queue is full (429), closing (503), or the deadline passed (504).
        """
        if not self.running:
            raise Fault(503, "not_ready", "the server is starting or stopping: ask again in a moment")
        if len(self._waiting) >= self.limit:
            wait = min(60, max(1, math.ceil(len(self._waiting) * self._seconds)))
            raise Fault(
                429,
                "queue_full",
                f"{self.limit} requests are waiting already: ask again in {wait} s",
                {"Retry-After": str(wait)},
            )
        job: _Job[Q, A] = _Job(question, asyncio.get_running_loop().create_future())
        self._waiting.append(job)
        self._wake.set()
        try:
            async with asyncio.timeout(deadline):
                answer = await job.answer
        except TimeoutError:
            raise Fault(
                504,
                "deadline",
                f"no answer within {deadline:g} s: ask again, or start with a longer --deadline",
            ) from None
        finally:
            self._forget(job)
        return Answered(answer, job.taken - job.asked)

    def _forget(self, job: _Job[Q, A]) -> None:
        if job in self._waiting:
            self._waiting.remove(job)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting or not self._closing:
            if not self._waiting:
                self._wake.clear()
                await self._wake.wait()  # closing wakes all, and nobody clears it then
                continue
            batch = [self._waiting.popleft() for _ in range(min(self.size, len(self._waiting)))]
            self._on_batch(len(batch))
            began = time.perf_counter()
            answered = await loop.run_in_executor(self._pool, self._compute, batch, loop)
            if answered:
                took = (time.perf_counter() - began) / answered
                self._seconds += RECENT * (took - self._seconds)

    def _compute(self, batch: list[_Job[Q, A]], loop: asyncio.AbstractEventLoop) -> int:
        """In the thread: the batch's answers, each delivered as soon as it is there; how many there were."""
        groups: dict[Q, list[_Job[Q, A]]] = {}
        for job in batch:
            groups.setdefault(job.question, []).append(job)
        answered: set[Q] = set()

        def wanted(questions: Iterable[Q]) -> Iterator[Q]:
            for question in questions:
                if not all(job.answer.done() for job in groups[question]):
                    for job in groups[question]:
                        job.taken = time.perf_counter()
                    yield question

        def ask(questions: Iterable[Q]) -> Exception | None:
            try:
                for question, answer in self._work(wanted(questions)):
                    answered.add(question)
                    loop.call_soon_threadsafe(_deliver, groups[question], answer)
            except Exception as error:
                return error
            return None

        error = ask(groups)
        if error is not None:
            final = len(groups) == 1 or isinstance(error, EngineGone)
            for question in [one for one in groups if one not in answered]:
                found = error if final else ask([question])
                if found is not None:
                    loop.call_soon_threadsafe(_deliver, groups[question], found)
        return len(answered)


def _deliver(jobs: list[_Job[Q, A]], answer: A | Exception) -> None:
    for job in jobs:
        if job.answer.done():
            continue
        if isinstance(answer, Exception):
            job.answer.set_exception(answer)
        else:
            job.answer.set_result(answer)
