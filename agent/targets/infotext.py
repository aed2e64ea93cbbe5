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
"""Samplers whose own noise levels are evenly spaced; "Automatic" would change some of them."""


_FIELDS = {"Sampler": "sampling_method", "Schedule type": "scheduler", "Clip skip": "clip_skip",
           "Distilled CFG Scale": "guidance", "Steps": "sampling_steps", "CFG scale": "cfg_scale",
           "Seed": "seed"}  # fmt: skip
"""Label → the call's field, for settings that a target may not have carried."""


def labels(sampler: Sampler) -> tuple[str, str]:
    """Returns the labels of sampler and schedule in A1111 1.9 and later, and Forge.

    "Automatic" would give DPM++ 2M its Karras schedule, so a missing schedule is "Uniform".
    """
    plain = "Uniform" if sampler.method in _UNIFORM else "Automatic"
    schedule = (sampler.plan.a1111 or sampler.plan.name) if sampler.plan else plain
    return sampler.row.a1111 or sampler.method, schedule


def write(call: T2ICall, resources: Resources, dropped: Collection[str] = ()) -> str:
    """Returns the infotext of a call's image, without the ``dropped`` fields, which the target did not
    take."""
    sampler, schedule = labels(call.sampler)
    settings: dict[str, object] = {
        "Steps": call.sampling_steps,
        "Sampler": sampler,
        "Schedule type": None if schedule == "Automatic" or "sampling_method" in dropped else schedule,
        "CFG scale": number(call.cfg_scale),
        "Distilled CFG Scale": None if call.guidance is None else number(call.guidance),
        "Seed": call.seed,
        "Size": f"{call.width}x{call.height}",
        "Model hash": _digest(resources.checkpoint),
        "Model": stem(resources.checkpoint.file_name or resources.checkpoint.name),
        "Clip skip": call.clip_skip,
        "Lora hashes": None if "loras" in dropped else _lora_hashes(resources.loras),
    }
    carried = {name: value for name, value in settings.items() if _FIELDS.get(name) not in dropped}
    line = ", ".join(f"{name}: {_quote(str(value))}" for name, value in carried.items() if value is not None)
    has_negative = call.negative_prompt and "negative_prompt" not in dropped
    negative = f"\nNegative prompt: {call.negative_prompt}" if has_negative else ""
    prompt = call.prompt if "loras" in dropped else with_loras(call, resources)
    return f"{prompt}{negative}\n{line}"


def with_loras(call: T2ICall, resources: Resources, names: Mapping[str, str] | None = None) -> str:
    """Returns the prompt followed by the LoRAs' tags, as A1111 reads them.

    Raises:
        BadInput: a LoRA's file name contains <, > or :, which A1111's syntax excludes.
    """
    tags = []
    for lora, card in zip(call.loras, resources.loras, strict=True):
        name = stem((names or {}).get(card.air) or card.file_name or card.name)
        if set(name) & set("<>:"):
            raise BadInput(
                f"the LoRA's file is named {name!r}, and A1111's <lora:NAME:WEIGHT> takes no <, > or :"
            )
        tags.append(f"<lora:{name}:{number(lora.weight)}>")
    return " ".join([call.prompt, *tags])


def number(value: float) -> str:
    """Returns the shortest exact form of a number: 7.0 → "7", 6.5 → "6.5"."""
    return str(int(value)) if value == int(value) else repr(value)


def _digest(card: Card) -> str | None:
    return card.autov2 or (card.sha256 or "")[:10] or None


def _lora_hashes(loras: Sequence[Card]) -> str | None:
    hashes = [f"{stem(card.file_name or card.name)}: {_digest(card)}" for card in loras if _digest(card)]
    return ", ".join(hashes) or None


def _quote(text: str) -> str:
    return json.dumps(text, ensure_ascii=False) if set(text) & set(",\n:") else text
