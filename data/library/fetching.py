"""Fetching a model into a folder of models: which of its folders, under which name.

    destination(Path("webui/models"), card)  ->  webui/models/Lora/ink.safetensors

The folders of A1111 and Forge, ComfyUI, Stability Matrix and SwarmUI are known by their names; a plain
folder takes the file itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from diffagent.data.air import AIR
from diffagent.data.records import Card

FOLDERS: Mapping[str, tuple[str, ...]] = {
    "checkpoint": ("stable-diffusion", "checkpoints", "stablediffusion"),
    "transformer": ("diffusion_models", "unet", "diffusionmodels", "stable-diffusion"),
    "lora": ("lora", "loras"),
}
"""What a file is → the names of its folder, lower case, by program."""
LONGEST = 120
"""Characters of a file name."""


def destination(root: Path, card: Card) -> Path:
    """Where a card's file goes below a folder of models; a name that another model has gets its hash."""
    folder = root / (folder_of(root, card) or "")
    name = file_name(card)
    path = folder / name
    if path.exists() and card.sha256:
        path = folder / f"{path.stem}-{card.sha256[:8]}{path.suffix}"
    return path


def folder_of(root: Path, card: Card) -> str | None:
    """The folder below ``root`` for a card's file; None where it has none, as a plain folder."""
    kind = "lora" if card.type == "LoRA" else "checkpoint"
    if kind == "checkpoint" and AIR.parse(card.air).type in ("diffusionmodel", "unet"):
        kind = "transformer"
    folders = {path.name.casefold(): path.name for path in root.iterdir() if path.is_dir()}
    return next((folders[name] for name in FOLDERS[kind] if name in folders), None)


def file_name(card: Card) -> str:
    """A safe name for a card's file: no folder, nothing hidden, nothing that a file system refuses."""
    name = re.split(r"[/\\]", card.file_name or card.name)[-1]
    stem = re.sub(r"\.safetensors$", "", name, flags=re.I)
    clean = re.sub(r'[<>:"|?*\x00-\x1f]', "_", stem).strip(" .")[:LONGEST]
    return f"{clean or card.version_id}.safetensors"
