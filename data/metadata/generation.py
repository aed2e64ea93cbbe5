"""Generation: how a picture was made, by its metadata, and the T2I call that makes it again.

    infotext.read(text) or comfyui.read(graph)  ->  Generation  ->  recover(generation, catalog)

A :class:`Generation` holds the metadata as written, without look-ups. Its call names catalog entries, which
are found by Civitai's version, then by hash, then by file name. Values that a call cannot hold are changed,
with a note.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from diffagent.data.air import is_air
from diffagent.data.base_models import BaseModelFacts, find
from diffagent.data.catalog.catalog import Catalog
from diffagent.data.errors import BadInput, UnknownModel
from diffagent.data.records import SEED_MAX, SIDE_MAX, SIDE_MIN, SIDE_STEP, Card, T2ICall
from diffagent.data.samplers import Sampler, read, split

_SHOWN = 60
"""The most characters of a name in a message."""
UNNAMED = ("", "undefined", "none", "default", "unknown")
"""Programs' placeholders for an unknown sampler."""


@dataclass(frozen=True)
class ModelUse:
    """A model in metadata: its ``name`` or file name, ``hashes``, and Civitai's version."""

    name: str = ""
    hashes: tuple[str, ...] = ()
    version_id: int | None = None
    weight: float = 1.0
    """The weight of a LoRA."""

    @classmethod
    def of(cls, name: str, catalog: Catalog, weight: float = 1.0) -> ModelUse:
        """Returns a model by a request's AIR, name, or file name with a hash in brackets."""
        card = catalog.by_air(name) if is_air(name) else None
        if card is not None:
            return cls(card.file_name or card.name, card.hashes[:1], card.version_id, weight)
        file, bracket, digest = name.rpartition(" [")
        if bracket and digest.endswith("]"):
            return cls(file, (digest[:-1],), None, weight)
        return cls(name, weight=weight)

    def __str__(self) -> str:
        label = self.name if len(self.name) <= _SHOWN else self.name[: _SHOWN - 1] + "…"
        version = f"Civitai's version {self.version_id}" if self.version_id is not None else ""
        return " ".join(filter(None, (label, f"({version})" if label and version else version))) or (
            self.hashes[0] if self.hashes else "without a name"
        )


@dataclass(frozen=True)
class Generation:
    """A picture's metadata; missing values are None.

    ``sampler`` and ``schedule`` are as written, ``width`` and ``height`` pixels before any upscaling,
    ``modules`` the files of text encoders and VAE, ``notes`` are about what a call cannot hold.
    """

    prompt: str
    negative_prompt: str = ""
    sampler: str | None = None
    schedule: str | None = None
    steps: int | None = None
    cfg_scale: float | None = None
    guidance: float | None = None
    seed: int | None = None
    width: int | None = None
    height: int | None = None
    clip_skip: int | None = None
    checkpoint: ModelUse = field(default_factory=ModelUse)
    loras: tuple[ModelUse, ...] = ()
    modules: tuple[str, ...] = ()
    base_model: str | None = None
    program: str | None = None
    notes: tuple[str, ...] = ()


class RecoveredCall(NamedTuple):
    """A call, with notes on the metadata that it changes or lacks."""

    call: T2ICall
    notes: tuple[str, ...]


def recover(generation: Generation, catalog: Catalog) -> RecoveredCall:
    """Returns the call that makes the picture again.

    Raises:
        UnknownModel: the checkpoint or a LoRA is not in the catalog. BadInput: the metadata lacks a value
        that a call needs, or names an unknown sampler.
    """
    notes = list(generation.notes)
    if not generation.prompt.strip():
        raise BadInput("the picture's metadata has no prompt, and a call needs one")
    checkpoint = _entry(generation.checkpoint, "Checkpoint", catalog)
    loras = _merge([(_entry(lora, "LoRA", catalog), lora.weight) for lora in generation.loras], notes)
    row = find(checkpoint.base_model)
    sampler = _sampler(generation, row, notes)
    width, height = _size(generation, (row and row.step) or SIDE_STEP, notes)
    steps = _usual("steps", generation.steps, row and row.steps, notes)
    usual_cfg = row and row.guidance and (row.guidance.usual if row.guidance.kind == "cfg" else 1.0)
    cfg_scale = _usual("CFG scale", generation.cfg_scale, usual_cfg, notes)
    guidance = generation.guidance
    call = as_call(
        checkpoint,
        loras,
        prompt=generation.prompt,
        negative_prompt=generation.negative_prompt,
        width=width,
        height=height,
        sampling_method=sampler.method,
        scheduler=sampler.scheduler,
        sampling_steps=int(_within("steps", steps, 1, 150, notes)),
        cfg_scale=float(_within("CFG scale", cfg_scale, 1, 30, notes)),
        guidance=None if guidance is None else float(_within("guidance", guidance, 0, 30, notes)),
        seed=_seed(generation.seed, notes),
        clip_skip=_clip_skip(generation.clip_skip, notes),
    )
    return RecoveredCall(call, tuple(dict.fromkeys(notes)))


