"""Infotext: the lines that A1111 writes into a PNG, and that Civitai shows as "generation data".

    a fox in the snow <lora:ink:0.8>
    Negative prompt: blurry
    Steps: 20, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7, Seed: 1, Size: 512x768, …

In and out: a T2I call. The layout, the quoting and the fields' names are those of ``create_infotext`` in
A1111's ``modules/processing.py`` and ``parse_generation_parameters`` in ``modules/infotext_utils.py``. The
format cannot say where a prompt ends that holds a line "Negative prompt:", nor keep blanks around a line.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from diffagent.agent.targets import samplers
from diffagent.agent.targets.fitting import Resources
from diffagent.data.catalog import Catalog
from diffagent.data.errors import BadInput, UnknownModel
from diffagent.data.records import Card, T2ICall
from diffagent.data.samples import sampler_name

_NEGATIVE = re.compile(r"\n[^\S\n]*negative prompt\s*:[^\S\n]*", re.I)
_SETTINGS = re.compile(r"\n[^\S\n]*(steps\s*:\s*\d+\s*,.*)\Z", re.I | re.S)
_PAIR = re.compile(r'(\w[\w \-/]{0,63}):\s*+("(?:\\.|[^\\"])++"|[^,]*+)(?:,|$)')
_LORA = re.compile(r" ?<lora:([^<>:]+):([^<>:]+)>\Z")


@dataclass(frozen=True)
class Infotext:
    """Its three parts; ``settings`` by A1111's names, such as "CFG scale"; ``line`` as it stands."""

    prompt: str
    negative_prompt: str = ""
    line: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)


def parse(text: str) -> Infotext:
    """The parts of infotext; text without its lines is all prompt."""
    body, line = text, ""
    if found := _SETTINGS.search(text):
        body, line = text[: found.start()], found[1]
    parts = _NEGATIVE.split(body, maxsplit=1)
    prompt = parts[0].strip()
    settings = {name.strip(): _unquote(value) for name, value in _PAIR.findall(line)}
    if not prompt:
        return Infotext(body.strip(), "", line, settings)
    return Infotext(prompt, parts[1].strip() if len(parts) > 1 else "", line, settings)


_FIELDS = {"Sampler": "sampling_method", "Schedule type": "sampling_method", "Clip skip": "clip_skip"}
"""The settings that a target may not have carried."""


def write(call: T2ICall, found: Resources, dropped: Collection[str] = ()) -> str:
    """The infotext of an image that was made by a call; nothing is said of ``dropped`` fields, which its
    maker did not take."""
    sampler, schedule = samplers.a1111(call.sampling_method)
    settings: dict[str, object] = {
        "Steps": call.sampling_steps,
        "Sampler": sampler,
        "Schedule type": None if schedule == "Automatic" else schedule,
        "CFG scale": number(call.cfg_scale),
        "Seed": call.seed,
        "Size": f"{call.width}x{call.height}",
        "Model hash": found.checkpoint.autov2 or (found.checkpoint.sha256 or "")[:10] or None,
        "Model": stem(found.checkpoint.file_name or found.checkpoint.name),
        "Clip skip": call.clip_skip,
        "Lora hashes": _lora_hash(found.lora),
    }
    said = {name: value for name, value in settings.items() if _FIELDS.get(name) not in dropped}
    line = ", ".join(f"{name}: {_quote(str(value))}" for name, value in said.items() if value is not None)
    negative = f"\nNegative prompt: {call.negative_prompt}" if call.negative_prompt else ""
    prompt = call.prompt if "lora_weight" in dropped else with_lora(call, found)
    return f"{prompt}{negative}\n{line}"


