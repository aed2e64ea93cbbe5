"""``diffagent serve``: refusals before anything is loaded, and a real process that is told to stop."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from server_runs import until

from diffagent.agent.agent import Agent
from diffagent.data.errors import EngineGone
from diffagent.serving.cli import main

Captured = pytest.CaptureFixture[str]


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["--host", "0.0.0.0"], 1, "--api-keys FILE"),
        (["--api-keys", "/nowhere/keys"], 1, "/nowhere/keys"),
        (["--queue", "0"], 1, "queue is 0"),
        (["--origin", "*"], 1, "'*' is no origin"),
        (["--target", "a1111", "--target-url", "nonsense"], 1, "nonsense"),
        (["--target-url", "http://127.0.0.1:9"], 1, "without --target"),
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
    asked: list[object] = []

    def load(*arguments: object, **options: object) -> None:
        print("noise of an engine")
        asked.extend((arguments, options))
        raise EngineGone("vLLM does not start")

    monkeypatch.setattr(Agent, "load", load)
    with pytest.raises(SystemExit) as exit:
        main(["serve", "--port", "0", "--engine", "vllm", "--llm", "tiny", "--catalog", "mine.sqlite"])
    out, err = capsys.readouterr()
    assert (exit.value.code, out) == (1, "")
    assert err.splitlines()[-1] == "diffagent: vLLM does not start"
    assert asked == [("mine.sqlite", "tiny", "vllm"), {"concurrent": True}]


def test_a_taken_port_is_said(capsys: Captured) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(SystemExit) as exit:
        main(["serve", "--port", str(taken.getsockname()[1])])
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


@pytest.mark.parametrize("stop", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.wide)])
def test_a_process_answers_what_it_accepted_and_ends_with_0(tiny_folder: Path, stop: signal.Signals) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    arguments = ["serve", "--port", str(port), "--llm", str(tiny_folder)]
    command = [sys.executable, "-c", "from diffagent.serving.cli import main; main()", *arguments]
    url = f"http://127.0.0.1:{port}"
    server = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUTF8": "1"},
    )
    with server, ThreadPoolExecutor(24) as pool:
        until(lambda: server.poll() is not None or _answers(f"{url}/readyz"), 120)

        def ask(number: int) -> int:
            body = {"prompt": f"a secret fox number {number}"}
            return httpx.post(f"{url}/v1/route", json=body, timeout=60, trust_env=False).status_code

        asked = [pool.submit(ask, number) for number in range(24)]
        until(lambda: _accepted(url) == 24, 60)
        server.send_signal(stop)
        assert [one.result() for one in asked] == [200] * 24
        out, err = server.communicate(timeout=30)
    assert (server.returncode, out) == (0, "")
    lines = [json.loads(line) for line in err.splitlines()]
    assert sum(line["event"] == "request" and line["status"] == 200 for line in lines) == 24
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
