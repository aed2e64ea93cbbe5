"""Infotext of a call, as A1111 writes it into a PNG; :mod:`diffagent.data.metadata.infotext` reads it back.

a fox in the snow <lora:ink:0.8>
Negative prompt: blurry
Steps: 20, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7, Seed: 1, Size: 512x768, …
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence

from diffagent.agent.targets.fitting import Resources
from diffagent.data.errors import BadInput
from diffagent.data.metadata.infotext import stem
from diffagent.data.records import Card, T2ICall
from diffagent.data.samplers import Sampler

_UNIFORM = (
    "Euler a", "Euler", "LMS", "Heun", "DPM2", "DPM2 a", "DPM++ 2S a", "DPM++ 2M", "DPM++ SDE",
    "DPM++ 2M SDE",
)  # fmt: skip
"""Samplers whose own noise levels are evenly spaced; "Automatic" would give some of them another schedule."""


_FIELDS = {"Sampler": "sampling_method", "Schedule type": "scheduler", "Clip skip": "clip_skip",
           "Distilled CFG Scale": "guidance", "Steps": "sampling_steps", "CFG scale": "cfg_scale",
           "Seed": "seed"}  # fmt: skip
"""The settings that a target may not have carried."""


def labels(sampler: Sampler) -> tuple[str, str]:
    """Sampler and schedule, as A1111 1.9 and later, and Forge, label them.

    There "Automatic" would give DPM++ 2M its Karras schedule, so no schedule is "Uniform".
    """
    plain = "Uniform" if sampler.method in _UNIFORM else "Automatic"
    schedule = (sampler.plan.a1111 or sampler.plan.name) if sampler.plan else plain
    return sampler.row.a1111 or sampler.method, schedule


def write(call: T2ICall, found: Resources, dropped: Collection[str] = ()) -> str:
    """The infotext of an image that was made by a call; nothing is said of ``dropped`` fields, which its
    maker did not take."""
    sampler, schedule = labels(call.sampler)
    settings: dict[str, object] = {
        "Steps": call.sampling_steps,
        "Sampler": sampler,
        "Schedule type": None if schedule == "Automatic" or "sampling_method" in dropped else schedule,
        "CFG scale": number(call.cfg_scale),
        "Distilled CFG Scale": None if call.guidance is None else number(call.guidance),
        "Seed": call.seed,
        "Size": f"{call.width}x{call.height}",
        "Model hash": _digest(found.checkpoint),
        "Model": stem(found.checkpoint.file_name or found.checkpoint.name),
        "Clip skip": call.clip_skip,
        "Lora hashes": None if "loras" in dropped else _lora_hashes(found.loras),
    }
    said = {name: value for name, value in settings.items() if _FIELDS.get(name) not in dropped}
    line = ", ".join(f"{name}: {_quote(str(value))}" for name, value in said.items() if value is not None)
    has_negative = call.negative_prompt and "negative_prompt" not in dropped
    negative = f"\nNegative prompt: {call.negative_prompt}" if has_negative else ""
    prompt = call.prompt if "loras" in dropped else with_loras(call, found)
    return f"{prompt}{negative}\n{line}"


def with_loras(call: T2ICall, found: Resources, names: Mapping[str, str] | None = None) -> str:
    """The prompt with the LoRAs' tags behind it, in order, as A1111 takes them.

    Raises:
        BadInput: a LoRA's file has a name that A1111's syntax cannot hold.
    """
    tags = []
    for lora, card in zip(call.loras, found.loras, strict=True):
        name = stem((names or {}).get(card.air) or card.file_name or card.name)
        if set(name) & set("<>:"):
            raise BadInput(
                f"the LoRA's file is named {name!r}, and A1111's <lora:NAME:WEIGHT> takes no <, > or :"
            )
        tags.append(f"<lora:{name}:{number(lora.weight)}>")
    return " ".join([call.prompt, *tags])


def number(value: float) -> str:
    """A number as short as it can be without loss: 7.0 → "7", 6.5 → "6.5"."""
    return str(int(value)) if value == int(value) else repr(value)


def _digest(card: Card) -> str | None:
    return card.autov2 or (card.sha256 or "")[:10] or None


def _lora_hashes(loras: Sequence[Card]) -> str | None:
    known = [f"{stem(card.file_name or card.name)}: {_digest(card)}" for card in loras if _digest(card)]
    return ", ".join(known) or None


def _quote(text: str) -> str:
    return json.dumps(text, ensure_ascii=False) if set(text) & set(",\n:") else text
