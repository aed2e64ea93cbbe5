"""``diffagent call`` on the invented catalog: what is printed, and where."""

from __future__ import annotations

import json
from typing import Any

import pytest

from diffagent.data.records import T2ICall
from diffagent.serving.cli import main

Captured = pytest.CaptureFixture[str]


def run(capsys: Captured, *arguments: str) -> str:
    """What a successful command prints on stdout; nothing but notes is on stderr."""
    with pytest.raises(SystemExit) as exit:
        main(arguments)
    out, err = capsys.readouterr()
    assert exit.value.code == 0
    assert all(line.startswith("diffagent: note: ") for line in err.splitlines())
    return out


@pytest.mark.usefixtures("loads")
@pytest.mark.parametrize("command", [[], ["call"]])
def test_stdout_is_one_call(capsys: Captured, command: list[str]) -> None:
    call = T2ICall.parse(run(capsys, *command, "A cute happy corgi, pixel art"))
    assert (call.model, call.prompt) == ("Tiny Pixels", "A cute happy corgi, pixel art")


@pytest.mark.usefixtures("loads")
def test_the_call_keeps_the_contracts_order_and_is_utf_8(capsys: Captured) -> None:
    out = run(capsys, "château 🏰, pixel art")
    assert "château 🏰" in out
    assert list(json.loads(out)) == list(T2ICall.model_fields)
    assert "château 🏰" in run(capsys, "--explain", "château 🏰, pixel art")


@pytest.mark.usefixtures("loads")
def test_explain_adds_candidates_and_timings(capsys: Captured) -> None:
    answer = json.loads(run(capsys, "--explain", "-k", "3", "pixel art of a fox"))
    assert list(answer) == ["call", "n", "notes", "reasons", "candidates", "timings_ms"]
    assert T2ICall.parse(answer["call"]).model == answer["candidates"][0]["model"]
    assert len(answer["candidates"]) == 3
    for candidate in answer["candidates"]:
        assert list(candidate) == ["model", "air", "url", "score", "reasons"]
        assert candidate["score"] <= 0
    scores = [candidate["score"] for candidate in answer["candidates"]]
    assert scores == sorted(scores, reverse=True)
    assert set(answer["timings_ms"]) >= {"prefilter", "llm", "total"}
    assert all(value >= 0 for value in answer["timings_ms"].values())


@pytest.mark.usefixtures("loads")
def test_explain_on_a_terminal_is_a_card(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    lines = run(capsys, "--explain", "pixel art of a fox").splitlines()
    assert lines[:3] == [
        "Tiny Pixels (Checkpoint, SD 1.5)", "https://civitai.com/models/11?modelVersionId=12", "",
    ]  # fmt: skip
    assert "settings   512x512, Euler a, 20 steps, CFG 7" in lines


@pytest.mark.usefixtures("loads")
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--base-model", "sdxl"], {"model": "Grand XL", "base_model": "SDXL 1.0"}),
        (["--type", "lora"], {"model": "Ink Fox Style", "type": "LoRA"}),
        (["--model", "urn:air:sd1:lora:civitai:33@34"], {"model": "Ink Fox Style", "type": "LoRA"}),
        (["--model", 'Oil "Masters" {v2}'], {"model": 'Oil "Masters" {v2}'}),
        (["--commercial"], {"model": "Tiny Pixels"}),
        (["--negative", "blurry"], {"negative_prompt": "blurry"}),
        (["--seed", "4294967295"], {"seed": 4294967295}),
    ],
)
def test_options_reach_the_call(capsys: Captured, options: list[str], expected: dict[str, object]) -> None:
    answer = json.loads(run(capsys, *options, "pixel art of a fox"))
    assert {key: answer[key] for key in expected} == expected


def test_catalog_engine_and_model_reach_the_loader(capsys: Captured, loads: list[tuple[Any, ...]]) -> None:
    run(capsys, "a fox", "--catalog", "c.sqlite", "--engine", "transformers", "--llm", "./llama")
    run(capsys, "a fox")
    assert loads == [("c.sqlite", "./llama", "transformers"), (None, None, "transformers")]


@pytest.mark.usefixtures("loads")
@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--model", "Tiny Pixel"], "Tiny Pixels"),  # near names are offered
        (["--base-model", "SD 9"], "--base-model"),
        (["--model", "Old Pickle"], ".ckpt"),
        (["--type", "LoRA", "--commercial"], "--commercial"),
    ],
)
def test_what_cannot_be_called_is_one_line_on_stderr(capsys: Captured, options: list[str], says: str) -> None:
    with pytest.raises(SystemExit) as exit:
        main(["pixel art of a fox", *options])
    out, err = capsys.readouterr()
    assert (exit.value.code, out) == (1, "")
    assert err.startswith("diffagent: ")
    assert err.count("\n") == 1
    assert says in err


def test_a_prompt_is_refused_before_anything_is_loaded(
    capsys: Captured, loads: list[tuple[Any, ...]]
) -> None:
    with pytest.raises(SystemExit):
        main(["  "])
    assert "empty" in capsys.readouterr().err
    assert loads == []
