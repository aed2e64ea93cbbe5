"""``generate`` and ``read``: a prompt, a call in any form or a picture becomes pictures on a server."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from image_servers import FakeA1111, FakeComfyUI, serving
from stand_ins import RuleEngine

from diffagent.agent.agent import Agent
from diffagent.agent.choosing.fusion import Fusion
from diffagent.agent.executors import images
from diffagent.data.records import T2ICall
from diffagent.serving.cli import main

CASTLE = "pixel art castle, 8 bit sprite"
Captured = pytest.CaptureFixture[str]
Run = Callable[..., tuple[int, str, str]]


class Studio(FakeComfyUI):
    """Has two of the invented models, one that only its folder tells of, one of which nothing is known."""

    checkpoints = ["mine/11.safetensors", "SDXL/unheard.safetensors", "nameless.safetensors"]  # noqa: RUF012
    loras = ["33.safetensors"]  # noqa: RUF012


class Webui(FakeA1111):
    checkpoints = (("11.safetensors", "a1" * 32), ("22.safetensors", "b2" * 32))
    loras = ("33",)


@pytest.fixture
def run(real_catalog_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> Run:
    """Runs a command on the invented catalog, with an agent whose language model is a rule."""
    for module in ("server_catalog", "installed_models"):
        monkeypatch.setattr(f"diffagent.agent.targets.{module}.home", lambda: tmp_path / "home")
    monkeypatch.setenv("DIFFAGENT_CONFIG", str(tmp_path / "none.toml"))
    monkeypatch.setattr(
        Agent, "load", lambda catalog=None, *_: Agent.of(catalog, RuleEngine(), Fusion(choice_weight=1.0))
    )

    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as exit:
            main([*arguments, "--catalog", str(real_catalog_path)])
        out, err = capsys.readouterr()
        return int(str(exit.value.code)), out, err

    return run


def graph_of(server: FakeComfyUI) -> dict[str, Any]:
    """The inputs of the last graph's nodes, by title."""
    body = [body for body in server.bodies if body and "prompt" in body][-1]
    return {node["_meta"]["title"]: node["inputs"] for node in body["prompt"].values()}


def test_a_prompt_becomes_a_picture_on_what_the_server_has(run: Run, tmp_path: Path) -> None:
    server = Studio()
    with serving(server) as url:
        code, out, err = run(
            "generate", "pixel", "art", "castle", "--type", "checkpoint",
            "--target", "comfyui", "--installed", "--target-url", url, "-o", str(tmp_path / "out"),
        )  # fmt: skip
    assert code == 0, err
    assert "1 model that the catalog did not know: unheard" in err
    assert "nameless.safetensors: nothing tells their base model" in err
    call = T2ICall.parse(images.read_texts(Path(out.strip()))["diffagent"])
    graph = graph_of(server)
    assert call.model == "Tiny Pixels"
    assert graph["checkpoint"]["ckpt_name"] == "mine/11.safetensors"
    assert graph["sampler"]["seed"] == call.seed
    assert call.seed not in (None, 0)  # drawn


def test_a_model_that_only_the_server_knows_can_be_named(run: Run, tmp_path: Path) -> None:
    server = Studio()
    with serving(server) as url:
        there = ("--target", "comfyui", "--target-url", url)
        code, out, err = run("call", "a lake", "--model", "unheard", "--installed", *there)
        assert code == 0, err
        (tmp_path / "c.json").write_text(out, "utf-8")
        code, _, err = run("generate", str(tmp_path / "c.json"), *there, "-o", str(tmp_path / "out"))
        assert code == 0, err
    assert graph_of(server)["checkpoint"]["ckpt_name"] == "SDXL/unheard.safetensors"


@pytest.mark.parametrize("form", [["--target", "a1111", "--installed"], ["--explain"], []])
def test_what_call_prints_is_made(form: list[str], run: Run, tmp_path: Path) -> None:
    with serving(Webui()) as url:
        options = ["--target-url", url] if "--installed" in form else []
        code, out, err = run("call", CASTLE, "--seed", "5", *form, *options)
        assert code == 0, err
        (tmp_path / "c.json").write_text(out, "utf-8")
        target = [] if "--target" in form else ["--target", "a1111"]
        code, out, err = run(
            "generate", str(tmp_path / "c.json"), *target, "--target-url", url, "-o", str(tmp_path / "out")
        )
    assert code == 0, err
    call = T2ICall.parse(images.read_texts(Path(out.strip()))["diffagent"])
    assert (call.model, call.seed) == ("Tiny Pixels", 5)