def read(text: str, catalog: Catalog) -> T2ICall:
    """The call that an image's infotext tells of; its models are looked up by hash, then by file name.

    Raises:
        UnknownModel: the checkpoint or LoRA is not in the catalog. BadInput: a setting that every
        infotext has is missing, or is none that a call can name.
    """
    found = parse(text)
    settings = found.settings
    prompt, lora, weight = split_lora(found.prompt, settings, catalog)
    checkpoint = _checkpoint(settings, catalog)
    width, _, height = _setting(settings, "Size").partition("x")
    sampler = sampler_name(_setting(settings, "Sampler"), settings.get("Schedule type", ""))
    if sampler is None:
        raise BadInput(f"the infotext's sampler is {settings['Sampler']!r}, which no call can name")
    return as_call(
        checkpoint,
        lora,
        prompt=prompt,
        negative_prompt=found.negative_prompt,
        width=int(width),
        height=int(height),
        sampling_method=sampler,
        sampling_steps=int(_setting(settings, "Steps")),
        cfg_scale=float(_setting(settings, "CFG scale")),
        seed=int(settings["Seed"]) if "Seed" in settings else None,
        clip_skip=int(settings["Clip skip"]) if "Clip skip" in settings else None,
        lora_weight=weight,
    )


def as_call(checkpoint: Card, lora: Card | None, **fields: object) -> T2ICall:
    """A call from its parameters and cards."""
    card = lora or checkpoint
    return T2ICall.parse(
        {
            "model": card.name,
            "type": card.type,
            "base_model": card.base_model,
            "model_description": card.description,
            "air": card.air,
            "base_checkpoint": checkpoint.air if lora else None,
            **fields,
        }
    )


def with_lora(call: T2ICall, found: Resources, names: Mapping[str, str] | None = None) -> str:
    """The prompt with the LoRA's tag behind it, as A1111 takes it.

    Raises:
        BadInput: the LoRA's file has a name that A1111's syntax cannot hold.
    """
    if found.lora is None:
        return call.prompt
    name = stem((names or {}).get(found.lora.air) or found.lora.file_name or found.lora.name)
    if set(name) & set("<>:"):
        raise BadInput(
            f"the LoRA's file is named {name!r}, and A1111's <lora:NAME:WEIGHT> takes no <, > or :"
        )
    return f"{call.prompt} <lora:{name}:{number(call.lora_weight or 0.0)}>"


def split_lora(
    prompt: str, settings: Mapping[str, str], catalog: Catalog
) -> tuple[str, Card | None, float | None]:
    """A prompt without the LoRA's tag at its end, the LoRA's card and weight."""
    tag = _LORA.search(prompt)
    if tag is None:
        return prompt, None, None
    digest = re.match(r".*: *([0-9a-fA-F]{8,64})\Z", settings.get("Lora hashes", ""))
    card = (catalog.by_hash(digest[1]) if digest else None) or catalog.by_file(tag[1])
    if card is None:
        raise UnknownModel(f"the infotext's LoRA {tag[1]} is not in the catalog")
    return prompt[: tag.start()], card, float(tag[2])


def stem(file_name: str) -> str:
    """A model file's name without its folder and suffix, as A1111 shows it."""
    name = re.split(r"[/\\]", file_name)[-1]
    return re.sub(r"\.(?:safetensors|ckpt|pt|pth|bin)\Z", "", name, flags=re.I)


def number(value: float) -> str:
    """A number as short as it can be without loss: 7.0 → "7", 6.5 → "6.5"."""
    return str(int(value)) if value == int(value) else repr(value)


def _lora_hash(lora: Card | None) -> str | None:
    if lora is None or not (digest := lora.autov2 or (lora.sha256 or "")[:10]):
        return None
    return f"{stem(lora.file_name or lora.name)}: {digest}"


def _checkpoint(settings: Mapping[str, str], catalog: Catalog) -> Card:
    digest, name = settings.get("Model hash", ""), settings.get("Model", "")
    found = (catalog.by_hash(digest) if digest else None) or (catalog.by_file(name) if name else None)
    if found is None:
        raise UnknownModel(
            f"the infotext's checkpoint {name or digest or 'has no name'!r} is not in the catalog"
        )
    return found


def _setting(settings: Mapping[str, str], name: str) -> str:
    if name not in settings:
        raise BadInput(f"no infotext: it has no {name!r}")
    return settings[name]


def _quote(text: str) -> str:
    return json.dumps(text, ensure_ascii=False) if set(text) & set(",\n:") else text


def _unquote(text: str) -> str:
    if not (text.startswith('"') and text.endswith('"')):
        return text.strip()
    try:
        return str(json.loads(text))
    except ValueError:
        return text
