"""AI Horde's models and styles, a source of models beside Civitai.

In: a folder with ``models.jsonl`` (one model per line: name, baseline, style, homepage, file, sha256,
requirements, trigger) and ``styles.json`` (style name → prompt template, model and parameters).
Out: one :class:`HordeModel` per model, with its styles.

    {"name": "Aurora", "baseline": "stable diffusion 1", "file": "aurora.safetensors", "sha256": "1b5f…"}
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from diffagent.data.errors import BadInput
from diffagent.data.samplers import METHOD_ROWS

MODELS, STYLES = "models.jsonl", "styles.json"

_NAMES = {row.horde: row.name for row in METHOD_ROWS.values() if row.horde}
"""Horde's samplers, without "dpmsolver", under which workers have run different samplers."""
_WITH_KARRAS = ("LMS", "DPM2", "DPM2 a", "DPM++ 2S a", "DPM++ 2M", "DPM++ SDE")
"""Samplers that have a name with Karras; Horde's styles set the flag for all samplers."""


@dataclass(frozen=True)
class HordeStyle:
    """A style's recommended settings for a model; missing ones are None.

    ``prompt`` is a template: ``{p}`` stands for the user's words, ``{np}`` for the negative ones, ``###``
    separates the two. ``loras`` are Civitai ids (a fast LoRA explains few steps at a low CFG scale).
    """

    name: str
    prompt: str
    sampler: str | None = None
    karras: bool = False
    steps: int | None = None
    cfg_scale: float | None = None
    width: int | None = None
    height: int | None = None
    clip_skip: int | None = None
    loras: tuple[str, ...] = ()


@dataclass(frozen=True)
class HordeModel:
    """One model of AI Horde's workers; ``sha256`` in lower case, ids from the home page."""

    name: str
    baseline: str
    style: str
    homepage: str | None
    file: str
    sha256: str | None
    requirements: Mapping[str, Any] = field(default_factory=dict)
    trigger_words: tuple[str, ...] = ()
    inpainting: bool = False
    civitai_model: int | None = None
    civitai_version: int | None = None
    styles: tuple[HordeStyle, ...] = ()

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Self:
        """Returns the model of a row of ``horde.jsonl.gz``."""
        styles = tuple(HordeStyle(**{**style, "loras": tuple(style["loras"])}) for style in row["styles"])
        return cls(**{**row, "trigger_words": tuple(row["trigger_words"]), "styles": styles})


def read_horde(folder: str | Path) -> Iterator[HordeModel]:
    """Yields AI Horde's models in order of name.

    Raises:
        BadInput: a file is missing or malformed.
    """
    styles: dict[str, list[HordeStyle]] = defaultdict(list)
    for name, style in sorted(_json(Path(folder) / STYLES).items()):
        if isinstance(style, dict) and isinstance(style.get("model"), str):
            styles[style["model"]].append(_style(name, style))
    path = Path(folder) / MODELS
    rows = [_parse_object(path, line) for line in _text(path).splitlines() if line.strip()]
    for row in sorted(rows, key=lambda row: str(row.get("name"))):
        try:
            yield _model(row, tuple(styles.get(row["name"], ())))
        except (KeyError, TypeError, AttributeError) as error:
            raise BadInput(f"{path}: a model lacks or garbles {error}: {str(row)[:80]}") from None


def a1111_sampler(name: str | None, karras: bool = False) -> str | None:
    """Returns A1111's name of Horde's sampler: ``k_dpmpp_2m`` with Karras → ``DPM++ 2M Karras``.

    A sampler without a Karras variant keeps its plain name; an unknown one is None.
    """
    plain = _NAMES.get(name or "")
    return f"{plain} Karras" if karras and plain in _WITH_KARRAS else plain


def civitai_ids(homepage: str | None) -> tuple[int | None, int | None]:
    """The model id and version id in a Civitai address; None for a missing one."""
    parts = urlsplit(homepage or "")
    match = re.match(r"/models/(\d+)", parts.path)
    host = parts.hostname or ""
    if not match or not re.fullmatch(r"(www\.)?civitai\.(com|red|green)", host):
        return None, None
    version = parse_qs(parts.query).get("modelVersionId", [""])[0]
    return int(match[1]), int(version) if version.isdecimal() else None


def _model(row: Mapping[str, Any], styles: tuple[HordeStyle, ...]) -> HordeModel:
    model_id, version_id = civitai_ids(row.get("homepage"))
    return HordeModel(
        name=row["name"],
        baseline=row["baseline"],
        style=row.get("style") or "",
        homepage=row.get("homepage"),
        file=row["file"],
        sha256=row["sha256"].lower() if row.get("sha256") else None,
        requirements=row.get("requirements") or {},
        trigger_words=tuple(row.get("trigger") or ()),
        inpainting="inpainting" in f"{row['name']} {row['file']}".lower(),
        civitai_model=model_id,
        civitai_version=version_id,
        styles=styles,
    )


def _style(name: str, style: Mapping[str, Any]) -> HordeStyle:
    karras = bool(style.get("karras"))
    return HordeStyle(
        name=name,
        prompt=str(style.get("prompt") or ""),
        sampler=a1111_sampler(style.get("sampler_name"), karras),
        karras=karras,
        **{key: style.get(key) for key in ("steps", "cfg_scale", "width", "height", "clip_skip")},
        loras=tuple(str(lora["name"]) for lora in style.get("loras") or ()),
    )


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        raise BadInput(f"cannot read {path}: give a folder with {MODELS} and {STYLES}") from None


def _parse_object(path: Path, text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise BadInput(f"{path}: {text[:60]!r} is not a JSON object")
    return value


def _json(path: Path) -> dict[str, Any]:
    return _parse_object(path, _text(path))
