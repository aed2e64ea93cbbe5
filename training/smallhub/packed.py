"""The hub's weights in one file: 94 MB of models and scorers in 12 MB, for tests and for the story.

    2-models/, 3-scorers/ → smallhub.safetensors → 2-models/, 3-scorers/

The base and the scorers are stored whole; every other model as its difference from the base, with low-rank
matrices (:func:`diffagent.training.sft.export.extract`). Matrices are quantised to eight bits with a scale a
row, everything else to fp16. The compression is lossy; a test measures the image quality that remains.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diffagent.data.errors import BadInput
from diffagent.training.sft.export import extract
from diffagent.training.smallhub.models import BASE, load_unet, models, save_model
from diffagent.training.smallhub.scorers import KINDS, build

if TYPE_CHECKING:
    import torch

    Tensors = Mapping[str, torch.Tensor]
SIDES = ("reward", "report")
FORMAT = "diffagent small hub 2"
DOWN, UP, SCALE = ".down", ".up", ".scale"


def pack(folders: Mapping[str, Path], scorers: Path, path: Path, rank: int = 20) -> int:
    """Writes the models (name → folder) and both sets of scorers; returns the file's size in bytes."""
    import torch
    from safetensors.torch import save_file

    base = load_unet(folders[BASE]).state_dict()
    tensors = {f"{BASE}/{name}": weight for name, weight in base.items()}
    facts = {}
    for model in models():
        folder = folders[model.name]
        facts[model.name] = json.loads((folder / "training.json").read_text("utf-8"))
        if model.name != BASE:
            for name, weight in _difference(load_unet(folder).state_dict(), base, rank).items():
                tensors[f"{model.name}/{name}"] = weight
    for side in SIDES:
        for kind in KINDS:
            for name, weight in torch.load(scorers / side / f"{kind}.pt", weights_only=True).items():
                tensors[f"{side}/{kind}/{name}"] = weight
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(_quantise(tensors), path, metadata={"format": FORMAT, "training": json.dumps(facts)})
    return path.stat().st_size


def unpack(path: Path, folders: Mapping[str, Path], scorers: Path) -> None:
    """Unpacks the file of :func:`pack`; existing models and scorers are replaced.

    Raises:
        BadInput: the file is missing or is not a packed hub.
    """
    import torch
    from safetensors import safe_open

    if not path.is_file():
        raise BadInput(f"{path} is not a file: give a packed small hub")
    with safe_open(path, "pt") as stored:
        metadata = stored.metadata() or {}
        if metadata.get("format") != FORMAT:
            raise BadInput(f"{path} is {metadata.get('format')!r}, but a packed hub is {FORMAT!r}")
        tensors = _dequantise({name: stored.get_tensor(name) for name in stored.keys()})  # noqa: SIM118
    facts = json.loads(metadata["training"])
    base = _subset(tensors, BASE)
    for model in models():
        whole = base if model.name == BASE else _sum(base, _subset(tensors, model.name))
        folders[model.name].parent.mkdir(parents=True, exist_ok=True)
        save_model(_unet(whole), folders[model.name], facts[model.name])
    for side in SIDES:
        (scorers / side).mkdir(parents=True, exist_ok=True)
        for kind in KINDS:
            net = build(kind, 0)
            net.load_state_dict(_subset(tensors, f"{side}/{kind}"))
            torch.save(net.state_dict(), scorers / side / f"{kind}.pt")


def _quantise(tensors: Tensors) -> dict[str, torch.Tensor]:
    """Matrices as int8 with a scale a row, everything else as fp16."""
    import torch

    packed = {}
    for name, weight in tensors.items():
        if weight.ndim < 2:
            packed[name] = weight.detach().to(torch.float16).contiguous()
            continue
        rows = weight.detach().flatten(1)
        scale = (rows.abs().amax(1) / 127).clamp(min=1e-7).to(torch.float16)
        whole = (rows / scale.float()[:, None]).round().clamp(-127, 127).to(torch.int8)
        packed |= {name: whole.reshape(weight.shape).contiguous(), name + SCALE: scale}
    return packed


def _dequantise(stored: Tensors) -> dict[str, torch.Tensor]:
    """The tensors of :func:`_quantise` in fp32."""
    weights = {}
    for name, weight in stored.items():
        if name.endswith(SCALE):
            continue
        scale = stored.get(name + SCALE)
        rows = weight.float() if scale is None else weight.float().flatten(1) * scale.float()[:, None]
        weights[name] = rows.reshape(weight.shape)
    return weights


def _difference(tuned: Tensors, base: Tensors, rank: int) -> dict[str, torch.Tensor]:
    """Matrices at a low rank, where that is smaller; everything else whole."""
    flat = {
        name: weight.flatten(1)
        for name, weight in tuned.items()
        if weight.ndim > 1 and rank * (weight.shape[0] + weight[0].numel()) < weight.numel()
    }
    pairs = extract(flat, {name: base[name].flatten(1) for name in flat}, rank)
    difference = {name: weight - base[name] for name, weight in tuned.items() if name not in flat}
    for name, (down, up) in pairs.items():
        difference |= {name + DOWN: down, name + UP: up}
    return difference


def _sum(base: Tensors, difference: Tensors) -> dict[str, torch.Tensor]:
    weights = {}
    for name, weight in base.items():
        if name in difference:
            weights[name] = weight + difference[name]
        else:
            product = difference[name + UP] @ difference[name + DOWN]
            weights[name] = weight + product.reshape(weight.shape)
    return weights


def _subset(tensors: Tensors, start: str) -> dict[str, torch.Tensor]:
    return {
        name.removeprefix(f"{start}/"): weight
        for name, weight in tensors.items()
        if name.startswith(f"{start}/")
    }


def _unet(weights: Tensors) -> Any:
    from diffagent.training.smallhub.pipeline import new_unet

    channels = sorted(
        {len(bias) for name, bias in weights.items() if name.endswith("conv1.bias") and "down" in name}
    )
    unet = new_unet(tuple(channels))
    unet.load_state_dict(dict(weights))
    return unet
