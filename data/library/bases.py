"""The base model of a file, by its tensors, metadata, notes and names.

    base_of(file)   ->  Base("Pony", "trained on ponyDiffusionV6XL", None)

Tensors tell families apart, but not base models with the same tensors. Statements of people (the user, the
hub, a sidecar) come before the trainer's, and those before names. A statement that contradicts the tensors is
not used, but reported.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from diffagent.data.base_models import OTHER, TABLE, base_models_of, find, lora_fit
from diffagent.data.errors import BadInput
from diffagent.data.library.state import File

SHORTEST = 5
"""The least letters of a spelling in file names; shorter ones match other words."""


@dataclass(frozen=True)
class Base:
    """A file's base model: ``name`` in the table, or None; ``by`` its evidence; ``doubt`` a contradicting
    statement."""

    name: str | None
    by: str = ""
    doubt: str | None = None


def base_of(file: File) -> Base:
    """Determines the base model of a file."""
    override = file.override.base_model
    if override is not None:
        return Base(row_name(override) or override, "your word")
    tensor_base = file.facts.base_model
    doubt = None
    for text, by in _people(file):
        name = row_name(text)
        if name is None:
            continue
        if name == tensor_base:
            return Base(tensor_base, file.facts.by)
        if tensor_base is None or fits(tensor_base, name):
            return Base(name, by)
        doubt = doubt or f"{by} says {name}"
    for spelling in (file.facts.spec.base_model, file.facts.training.base):
        if tensor_base is None and spelling and (name := row_name(spelling)):
            return Base(name, "its metadata", doubt)
    if file.facts.by != "its metadata":
        for text, by, shortest in _names(file):
            name = _mentioned(text, tensor_base, shortest)
            if name is not None:
                return Base(name, by, doubt)
    return Base(tensor_base, file.facts.by, doubt)


def row_name(text: str) -> str | None:
    """The table's name for a base model in any program's spelling, or None."""
    for part in (text, text.partition("/")[0]):
        row = find(part)
        if row is not None:
            return row.name if row != OTHER else None
        try:
            return base_models_of(part)[-1]
        except BadInput:
            continue
    return None


def fits(base: str, name: str) -> bool:
    """Whether a file with the tensors of one base model may be of another: their LoRAs are compatible."""
    if base == name or (family := find(base)) is None or (other := find(name)) is None:
        return base == name
    return (
        family.family == other.family
        or lora_fit(lora=base, checkpoint=name) is not None
        or lora_fit(lora=name, checkpoint=base) is not None
    )


def _people(file: File) -> Iterator[tuple[str, str]]:
    version = (file.hub or {}).get("version") or {}
    if version.get("baseModel"):
        yield str(version["baseModel"]), "the hub"
    if file.notes.base_model:
        yield file.notes.base_model, "its " + (file.notes.sources[0] if file.notes.sources else "sidecar")


def _names(file: File) -> Iterator[tuple[str, str, int]]:
    """Yields texts that may name a base model, their description, and the least length of a spelling."""
    if file.facts.training.trained_on:
        yield file.facts.training.trained_on, f"trained on {file.facts.training.trained_on[:40]}", 4
    if file.facts.spec.name:
        yield file.facts.spec.name, "its title", SHORTEST
    inside = Path(file.shown)
    yield inside.stem, "its name", SHORTEST
    for folder in inside.parts[:-1]:
        yield folder, f"folder {folder[:40]}", 4


def _mentioned(text: str, tensor_base: str | None, shortest: int) -> str | None:
    """The base model that a text names more precisely than the tensors do and without contradiction, or
    None."""
    flat = _flat(text)
    best: tuple[int, str] | None = None
    for row in TABLE:
        if row.name == tensor_base or tensor_base is None or not fits(tensor_base, row.name) or row == OTHER:
            continue
        for spelling in (row.name, *row.spellings):
            key = _flat(spelling)
            if len(key) >= shortest and key in flat and (best is None or len(key) > best[0]):
                best = len(key), row.name
    longest = max(
        (
            len(_flat(s))
            for row in TABLE
            if row.name == tensor_base
            for s in (row.name, *row.spellings)
            if _flat(s) in flat
        ),
        default=0,
    )
    return best[1] if best is not None and best[0] > longest else None


def _flat(text: str) -> str:
    return re.sub(r"[\W_]+", "", text.casefold())
