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
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from diffagent.agent.targets.fitting import Resources
from diffagent.data.catalog import Catalog
from diffagent.data.errors import BadInput, UnknownModel
from diffagent.data.records import Card, T2ICall
from diffagent.data.samplers import Sampler
from diffagent.data.samplers import read as read_sampler

_NEGATIVE = re.compile(r"\n[^\S\n]*negative prompt\s*:[^\S\n]*", re.I)
_SETTINGS = re.compile(r"\n[^\S\n]*(steps\s*:\s*\d+\s*,.*)\Z", re.I | re.S)
_PAIR = re.compile(r'(\w[\w \-/]{0,63}):\s*+("(?:\\.|[^\\"])++"|[^,]*+)(?:,|$)')
_LORA = re.compile(r" ?<lora:([^<>:]+):([^<>:]+)(?::[^<>]*)?>")
_LORA_HASH = re.compile(r"(?:\A|, )([^,]+?): *([0-9a-fA-F]{8,64})(?=,|\Z)")
_UNIFORM = (
    "Euler a", "Euler", "LMS", "Heun", "DPM2", "DPM2 a", "DPM++ 2S a", "DPM++ 2M", "DPM++ SDE",
    "DPM++ 2M SDE",
)  # fmt: skip
"""Samplers whose own noise levels are evenly spaced; "Automatic" would give some of them another schedule."""


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


_FIELDS = {"Sampler": "sampling_method", "Schedule type": "scheduler", "Clip skip": "clip_skip",
           "Distilled CFG Scale": "guidance"}  # fmt: skip
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
    negative = f"\nNegative prompt: {call.negative_prompt}" if call.negative_prompt else ""
    prompt = call.prompt if "loras" in dropped else with_loras(call, found)
    return f"{prompt}{negative}\n{line}"


def read(text: str, catalog: Catalog) -> T2ICall:
    """The call that an image's infotext tells of; its models are looked up by hash, then by file name.

    Raises:
        UnknownModel: the checkpoint or a LoRA is not in the catalog. BadInput: a setting that every
        infotext has is missing, or is none that a call can name.
    """
    found = parse(text)
    settings = found.settings
    prompt, loras = split_loras(found.prompt, settings, catalog)
    checkpoint = _checkpoint(settings, catalog)
    width, _, height = _setting(settings, "Size").partition("x")
    sampler = read_sampler(_setting(settings, "Sampler"), settings.get("Schedule type", ""))
    if sampler is None:
        given = " ".join(filter(None, (settings["Sampler"], settings.get("Schedule type"))))
        raise BadInput(f"the infotext's sampler is {given!r}, which no call can name")
    guidance = settings.get("Distilled CFG Scale")
    return as_call(
        checkpoint,
        loras,
        prompt=prompt,
        negative_prompt=found.negative_prompt,
        width=int(width),
        height=int(height),
        sampling_method=sampler.method,
        scheduler=sampler.scheduler,
        sampling_steps=int(_setting(settings, "Steps")),
        cfg_scale=float(_setting(settings, "CFG scale")),
        guidance=float(guidance) if guidance else None,
        seed=int(settings["Seed"]) if "Seed" in settings else None,
        clip_skip=int(settings["Clip skip"]) if "Clip skip" in settings else None,
    )


def as_call(checkpoint: Card, loras: Sequence[tuple[Card, float]], **fields: object) -> T2ICall:
    """A call from its parameters, its checkpoint and its LoRAs with their weights, in order."""
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


def split_loras(
    prompt: str, settings: Mapping[str, str], catalog: Catalog
) -> tuple[str, list[tuple[Card, float]]]:
    """A prompt without its LoRAs' tags, and the LoRAs with their weights, in the tags' order.

    The weights of a LoRA that is named twice add up, as A1111 applies it twice.

    Raises:
        UnknownModel: a LoRA is not in the catalog. BadInput: a weight is no number.
    """
    digests = {
        name.casefold(): digest for name, digest in _LORA_HASH.findall(settings.get("Lora hashes", ""))
    }
    weights: dict[str, tuple[Card, float]] = {}
    for name, weight in _LORA.findall(prompt):
        digest = digests.get(name.casefold())
        card = (catalog.by_hash(digest) if digest else None) or catalog.by_file(name)
        if card is None:
            raise UnknownModel(f"the infotext's LoRA {name} is not in the catalog")
        try:
            before = weights.get(card.air, (card, 0.0))[1]
            weights[card.air] = card, before + float(weight)
        except ValueError:
            raise BadInput(f"the infotext's LoRA {name} has the weight {weight!r}, not a number") from None
    return _LORA.sub("", prompt).strip(), list(weights.values())


def stem(file_name: str) -> str:
    """A model file's name without its folder and suffix, as A1111 shows it."""
    name = re.split(r"[/\\]", file_name)[-1]
    return re.sub(r"\.(?:safetensors|ckpt|pt|pth|bin)\Z", "", name, flags=re.I)


def number(value: float) -> str:
    """A number as short as it can be without loss: 7.0 → "7", 6.5 → "6.5"."""
    return str(int(value)) if value == int(value) else repr(value)


def _digest(card: Card) -> str | None:
    return card.autov2 or (card.sha256 or "")[:10] or None


def _lora_hashes(loras: Sequence[Card]) -> str | None:
    known = [f"{stem(card.file_name or card.name)}: {_digest(card)}" for card in loras if _digest(card)]
    return ", ".join(known) or None


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
