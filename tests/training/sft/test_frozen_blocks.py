"""Frozen blocks: kept states change neither loss nor gradients, and frozen weights stay as they were."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from diffagent.training.sft.answer_loss import answer_loss
from diffagent.training.sft.frozen_blocks import FrozenBlocks, first_trained_block, freeze

IGNORED = -100
IDS = torch.tensor([[5, 6, 7, 8, 9, 10, 11], [5, 6, 7, 12, 13, 0, 0], [5, 6, 7, 14, 15, 16, 0]])
REAL = torch.tensor([[1] * 7, [1] * 5 + [0] * 2, [1] * 6 + [0]])
LABELS = torch.where((REAL == 1) & (torch.arange(7) >= 4), IDS, torch.full_like(IDS, IGNORED))


@pytest.fixture
def model(tiny_folder: Path) -> Any:
    loaded = AutoModelForCausalLM.from_pretrained(tiny_folder, dtype=torch.float32)
    freeze(loaded, 1, torch.float32)
    return loaded


def gradients(model: Any, frozen: FrozenBlocks | None, share: bool) -> tuple[float, dict[str, Any]]:
    model.zero_grad()
    loss, _ = answer_loss(model, IDS, REAL, LABELS, share=share, frozen=frozen)
    loss.backward()
    return loss.item(), {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("share", [True, False])
def test_loss_and_gradients_are_those_of_the_whole_model(model: Any, share: bool) -> None:
    """With the common prefix [5, 6, 7] in the cache and without; states fresh, then kept."""
    expected_loss, expected = gradients(model, None, share)
    assert set(expected) == {
        name for name, p in model.named_parameters() if name.startswith(("model.layers.1.", "model.norm."))
    }
    frozen = FrozenBlocks(model, 1)
    for _ in range(2):
        loss, ours = gradients(model, frozen, share)
        assert loss == pytest.approx(expected_loss, rel=1e-5)
        torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("most_bytes", "passes"), [(2**20, 3), (0, 6)])
def test_each_sequence_goes_through_the_lower_blocks_once(model: Any, most_bytes: int, passes: int) -> None:
    """Without room for its states, at each visit."""
    frozen = FrozenBlocks(model, 1, most_bytes)
    lengths: list[int] = []
    model.model.layers[0].register_forward_hook(lambda _, states, __: lengths.append(states[0].shape[1]))
    for _ in range(2):
        answer_loss(model, IDS, REAL, LABELS, share=False, frozen=frozen)
    assert lengths == [7, 5, 6] * (passes // 3)


def test_the_first_trained_block(tiny_folder: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(tiny_folder, dtype=torch.float32)
    assert first_trained_block(model) == 0
    freeze(model, 1, torch.bfloat16)
    assert first_trained_block(model) == 1
    dtypes = {name: p.dtype for name, p in model.named_parameters()}
    assert (
        dtypes["model.embed_tokens.weight"] == dtypes["model.layers.0.mlp.up_proj.weight"] == torch.bfloat16
    )
    assert dtypes["model.layers.1.mlp.up_proj.weight"] == torch.float32
    model.model.embed_tokens.requires_grad_(True)
    assert first_trained_block(model) == 0
