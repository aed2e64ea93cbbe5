"""An invented checkpoint and a LoRA of every base model, and calls on them with its usual settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from diffagent.data.base_models import TABLE, find
from diffagent.data.catalog.catalog import Catalog
from diffagent.data.records import Card, T2ICall
from diffagent.data.samplers import split

RUN = {
    "SD 1.5": "a1111 comfyui horde civitai openai diffusers",
    "SDXL 1.0": "a1111 comfyui horde civitai openai diffusers",
    "Pony": "a1111 comfyui horde civitai openai diffusers",
    "Illustrious": "a1111 comfyui horde civitai openai diffusers",
    "Flux.1 D": "a1111 comfyui horde civitai openai diffusers",
    "Qwen": "a1111 comfyui horde civitai openai diffusers",
    "ZImageTurbo": "a1111 comfyui horde civitai openai diffusers",
    "SD 3.5 Large": "a1111 comfyui openai diffusers",
    "Flux.2 Klein 9B": "a1111 comfyui civitai openai diffusers",
    "Flux.2 D": "comfyui civitai openai diffusers",
    "Anima": "a1111 comfyui civitai openai",
    "NoobAI v-pred": "a1111 comfyui civitai openai",
    "Kolors": "openai",
}
"""Base model → the targets that run it."""


def cards(base_model: str, number: int) -> tuple[Card, Card]:
    """An invented checkpoint, which has the hub's own version of a recipe that has one, and a LoRA on it."""
    row = find(base_model)
    assert row is not None
    name = "-".join(base_model.casefold().split())
    version_id = row.recipe.version if row.recipe is not None and row.recipe.version else 7000 + number
    air = f"urn:air:{row.ecosystem}:%s:civitai:%d@%d"
    model = Card(
        f"Invented {base_model}", "Checkpoint", base_model, air % ("checkpoint", 100 + number, version_id),
        100 + number, version_id, sha256=f"{number:064x}", file_name=f"{name}.safetensors",
        hashes=(f"{number:064x}",), aliases=(f"Horde {base_model}",), description="Invented.",
    )  # fmt: skip
    lora = Card(
        f"Strokes {base_model}", "LoRA", base_model, air % ("lora", 300 + number, 9000 + number),
        300 + number, 9000 + number, sha256=f"{number + 99:064x}", file_name=f"{name}-strokes.safetensors",
        hashes=(f"{number + 99:064x}",), trigger_words=("strokes",), description="Invented.",
    )  # fmt: skip
    return model, lora


PAIRS = {row.name: cards(row.name, number) for number, row in enumerate(TABLE) if row.repository}


def call_of(base_model: str, *, lora: bool = False, **fields: Any) -> T2ICall:
    """A call with the usual settings of its base model."""
    row = find(base_model)
    assert row is not None
    guided = row.guidance
    model, strokes = PAIRS[base_model]
    card = strokes if lora else model
    method, schedule = split((row.samplers or ("Euler",))[0])
    width, height = (row.shapes or ((1024, 1024),))[-1]
    values: dict[str, Any] = {
        "model": card.name,
        "type": card.type,
        "base_model": base_model,
        "width": width,
        "height": height,
        "sampling_method": method,
        "scheduler": schedule or (row.schedules or (None,))[0],
        "sampling_steps": row.steps or 20,
        "cfg_scale": guided.usual if guided is not None and guided.kind == "cfg" else 1.0,
        "guidance": guided.usual if guided is not None and guided.kind == "distilled" else None,
        "model_description": "Invented.",
        "prompt": "a fox in the snow",
        "negative_prompt": "blurry" if row.dialect.negative else "",
        "clip_skip": row.clip_skip,
        "seed": 7,
        "air": card.air,
        "base_checkpoint": model.air if lora else None,
        "loras": [{"model": card.name, "air": card.air, "weight": 0.75, "trigger_words": ["strokes"]}]
        if lora
        else [],
    }
    return T2ICall.parse(values | fields)


def families_catalog(path: Path) -> Catalog:
    with Catalog.create(path) as catalog:
        catalog.add([card for pair in PAIRS.values() for card in pair])
    return Catalog.open(path)
