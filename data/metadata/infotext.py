"""Infotext: the lines that A1111 writes into a PNG and Civitai shows as "generation data".

    a fox in the snow <lora:ink:0.8>
    Negative prompt: blurry
    Steps: 20, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7, Seed: 1, Size: 512x768, …

In: the text. Out: :class:`Infotext`, its three parts, or a
:class:`~diffagent.data.metadata.generation.Generation`. Layout, quoting and field names are those of
``create_infotext`` in A1111's ``modules/processing.py`` and ``parse_generation_parameters`` in
``modules/infotext_utils.py``. Forge adds "Distilled CFG Scale" and "Module 1", SD.Next spells some names
differently, Civitai adds JSON to the line and may write everything on one line. The format is ambiguous for a
prompt with a line "Negative prompt:", and loses blanks around lines.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from diffagent.data.errors import BadInput
from diffagent.data.metadata.generation import Generation, ModelUse, number, whole

_NEGATIVE = re.compile(r"\n[^\S\n]*negative prompt\s*:[^\S\n]*", re.I)
_SETTINGS = re.compile(r"\n[^\S\n]*(steps\s*:\s*\d+\s*,.*)\Z", re.I | re.S)
_ONE_LINE = re.compile(r"(?:^|(?<=\s))Steps: \d{1,6}, (?:Sampler|CFG scale|Seed|Size): ")
_NEGATIVE_HERE = re.compile(r"(?:^|(?<=\s))Negative prompt:")
_NAME = re.compile(r"\s*+(\w[\w \-/]{0,63}+):[^\S\n]*+")
_QUOTED = re.compile(r'"(?:\\.|[^"\\])*+"?', re.S)
_LORA = re.compile(r" ?<(?:lora|lyco):([^<>:]+)(?::([^<>:]*))?(?::[^<>]*)?>", re.I)
_DIGEST = re.compile(r"(?:0x)?[0-9a-fA-F]{8,64}")
_SIDES = re.compile(r"\s*(\d{1,6})\s*[xX×]\s*(\d{1,6})")
_MODULE = re.compile(r"module \d{1,2}")
_HIRES = ("hires upscale", "hires resize", "hires upscaler", "hires steps")


@dataclass(frozen=True)
class Infotext:
    """The three parts of infotext; ``settings`` by A1111's names, such as "CFG scale"; ``line`` as
    written."""

    prompt: str
    negative_prompt: str = ""
    line: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)


def parse(text: str) -> Infotext:
    """Splits infotext into its parts; other text is all prompt."""
    body, line, is_one_line = text, "", False
    if match := _SETTINGS.search(text):
        body, line = text[: match.start()], match[1]
    elif match := _settings_here(text):
        body, line, is_one_line = text[: match.start()], text[match.start() :], True
    settings = dict(pairs(line))
    parts = _NEGATIVE.split(body, maxsplit=1)
    if len(parts) == 1 and is_one_line:
        parts = _NEGATIVE_HERE.split(body, maxsplit=1)
    prompt = parts[0].strip()
    if not prompt:
        return Infotext(body.strip(), "", line, settings)
    return Infotext(prompt, parts[1].strip() if len(parts) > 1 else "", line, settings)


def pairs(line: str) -> Iterator[tuple[str, str]]:
    """Yields the names and values of the settings line, in order.

    A value is quoted text, JSON with balanced brackets, or the text before the next comma.
    """
    at, is_whole = 0, True
    while at < len(line):
        name = _NAME.match(line, at)
        if name is None:
            at = _after_comma(line, at)
            continue
        start = name.end()
        end = None
        if line[start : start + 1] == '"':
            end = _end(line, _QUOTED.match(line, start))
        elif line[start : start + 1] in ("[", "{") and is_whole:
            closed = _balanced(line, start)
            end, is_whole = closed, closed is not None
        if end is None:
            end = line.find(",", start)
            end = len(line) if end < 0 else end
        yield name[1].strip(), _unquote(line[start:end])
        at = _after_comma(line, end)


def read(text: str) -> Generation:
    """Returns the generation data of an infotext.

    Raises:
        BadInput: the text has no line of settings.
    """
    infotext = parse(text)
    if not infotext.settings:
        raise BadInput(f"not an infotext: it has no line of settings such as 'Steps: 20, …': {text[:60]!r}")
    fields = {_plain(name): value for name, value in reversed(list(infotext.settings.items()))}
    resources = _json(fields.get("civitai resources"), list)
    hashes = _json(fields.get("hashes"), dict)
    civitai_meta = _json(fields.get("civitai metadata"), dict)
    size = _SIDES.match(fields.get("size", ""))
    prompt, loras = _loras(infotext.prompt, fields, resources, hashes)
    version = fields.get("version", "")
    notes = [f"{name} is not in a call" for name in ("Hires upscale", "Refiner") if _plain(name) in fields]
    if "denoising strength" in fields and not any(name in fields for name in _HIRES):
        notes.append("the picture was made from another one, which a call does not hold")
    base_model = civitai_meta.get("ecosystem", civitai_meta.get("baseModel"))
    return Generation(
        prompt=prompt,
        negative_prompt=infotext.negative_prompt,
        sampler=fields.get("sampler"),
        schedule=fields.get("schedule type") or fields.get("sampler sigma") or fields.get("scheduler"),
        steps=whole(fields.get("steps")),
        cfg_scale=number(fields.get("cfg scale")),
        guidance=number(fields.get("distilled cfg scale")),
        seed=whole(fields.get("seed")),
        width=int(size[1]) if size else None,
        height=int(size[2]) if size else None,
        clip_skip=whole(fields.get("clip skip")),
        checkpoint=_checkpoint(fields, resources, hashes),
        loras=loras,
        modules=tuple(value for name, value in infotext.settings.items() if _MODULE.fullmatch(_plain(name))),
        base_model=base_model if isinstance(base_model, str) else None,
        program=_program(version, fields),
        notes=tuple(notes),
    )


def split_loras(prompt: str) -> tuple[str, list[tuple[str, float]]]:
    """Returns a prompt without LoRA tags, and the LoRAs' names with their weights, in order.

    Raises:
        BadInput: a weight is not a number.
    """
    loras = []
    for name, weight in _LORA.findall(prompt):
        strength = number(weight.rpartition("=")[2]) if weight else 1.0
        if strength is None:
            raise BadInput(f"the infotext's LoRA {name} has the weight {weight!r}, not a number")
        loras.append((name.strip(), strength))
    return _LORA.sub("", prompt).strip(), loras


def stem(file_name: str) -> str:
    """A model file's name without folder and suffix, as A1111 shows it."""
    name = re.split(r"[/\\]", file_name)[-1]
    return re.sub(r"\.(?:safetensors|ckpt|pt|pth|bin|gguf)\Z", "", name, flags=re.I)


