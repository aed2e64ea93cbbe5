"""A fine-tuned model is found, and its adapter is trained further."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from diffagent.agent.engines.adapter import FILE
from diffagent.data.weights.weights import Weights
from diffagent.training.sft.export import save_adapter
from diffagent.training.sft.recipe import AdapterConfig, Recipe
from diffagent.training.sft.tuned_model import TunedModel, adapt


def test_a_runs_adapter_goes_on_where_it_has_one(tmp_path: Path, tiny_folder: Path) -> None:
    whole = TunedModel.find(str(tiny_folder))
    assert (whole.adapter, whole.base.path) == (None, tiny_folder)
    (tmp_path / "adapter").mkdir()
    (tmp_path / "adapter" / "adapter.safetensors").write_bytes(b"")
    (tmp_path / "run.json").write_text(json.dumps({"base": {"name": str(tiny_folder)}}))
    tuned = TunedModel.find(str(tmp_path))
    assert (tuned.base.path, tuned.adapter) == (tiny_folder, tmp_path / "adapter")


def test_the_adapter_that_ships_has_a_name() -> None:
    tuned = TunedModel.find("shipped")
    assert tuned == TunedModel.find(None)
    assert tuned.adapter is not None


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_the_adapter_of_fine_tuning_is_trained_on(tiny_folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("peft", reason="needs pip install 'diffagent[train]'")
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(tiny_folder, dtype=torch.float32)
    name = "model.layers.0.self_attn.q_proj"
    width = model.get_submodule(name).weight.shape
    pairs = {name: (torch.ones(3, width[1]), torch.full((width[0], 3), 0.5))}
    (tmp_path / "adapter").mkdir()
    base = Weights(tiny_folder)
    save_adapter(pairs, 6.0, 3, {"base": base.digest}, tmp_path / "adapter" / FILE)
    expected = model.get_submodule(name).weight.detach() + 2 * torch.full(width, 1.5)
    adapted, plan = adapt(
        model, TunedModel(str(tiny_folder), base, tmp_path / "adapter"), Recipe(lora=AdapterConfig(2, 4))
    )
    assert plan.lora == AdapterConfig(3, 6.0)
    merged = adapted.merge_and_unload()
    torch.testing.assert_close(merged.get_submodule(name).weight.detach(), expected)