@pytest.mark.parametrize("piped", [f"{CASTLE}\n", "call"])
def test_stdin_is_a_prompt_or_a_call(
    piped: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = piped if piped != "call" else run("call", CASTLE, "--seed", "3")[1]
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    with serving(Webui()) as url:
        code, out, err = run(
            "generate", "-", "--target", "a1111", "--target-url", url, "-o", str(tmp_path / "out")
        )
    assert code == 0, err
    assert T2ICall.parse(images.read_texts(Path(out.strip()))["diffagent"]).model == "Tiny Pixels"


def test_a_picture_is_read_and_made_again(run: Run, tmp_path: Path) -> None:
    with serving(Webui()) as url:
        there = ("--target", "a1111", "--target-url", url)
        _, out, _ = run("generate", CASTLE, *there, "--seed", "9", "-o", str(tmp_path / "one"))
        first = out.strip()
        code, printed, err = run("read", first)
        assert (code, err) == (0, "")
        call = T2ICall.parse(printed)
        assert (call.model, call.seed) == ("Tiny Pixels", 9)
        code, out, err = run("generate", first, *there, "-o", str(tmp_path / "two"))
    assert code == 0, err
    assert "differs" not in err
    assert T2ICall.parse(images.read_texts(Path(out.strip()))["diffagent"]) == call


def test_a_picture_of_models_that_are_not_there_is_made_on_others_and_what_differs_is_said(
    run: Run, tmp_path: Path
) -> None:
    from PIL import Image

    text = (
        f"{CASTLE} <lora:gone:0.8>\nNegative prompt: blurry\nSteps: 24, Sampler: Euler a, "
        "CFG scale: 6.5, Seed: 77, Size: 512x768, Model hash: 0123456789, Model: lost"
    )
    images.save(Image.new("RGB", (512, 768), "teal"), tmp_path / "theirs.png", text, {})
    code, _, err = run("read", str(tmp_path / "theirs.png"))
    assert code == 1
    assert "lost" in err
    with serving(Webui()) as url:
        code, out, err = run(
            "generate", str(tmp_path / "theirs.png"), "--target", "a1111", "--target-url", url,
            "-o", str(tmp_path / "out"),
        )  # fmt: skip
    assert code == 0, err
    call = T2ICall.parse(images.read_texts(Path(out.strip()))["diffagent"])
    assert (call.seed, call.sampling_steps, call.cfg_scale, call.width, call.height) == (
        77,
        24,
        6.5,
        512,
        768,
    )
    assert (call.prompt, call.negative_prompt) == (CASTLE, "blurry")
    assert "differs: checkpoint: Tiny Pixels in place of lost" in err
    assert "differs: LoRA: without gone" in err


def test_one_seed_and_a_number_are_seeds_in_a_row(run: Run, tmp_path: Path) -> None:
    there = ("--target", "a1111", "-o", str(tmp_path / "out"))
    with serving(Webui()) as url:
        code, out, err = run("generate", CASTLE, *there, "--target-url", url, "--seed", "11", "-n", "3")
    assert code == 0, err
    seeds = [T2ICall.parse(images.read_texts(Path(line))["diffagent"]).seed for line in out.splitlines()]
    assert seeds == [11, 12, 13]
    code, out, err = run("generate", CASTLE, *there, "--seed", "1", "--seed", "2", "-n", "3")
    assert (code, out) == (2, "")
    assert "contradicts the 2 seeds" in err


def test_a_picture_of_models_that_only_the_server_has_is_read(run: Run, tmp_path: Path) -> None:
    with serving(Studio()) as url:
        there = ("--target", "comfyui", "--target-url", url, "--installed")
        _, out, err = run(
            "generate", "a lake", "--model", "unheard", "--steps", "3", *there, "-o", str(tmp_path / "out")
        )
    path = out.strip()
    code, printed, err = run("read", path)
    assert code == 0, err
    assert (T2ICall.parse(printed).model, T2ICall.parse(printed).sampling_steps) == ("unheard", 3)
    assert "printed as it is: the picture's checkpoint unheard is not in the catalog" in err


def test_what_is_wrong_is_said(run: Run, tmp_path: Path) -> None:
    (tmp_path / "row.json").write_text('{"id": 1, "error": {"message": "it is empty"}}', "utf-8")
    (tmp_path / "odd.json").write_text('{"sampler_name": 5, "override_settings": {}}', "utf-8")
    out = ("-o", str(tmp_path / "out"))
    for arguments, status, says in (
        (["nowhere.png"], 1, "no such file"),
        ([str(tmp_path / "row.json")], 1, "a row without a call: it is empty"),
        ([str(tmp_path / "odd.json")], 1, "looks like a request of a1111"),
        ([str(tmp_path / "row.json"), "--steps", "30"], 2, "--steps goes with a prompt"),
        (["a fox", "--map", "steps=3.steps"], 2, "--map goes with --workflow"),
        (["a fox", "--target", "civitai", "--installed"], 1, "goes with a1111, comfyui, horde"),
        (["a fox", "--target", "a1111", "-o", str(tmp_path / "row.json" / "x")], 1, "is a file"),
    ):
        code, printed, err = run("generate", *arguments, *([] if "-o" in arguments else out))
        assert (code, printed) == (status, ""), err
        assert says in err
        assert len(err.splitlines()) == 1


GRAPH: dict[str, Any] = {
    "3": {"class_type": "KSampler", "inputs": {
        "seed": 1, "steps": 9, "cfg": 4.0, "sampler_name": "euler", "scheduler": "normal", "denoise": 1.0,
        "model": ["12", 0], "positive": ["6", 0], "negative": ["7", 0], "latent_image": ["5", 0]}},
    "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "other.safetensors"}},
    "5": {"class_type": "EmptyLatentImage", "inputs": {"width": 64, "height": 64, "batch_size": 1}},
    "6": {"class_type": "CLIPTextEncode", "inputs": {"text": "theirs", "clip": ["12", 1]}},
    "7": {"class_type": "CLIPTextEncode", "inputs": {"text": "bad", "clip": ["12", 1]}},
    "8": {"class_type": "VAEDecode", "inputs": {"samples": ["3", 0], "vae": ["4", 2]}},
    "9": {"class_type": "SaveImage", "inputs": {"filename_prefix": "mine", "images": ["8", 0]}},
    "12": {"class_type": "LoraLoader", "inputs": {
        "lora_name": "own.safetensors", "strength_model": 1.0, "strength_clip": 1.0,
        "model": ["4", 0], "clip": ["4", 1]}},
}  # fmt: skip


def test_a_workflow_of_ones_own_is_filled(run: Run, tmp_path: Path) -> None:
    (tmp_path / "flow.json").write_text(json.dumps(GRAPH), "utf-8")
    server = Studio()
    server.loras = ["33.safetensors", "own.safetensors"]
    with serving(server) as url:
        code, out, err = run(
            "generate", CASTLE, "--workflow", str(tmp_path / "flow.json"), "--target-url", url,
            "--installed", "--type", "checkpoint", "--clip-skip", "2", "-o", str(tmp_path / "out"),
        )  # fmt: skip
    assert code == 0, err
    sent = next(body for body in server.bodies if body and "prompt" in body)["prompt"]
    path = Path(out.strip())
    call = T2ICall.parse(images.read_texts(path)["diffagent"])
    assert sent["4"]["inputs"]["ckpt_name"] == "mine/11.safetensors"
    assert (sent["6"]["inputs"]["text"], sent["3"]["inputs"]["seed"]) == (call.prompt, call.seed)
    assert sent["3"]["inputs"]["steps"] == call.sampling_steps
    assert (sent["5"]["inputs"]["width"], sent["5"]["inputs"]["height"]) == (call.width, call.height)
    assert sent["3"]["inputs"]["model"] == ["4", 0]  # past the loader, for no LoRA was chosen
    assert sent["9"]["inputs"]["filename_prefix"] == "mine"
    row = json.loads((path.parent / "manifest.jsonl").read_text("utf-8"))
    assert "no place for it: name one with --map clip_skip=NODE.INPUT" in row["not_carried"]["clip_skip"]
    assert "Clip skip" not in images.read_texts(path)["parameters"]
