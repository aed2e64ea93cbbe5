"""A server on a loopback port in a thread or a process, its errors, and engines that can be held."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI
from stand_ins import RuleEngine

from diffagent.agent.engines import Prompt

ROUTED = (
    "call", "request", "not_carried", "n", "notes", "reasons", "candidates", "timings_ms",
)  # fmt: skip
"""The fields of an answer of ``/v1/route``, in order."""
Serve = Callable[..., AbstractContextManager[httpx.Client]]
"""Serves an agent with a configuration, and gives a client to it."""


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
        return [prompt.earlier[0][0].rpartition("Prompt: ")[2] for prompt in self.asked]


@dataclass
class ServerProcess:
    """A server in a process of its own, its address and its log."""

    pid: int
    port: int
    log_file: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        return self.log_file.read_text("utf-8", "replace")

    @property
    def peak_megabytes(self) -> float:
        """The most memory that it had so far."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) / 1024

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)


@contextmanager
def server_process(catalog: Path, seconds: float = 0.0, **options: Any) -> Iterator[ServerProcess]:
    """A server process on a catalog until the block ends; options are those of ``ServerConfig``."""
    script, log_file = Path(__file__).with_name("stand_in_server.py"), catalog.with_suffix(".log")
    command = [sys.executable, str(script), str(catalog), str(seconds), json.dumps(options)]
    with log_file.open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            until(lambda: b'"url": ' in log_file.read_bytes() or process.poll() is not None, 60)
            port = int(log_file.read_text().partition('"url": "http://127.0.0.1:')[2].partition("/")[0])
            running = ServerProcess(process.pid, port, log_file)
            until(lambda: httpx.get(f"{running.url}/healthz", trust_env=False).status_code == 200, 20)
            yield running
        finally:
            process.kill()


@dataclass
class Probe:
    """The milliseconds that ``/healthz`` took, one after another, while something else went on."""

    took: list[float] = field(default_factory=list)


@contextmanager
def probed(server: ServerProcess) -> Iterator[Probe]:
    """Asks for the server's health all the while, on one connection."""
    probe, stop = Probe(), threading.Event()

    def ask() -> None:
        with httpx.Client(base_url=server.url, timeout=120, trust_env=False) as client:
            while not stop.is_set():
                start_time = time.perf_counter()
                assert client.get("/healthz").status_code == 200
                probe.took.append(1e3 * (time.perf_counter() - start_time))
                stop.wait(0.01)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield probe
    finally:
        stop.set()
        thread.join()
