"""Sidecars: other programs' files beside a model file.

    ink.civitai.info      Civitai Helper, Forge, SD.Next: the hub's answer for the version
    ink.json              A1111: base family, activation text, weight, notes
    ink.metadata.json     LoRA-Manager
    ink.cm-info.json      Stability Matrix
    ink.swarm.json        SwarmUI: modelspec.* fields
    ink.preview.png …     previews with generation data

In: the path of a model file and the names of the files beside it. Out: one :class:`SidecarNotes`; the more
specific program's value wins. A sidecar that is damaged, too large or another program's is skipped, never an
error.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

LARGEST = 8_000_000
"""The most bytes of a sidecar; SwarmUI's contain pictures."""
PREVIEWS = (
    ".preview.png", ".png", ".preview.jpg", ".preview.jpeg", ".jpg", ".jpeg", ".preview.webp", ".webp",
    ".thumb.jpg", ".thumb.png",
)  # fmt: skip
_TAG = re.compile(r"<[^<>]{0,2000}>")


@dataclass(frozen=True)
class SidecarNotes:
    """The notes on a model; missing ones are None, "" or (). ``about`` is the uploader's text, plain;
    ``images`` are generation data in Civitai's shape, ``sha256`` is the noted file's."""

    name: str | None = None
    version_name: str | None = None
    type: str | None = None
    base_model: str | None = None
    model_id: int | None = None
    version_id: int | None = None
    sha256: str | None = None
    trigger_words: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    about: str = ""
    weight: float | None = None
    negative: str = ""
    prediction: str | None = None
    images: tuple[Mapping[str, Any], ...] = ()
    sources: tuple[str, ...] = ()
    """The programs whose notes these are."""

    def under(self, other: SidecarNotes) -> SidecarNotes:
        """Returns these notes overridden by the other's."""
        changes = {
            field.name: getattr(other, field.name)
            for field in fields(SidecarNotes)
            if getattr(other, field.name) not in (None, (), "")
        }
        changes["sources"] = (*other.sources, *(s for s in self.sources if s not in other.sources))
        return replace(self, **changes)


def beside(stem: str, names: Iterable[str]) -> tuple[str, ...]:
    """Selects the sidecars and previews of a model from a folder's file names, lowest priority first.

    ``stem`` is the model's name without its suffix.
    """
    present = set(names)
    return tuple(name for suffix in (*READERS, *PREVIEWS) if (name := stem + suffix) in present)


def read_notes(path: Path, names: Sequence[str]) -> SidecarNotes:
    """Reads the notes in the sidecars ``names`` of the model at ``path``."""
    notes = SidecarNotes()
    for suffix, reader in READERS.items():
        name = path.stem + suffix
        if name not in names:
            continue
        data = _json(path.with_name(name))
        if data is None:
            continue
        try:
            notes = notes.under(reader(data))
        except (TypeError, ValueError, AttributeError, KeyError, RecursionError):
            continue
    return notes


def of_modelspec(data: Mapping[str, Any]) -> SidecarNotes:
    """Returns the notes in ``modelspec.*`` fields of a SwarmUI sidecar or a safetensors header."""
    spec = {
        name.removeprefix("modelspec."): value
        for name, value in data.items()
        if name.startswith("modelspec.") and isinstance(value, str | int | float)
    }
    tags = _words(str(spec.get("tags") or "").split(","))
    return SidecarNotes(
        name=_text(spec.get("title")),
        base_model=_text(spec.get("architecture")),
        sha256=_sha256(spec.get("hash_sha256")),
        trigger_words=_triggers([spec.get("trigger_phrase")]),
        tags=tags,
        about=plain(" ".join(str(spec.get(name) or "") for name in ("description", "usage_hint")))[:4000],
        prediction=_text(spec.get("prediction_type")),
        sources=("modelspec",) if spec else (),
    )


def plain(text: object) -> str:
    """Returns text without HTML, on one line."""
    return " ".join(html.unescape(_TAG.sub(" ", str(text or "")[:50_000])).split())


def _a1111(data: Mapping[str, Any]) -> SidecarNotes:
    if not {"activation text", "sd version", "description", "notes", "preferred weight"} & set(data):
        return SidecarNotes()
    version = _text(data.get("sd version"))
    return SidecarNotes(
        base_model=None if (version or "").casefold() in ("unknown", "other") else version,
        trigger_words=_triggers([data.get("activation text")]),
        about=plain(f"{data.get('description') or ''} {data.get('notes') or ''}")[:4000],
        weight=_weight(data.get("preferred weight")),
        negative=str(data.get("negative text") or "")[:1000],
        sources=("A1111",),
    )


