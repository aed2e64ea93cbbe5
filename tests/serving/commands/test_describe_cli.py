"""``diffagent data describe`` as a user runs it, and its file in ``catalog import``."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import httpx
import pytest
from invented_items import image, item, version
from stand_ins import RuleEngine, WordEncoder, unsure_reader

from diffagent.agent.engines import chat_endpoint, writers
from diffagent.data.catalog.catalog import Catalog
from diffagent.data.descriptions.plain_reader import PlainReader
from diffagent.data.encoders.text_encoder import TextEncoder
from diffagent.data.hubs.raw import publish
from diffagent.serving.cli import main

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    folder = tmp_path / "raw"
    folder.mkdir()
    names = ("Kestra (Moonharbor)", "Orrin (Moonharbor)", "Ink (Moonharbor)")
    models = [
        item(n, version(10 * n, image(n, f"a pier, number {n}")), name=name, type="LORA", tags=["character"])
        for n, name in enumerate(names, 1)
    ]
    publish(folder, "civitai", models, {})
    return folder


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    monkeypatch.setenv("DIFFAGENT_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(TextEncoder, "load", classmethod(lambda cls, name="": WordEncoder()))
    monkeypatch.setattr(PlainReader, "load", classmethod(lambda cls, path=None: unsure_reader()))
    monkeypatch.setattr(writers, "load_engine", lambda llm=None: RuleEngine())
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)

    def run(*args: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as caught:
            main([*map(str, args)])
        printed = capsys.readouterr()
        assert isinstance(caught.value.code, int)
        return caught.value.code, printed.out, printed.err

    return run


def test_a_crawl_is_described_by_the_local_model_and_imported(run: Run, raw: Path, tmp_path: Path) -> None:
    out, catalog = tmp_path / "d.jsonl", tmp_path / "c.sqlite"
    status, printed, err = run("data", "describe", raw, "-o", out, "--limit", "2")
    assert status == 0, err
    assert json.loads(printed)["written"] == 2
    assert "3 entries, for smollm2-135m-instruct: 2 prompts" in err
    status, printed, _ = run("data", "describe", raw, "-o", out)
    report = json.loads(printed)
    assert (report["entries"], report["reused"], report["asked"], report["composed_share"]) == (3, 2, 1, 0.0)
    args = ("catalog", "import", raw, "-o", catalog, "--hold-out", "both", "--descriptions", out)
    assert run(*args)[0] == 0
    with Catalog.open(catalog) as opened:
        assert opened.find("1").description == "An SD 1.5 LoRA of Kestra from Moonharbor, a character."


def test_descriptions_that_saw_too_much_are_not_imported(run: Run, raw: Path, tmp_path: Path) -> None:
    out, catalog = tmp_path / "d.jsonl", tmp_path / "c.sqlite"
    assert run("data", "describe", raw, "-o", out, "--hold-out", "none")[0] == 0
    args = ("catalog", "import", raw, "-o", catalog, "--hold-out", "image", "--descriptions", out)
    status, _, err = run(*args)
    assert (status, catalog.exists()) == (1, False)
    assert "was written with 'none' held out" in err


def test_a_server_is_asked_after_an_estimate(
    run: Run, raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, keys = tmp_path / "d.jsonl", list[str]()

    def answer(request: httpx.Request) -> httpx.Response:
        prompt = json.loads(request.content)["messages"][0]["content"]
        keys.append(request.headers["Authorization"])
        name = re.search(r"Name: (\w+)", prompt)[1]  # type: ignore[index]
        text = f"A LoRA that draws {name}, a sailor of the old harbour."
        return httpx.Response(200, json={"choices": [{"message": {"content": text}}]})

    connected = partial(chat_endpoint.ChatEndpoint, transport=httpx.MockTransport(answer))
    monkeypatch.setattr(chat_endpoint, "ChatEndpoint", connected)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    server = ("--llm", "https://llm.invalid/v1", "--llm-model", "m", "--price-in", "1", "--price-out", "2")
    status, printed, err = run("data", "describe", raw, "-o", out, *server, "--dry-run")
    assert (status, keys) == (0, [])
    estimate = json.loads(printed)
    assert (estimate["prompts"], estimate["tokens_out"]) == (3, 180)
    assert estimate["cost"] == round((estimate["tokens_in"] + 2 * 180) / 1e6, 4)
    status, printed, err = run("data", "describe", raw, "-o", out, *server)
    assert status == 0, err
    assert json.loads(printed)["written"] == 3
    assert keys == ["Bearer sk-secret"] * 3
    assert "secret" not in out.read_text() + printed + err
    assert "A LoRA that draws Orrin, a sailor of the old harbour." in out.read_text()


@pytest.mark.parametrize(
    ("args", "status", "says"),
    [
        (("--llm", "https://llm.invalid"), 2, "--llm URL needs --llm-model"),
        (("--llm-model", "m"), 2, "give the server with --llm URL"),
        (("--limit", "0"), 2, "--limit"),
        (("--hold-out", "some"), 2, "--hold-out"),
    ],
)
def test_wrong_usage(
    run: Run, raw: Path, tmp_path: Path, args: tuple[str, ...], status: int, says: str
) -> None:
    code, out, err = run("data", "describe", raw, "-o", tmp_path / "d.jsonl", *args)
    assert (code, out) == (status, "")
    assert says in err
    assert err.count("\n") == 1
    assert not (tmp_path / "d.jsonl").exists()


def test_no_crawl_is_one_line(run: Run, tmp_path: Path) -> None:
    status, out, err = run("data", "describe", tmp_path / "none", "-o", tmp_path / "d.jsonl")
    assert (status, out) == (1, "")
    assert "is not a folder" in err


KILLED = """
import os, sys
from diffagent.agent.engines import writers
from diffagent.data.descriptions import describe
from stand_ins import RuleEngine
describe.describe.__defaults__ = (None, 1, *describe.describe.__defaults__[2:])
class Slow(RuleEngine):
    def write(self, prompt, grammar, draft=""):
        print(prompt.user.splitlines()[0], file=sys.stderr, flush=True)
        if prompt.user.startswith(sys.argv[1]):
            os.kill(os.getpid(), 9)
        return super().write(prompt, grammar, draft)
writers.load_engine = lambda llm=None: Slow()
from diffagent.serving.cli import main
main(["data", "describe", *sys.argv[2:]])
"""


def test_a_process_that_is_killed_goes_on_where_it_was(raw: Path, tmp_path: Path) -> None:
    out, tests = tmp_path / "d.jsonl", str(Path(__file__).resolve().parents[2])

    def start(victim: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {tests!r})\n{KILLED}"]
        return subprocess.run([*command, victim, str(raw), "-o", str(out)], capture_output=True, text=True)

    killed = start("Name: Orrin")
    assert (killed.returncode, len(out.read_text().splitlines())) == (-9, 1)
    done = start("Name: nobody")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["asked"] == 2
    assert "Name: Kestra" not in done.stderr
    assert len(out.read_text().splitlines()) == 3
