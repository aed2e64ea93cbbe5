"""What a server has and the catalog does not know becomes an entry, or is left out and named."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from image_servers import Answer, FakeA1111, FakeComfyUI, as_json, serving
from target_calls import AURORA, invented_catalog

from diffagent.agent.targets.fitting import Resources
from diffagent.agent.targets.installed_models import read_installed
from diffagent.agent.targets.server_catalog import ServerFile, base_model_of, read_here, with_server_models
from diffagent.data.catalog.catalog import Catalog
from diffagent.data.encoders.text_encoder import TextEncoder
from diffagent.data.errors import UnknownModel


@pytest.fixture
def path(tmp_path: Path) -> Path:
    invented_catalog(tmp_path / "own.sqlite").close()
    return tmp_path / "own.sqlite"


class Told(FakeComfyUI):
    """Gives the metadata of its files."""

    metadata: dict[str, dict[str, Any]] = {}  # noqa: RUF012

    def answer(self, method: str, path: str, query: dict[str, str], body: Any) -> Answer:
        if path.startswith("/view_metadata/"):
            metadata = self.metadata.get(query["filename"])
            return (404, "text/plain", b"") if metadata is None else as_json(metadata)
        return super().answer(method, path, query, body)


def test_models_of_a_server_become_entries(path: Path, tmp_path: Path) -> None:
    server = Told()
    server.checkpoints = ["sd15/aurora_v2.safetensors", "ponyDream.safetensors", "nameless.safetensors"]
    server.loras = ["lantern.safetensors"]
    server.metadata = {
        "lantern.safetensors": {
            "ss_base_model_version": "sdxl_base_v1-0",
            "modelspec.title": "Paper Lantern",
            "modelspec.trigger_phrase": "paperlantern",
            "ss_tag_frequency": json.dumps({"5_x": {"lantern": 9, "night": 4}}),
        }
    }
    with serving(server) as url:
        outcome = with_server_models(
            path, "comfyui", url, encoder=TextEncoder.load(), folder=tmp_path / "kept"
        )
        assert outcome.added == ("ponyDream", "Paper Lantern")
        assert outcome.left_out == ("nameless.safetensors",)
        assert "nameless.safetensors" in " ".join(outcome.lines(url))
        with Catalog.open(outcome.path) as opened:
            pony, lantern = opened.find("ponyDream"), opened.find("Paper Lantern")
            assert (pony.type, pony.base_model, pony.file_name) == (
                "Checkpoint",
                "Pony",
                "ponyDream.safetensors",
            )
            assert (lantern.type, lantern.base_model) == ("LoRA", "SDXL 1.0")
            assert (lantern.trigger_words, lantern.tags) == (("paperlantern",), ("lantern", "night"))
            assert lantern.attributes is not None
            there = read_installed("comfyui", url, opened, cache=tmp_path / "kept")
            assert there.names[lantern.air] == "lantern.safetensors"
            assert there.names[AURORA.air] == "sd15/aurora_v2.safetensors"
        count = len(server.seen)
        again = with_server_models(path, "comfyui", url, folder=tmp_path / "kept")  # without an encoder
        assert again == outcome
        assert [line for line in server.seen[count:] if "view_metadata" not in line] == []


def test_a_server_that_has_nothing_new_leaves_the_catalog_as_it_is(path: Path, tmp_path: Path) -> None:
    with serving(FakeA1111()) as url:
        assert with_server_models(path, "a1111", url, folder=tmp_path / "kept").path == path


def test_a1111_tells_hashes_and_metadata(path: Path, tmp_path: Path) -> None:
    server = FakeA1111()
    server.checkpoints = (("sdxl/brook.safetensors", "77" * 32),)
    with serving(server) as url:
        outcome = with_server_models(path, "a1111", url, encoder=TextEncoder.load(), folder=tmp_path / "kept")
    with Catalog.open(outcome.path) as opened:
        brook = opened.find("brook")
    assert (brook.sha256, brook.base_model) == ("77" * 32, "SDXL 1.0")
    assert brook.air.endswith("local:" + "77" * 32)


@pytest.mark.parametrize(
    ("name", "metadata", "base"),
    [
        ("juggernautXL_v9.safetensors", {}, "SDXL 1.0"),
        ("juggernautxl_v9.safetensors", {}, "SDXL 1.0"),
        ("v1-5-pruned-emaonly.safetensors", {}, "SD 1.5"),
        ("ponyDiffusionV6XL.safetensors", {}, "Pony"),
        ("Illustrious/ink.safetensors", {}, "Illustrious"),
        ("ink.safetensors", {"ss_base_model_version": "sdxl_base_v1-0"}, "SDXL 1.0"),
        ("pony/ink.safetensors", {"ss_base_model_version": "sdxl_base_v1-0"}, "Pony"),
        ("flux/ink.safetensors", {"ss_base_model_version": "sdxl_base_v1-0"}, "SDXL 1.0"),
        ("ink.safetensors", {"ss_base_model_version": ["odd"]}, None),
        ("exxlarge.safetensors", {}, None),
    ],
)
def test_base_models_by_name_and_metadata(name: str, metadata: dict[str, Any], base: str | None) -> None:
    assert base_model_of(ServerFile(name, "LoRA", metadata=metadata)) == base


def a_lora(path: Path, metadata: dict[str, str] | None = None) -> Path:
    """A LoRA of SDXL by the width that its layer reads."""
    from safetensors.numpy import save_file

    key = "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k.lora_down.weight"
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({key: np.zeros((4, 2048), np.float16)}, path, metadata=metadata)
    return path


def test_a_header_is_read_where_the_server_runs_here(tmp_path: Path) -> None:
    path = a_lora(tmp_path / "ink.safetensors")
    here = ServerFile("ink", "LoRA", paths=(str(tmp_path / "gone" / "ink.safetensors"), str(path)))
    assert base_model_of(read_here(here)) == "SDXL 1.0"
    assert base_model_of(here) is None
    elsewhere = ServerFile("ink", "LoRA", paths=("/elsewhere/ink.safetensors",))
    assert read_here(elsewhere) == elsewhere


def test_comfyui_on_this_machine_tells_where_the_headers_lie(path: Path, tmp_path: Path) -> None:
    """A file's second folder, what by its header is no model, and one that cannot be read."""
    from library_files import checkpoint, prefixed, write

    server = Told()
    server.checkpoints = ["harbour.safetensors", "mended.safetensors", "soft.safetensors", "cut.safetensors"]
    server.loras = ["sub/lantern.safetensors"]
    server.places = {
        "checkpoints": [str(tmp_path / "empty"), str(tmp_path / "models")],
        "loras": [str(tmp_path / "loras")],
    }
    write(tmp_path / "models/harbour.safetensors", checkpoint("sd15"), metadata={"format": "pt"})
    write(tmp_path / "models/mended.safetensors", checkpoint("sd15_inpainting"))
    write(tmp_path / "models/soft.safetensors", prefixed("first_stage_model.", "vae_sd"))
    (tmp_path / "models/cut.safetensors").write_bytes(b"\x10\0\0")
    a_lora(tmp_path / "loras/sub/lantern.safetensors", {"modelspec.title": "Paper Lantern"})
    with serving(server) as url:
        outcome = with_server_models(
            path, "comfyui", url, encoder=TextEncoder.load(), folder=tmp_path / "kept"
        )
    assert outcome.added == ("harbour", "Paper Lantern")
    assert outcome.left_out == ("cut.safetensors",)
    assert outcome.unfit == ("mended.safetensors (inpainting)", "soft.safetensors (VAE)")
    assert [line for line in server.seen if "view_metadata" in line] == [
        "GET /view_metadata/checkpoints?filename=cut.safetensors"
    ]
    with Catalog.open(outcome.path) as opened:
        assert opened.find("harbour").base_model == "SD 1.5"
    assert "no text becomes a picture with them: mended.safetensors (inpainting)" in " ".join(
        outcome.lines("u")
    )


def test_each_file_is_asked_for_in_its_own_folder(path: Path, tmp_path: Path) -> None:
    server = Told()
    server.checkpoints, server.loras = [], []
    server.transformers, server.ggufs = ["one.safetensors"], ["two.gguf"]
    with serving(server) as url:
        outcome = with_server_models(path, "comfyui", url, folder=tmp_path / "kept")
    assert outcome.left_out == ("one.safetensors", "two.gguf")
    assert [line for line in server.seen if "view_metadata" in line] == [
        "GET /view_metadata/diffusion_models?filename=one.safetensors",
        "GET /view_metadata/diffusion_models?filename=two.gguf",
    ]


def test_errors_name_files_and_not_hashes(path: Path) -> None:
    from target_calls import call_of

    card = replace(AURORA, name="Brook", air="urn:air:sd1:checkpoint:local:" + "ab" * 32)
    with Catalog.open(path) as opened, pytest.raises(UnknownModel) as error:
        Resources.of(call_of(card), opened)
    assert "Brook is not in the catalog" in str(error.value)
    assert "abab" not in str(error.value)