def _settings_here(text: str) -> re.Match[str] | None:
    """The match of the settings in a one-line infotext, where the sampler or the like follows the steps."""
    return max(
        _ONE_LINE.finditer(text), key=re.Match.start, default=None
    )  # a prompt may quote another infotext


def _after_comma(line: str, at: int) -> int:
    comma = line.find(",", at)
    return len(line) if comma < 0 else comma + 1


def _end(line: str, quoted: re.Match[str] | None) -> int | None:
    """The end of quoted text if a comma or nothing follows it, or None."""
    if quoted is None or len(quoted[0]) < 2 or not quoted[0].endswith('"'):
        return None
    rest = line[quoted.end() : quoted.end() + 8].lstrip()
    return quoted.end() if not rest or rest.startswith(",") else None


def _balanced(line: str, start: int) -> int | None:
    """The end of the JSON that begins at ``start``; None where its brackets are not balanced."""
    depth, at = 0, start
    while at < len(line):
        sign = line[at]
        if sign == '"':
            quoted = _QUOTED.match(line, at)
            assert quoted is not None
            at = quoted.end()
            continue
        depth += (sign in "[{") - (sign in "]}")
        at += 1
        if depth == 0:
            return at
    return None


def _plain(name: str) -> str:
    """The key of a setting's name: SD.Next writes "CLiP-skip"."""
    return name.casefold().replace("-", " ")


def _json(text: str | None, kind: type[Any]) -> Any:
    """The JSON of a setting; empty where it is not JSON or of another type."""
    try:
        value = json.loads(text or "null")
    except (ValueError, RecursionError):
        return kind()
    return value if isinstance(value, kind) else kind()


def _loras(
    prompt: str, fields: Mapping[str, str], resources: list[Any], hashes: Mapping[str, Any]
) -> tuple[str, tuple[ModelUse, ...]]:
    """The prompt without tags, and the LoRAs of the tags with their hashes, or else of the resources."""
    digests = {}
    for pair in fields.get("lora hashes", "").split(","):
        name, _, digest = (part.strip() for part in pair.rpartition(":"))
        if name and _DIGEST.fullmatch(digest):
            digests[name.casefold()] = digest
    for name, digest in hashes.items():
        kind, _, rest = str(name).partition(":")
        if kind.casefold() == "lora" and isinstance(digest, str):
            digests.setdefault(rest.casefold(), digest)
    bare, tags = split_loras(prompt)
    tagged = [
        ModelUse(name, tuple(filter(None, [digests.get(name.casefold())])), weight=weight)
        for name, weight in tags
    ]
    listed = [
        ModelUse(_shown(resource), version_id=version, weight=weight if weight is not None else 1.0)
        for resource in resources
        if isinstance(resource, dict)
        and str(resource.get("type")).casefold() in ("lora", "lycoris", "locon", "dora")
        if (version := whole(resource.get("modelVersionId"))) is not None
        for weight in (number(resource.get("weight")),)
    ]
    return bare, tuple(tagged or listed)


def _checkpoint(fields: Mapping[str, str], resources: list[Any], hashes: Mapping[str, Any]) -> ModelUse:
    version, name = None, ""
    for resource in resources:
        if isinstance(resource, dict) and str(resource.get("type")).casefold() in ("checkpoint", "model"):
            version, name = whole(resource.get("modelVersionId")), _shown(resource)
            break
    digests = [fields.get("model hash"), hashes.get("model")]
    hashes_named = tuple(dict.fromkeys(digest for digest in digests if isinstance(digest, str) and digest))
    return ModelUse(fields.get("model") or name, hashes_named, version)


def _shown(resource: Mapping[str, Any]) -> str:
    names = (resource.get("modelName"), resource.get("modelVersionName"))
    return " ".join(name for name in names if isinstance(name, str))


def _program(version: str, fields: Mapping[str, str]) -> str | None:
    if "civitai resources" in fields or "civitai metadata" in fields:
        return "Civitai"
    if fields.get("app"):
        return fields["app"]
    if re.match(r"f\d|neo", version):
        return "Forge"
    if re.match(r"v?\d", version):
        return "A1111"
    return version or None


def _unquote(text: str) -> str:
    text = text.strip()
    if len(text) < 2 or not (text.startswith('"') and text.endswith('"')):
        return text
    try:
        return str(json.loads(text))
    except ValueError:
        return text
