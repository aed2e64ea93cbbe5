"""``diffagent serve``: refusals before anything is loaded, and a real process that is told to stop."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from server_runs import until
from tiny_llama import write_tiny_llama

from diffagent.agent.agent import Agent
from diffagent.data.errors import EngineGone
from diffagent.data.records import T2ICall
from diffagent.serving.cli import main

Captured = pytest.CaptureFixture[str]


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["--host", "0.0.0.0"], 1, "--api-keys FILE"),
        (["--api-keys", "/nowhere/keys"], 1, "/nowhere/keys"),
        (["--queue", "0"], 1, "queue is 0"),
        (["--origin", "*"], 1, "'*' is not an origin"),
        (["--target", "a1111", "--target-url", "nonsense"], 1, "nonsense"),
        (["--target-url", "http://127.0.0.1:9"], 1, "say the kind with --target"),
        (["--target", "openai"], 1, "give a server with --target-url URL"),
        (["--target", "fax"], 2, "fax"),
        (["--port", "99999"], 2, "99999"),
    ],
)
def test_what_cannot_be_served_is_refused_before_anything_is_loaded(
    capsys: Captured, monkeypatch: pytest.MonkeyPatch, arguments: list[str], status: int, says: str
) -> None:
    def load(*_: object) -> None:
        raise AssertionError("the agent was loaded")

    monkeypatch.setattr(Agent, "load", load)
    with pytest.raises(SystemExit) as exit:
        main(["serve", *arguments])
    out, err = capsys.readouterr()
    assert (exit.value.code, out, err.count("\n")) == (status, "", 1)
    assert says in err


def test_the_engine_is_loaded_for_many_threads_and_what_it_lacks_is_said(
    capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads: list[object] = []

    def load(*arguments: object, **options: object) -> None:
        print("noise of an engine")
        loads.extend((arguments, options))
        raise EngineGone("vLLM does not start")

    monkeypatch.setattr(Agent, "load", load)
    with pytest.raises(SystemExit) as exit:
        main(["serve", "--port", "0", "--engine", "vllm", "--llm", "tiny", "--catalog", "mine.sqlite"])
    out, err = capsys.readouterr()
    assert (exit.value.code, out) == (1, "")
    assert err.splitlines()[-1] == "diffagent: vLLM does not start"
    assert loads == [("mine.sqlite", "tiny", "vllm"), {"concurrent": True}]


def test_a_taken_port_is_said(capsys: Captured) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, pytest.raises(SystemExit) as exit:
        main(["serve", "--port", str(listener.getsockname()[1])])
    assert exit.value.code == 1
    assert "choose another --port" in capsys.readouterr().err


def test_a_missing_library_is_named_with_its_install_line(
    capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(SystemExit) as exit:
        main(["serve"])
    assert exit.value.code == 1
    assert "pip install 'diffagent[serve]'" in capsys.readouterr().err


@contextmanager
def process(*options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A ``diffagent serve`` that is ready, and its URL."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    code = "from diffagent.serving.cli import main; main()"
    command = [sys.executable, "-c", code, "serve", "--port", str(port), *options]
    url = f"http://127.0.0.1:{port}"
    pipe = subprocess.PIPE
    env = {**os.environ, "PYTHONUTF8": "1"}
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=env) as server:
        try:
            until(lambda: server.poll() is not None or _answers(f"{url}/readyz"), 280)
            yield server, url
        finally:
            server.kill()  # one that never got ready would be waited for


def _ask(url: str, number: int) -> httpx.Response:
    body = {"prompt": f"a secret fox number {number}"}
    return httpx.post(f"{url}/v1/route", json=body, timeout=60, trust_env=False)


@pytest.mark.parametrize("stop", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.wide)])
def test_a_process_answers_what_it_accepted_and_ends_with_0(tiny_folder: Path, stop: signal.Signals) -> None:
    with process("--llm", str(tiny_folder)) as (server, url), ThreadPoolExecutor(24) as pool:
        futures = [pool.submit(_ask, url, number) for number in range(24)]
        until(lambda: _accepted(url) == 24, 60)
        server.send_signal(stop)
        assert [future.result().status_code for future in futures] == [200] * 24
        out, err = server.communicate(timeout=30)
    assert (server.returncode, out) == (0, "")
    lines = [json.loads(line) for line in err.splitlines()]
    assert sum(line["event"] == "request" and line["status"] == 200 for line in lines) == 24
    assert "secret" not in err


@pytest.mark.vllm
def test_vllm_answers_many_at_once(tmp_path: Path, real_catalog_path: Path) -> None:
    write_tiny_llama(tmp_path, head_size=32)
    options = ["--engine", "vllm", "--llm", str(tmp_path), "--catalog", str(real_catalog_path)]
    with process(*options) as (server, url), ThreadPoolExecutor(24) as pool:
        answers = list(pool.map(lambda number: _ask(url, number), range(24)))
        text = httpx.get(f"{url}/metrics", trust_env=False).text
        server.send_signal(signal.SIGTERM)
        out, err = server.communicate(timeout=60)
    assert (server.returncode, out) == (0, ""), err[-2000:]
    calls = [T2ICall.parse(answer.json()["call"]) for answer in answers]
    for number, call in enumerate(calls):
        assert call.prompt.endswith(f"a secret fox number {number}")  # behind trigger words
    batches = re.search(r"^diffagent_batch_size_count (\d+)", text, re.M)
    assert batches
    assert int(batches[1]) < 24  # some waited together
    assert "secret" not in err


def _accepted(url: str) -> int:
    """Requests to the route that are answered or being answered; this one is being answered too."""
    text = httpx.get(f"{url}/metrics", trust_env=False).text
    active = re.search(r"^diffagent_requests_active (\d+)", text, re.M)
    done = re.search(r'^diffagent_requests_total\{endpoint="/v1/route".*\} (\d+)', text, re.M)
    assert active
    return int(active[1]) - 1 + (int(done[1]) if done else 0)


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False
