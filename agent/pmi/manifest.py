"""Sample images of models, from where they lie: a manifest, or a folder a model.

A manifest is JSON lines, files beside it:

    {"file": "fox/000.jpg", "model": "me/fox-xl", "prompt": "a fox in the snow", "prompt_id": 0}

A folder holds a folder of images for each model; an image's prompt stands in a ``.txt`` of the same name,
or nowhere.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from diffagent.data.errors import BadInput

SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif"}


@dataclass(frozen=True)
class Example:
    """One sample image: ``model`` is a name or AIR; ``prompt`` may be empty, ``prompt_id`` None."""

    file: Path
    model: str
    prompt: str = ""
    prompt_id: int | None = None


class _Row(BaseModel):
    """A manifest's row; other keys are facts that are not read."""

    model_config = ConfigDict(extra="ignore")

    file: str = Field(min_length=1)
    model: str = Field(min_length=1, max_length=200)
    prompt: str = ""
    prompt_id: int | None = None


def read_examples(path: Path) -> list[Example]:
    """Of a manifest, or of a folder.

    Raises:
        BadInput: there is nothing, or a row is no row of a manifest (says which).
    """
    if path.is_dir():
        inner = path / "manifest.jsonl"
        found = read_examples(inner) if inner.is_file() else list(_of_folder(path))
    else:
        found = list(_of_manifest(path))
    if not found:
        raise BadInput(
            f"{path} holds no images: give a manifest (JSON lines with file, model and prompt) or a "
            f"folder with "
            "a folder of images for each model"
        )
    return found


def by_model(examples: Iterable[Example]) -> dict[str, list[Example]]:
    """Each model's images, in the order in which they come."""
    groups: dict[str, list[Example]] = {}
    for one in examples:
        groups.setdefault(one.model, []).append(one)
    return groups


def _of_manifest(path: Path) -> Iterable[Example]:
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"cannot read the manifest {path} ({error}): give JSON lines in UTF-8") from None
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = _Row.model_validate(_parsed(line))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "the row"
            raise BadInput(
                f"{path.name}:{number}: {where}: {first['msg']}; a row is "
                '{"file": …, "model": …, "prompt": …, "prompt_id": …}'
            ) from None
        yield Example(path.parent / row.file, row.model, row.prompt, row.prompt_id)


def _parsed(line: str) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        return None


def _of_folder(path: Path) -> Iterable[Example]:
    for folder in sorted(one for one in path.iterdir() if one.is_dir()):
        for file in sorted(folder.iterdir()):
            if file.suffix.casefold() not in SUFFIXES:
                continue
            beside = file.with_suffix(".txt")
            prompt = beside.read_text("utf-8", "replace").strip() if beside.is_file() else ""
            yield Example(file, folder.name, prompt)
