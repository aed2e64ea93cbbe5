"""``call --target`` and ``generate`` on the command line: the request on stdout, the rest on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from image_servers import FakeA1111, FakeComfyUI, serving
from stand_ins import RuleEngine
from target_calls import AURORA, INK_FOX, call_of, invented_catalog

from diffagent.agent.agent import Agent
from diffagent.agent.choosing.fusion import Fusion
from diffagent.data.records import T2ICall
from diffagent.serving.cli import main

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def agent(make_agent: Callable[..., Agent], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Agent:
    agent = make_agent(RuleEngine(), Fusion(choice_weight=1.0))
    monkeypatch.setattr(Agent, "load", lambda *_: agent)
    monkeypatch.setenv("DIFFAGENT_HOME", str(tmp_path / "home"))
    return agent


def run(capsys: Captured, *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as exit:
        main(arguments)
    out, err = capsys.readouterr()
    return int(str(exit.value.code)), out, err


@pytest.mark.usefixtures("agent")
def test_for_prints_the_request_and_what_it_does_not_carry(capsys: Captured) -> None:
    code, out, err = run(capsys, "pixel art of a fox", "--target", "comfyui")
    assert code == 0
    assert json.loads(out)["prompt"]["1"]["inputs"] == {"ckpt_name": "11.safetensors"}
    seeds = {
        node["inputs"]["seed"] for node in json.loads(out)["prompt"].values() if "seed" in node["inputs"]
    }
    assert err == ""
    assert seeds != {0}  # drawn
    code, out, err = run(capsys, "pixel art of a fox", "--target", "a1111", "--seed", "7")
    assert (code, err, json.loads(out)["seed"]) == (0, "", 7)


@pytest.mark.usefixtures("agent")
def test_explain_has_the_call_and_the_request(capsys: Captured) -> None:
    _, out, _ = run(capsys, "pixel art of a fox", "--target", "openai", "--explain")
    answer = json.loads(out)
    assert list(answer) == [
        "call", "n", "notes", "reasons", "candidates", "timings_ms", "request", "not_carried",
    ]  # fmt: skip
    assert T2ICall.parse(answer["call"]).model == answer["request"]["model"] == "Tiny Pixels"
    assert answer["not_carried"] == ["sampling_method"]


@pytest.mark.usefixtures("agent")
def test_a_wish_that_the_target_lacks_needs_nearest(capsys: Captured) -> None:
    prompt = "pixel art of a fox, using PLMS"
    code, out, err = run(capsys, prompt, "--target", "comfyui", "--seed", "1")
    assert (code, out) == (1, "")
    assert "the nearest is LMS: pass --nearest" in err
    code, out, err = run(capsys, prompt, "--target", "comfyui", "--seed", "1", "--nearest")
    assert code == 0
    assert '"sampler_name": "lms"' in out
    assert "not_carried: sampling_method: LMS in place of PLMS" in err


@pytest.mark.usefixtures("agent")
def test_installed_asks_the_server(capsys: Captured) -> None:
    server = FakeComfyUI()
    server.checkpoints, server.loras = ["mine/22.safetensors"], []
    with serving(server) as url:
        code, out, _ = run(
            capsys,
            "pixel art of a fox",
            "--target",
            "comfyui",
            "--installed",
            "--target-url",
            url,
            "--seed",
            "1",
        )
    graph = json.loads(out)["prompt"]
    assert code == 0
    assert graph["1"]["inputs"]["ckpt_name"] == "mine/22.safetensors"
    titles = {node["_meta"]["title"]: node["inputs"] for node in graph.values()}
    assert (titles["sampler"]["sampler_name"], titles["sampler"]["scheduler"]) == ("dpmpp_2m", "karras")


@pytest.mark.usefixtures("agent")
@pytest.mark.parametrize(
    "options",
    [["--target-url", "http://127.0.0.1:1"], ["--target", "midjourney"]],
)
def test_wrong_usage(capsys: Captured, options: list[str]) -> None:
    code, out, err = run(capsys, "a fox", *options)
    assert (code, out) == (2, "")
    assert err.startswith("diffagent: ")


@pytest.fixture
def catalog(tmp_path: Path) -> str:
    path = tmp_path / "targets.sqlite"
    invented_catalog(path).close()
    return str(path)


def test_generate_makes_images(capsys: Captured, tmp_path: Path, catalog: str) -> None:
    (tmp_path / "call.json").write_text(call_of(INK_FOX).to_json(), "utf-8")
    with serving(FakeA1111()) as url:
        code, out, err = run(
            capsys, "generate", str(tmp_path / "call.json"), "-o", str(tmp_path / "out"), "--target", "a1111",
            "--target-url", url, "-n", "2", "--catalog", catalog,
        )  # fmt: skip
    assert code == 0
    assert [Path(line).name for line in out.splitlines()] == ["ink-fox-7.png", "ink-fox-8.png"]
    assert "image 2 of 2" in err
    assert all(Path(line).exists() for line in out.splitlines())


def test_generate_says_what_is_wrong(capsys: Captured, tmp_path: Path, catalog: str) -> None:
    bad = tmp_path / "bad.json"
    bad.write_text('{"model": "x"}', "utf-8")
    good = tmp_path / "good.json"
    good.write_text(call_of(AURORA).to_json(), "utf-8")
    for arguments, says in (
        ([str(tmp_path / "none.json")], "cannot be read"),
        ([str(bad)], "not a T2I call"),
        ([str(good), "--target", "openai"], "--target-url"),
        ([str(good), "--target", "a1111", "-n", "0"], "0 images"),
        ([str(good), "--target", "a1111", "--target-url", "nowhere"], "not a web address"),
    ):
        code, out, err = run(
            capsys, "generate", *arguments, "-o", str(tmp_path / "out"), "--catalog", catalog
        )
        assert (code, out) == (1, "")
        assert says in err
        assert err.count("\n") == 1


@pytest.mark.parametrize(("module", "target"), [("PIL", "a1111"), ("diffusers", "diffusers")])
def test_a_missing_extra_is_named_with_its_install_line(
    capsys: Captured, tmp_path: Path, catalog: str, module: str, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    (tmp_path / "call.json").write_text(call_of(AURORA).to_json(), "utf-8")
    arguments = [
        str(tmp_path / "call.json"),
        "-o",
        str(tmp_path / "out"),
        "--target",
        target,
        "--catalog",
        catalog,
    ]
    code, out, err = run(capsys, "generate", *arguments)
    assert (code, out) == (1, "")
    assert "pip install 'diffagent[images]'" in err
    assert not (tmp_path / "out").exists()
