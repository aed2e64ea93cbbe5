"""A folder of models: real, tiny safetensors files with the tensors that tell the families apart."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from invented_hub import Hub, Serve, invented_model
from safetensors.numpy import save_file

from diffagent.data.errors import BadInput
from diffagent.data.hubs.civitai import CivitaiClient
from diffagent.data.hubs.installed import InstalledModel, identify, read_installed
from diffagent.data.hubs.raw import RawFolder
from diffagent.serving.commands.data import data

UNET = "model.diffusion_model.input_blocks"
ATTENTION = "transformer_blocks.0.attn2"


def checkpoint(width: int, channels: int = 4) -> dict[str, np.ndarray]:
    return {
        f"{UNET}.0.0.weight": np.zeros((2, channels, 3, 3), np.float16),
        f"{UNET}.1.1.{ATTENTION}.to_k.weight": np.zeros((2, width), np.float16),
        "first_stage_model.decoder.conv_in.weight": np.zeros((2, 4, 3, 3), np.float16),
    }


def lora(width: int) -> dict[str, np.ndarray]:
    name = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k.lora_down.weight"
    return {name: np.zeros((4, width), np.float16), "lora_te_x.alpha": np.zeros(1, np.float16)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "models"
    for name, tensors in {
        "checkpoints/sd1.safetensors": checkpoint(768),
        "checkpoints/sdxl.safetensors": checkpoint(2048),
        "checkpoints/inpaint.safetensors": checkpoint(768, channels=9),
        "Lora/style.safetensors": lora(768),
        "Lora/diffusers.safetensors": {"unet.a.attn2.to_k.lora_A.weight": np.zeros((4, 2048), np.float16)},
        "VAE/vae.safetensors": {"decoder.conv_in.weight": np.zeros((2, 4, 3, 3), np.float16)},
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        save_file(tensors, root / name)
    (root / "checkpoints" / "old.CKPT").write_bytes(b"never opened")
    (root / "checkpoints" / "broken.safetensors").write_bytes(b"\xff" * 40)
    (root / "checkpoints" / "notes.txt").write_text("no model")
    return root


def by_name(models: Iterable[InstalledModel]) -> dict[str, InstalledModel]:
    return {Path(model.path).stem: model for model in models}


def test_headers_tell_type_and_base_model(folder: Path, tmp_path: Path) -> None:
    models = by_name(read_installed(folder, tmp_path))
    assert {name: (model.type, model.base_model) for name, model in models.items()} == {
        "sd1": ("Checkpoint", "SD 1.5"), "sdxl": ("Checkpoint", "SDXL 1.0"),
        "inpaint": ("Checkpoint", "SD 1.5"), "style": ("LORA", "SD 1.5"), "diffusers": ("LORA", "SDXL 1.0"),
        "vae": ("Other", None), "old": (None, None), "broken": (None, None),
    }  # fmt: skip
    assert [name for name, model in models.items() if model.inpainting] == ["inpaint"]
    assert "not a safetensors file" in (models["broken"].problem or "")
    digest = hashlib.sha256((folder / "Lora" / "style.safetensors").read_bytes()).hexdigest()
    assert (models["style"].sha256, models["style"].autov2) == (digest, digest[:10])


def test_pickles_are_listed_and_never_opened(folder: Path, tmp_path: Path) -> None:
    pickle = folder / "checkpoints" / "old.CKPT"
    pickle.unlink()
    os.mkfifo(pickle)  # opening it would wait for ever; it is no file either
    (folder / "checkpoints" / "other.pt").write_bytes(b"x")
    (folder / "checkpoints" / "other.pt").chmod(0)
    models = by_name(read_installed(folder, tmp_path))
    assert "old" not in models
    assert (models["other"].pickle, models["other"].sha256, models["other"].bytes) == (True, None, 1)


def test_hashes_are_cached_until_the_file_changes(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = by_name(read_installed(folder, tmp_path))
    real = hashlib.file_digest
    hashed: list[tuple[Any, ...]] = []

    def digest(*arguments: Any) -> Any:
        hashed.append(arguments)
        return real(*arguments)

    monkeypatch.setattr(hashlib, "file_digest", digest)
    assert by_name(read_installed(folder, tmp_path)) == first
    assert hashed == []
    save_file(lora(2048), folder / "Lora" / "style.safetensors")
    assert by_name(read_installed(folder, tmp_path))["style"].sha256 != first["style"].sha256
    assert len(hashed) == 1


def test_links_that_lead_in_a_circle_end(folder: Path, tmp_path: Path) -> None:
    (folder / "Lora" / "again").symlink_to(folder)
    assert len(read_installed(folder, tmp_path)) == 8


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="is not a folder: give the models folder"):
        read_installed(tmp_path / "missing", tmp_path)


def hub_with(path: Path) -> Hub:
    """A hub that knows the file at ``path`` as that of version 51."""
    models = [invented_model(number) for number in range(1, 11)]
    digest = hashlib.sha256(path.read_bytes()).hexdigest().upper()
    models[4]["modelVersions"][0]["files"][1]["hashes"]["SHA256"] = digest
    return Hub(models=models)


def test_hashes_are_identified_in_one_request(folder: Path, tmp_path: Path) -> None:
    hub = hub_with(folder / "Lora" / "style.safetensors")

    async def run() -> list[InstalledModel]:
        async with CivitaiClient("http://127.0.0.1", rate=0, transport=hub.transport()) as client:
            return await identify(read_installed(folder, tmp_path), client)

    models = by_name(asyncio.run(run()))
    assert (models["style"].model_id, models["style"].version_id) == (5, 51)
    assert models["sd1"].model_id is None
    assert len(hub.seen) == 1


def test_the_command_crawls_only_what_is_installed(
    folder: Path, tmp_path: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DIFFAGENT_HOME", str(tmp_path / "home"))
    hub = hub_with(folder / "Lora" / "style.safetensors")
    raw = tmp_path / "raw"
    url = serve(hub)
    command = ["crawl", "--url", url, "-o", str(raw), "--rate", "0"]
    outcome = CliRunner().invoke(data, [*command, "--installed", str(folder)])
    assert outcome.exit_code == 0, outcome.output
    summary = json.loads(outcome.stdout)
    assert (summary["models"], summary["files"], summary["identified"]) == (1, 8, 1)
    assert [item["id"] for item in RawFolder(raw).models()] == [5]
    assert by_name(RawFolder(raw).installed())["style"].version_id == 51
    assert RawFolder(raw).manifest["civitai"]["options"]["only"] == "installed"
    assert len(hub.seen) == 3
    outcome = CliRunner().invoke(data, command)  # and then everything
    assert outcome.exit_code == 0, outcome.output
    assert json.loads(outcome.stdout)["models"] == 10
