"""``diffagent pmi build``, ``identify``, ``bench`` and ``call --image`` on an invented hub."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from invented_images import ColourEncoder, picture
from stand_ins import WordEncoder

from diffagent.agent.agent import Agent
from diffagent.data.encoders import image_encoder, text_encoder
from diffagent.serving.cli import main, root


class Words(WordEncoder):
    digest = "3d" * 32


@pytest.fixture(autouse=True)
def encoders(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_encoder, "load_image_encoder", lambda name="": ColourEncoder())
    monkeypatch.setattr("diffagent.agent.pmi.identifier.load_image_encoder", lambda name="": ColourEncoder())
    monkeypatch.setattr(text_encoder, "load_text_encoder", lambda name: (Words(), "words"))


def run(*args: object) -> Result:
    result = CliRunner().invoke(root, list(map(str, args)))
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_build_identify(manifest: Path, tmp_path: Path) -> None:
    out = tmp_path / "mine.sqlite"
    summary = json.loads(run("pmi", "build", manifest, "-o", out, "--json").stdout)
    assert (summary["models"], summary["images"], summary["added"], summary["failed"]) == (3, 36, 3, 0)
    assert summary["specifications"].endswith("mine.colours+words.pmi")
    query = tmp_path / "query.png"
    picture("blue", 77).save(query)
    answer = json.loads(run("pmi", "identify", query, "--catalog", out, "--json").stdout)
    assert answer["models"][0]["model"] == "blue"
    assert answer["unsure"] is False
    table = run("pmi", "identify", query, "--catalog", out, "-k", 1).stdout
    assert table.splitlines()[1].startswith("blue")
    near = run("pmi", "identify", query, "--catalog", out, "--paper", "--prompt", "a boat", "--json").stdout
    models = json.loads(near)["models"]
    assert len(models) == 3
    assert models[0]["distance"] <= models[1]["distance"]
    assert "DISTANCE" in run("pmi", "identify", query, "--catalog", out, "--paper").stdout


def test_bench(manifest: Path, tmp_path: Path) -> None:
    plot, sheet = tmp_path / "plot.png", tmp_path / "sheet.png"
    first = run("pmi", "bench", manifest, "--images", "1,2", "--json", "--plot", plot, "-o", sheet)
    figures = json.loads(first.stdout)
    assert (figures["models"], figures["tasks"]) == (3, {"1": 12, "2": 18})
    assert figures["baseline"]["1"]["top1"] == pytest.approx(1 / 3)
    assert figures["baseline"]["1"]["rank"] == 2
    assert figures["ours"]["2"]["top1"] > 0.9
    assert set(figures["pmi"]["1"]) >= {"top1", "top5", "rank", "frechet"}
    assert plot.read_bytes()[:4] == sheet.read_bytes()[:4] == b"\x89PNG"
    assert json.loads(run("pmi", "bench", manifest, "--images", "1,2", "--json").stdout) == figures


def test_bench_tables(manifest: Path) -> None:
    text = run("pmi", "bench", manifest, "--images", "1,4", "--tables").stdout
    for title in ("Table 1: 3 models, 12 tasks", "Table 2", "Table 3", "Table 5", "Calibration"):
        assert title in text
    plain = run("pmi", "bench", manifest, "--images", "1").stdout
    assert plain.split()[:2] == ["METHOD", "IMAGES"]


def test_test_images_decide_nothing_but_their_own_tasks(manifest: Path) -> None:
    """Another picture for one test prompt changes no answer about the others."""
    before = json.loads(run("pmi", "bench", manifest, "--images", "1", "--json").stdout)
    picture("blue", 2).save(manifest.parent / "ada_Green" / "002.png")
    after = json.loads(run("pmi", "bench", manifest, "--images", "1", "--json").stdout)
    assert (before["settings"], before["gamma"]) == (after["settings"], after["gamma"])
    assert before["ours"]["1"]["top1"] > after["ours"]["1"]["top1"] >= before["ours"]["1"]["top1"] - 1 / 12


@pytest.mark.parametrize(
    ("args", "status", "reason"),
    [
        (("bench", "{manifest}", "--images", "9"), 2, "numbers from 1 to 6"),
        (("bench", "{manifest}", "--images", "x"), 2, "numbers from 1 to 6"),
        (("build", "-o", "x.sqlite"), 2, "give a SOURCE"),
        (("identify", "a.png", "b.png", "--catalog", "{catalog}"), 1, "no image specifications"),
        (("identify", *"abcdefg"), 1, "7 example images"),
    ],
)
def test_what_is_refused(
    args: tuple[str, ...],
    status: int,
    reason: str,
    manifest: Path,
    catalog_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(["pmi", *(arg.format(manifest=manifest, catalog=catalog_path) for arg in args)])
    captured = capsys.readouterr()
    assert exit_.value.code == status
    assert captured.err.startswith("diffagent: ")
    assert reason in captured.err
    assert captured.out == ""


@pytest.mark.parametrize(
    ("args", "status", "reason"),
    [
        (("a fox", *["--image", "a.png"] * 7), 1, "7 example images"),
        (
            ("a fox", "--image", "a.png", "--catalog", "{catalog}"),
            1,
            "invented.sqlite has no image specifications: build them",
        ),
        (("--image", "a.png"), 2, "add a PROMPT, or --captioner"),
        ((), 2, "Missing argument 'PROMPT'"),
    ],
)
def test_calls_with_images_are_refused_before_weights_are_loaded(
    args: tuple[str, ...],
    status: int,
    reason: str,
    catalog_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Agent, "load", lambda *_: pytest.fail("the agent was loaded"))
    with pytest.raises(SystemExit) as exit_:
        main(["call", *(arg.format(catalog=catalog_path) for arg in args)])
    assert exit_.value.code == status
    assert reason in capsys.readouterr().err
