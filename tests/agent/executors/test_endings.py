"""Work that nobody waits for any more is ended where it runs."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from image_runs import EXECUTORS, NAMES, SERVERS
from image_servers import FakeA1111, FakeCivitai, FakeComfyUI, FakeHorde, ImageServer, serving
from target_calls import AURORA, call_of

from diffagent.agent.executors import silent
from diffagent.agent.targets.emitting import emit
from diffagent.data.catalog.catalog import Catalog
from diffagent.data.errors import JobFailed


def endless(target: str, **options: Any) -> Any:
    """A server whose job does not end by itself."""
    server: Any = SERVERS[target](**options)
    if isinstance(server, FakeA1111):
        server.seconds = 20.0
    elif isinstance(server, FakeComfyUI):
        server.endless = True
    elif isinstance(server, FakeHorde):
        server.check = {"done": False}
    elif isinstance(server, FakeCivitai):
        server.ends = {"status": "processing"}
    return server


def ended(server: Any) -> list[Any]:
    """The jobs that were ended there."""
    return server.interrupted if isinstance(server, FakeA1111 | FakeComfyUI) else server.deleted


async def until(true: Callable[[], object]) -> None:
    for _ in range(300):
        if true():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not come to pass")


def running(server: ImageServer) -> bool:
    """Whether the server works on the job."""
    if isinstance(server, FakeA1111):
        return server.current is not None
    if isinstance(server, FakeComfyUI):
        return any(job["polls"] == 1 for job in server.jobs.values())
    return any("check/" in line or "GET /v2/consumer/workflows/" in line for line in server.seen)


def cancelled(
    target: str,
    server: ImageServer,
    catalog: Catalog,
    at: Callable[[], object] | None = None,
    again: float | None = None,
    **options: Any,
) -> None:
    """Makes an image and cancels it once the job runs, or ``at`` is true; ``again`` after as many seconds."""

    async def run() -> None:
        request = emit(call_of(AURORA), target, catalog, names=NAMES).request
        async with EXECUTORS[target](server.url, backoff=0.01, **options) as executor:
            task = asyncio.create_task(executor.image(request, silent))
            await until(at or (lambda: running(server)))
            task.cancel()
            if again is not None:
                await asyncio.sleep(again)
                task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    with serving(server):
        asyncio.run(run())


JOBS = {"comfyui": ["job-1"], "horde": ["req-1"], "civitai": ["wf-1"]}
OF_JOBS = [*JOBS, "a1111"]


def jobs_of(target: str, server: Any) -> list[str]:
    if target in JOBS:
        return JOBS[target]
    return [body["force_task_id"] for body in server.bodies if body and "force_task_id" in body]


@pytest.mark.parametrize("target", OF_JOBS)
def test_a_cancelled_image_ends_its_job(target: str, catalog: Catalog) -> None:
    server = endless(target)
    cancelled(target, server, catalog)
    assert ended(server) == jobs_of(target, server)
    assert len(ended(server)) == 1


@pytest.mark.parametrize("target", OF_JOBS)
def test_a_second_cancellation_does_not_stop_the_ending(target: str, catalog: Catalog) -> None:
    def slow(number: int, path: str) -> None:
        if path in ("/queue", "/internal/progress"):
            time.sleep(0.1)

    server = endless(target, wrong=slow)
    cancelled(target, server, catalog, again=0.03)
    assert ended(server) == jobs_of(target, server)


@pytest.mark.parametrize("target", JOBS)
def test_a_job_that_was_just_submitted_is_ended_too(target: str, catalog: Catalog) -> None:
    paths = {"comfyui": "/prompt", "horde": "/api/v2/generate/async", "civitai": "/v2/consumer/workflows"}

    def slow(number: int, path: str) -> None:
        if path == paths[target]:
            time.sleep(0.3)

    server = endless(target, wrong=slow)
    cancelled(target, server, catalog, at=lambda: server.count(paths[target]))
    deleted = server.deleted + (server.interrupted if target == "comfyui" else [])
    assert deleted == JOBS[target]


@pytest.mark.parametrize("target", OF_JOBS)
def test_a_deadline_ends_the_job(target: str, catalog: Catalog) -> None:
    server = endless(target)
    options = {"timeout": 0.5} if target == "a1111" else {"limit": 0.2}

    async def run() -> None:
        request = emit(call_of(AURORA), target, catalog, names=NAMES).request
        async with EXECUTORS[target](server.url, backoff=0.01, **options) as executor:
            await executor.image(request, silent)

    with serving(server), pytest.raises(JobFailed):
        asyncio.run(run())
    assert ended(server) == jobs_of(target, server)


@pytest.mark.parametrize("targeted", [True, False])
def test_comfyui_runs_on_for_others(targeted: bool, catalog: Catalog) -> None:
    server = endless("comfyui")
    server.targeted, server.polls = targeted, 10**6
    server.jobs["another's"] = {"polls": 1, "seed": 1}
    cancelled("comfyui", server, catalog, at=lambda: server.count("/history/job-2"))
    assert (server.deleted, server.interrupted) == (["job-2"], [])
    assert list(server.jobs) == ["another's"]


def test_a1111_runs_on_for_others(catalog: Catalog) -> None:
    server = endless("a1111")
    server.seconds, server.current = 1.0, "another's"
    cancelled("a1111", server, catalog, at=lambda: server.count("/sdapi/v1/txt2img"))
    assert server.interrupted == []


def test_a1111_that_knows_no_tasks_is_left_alone(catalog: Catalog) -> None:
    gone = (404, "application/json", b'{"detail": "Not Found"}')
    server = endless("a1111", wrong=lambda number, path: gone if path == "/internal/progress" else None)
    server.seconds = 1.0
    cancelled("a1111", server, catalog)
    assert server.interrupted == []


BEHIND = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN); "
"""As a shell starts what ends in &."""
HEARD = "import signal; signal.signal(signal.SIGHUP, signal.SIG_DFL); "
"""As a terminal starts it: nohup, which may be around the tests, has the signal ignored."""


@pytest.mark.parametrize(
    ("ending", "start"),
    [(signal.SIGINT, ""), (signal.SIGTERM, ""), (signal.SIGHUP, HEARD), (signal.SIGTERM, BEHIND)],
)
def test_ctrl_c_and_a_closed_terminal_end_the_job(
    ending: signal.Signals, start: str, catalog: Catalog, tmp_path: Path
) -> None:
    server = endless("comfyui")
    call = tmp_path / "call.json"
    call.write_text(call_of(AURORA).to_json(), encoding="utf-8")
    with serving(server) as url:
        command = [sys.executable, "-c", start + "from diffagent.serving.cli import main; main()", "generate",
                   str(call), "-o", str(tmp_path), "--target", "comfyui", "--target-url", url,
                   "--catalog", str(catalog.path)]  # fmt: skip
        process = subprocess.Popen(command, stderr=subprocess.PIPE)
        try:
            end = time.monotonic() + 30
            while not running(server) and time.monotonic() < end and process.poll() is None:
                time.sleep(0.02)
            process.send_signal(ending)
            _, stderr = process.communicate(timeout=60)
        finally:
            with suppress(OSError):
                process.kill()
    assert server.interrupted == ["job-1"], stderr.decode()
    assert process.returncode != 0
