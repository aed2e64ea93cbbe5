"""One bounded queue in front of the model: requests wait here, are taken in batches, and answered.

    waiting (at most ``limit``) → a batch (at most ``size``) → a thread that asks the model → answers

The transformers engine answers one prompt at a time, so one thread owns it. An engine that batches gets
several threads, so that a request need not wait for the batch before it. Equal requests of a batch are
computed once. A request whose client left or whose deadline passed leaves the queue, or is skipped in its
batch. If a batch fails, its unanswered questions are asked again one by one, so that one question never fails
others.
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
"""Questions → answers, in any order. It may take the questions lazily; abandoned ones are then left out."""
RECENT = 0.2
"""Weight of the newest answer in the mean time of an answer."""


@dataclass(frozen=True)
class QueuedAnswer(Generic[A]):
    """An answer, and the seconds that its question waited."""

    answer: A
    waited: float


@dataclass(eq=False)
class _QueuedQuestion(Generic[Q, A]):
    question: Q
    answer: asyncio.Future[A]
    queued_at: float = field(default_factory=time.perf_counter)
    taken_at: float = 0.0
    """The time when the model got it."""


class BatchQueue(Generic[Q, A]):
    """A bounded queue; :meth:`start` and :meth:`close` are called inside the event loop."""

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
        self._waiting: deque[_QueuedQuestion[Q, A]] = deque()
        self._wake = asyncio.Event()
        self._closing = False
        self._threads = threads
        self._runners: list[asyncio.Task[None]] = []
        self._pool = ThreadPoolExecutor(threads, "diffagent-agent")
        self._seconds = 0.5
        """The recent mean time of one answer."""

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def running(self) -> bool:
        return (
            bool(self._runners) and not any(runner.done() for runner in self._runners) and not self._closing
        )

    def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._runners = [loop.create_task(self._run()) for _ in range(self._threads)]

    async def close(self) -> None:
        """Answers the accepted questions, takes no others, and ends the threads."""
        self._closing = True
        self._wake.set()
        await asyncio.gather(*self._runners)
        self._pool.shutdown()

    async def ask(self, question: Q, deadline: float) -> QueuedAnswer[A]:
        """The answer, within ``deadline`` seconds.

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
        job: _QueuedQuestion[Q, A] = _QueuedQuestion(question, asyncio.get_running_loop().create_future())
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
        return QueuedAnswer(answer, job.taken_at - job.queued_at)

    def _forget(self, job: _QueuedQuestion[Q, A]) -> None:
        if job in self._waiting:
            self._waiting.remove(job)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting or not self._closing:
            if not self._waiting:
                self._wake.clear()
                await self._wake.wait()  # closing wakes all runners, and the event stays set
                continue
            batch = [self._waiting.popleft() for _ in range(min(self.size, len(self._waiting)))]
            self._on_batch(len(batch))
            began = time.perf_counter()
            count = await loop.run_in_executor(self._pool, self._compute, batch, loop)
            if count:
                seconds = (time.perf_counter() - began) / count
                self._seconds += RECENT * (seconds - self._seconds)

    def _compute(self, batch: list[_QueuedQuestion[Q, A]], loop: asyncio.AbstractEventLoop) -> int:
        """In the thread: delivers each answer of the batch as soon as it is there; returns their number."""
        groups: dict[Q, list[_QueuedQuestion[Q, A]]] = {}
        for job in batch:
            groups.setdefault(job.question, []).append(job)
        answered: set[Q] = set()

        def open_questions(questions: Iterable[Q]) -> Iterator[Q]:
            for question in questions:
                if not all(job.answer.done() for job in groups[question]):
                    for job in groups[question]:
                        job.taken_at = time.perf_counter()
                    yield question

        def ask(questions: Iterable[Q]) -> Exception | None:
            try:
                for question, answer in self._work(open_questions(questions)):
                    answered.add(question)
                    loop.call_soon_threadsafe(_deliver, groups[question], answer)
            except Exception as error:
                return error
            return None

        error = ask(groups)
        if error is not None:
            is_final = len(groups) == 1 or isinstance(error, EngineGone)
            for question in [question for question in groups if question not in answered]:
                outcome = error if is_final else ask([question])
                if outcome is not None:
                    loop.call_soon_threadsafe(_deliver, groups[question], outcome)
        return len(answered)


def _deliver(jobs: list[_QueuedQuestion[Q, A]], answer: A | Exception) -> None:
    for job in jobs:
        if job.answer.done():
            continue
        if isinstance(answer, Exception):
            job.answer.set_exception(answer)
        else:
            job.answer.set_result(answer)