def as_call(checkpoint: Card, loras: Sequence[tuple[Card, float]], **fields: object) -> T2ICall:
    """Returns a call with these parameters, checkpoint, and LoRAs with weights in order."""
    card = loras[0][0] if loras else checkpoint
    return T2ICall.parse(
        {
            "model": card.name,
            "type": card.type,
            "base_model": card.base_model,
            "model_description": card.description,
            "air": card.air,
            "base_checkpoint": checkpoint.air if loras else None,
            "loras": [
                {"model": lora.name, "air": lora.air, "weight": weight, "trigger_words": lora.trigger_words}
                for lora, weight in loras
            ],
            **fields,
        }
    )


def whole(value: object) -> int | None:
    """Returns a metadata value, a number or text, as a whole number, or None."""
    if isinstance(value, str) and len(value) <= _SHOWN:
        try:
            return int(value)  # as a float, a seed of 64 bits would lose its last digits
        except ValueError:
            pass
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    real = number(value)
    return int(real) if real is not None and real.is_integer() else None


def number(value: object) -> float | None:
    """Returns a metadata value, a number or text, as a finite number, or None."""
    if isinstance(value, str) and len(value) <= _SHOWN:
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        real = float(value)
    except OverflowError:
        return None
    return real if math.isfinite(real) else None


def _entry(use: ModelUse, kind: str, catalog: Catalog) -> Card:
    """The entry of a model in metadata; entries of another kind with its name do not count."""
    cards: Iterable[Card | None] = (
        catalog.by_version(use.version_id) if use.version_id is not None else None,
        *(catalog.by_hash(digest) for digest in use.hashes),
        (catalog.by_file(use.name) or catalog.by_name(use.name)) if use.name else None,
    )
    card = next((card for card in cards if card is not None and card.type == kind), None)
    if use == ModelUse(weight=use.weight):
        raise BadInput(f"the picture's metadata does not name its {kind}")
    if card is None:
        raise UnknownModel(
            f"the picture's {'checkpoint' if kind == 'Checkpoint' else 'LoRA'} {use} is not in the catalog",
            "add it with diffagent library or diffagent catalog import",
        )
    return card


def _merge(uses: Sequence[tuple[Card, float]], notes: list[str]) -> list[tuple[Card, float]]:
    """Each LoRA once; the weights of a repeated one add up, because programs apply it twice."""
    weights: dict[str, tuple[Card, float]] = {}
    for card, weight in uses:
        weights[card.air] = card, weights.get(card.air, (card, 0.0))[1] + weight
    return [
        (card, float(_within(f"{card.name}'s weight", weight, -2, 2, notes)))
        for card, weight in weights.values()
    ]


def _sampler(generation: Generation, row: BaseModelFacts | None, notes: list[str]) -> Sampler:
    label = (generation.sampler or "").strip()
    if label.casefold() in UNNAMED:
        usual = split(row.samplers[0] if row is not None and row.samplers else "Euler")
        if usual.scheduler is None and row is not None and row.schedules:
            usual = usual._replace(scheduler=row.schedules[0])
        notes.append(f"the metadata names no sampler: {usual} was taken")
        return usual
    sampler = read(label, generation.schedule)
    if sampler is None and (method := read(label)) is not None:
        notes.append(f"no call can name the schedule {str(generation.schedule)[:_SHOWN]!r}: it was left out")
        return method
    if sampler is None:
        label_shown = " ".join(filter(None, (label, generation.schedule)))[:_SHOWN]
        raise BadInput(f"the picture's sampler is {label_shown!r}, which no call can name")
    return sampler


def _size(generation: Generation, step: int, notes: list[str]) -> tuple[int, int]:
    if generation.width is None or generation.height is None:
        raise BadInput(
            "the picture's metadata does not give its size: it has no 'Size', no width and no height"
        )
    width, height = (
        min(SIDE_MAX // step * step, max(SIDE_MIN, (side + step // 2) // step * step))
        for side in (generation.width, generation.height)
    )
    if (width, height) != (generation.width, generation.height):
        notes.append(f"the picture is {generation.width}x{generation.height}; a call makes {width}x{height}")
    return width, height


def _usual(name: str, value: Any, usual: Any, notes: list[str]) -> Any:
    """A number of the metadata, or else the base model's usual one."""
    if value is not None:
        return value
    if usual is None:
        raise BadInput(f"the picture's metadata has no {name!r}, and the base model has no usual one")
    notes.append(f"the metadata has no {name}: {usual:g} was taken")
    return usual


def _within(name: str, value: float, low: float, high: float, notes: list[str]) -> float:
    near = min(max(value, low), high)
    if near != value:
        notes.append(f"the metadata's {name} is {value:g}; a call takes {low:g} to {high:g}")
    return near


def _seed(seed: int | None, notes: list[str]) -> int | None:
    if seed is None or 0 <= seed <= SEED_MAX:
        return seed
    if seed != -1:
        notes.append(f"the metadata's seed {str(seed)[:_SHOWN]} is out of a call's range: it was left out")
    return None


def _clip_skip(skip: int | None, notes: list[str]) -> int | None:
    """The clip skip in layers from the end; SD.Next and ComfyUI write numbers below 1 for the last layer."""
    if skip is None or skip < 1:
        return None
    return int(_within("clip skip", skip, 1, 12, notes))
