"""The path of a fetched model in a folder of models.

    destination(Path("webui/models"), card)  ->  webui/models/Lora/ink.safetensors

The folders of A1111 and Forge, ComfyUI, Stability Matrix and SwarmUI are recognised by name; a plain folder
takes the file itself.
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
"""Kind of file → the programs' names of its folder, lower case."""
LONGEST = 120
"""The most characters of a file name."""


def destination(root: Path, card: Card) -> Path:
    """Returns the path of a card's file below a folder of models; a name in use gets the hash."""
    folder = root / (folder_of(root, card) or "")
    name = file_name(card)
    path = folder / name
    if path.exists() and card.sha256:
        path = folder / f"{path.stem}-{card.sha256[:8]}{path.suffix}"
    return path


def folder_of(root: Path, card: Card) -> str | None:
    """The folder below ``root`` for a card's file; None in a plain folder."""
    kind = "lora" if card.type == "LoRA" else "checkpoint"
    if kind == "checkpoint" and AIR.parse(card.air).type in ("diffusionmodel", "unet"):
        kind = "transformer"
    folders = {path.name.casefold(): path.name for path in root.iterdir() if path.is_dir()}
    return next((folders[name] for name in FOLDERS[kind] if name in folders), None)


def file_name(card: Card) -> str:
    """A safe name for a card's file: without folder, leading dots and characters that file systems refuse."""
    name = re.split(r"[/\\]", card.file_name or card.name)[-1]
    stem = re.sub(r"\.safetensors$", "", name, flags=re.I)
    clean = re.sub(r'[<>:"|?*\x00-\x1f]', "_", stem).strip(" .")[:LONGEST]
    return f"{clean or card.version_id}.safetensors"
