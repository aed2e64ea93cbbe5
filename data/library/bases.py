"""The base model of a file: what its tensors leave open, its metadata, notes and names tell.

    base_of(file)   ->  Base("Pony", "trained on ponyDiffusionV6XL", None)

Tensors tell families apart, not base models with the same tensors. People's word (the user's, the hub's, a
sidecar's) comes before a trainer's, and that before names; a word that the tensors contradict is not
believed, but told.
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
"""Letters of a spelling that is looked for in file names: shorter ones are words of other things."""


@dataclass(frozen=True)
class Base:
    """``name`` by the table's spelling, or None; ``by`` what told it; ``doubt`` a word that was not
    believed."""

    name: str | None
    by: str = ""
    doubt: str | None = None


def base_of(file: File) -> Base:
    """The base model of a file that was read."""
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
    """The table's name for a base model as any program spells it; None where it has no row."""
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
    """Whether a file with the tensors of one base model may be of another: they share their LoRAs."""
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
    """Texts in which a base model may be named, and how long its spelling has to be there."""
    if file.facts.training.trained_on:
        yield file.facts.training.trained_on, f"trained on {file.facts.training.trained_on[:40]}", 4
    if file.facts.spec.name:
        yield file.facts.spec.name, "its title", SHORTEST
    inside = Path(file.shown)
    yield inside.stem, "its name", SHORTEST
    for folder in inside.parts[:-1]:
        yield folder, f"folder {folder[:40]}", 4


def _mentioned(text: str, tensor_base: str | None, shortest: int) -> str | None:
    """The base model that a text names, if the tensors allow it and do not tell as much themselves."""
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
