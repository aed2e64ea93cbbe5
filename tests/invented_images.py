"""Invented models and an encoder for tests of Pmi: images of noise whose colour and grain tell who made
them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from diffagent.data.encoders.features import Features

STYLES = {"ada/Red-1.0": (170, 60, 60, 6), "ada/Green": (60, 160, 70, 6), "blue": (60, 60, 170, 25)}
"""Model → mean colour and grain."""
PROMPTS = [
    f"a {thing} at {time}" for thing in ("fox", "tower", "boat", "tree") for time in ("dawn", "dusk", "noon")
]


class ColourEncoder:
    """Content: mean brightness of the four quarters; style: each channel's mean and deviation."""

    name = "colours"
    digest = "c0105e" * 8
    content_size = 4
    style_sizes: tuple[int, ...] = (3, 3)
    crops = 4

    def encode(self, images: Sequence[Image.Image]) -> Features:
        content, style, crops = [], [], []
        for image in images:
            pixels = np.asarray(image, np.float32) / 255
            half, wide = pixels.shape[0] // 2, pixels.shape[1] // 2
            parts = [pixels[:half, :wide], pixels[:half, wide:], pixels[half:, :wide], pixels[half:, wide:]]
            quarters = np.array([part.mean() for part in parts], np.float32)
            content.append(quarters / np.linalg.norm(quarters))
            style.append(_moments(pixels))
            crops.append([_moments(part) for part in parts])
        shapes = (-1, 4), (-1, 6), (-1, 4, 6)
        columns = zip((content, style, crops), shapes, strict=True)
        return Features(*(np.array(column, np.float32).reshape(shape) for column, shape in columns))


def _moments(pixels: np.ndarray) -> np.ndarray:
    return np.concatenate([pixels.mean((0, 1)), pixels.std((0, 1))])


def picture(model: str, prompt_id: int, size: int = 32) -> Image.Image:
    """What a model draws for a prompt: its colour, shifted by the prompt, and grain."""
    *colour, grain = STYLES[model]
    rng = np.random.default_rng([prompt_id, *model.encode()])
    shift = np.random.default_rng(prompt_id).normal(0, 9, 3)
    pixels = np.array(colour) + shift + rng.normal(0, grain, (size, size, 3))
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def write_manifest(folder: Path, models: Sequence[str] = tuple(STYLES)) -> Path:
    """A folder of images with its manifest, of twelve prompts a model."""
    lines = []
    for model in models:
        for number, prompt in enumerate(PROMPTS):
            file = Path(model.replace("/", "_")) / f"{number:03d}.png"
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            picture(model, number).save(folder / file)
            row = {"file": str(file), "model": model, "prompt": prompt, "prompt_id": number}
            lines.append(json.dumps(row))
    manifest = folder / "manifest.jsonl"
    manifest.write_text("\n".join(lines) + "\n", "utf-8")
    return manifest