def _civitai_version(data: Mapping[str, Any], program: str) -> SidecarNotes:
    """The notes of a version in the hub's API."""
    model = data.get("model") if isinstance(data.get("model"), dict) else {}
    assert isinstance(model, dict)
    hashes = [
        digest
        for file in data.get("files") or ()
        if isinstance(file, dict) and isinstance(file.get("hashes"), dict)
        if (digest := _sha256(file["hashes"].get("SHA256")))
    ]
    images = tuple(
        {"id": n, "nsfw": image.get("nsfw"), "nsfwLevel": image.get("nsfwLevel"), "meta": image["meta"],
         "width": image.get("width"), "height": image.get("height")}
        for n, image in enumerate(data.get("images") or ())
        if isinstance(image, dict) and isinstance(image.get("meta"), dict)
    )  # fmt: skip
    return SidecarNotes(
        name=_text(model.get("name")),
        version_name=_text(data.get("name")),
        type=_text(model.get("type")),
        base_model=_text(data.get("baseModel")),
        model_id=_number(data.get("modelId") or model.get("id")),
        version_id=_number(data.get("id")),
        sha256=hashes[0] if len(hashes) == 1 else None,
        trigger_words=_triggers(data.get("trainedWords")),
        tags=_words(model.get("tags")),
        about=plain(f"{data.get('description') or ''} {model.get('description') or ''}")[:4000],
        images=images[:20],
        sources=(program,),
    )


def _civitai_info(data: Mapping[str, Any]) -> SidecarNotes:
    return _civitai_version(data, "civitai.info")


def _lora_manager(data: Mapping[str, Any]) -> SidecarNotes:
    if "file_name" not in data and "model_name" not in data:
        return SidecarNotes()
    version = data.get("civitai")
    notes = (
        _civitai_version(version, "LoRA-Manager") if isinstance(version, dict) and version else SidecarNotes()
    )
    tips = _parse_json(data.get("usage_tips"))
    base = _text(data.get("base_model"))
    manager_notes = SidecarNotes(
        name=_text(data.get("model_name")),
        base_model=None if (base or "").casefold() in ("unknown", "other") else base,
        sha256=_sha256(data.get("sha256")),
        tags=_words(data.get("tags")),
        about=plain(f"{data.get('modelDescription') or ''} {data.get('notes') or ''}")[:4000],
        weight=_weight(tips.get("strength")),
        sources=("LoRA-Manager",),
    )
    return notes.under(manager_notes)


def _stability_matrix(data: Mapping[str, Any]) -> SidecarNotes:
    if "ModelName" not in data and "VersionName" not in data:
        return SidecarNotes()
    hashes = data.get("Hashes") if isinstance(data.get("Hashes"), dict) else {}
    assert isinstance(hashes, dict)
    return SidecarNotes(
        name=_text(data.get("UserTitle")) or _text(data.get("ModelName")),
        version_name=_text(data.get("VersionName")),
        type=_text(data.get("ModelType")),
        base_model=_text(data.get("BaseModel")),
        model_id=_number(data.get("ModelId")),
        version_id=_number(data.get("VersionId")),
        sha256=_sha256(hashes.get("SHA256")),
        trigger_words=_triggers(data.get("TrainedWords")),
        tags=_words(data.get("Tags")),
        about=plain(f"{data.get('VersionDescription') or ''} {data.get('ModelDescription') or ''}")[:4000],
        sources=("Stability Matrix",),
    )


def _swarm(data: Mapping[str, Any]) -> SidecarNotes:
    inner = data.get("__metadata__")
    return replace(of_modelspec(inner if isinstance(inner, dict) else data), sources=("SwarmUI",))


READERS = {
    ".civitai.info": _civitai_info,
    ".cm-info.json": _stability_matrix,
    ".swarm.json": _swarm,
    ".metadata.json": _lora_manager,
    ".json": _a1111,
}
"""Suffix → reader, lowest priority first: A1111's and LoRA-Manager's files have the user's own notes."""


def _json(path: Path) -> Mapping[str, Any] | None:
    try:
        if path.stat().st_size > LARGEST or not path.is_file():
            return None
        data = json.loads(path.read_text("utf-8-sig", "replace"))
    except (OSError, ValueError, RecursionError):
        return None
    return data if isinstance(data, dict) else None


def _parse_json(value: object) -> Mapping[str, Any]:
    try:
        data = json.loads(value) if isinstance(value, str) and len(value) < 10_000 else value
    except (ValueError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}


def _text(value: object) -> str | None:
    text = plain(value)[:200] if isinstance(value, str) else ""
    return text or None


def _number(value: object) -> int | None:
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    return value if is_whole and 0 < value < 1 << 53 else None  # type: ignore[operator,return-value]


def _weight(value: object) -> float | None:
    """A LoRA's weight, or None; A1111's 0 means that none is set."""
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return round(number, 2) if -2 <= number <= 2 and number else None


def _sha256(value: object) -> str | None:
    digest = str(value or "").strip().casefold().removeprefix("0x")
    return digest if re.fullmatch(r"[0-9a-f]{64}", digest) else None


def _triggers(values: object) -> tuple[str, ...]:
    """Splits trigger words at commas and drops LoRA tags."""
    from diffagent.data.prompts import strip_lora_tags

    listed = values if isinstance(values, list) else [values]
    texts = (strip_lora_tags(value[:2000]) for value in listed[:60] if isinstance(value, str))
    return _words(piece for text in texts for piece in text.split(","))


def _words(values: object) -> tuple[str, ...]:
    items = values if isinstance(values, Iterable) and not isinstance(values, str | Mapping) else ()
    words = (" ".join(value.split()) for value in items if isinstance(value, str))
    first: dict[str, str] = {}
    for word in words:
        if word and len(word) <= 120:
            first.setdefault(word.casefold(), word)
    return tuple(first.values())[:60]
