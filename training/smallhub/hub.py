"""The hub as a catalog, and DABench-style pairs of its simulated usage.

The two models of a style take turns, with settings that vary, as on a real hub: usage does not reveal which
is better, nor does chance. All prompts of a subject and style are in one part, so that parts do not overlap.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np

from diffagent.data.air import AIR, CIVITAI
from diffagent.data.base_models import USUAL
from diffagent.data.catalog.cards import Entry
from diffagent.data.catalog.catalog import Catalog
from diffagent.data.catalog.importing import add_entries
from diffagent.data.encoders.text_encoder import Encoder
from diffagent.data.records import Card, Sample, Stats, Usage
from diffagent.training.smallhub.models import BASE, WORDINGS, Model, caption, models
from diffagent.training.smallhub.pictures import STYLES

SIDE = 64
SETTINGS = {
    "sampling_method": ("Euler a", "DPM++ 2M Karras"),
    "sampling_steps": (12, 16),
    "cfg_scale": (3.0, 4.0),
}
PARTS = ("train", "align", "test")


@dataclass(frozen=True)
class Sizes:
    """The numbers of pairs by part."""

    train: int = 1200
    align: int = 260
    test: int = 120


def card(number: int, model: Model) -> Card:
    """The catalog entry of a model: nominally a checkpoint of the usual base model, so that every part of the
    agent runs as on the real catalog."""
    style = () if model.name == BASE else (model.style,)
    spread: dict[str, dict[Any, int]] = {name: dict.fromkeys(values, 10) for name, values in SETTINGS.items()}
    return Card(
        name=model.name,
        type="Checkpoint",
        base_model=USUAL.name,
        air=str(AIR(USUAL.ecosystem, "checkpoint", CIVITAI, str(number), str(number))),
        model_id=number,
        version_id=number,
        file_name=f"{model.name.lower().replace(' ', '-')}.safetensors",
        tags=(*style, "small"),
        stats=Stats(downloads=100 if model.name == BASE else 10, ratings=5, rating=4.5),
        usage=Usage(
            spread["sampling_method"], spread["sampling_steps"], spread["cfg_scale"], {f"{SIDE}x{SIDE}": 10}
        ),
        description=f"{model.name}: a small model for {model.style} pictures.",
        source="smallhub",
    )


def cards() -> dict[str, Card]:
    """Model name → its catalog entry."""
    return {model.name: card(number, model) for number, model in enumerate(models(), 1)}


def part_of(subject: str, style: str) -> str:
    """The part of a subject in a style: one eighth align, one eighth test."""
    draw = hashlib.sha256(f"{subject}/{style}".encode()).digest()[0] % 8
    return "test" if draw == 0 else "align" if draw == 1 else "train"


def pairs(subjects: Sequence[str], sizes: Sizes, seed: int = 0) -> dict[str, list[dict[str, Any]]]:
    """Part → rows of DABench; in each part the two models of a style take turns."""
    cards_by_name = cards()
    by_style: dict[str, list[Model]] = {style: [] for style in STYLES}
    for hub_model in models()[1:]:
        by_style[hub_model.style].append(hub_model)
    rng = np.random.default_rng(seed)
    every = [(s, style, w) for s in subjects for style in STYLES for w in range(len(WORDINGS))]
    rows: dict[str, list[dict[str, Any]]] = {part: [] for part in PARTS}
    turns = {(part, style): cycle(style_models) for part in PARTS for style, style_models in by_style.items()}
    for at in rng.permutation(len(every)):
        subject, style, wording = every[at]
        part = part_of(subject, style)
        if len(rows[part]) >= getattr(sizes, part):
            continue
        model = next(turns[part, style])
        rows[part].append(_row(caption(subject, style, wording), cards_by_name[model.name], rng))
    return rows


def _row(prompt: str, model: Card, rng: np.random.Generator) -> dict[str, Any]:
    settings = {name: values[int(rng.integers(len(values)))] for name, values in SETTINGS.items()}
    api = {
        "model": model.name,
        "type": model.type,
        "base_model": model.base_model,
        "width": SIDE,
        "height": SIDE,
        **settings,
        "model_description": model.description,
    }
    instruction = {"prompt": prompt, "negative_prompt": ""}
    return {"instruction": instruction, "api": api, "air": model.air, "source": "smallhub"}


def write(subjects: Sequence[str], sizes: Sizes, encoder: Encoder, folder: Path, seed: int = 0) -> Path:
    """Writes the pairs as a DABench folder, with a catalog of the train part; returns the catalog's path."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = pairs(subjects, sizes, seed)
    for part, part_rows in rows.items():
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in part_rows)
        (folder / f"{part}.jsonl").write_text(lines, encoding="utf-8")
    path = folder / "catalog.sqlite"
    path.unlink(missing_ok=True)
    entries = []
    for entry_card in cards().values():
        prompts = [row["instruction"]["prompt"] for row in rows["train"] if row["air"] == entry_card.air][:24]
        number = entry_card.model_id or 0
        samples = [Sample(1000 * number + i, number, prompt) for i, prompt in enumerate(prompts)]
        entries.append(Entry(entry_card, tuple(samples)))
    with Catalog.create(path) as catalog:
        add_entries(catalog, entries, encoder)
    return path
