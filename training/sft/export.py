"""Export: whole weights for any engine, and a low-rank adapter that can ship.

merged/   config.json, tokenizer, model.safetensors (bf16), as transformers' save_pretrained writes them
adapter/  adapter.safetensors (bf16), as diffagent.agent.engines.adapter reads it
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from diffagent.agent.engines.adapter import FILE, KEY
from diffagent.data.errors import BadInput
from diffagent.data.weights.wheel import sha256

if TYPE_CHECKING:
    import torch

    from diffagent.data.weights.weights import Weights
    from diffagent.training.sft.recipe import AdapterConfig

MOST_BYTES = 12 * 10**6
"""The size limit of an adapter that ships."""
_TOKENIZER = ("*.json", "*.jinja", "*.model", "*.txt")

Pairs = Mapping[str, "tuple[torch.Tensor, torch.Tensor]"]
"""Name of a linear layer → A [r, in] and B [out, r]."""


class ExportPlan(Protocol):
    """The fields of a recipe that an export reads."""

    @property
    def name(self) -> str: ...
    @property
    def lora(self) -> AdapterConfig | None: ...
    @property
    def extract_rank(self) -> int | None: ...


def export(model: Any, recipe: ExportPlan, base: str, weights: Weights, out: Path) -> dict[str, Any]:
    """Writes ``merged/`` and, where the recipe has one, ``adapter/``; returns names, sizes and digests.

    ``model`` is the trained one, with or without peft's layers, which are merged in place. ``base`` is the
    name of ``weights``.
    """
    pairs: Pairs = {}
    alpha, r = 1.0, 0
    if recipe.lora is not None:
        pairs, alpha, r = lora_pairs(model), recipe.lora.alpha, recipe.lora.r
        model = model.merge_and_unload()
    report = {"merged": save_merged(model, weights, out / "merged")}
    if recipe.lora is None and recipe.extract_rank is not None:
        r = recipe.extract_rank
        alpha = float(r)
        pairs = extract(_linear_weights(model), _base_weights(weights), r)
    if pairs:
        (out / "adapter").mkdir(exist_ok=True)
        meta = {"base": weights.digest, "base_name": base, "recipe": recipe.name}
        report["adapter"] = save_adapter(pairs, alpha, r, meta, out / "adapter" / FILE)
    return report


def lora_pairs(model: Any) -> Pairs:
    """The matrices A and B of every layer that peft adapts."""
    pairs = {}
    for name, module in model.named_modules():
        if hasattr(module, "lora_A") and "default" in module.lora_A:
            layer = name.removeprefix("base_model.model.")
            pairs[layer] = (
                module.lora_A["default"].weight.detach(),
                module.lora_B["default"].weight.detach(),
            )
    return pairs


def save_adapter(
    pairs: Pairs, alpha: float, r: int, meta: Mapping[str, str], path: Path, most: int = MOST_BYTES
) -> dict[str, Any]:
    """Writes an adapter in bf16 with its metadata; the entry it returns says if it is too large to ship."""
    import torch
    from safetensors.torch import save_file

    tensors = {}
    for name, (a, b) in pairs.items():
        tensors[f"{name}.lora_A"] = a.to(torch.bfloat16).contiguous().cpu()
        tensors[f"{name}.lora_B"] = b.to(torch.bfloat16).contiguous().cpu()
    size = 2 * sum(tensor.numel() for tensor in tensors.values())
    facts = {**meta, "alpha": alpha, "r": r, "format": "diffagent adapter 1"}
    save_file(tensors, path, metadata={KEY: json.dumps(facts, sort_keys=True)})
    entry: dict[str, Any] = {"file": path.name, "bytes": path.stat().st_size, "sha256": sha256(path)}
    return entry | ({} if size <= most else {"too_large_to_ship": True})


def extract(tuned: Mapping[str, Any], base: Mapping[str, Any], r: int) -> Pairs:
    """The best rank-r approximation to each weight's difference, by singular values (Eckart, Young 1936):
    A = √S·Vᵀ, B = U·√S.

    Raises:
        BadInput: r is below 1.
    """
    import torch

    if r < 1:
        raise BadInput(f"a rank of {r} extracts nothing: give 1 or more")
    pairs = {}
    for name, weight in tuned.items():
        u, s, v = torch.linalg.svd(weight.float() - base[name].float().to(weight.device), full_matrices=False)
        root = s[:r].sqrt()
        pairs[name] = (root[:, None] * v[:r], u[:, :r] * root)
    return pairs


def _linear_weights(model: Any) -> dict[str, torch.Tensor]:
    """The weights of the decoder layers' linear maps, by name of the layer."""
    return {
        name.removesuffix(".weight"): weight
        for name, weight in model.state_dict().items()
        if name.endswith("_proj.weight")
    }


def _base_weights(weights: Weights) -> dict[str, torch.Tensor]:
    import torch

    from diffagent.agent.engines.llama import read_tensors

    stored = read_tensors(sorted(weights.path.glob("*.safetensors")), torch.float32, "cpu")
    return {name.removesuffix(".weight"): tensor for name, tensor in stored.items()}


def save_merged(model: Any, weights: Weights, folder: Path) -> dict[str, Any]:
    """Writes whole weights in bf16, with the base's tokenizer and chat template."""
    import torch

    folder.mkdir(parents=True, exist_ok=True)
    for pattern in _TOKENIZER:
        for file in weights.path.glob(pattern):
            shutil.copy(file, folder / file.name)
    model.config.use_cache = True  # trainers turn it off; generate() is slow without a cache
    model.to(torch.bfloat16).save_pretrained(folder)
    return {"bytes": sum(file.stat().st_size for file in folder.glob("*.safetensors"))}
