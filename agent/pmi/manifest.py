"""Sample images of models, from a manifest or from one folder per model.

A manifest consists of JSON lines, with the files beside it:

    {"file": "fox/000.jpg", "model": "me/fox-xl", "prompt": "a fox in the snow", "prompt_id": 0}

A folder has a folder of images for each model; an image's prompt is in a ``.txt`` of the same name, if any.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from diffagent.data.errors import BadInput
from diffagent.data.json_rows import fault

SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif"}


@dataclass(frozen=True)
class Example:
    """One sample image: ``model`` is a name or AIR; ``prompt`` may be empty, ``prompt_id`` None."""

    file: Path
    model: str
    prompt: str = ""
    prompt_id: int | None = None


class _ManifestRow(BaseModel):
    """A manifest's row; other keys are ignored."""

    model_config = ConfigDict(extra="ignore")

    file: str = Field(min_length=1)
    model: str = Field(min_length=1, max_length=200)
    prompt: str = ""
    prompt_id: int | None = None


def read_examples(path: Path) -> list[Example]:
    """Reads a manifest or a folder.

    Raises:
        BadInput: there are no images, or a row is malformed (the message tells which).
    """
    if path.is_dir():
        inner = path / "manifest.jsonl"
        examples = read_examples(inner) if inner.is_file() else list(_of_folder(path))
    else:
        examples = list(_of_manifest(path))
    if not examples:
        raise BadInput(
            f"{path} holds no images: give a manifest (JSON lines with file, model and prompt) or a "
            "folder with a folder of images for each model"
        )
    return examples


def by_model(examples: Iterable[Example]) -> dict[str, list[Example]]:
    """Groups images by model, in their order."""
    groups: dict[str, list[Example]] = {}
    for example in examples:
        groups.setdefault(example.model, []).append(example)
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
            row = _ManifestRow.model_validate(_parse(line))
        except ValidationError as error:
            raise BadInput(
                f"{path.name}:{number}: {fault(error, 'the row')}; a row is "
                '{"file": …, "model": …, "prompt": …, "prompt_id": …}'
            ) from None
        yield Example(path.parent / row.file, row.model, row.prompt, row.prompt_id)


def _parse(line: str) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        return None


def _of_folder(path: Path) -> Iterable[Example]:
    for folder in sorted(entry for entry in path.iterdir() if entry.is_dir()):
        for file in sorted(folder.iterdir()):
            if file.suffix.casefold() not in SUFFIXES:
                continue
            beside = file.with_suffix(".txt")
            prompt = beside.read_text("utf-8", "replace").strip() if beside.is_file() else ""
            yield Example(file, folder.name, prompt)
