"""A server on a loopback port in a thread, its errors, and engines that can be held."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx
import uvicorn
from fastapi import FastAPI
from stand_ins import RuleEngine

from diffagent.agent.engines import Prompt


@contextmanager
def served(app: FastAPI) -> Iterator[str]:
    """The URL of an app that runs in a thread until the block ends."""
    settings = uvicorn.Config(app, host="127.0.0.1", port=0, log_config=None, access_log=False)
    server = uvicorn.Server(settings)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        until(lambda: server.started or not thread.is_alive())
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()


def until(holds: Callable[[], bool], seconds: float = 10.0) -> None:
    """Waits until something holds."""
    last = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < last, "it did not come about in time"
        time.sleep(0.005)


def error_of(response: httpx.Response) -> tuple[int, str, str]:
    """Status, type and message; the body has nothing else."""
    body = response.json()
    assert list(body) == ["error"]
    assert sorted(body["error"]) == ["message", "type"]
    return response.status_code, body["error"]["type"], body["error"]["message"]


@dataclass
class HeldEngine(RuleEngine):
    """Answers once it is let go; counts what it was asked, and says from which threads."""

    gate: threading.Event = field(default_factory=threading.Event)
    threads: set[str] = field(default_factory=set)

    def choose(self, prompt: Prompt, options: Sequence[str], draft: str = "") -> list[float]:
        scores = super().choose(prompt, options, draft)
        self.threads.add(threading.current_thread().name)
        assert self.gate.wait(20), "nobody let the engine go"
        return scores

    def count_tokens(self, text: str) -> int:
        return len(text.split())

    @property
    def prompts(self) -> list[str]:
        """The prompts that were read, in order."""
        return [one.user.rpartition("Prompt: ")[2] for one in self.asked]
