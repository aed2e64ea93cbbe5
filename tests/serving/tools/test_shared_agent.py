"""The line before a process's one agent: loaded once, one call at a time, and who gives up leaves no work."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from diffagent.agent.agent import Agent
from diffagent.data.errors import MissingWeights
from diffagent.serving.tools.shared_agent import SharedAgent


class Work:
    """Work on an agent that lasts until it is let go, and notes how many were under way at once."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.most = 0
        self.entered = threading.Event()
        self.go = threading.Event()
        self._under_way = 0

    def named(self, name: str) -> Callable[[Agent], str]:
        def work(_agent: Agent) -> str:
            self._under_way += 1
            self.most = max(self.most, self._under_way)
            self.begun.append(name)
            self.entered.set()
            assert self.go.wait(10)
            self._under_way -= 1
            return name

        return work


@pytest.fixture
def work() -> Work:
    return Work()


async def until(event: threading.Event) -> None:
    assert await asyncio.to_thread(event.wait, 10)


def test_it_is_loaded_at_the_first_call_and_once(agent: Agent) -> None:
    loads: list[int] = []

    def load() -> Agent:
        loads.append(1)
        time.sleep(0.05)
        return agent

    shared = SharedAgent(load)
    assert (shared.is_loaded, loads) == (False, [])
    with ThreadPoolExecutor(4) as pool:
        agents = list(pool.map(lambda _: shared.run(lambda instance: instance), range(4)))
    assert agents == [agent] * 4
    assert (shared.is_loaded, loads) == (True, [1])


def test_a_load_that_failed_is_tried_again(agent: Agent) -> None:
    answers = iter([MissingWeights("no network"), agent])

    def load() -> Agent:
        answer = next(answers)
        if isinstance(answer, Agent):
            return answer
        assert isinstance(answer, MissingWeights)
        raise answer

    shared = SharedAgent(load)
    with pytest.raises(MissingWeights, match="no network"):
        shared.run(lambda instance: instance)
    assert shared.run(lambda instance: instance) is agent


def test_settings_name_one_agent_a_process() -> None:
    assert SharedAgent.load("a.sqlite") is SharedAgent.load("a.sqlite", None, "transformers")
    assert SharedAgent.load("a.sqlite") is not SharedAgent.load("b.sqlite")
    assert not SharedAgent.load("a.sqlite").is_loaded


async def test_calls_wait_in_line_and_are_answered_in_order(agent: Agent, work: Work) -> None:
    shared = SharedAgent.of(agent)
    tasks = [asyncio.create_task(shared.arun(work.named(name))) for name in "abcdefgh"]
    await until(work.entered)
    work.go.set()
    assert await asyncio.gather(*tasks) == list("abcdefgh")
    assert (work.begun, work.most) == (list("abcdefgh"), 1)


async def test_threads_and_tasks_share_the_line(agent: Agent, work: Work) -> None:
    shared = SharedAgent.of(agent)
    task = asyncio.create_task(shared.arun(work.named("task")))
    await until(work.entered)
    thread = asyncio.create_task(asyncio.to_thread(shared.run, work.named("thread")))
    await asyncio.sleep(0.05)
    assert work.begun == ["task"]
    work.go.set()
    assert list(await asyncio.gather(task, thread)) == ["task", "thread"]
    assert work.most == 1


async def test_the_event_loop_runs_on_while_a_call_is_under_way(agent: Agent, work: Work) -> None:
    task = asyncio.create_task(SharedAgent.of(agent).arun(work.named("a")))
    await until(work.entered)
    assert await asyncio.wait_for(asyncio.to_thread(lambda: "free"), 5) == "free"
    assert not task.done()
    work.go.set()
    assert await task == "a"


async def test_who_is_cancelled_in_line_is_never_begun(agent: Agent, work: Work) -> None:
    shared = SharedAgent.of(agent)
    first, second, third = (asyncio.create_task(shared.arun(work.named(name))) for name in "abc")
    await until(work.entered)
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    work.go.set()
    assert list(await asyncio.gather(first, third)) == ["a", "c"]
    assert work.begun == ["a", "c"]


async def test_who_is_cancelled_under_way_goes_on_at_once_and_the_next_waits(
    agent: Agent, work: Work
) -> None:
    shared = SharedAgent.of(agent)
    first = asyncio.create_task(shared.arun(work.named("a")))
    await until(work.entered)
    second = asyncio.create_task(shared.arun(work.named("b")))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(first, 0.01)  # "a" is not done: nobody let it go
    await asyncio.sleep(0.02)
    assert work.begun == ["a"]
    work.go.set()
    assert await second == "b"
    assert (work.begun, work.most) == (["a", "b"], 1)


async def test_closing_drops_what_waits(agent: Agent, work: Work) -> None:
    shared = SharedAgent.of(agent)
    first, second = (asyncio.create_task(shared.arun(work.named(name))) for name in "ab")
    await until(work.entered)
    shared.close()
    with pytest.raises(asyncio.CancelledError):
        await second
    work.go.set()
    assert await first == "a"
    assert work.begun == ["a"]
