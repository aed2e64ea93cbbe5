"""Adapters: merged into the weights by hand-computed numbers, and refused for other weights."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from diffagent.agent.engines import Prompt
from diffagent.agent.engines.adapter import FILE, KEY, Adapter, shipped
from diffagent.agent.engines.merged import merge_weights
from diffagent.agent.engines.transformers_engine import TransformersEngine
from diffagent.data.errors import MissingWeights
from diffagent.data.weights.weights import Weights

A, B = torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([[1.0], [-1.0]])


def write(folder: Path, layer: str, a: torch.Tensor, b: torch.Tensor, base: str, **changes: str) -> Path:
    meta = {"base": base, "r": "1", "alpha": "2"} | changes
    folder.mkdir(parents=True, exist_ok=True)
    save_file({f"{layer}.lora_A": a, f"{layer}.lora_B": b}, folder / FILE, metadata={KEY: json.dumps(meta)})
    return folder


def test_b_times_a_is_added_in_scale(tmp_path: Path) -> None:
    adapter = Adapter.open(write(tmp_path, "q", A, B, "digest"))
    tensors = {"q.weight": torch.ones(2, 3), "k.weight": torch.ones(1)}
    before = tensors["q.weight"]
    adapter.merge(tensors, "digest")
    # alpha / r = 2: rows 1 + 2·(1, 2, 3) and 1 − 2·(1, 2, 3)
    assert tensors["q.weight"].tolist() == [[3, 5, 7], [-1, -3, -5]]
    assert tensors["k.weight"].tolist() == [1]
    assert before.tolist() == [[1, 1, 1], [1, 1, 1]]


def test_other_weights_are_refused(tmp_path: Path) -> None:
    adapter = Adapter.open(write(tmp_path, "q", A, B, "a" * 64))
    with pytest.raises(
        MissingWeights, match="trained on weights of SHA-256 aaaaaaaaaaaa…, but these are bbbb"
    ):
        adapter.merge({"q.weight": torch.ones(2, 3)}, "b" * 64)


@pytest.mark.parametrize("damage", ["missing", "garbage", "no metadata"])
def test_what_is_no_adapter_is_refused(tmp_path: Path, damage: str) -> None:
    if damage == "garbage":
        (tmp_path / FILE).write_bytes(b"garbage")
    if damage == "no metadata":
        save_file({"q.lora_A": A}, tmp_path / FILE)
    with pytest.raises(MissingWeights, match="is not an adapter"):
        Adapter.open(tmp_path)


def test_an_engine_decides_by_the_merged_weights(tmp_path: Path, tiny_folder: Path) -> None:
    plain = TransformersEngine.load(str(tiny_folder), device="cpu", dtype="float32")
    digest, layer = Weights(tiny_folder).digest, "model.layers.1.mlp.down_proj"
    torch.manual_seed(0)
    folder = write(tmp_path, layer, torch.randn(1, 48), torch.randn(32, 1), digest)
    tuned = TransformersEngine.load(str(tiny_folder), device="cpu", dtype="float32", adapter=folder)
    assert tuned.digest != plain.digest == digest
    weights = tuned._decoder.tensors, plain._decoder.tensors  # type: ignore[union-attr]
    changed = [name for name in weights[1] if not torch.equal(weights[0][name], weights[1][name])]
    assert changed == [f"{layer}.weight"]
    other = write(tmp_path / "other", layer, torch.randn(1, 48), torch.randn(32, 1), "0" * 64)
    with pytest.raises(MissingWeights, match="trained on weights of SHA-256 000000000000"):
        TransformersEngine.load(str(tiny_folder), device="cpu", dtype="float32", adapter=other)


def test_a_folder_of_merged_weights_is_the_engine_with_its_adapter(
    tmp_path: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DIFFAGENT_HOME", str(tmp_path / "home"))
    assert merge_weights(str(tiny_folder)).path == tiny_folder
    digest, layer = Weights(tiny_folder).digest, "model.layers.0.mlp.up_proj"
    torch.manual_seed(1)
    folder = write(tmp_path, layer, torch.randn(1, 32), torch.randn(48, 1), digest)
    merge = merge_weights(str(tiny_folder), folder)
    assert merge.path.parent == tmp_path / "home" / "merged"
    mtime = (merge.path / "model.safetensors").stat().st_mtime_ns
    assert merge_weights(str(tiny_folder), folder).path == merge.path
    assert (merge.path / "model.safetensors").stat().st_mtime_ns == mtime
    prompt, labels = Prompt("Pick.", "a fox"), ("A", "B", "C")
    whole = TransformersEngine.load(str(merge.path), device="cpu", dtype="float32")
    tuned = TransformersEngine.load(str(tiny_folder), device="cpu", dtype="float32", adapter=folder)
    assert whole.choose(prompt, labels) == tuned.choose(prompt, labels)
    assert whole.digest == tuned.digest == merge.digest != digest


def test_a_shipped_adapter_fits_what_may_ship() -> None:
    folder = shipped()
    assert folder is None or (folder / FILE).stat().st_size <= 12 * 10**6
