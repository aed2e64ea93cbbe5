"""Queries on the table of base models.

    find("stable_diffusion_xl").name                        "SDXL 1.0"
    find("SD 1.5").backends.diffusers                       "StableDiffusionPipeline"
    base_models_of("sd1")                                   ("SD 1.4", "SD 1.5", "SD 1.5 LCM", "SD 1.5 Hyper")
    crosses("SD 1.4", "SD 1.5")                             ("same", "")
    by_header({"double_blocks.0.…": [9, 9]}, {})            "Flux.1 D"

The rows are in :mod:`diffagent.data.base_model_rows`, the columns in :mod:`diffagent.data.base_model_facts`.
A new base model is a new row there; one without a row can be crawled but not run.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from functools import cache, lru_cache
from typing import Any, NamedTuple

from diffagent.data.base_model_facts import (
    Backends,
    BaseModelFacts,
    Crossing,
    Family,
    Fingerprint,
    Fit,
    LoraMark,
    Part,
)
from diffagent.data.base_model_rows import BUILT, FILE_NAMES, TABLE
from diffagent.data.base_model_rows import FAMILIES as _FAMILIES
from diffagent.data.errors import BadInput

__all__ = ["TABLE", "Backends", "BaseModelFacts", "Crossing", "Family", "Fingerprint", "Fit", "LoraMark"]

FAMILIES: Mapping[str, str] = {
    row.family: _FAMILIES[row.family].title if row.family in _FAMILIES else row.name
    for row in reversed(TABLE)
}
"""Family → its title."""
USUAL = next(row for row in TABLE if row.name == "SD 1.5")
"""The base model of models that name none."""
OTHER = next(row for row in TABLE if row.family == "other")
"""The row of base models without a row: added by hand, run only by servers that take a model's name."""
CRAWLED: tuple[str, ...] = tuple(row.name for row in TABLE if row.entries == "crawled")
"""The base models of every crawl."""
LISTED: tuple[str, ...] = tuple(row.name for row in TABLE if row.entries != "none")
"""The base models that a catalog's entries may have."""
RUNNABLE: tuple[str, ...] = tuple(row.name for row in TABLE if row.grade == "runnable")
"""The base models whose columns are all known."""


SHORTEST = 4
"""The least letters of a spelling that is looked up in file names; shorter ones match other words."""


class Cross(NamedTuple):
    """Whether LoRAs of one base model run on checkpoints of another, with a note for the user."""

    fit: Fit | None
    note: str = ""


def find(base_model: str) -> BaseModelFacts | None:
    """Returns the row of a base model by any of its spellings, or None."""
    row = _by_name().get(base_model)
    return row if row is not None else _by_spelling().get(_key(base_model))


def canonical_name(base_model: object) -> str:
    """Returns a base model's name in the catalog; a text without a row is returned, on one line."""
    if not isinstance(base_model, str):
        return ""
    row = find(base_model)
    return " ".join(base_model.split()) if row is None else row.name


def family_of(base_model: str) -> str:
    """The family of a base model; one without a row is its own family."""
    row = _by_name().get(base_model) or find(base_model)
    return base_model.casefold() if row is None else row.family


def ecosystem_of(base_model: str) -> str:
    """The ecosystem of a base model's AIRs."""
    row = find(base_model)
    return OTHER.ecosystem if row is None else row.ecosystem


def side_of(base_model: str) -> int:
    """The side of a base model's usual square in pixels; where unknown, that of SD 1.5."""
    row = find(base_model)
    side = (row.side if row is not None else None) or USUAL.side
    assert side is not None
    return side


def is_meant(spelling: str, base_model: str) -> bool:
    """Whether a spelling stands for ``base_model``; a name without a row stands for itself."""
    return base_model in meant_by(spelling) or spelling.casefold() == base_model.casefold()


def base_models_of(spelling: str) -> tuple[str, ...]:
    """The catalog base models that a name, a family, an ecosystem or a LoRA group stands for.

    Raises:
        BadInput: it is none of them.
    """
    names = tuple(name for name in meant_by(spelling) if name in LISTED)
    if not names:
        spellings = {name.casefold(): name for name in (*FAMILIES, *LISTED)}
        near = get_close_matches(spelling.casefold(), spellings, 3, 0.4)
        suggestions = ", ".join(spellings[key] for key in near) or examples()
        raise BadInput(f"no base model {spelling!r} is supported: the nearest are {suggestions}")
    return names


def crosses(lora: str, checkpoint: str) -> Cross:
    """How LoRAs of one base model run on checkpoints of another.

    "same": fully; "partial": with part of their effect, as the note says; None: not at all, or unknown.
    """
    of_lora, of_checkpoint = find(lora), find(checkpoint)
    if of_lora is None or of_checkpoint is None or of_lora.lora_group is None:
        return Cross(None)
    if of_lora.lora_group == of_checkpoint.lora_group:
        return Cross("same")
    for crossing in of_checkpoint.crossings:
        if crossing.group == of_lora.lora_group:
            reason = f": {crossing.note}" if crossing.note else ""
            return Cross(
                crossing.fit,
                f"a LoRA of {of_lora.name} has only part of its effect on a checkpoint of "
                f"{of_checkpoint.name}{reason}",
            )
    return Cross(None)


def lora_fit(*, lora: str, checkpoint: str) -> Fit | None:
    """The fit of :func:`crosses` without its note."""
    return crosses(lora, checkpoint).fit


def crossed_by(checkpoint: str) -> tuple[str, ...]:
    """The base models whose LoRAs run partially on a base model's checkpoints."""
    return tuple(row.name for row in TABLE if crosses(row.name, checkpoint).fit == "partial")


def forbids_sale(base_model: str) -> bool:
    """Whether the base model's own licence forbids commercial use, whatever an uploader allows."""
    row = find(base_model)
    return row is not None and row.licence is not None and row.licence.commercial is False


def parts_of(base_model: str) -> tuple[Part, ...]:
    """The files that models of a base model need; empty where unknown."""
    row = find(base_model)
    return () if row is None or row.parts is None else row.parts


def backend(base_model: str, target: str) -> str | None:
    """How a target runs a base model, in the target's own term; None where it does not, or where no request
    is built for it."""
    row = find(base_model)
    term = None if row is None else getattr(row.backends, target, None)
    return term if term in BUILT.get(target, ()) else None


def refusal(base_model: str, target: str, field: str) -> str | None:
    """Why a target refuses a call's field for this base model only; None where it takes it."""
    row = find(base_model)
    rules = row.backends.refused if row is not None else ()
    return next((reason for api, name, reason in rules if (api, name) == (target, field)), None)


def run_by(target: str) -> tuple[str, ...]:
    """The base models of catalogs that a target runs."""
    return tuple(name for name in LISTED if backend(name, target) is not None)


@cache
def civitai_recipes() -> Mapping[str, str]:
    """AIR ecosystem → the ecosystem of Civitai's recipe that runs its checkpoints."""
    terms = ((row, backend(row.name, "civitai")) for row in TABLE)
    return {ecosystem: term for row, term in terms if term is not None for ecosystem in row.ecosystems}


def usual_of(spelling: str) -> str | None:
    """The base model that a family's bare name means; None where it means any, or is not a family."""
    words = " ".join(spelling.casefold().split())
    family = words if words in FAMILIES else _family_spellings().get(_key(words), "")
    facts = _FAMILIES.get(family)
    return None if facts is None else facts.usual


def by_context(width: int) -> str | None:
    """The base model whose cross-attention reads text states of this width, or None."""
    rows = (row for row in TABLE if row.fingerprint is not None and row.fingerprint.context == width)
    return next((row.name for row in rows), None)


def by_keys(tensors: Mapping[str, Any]) -> str | None:
    """The base model whose fingerprint best matches a file's tensors (name → shape), or None."""
    header = _TensorNames.of(tensors)
    best = max(((_closeness(row.fingerprint, header), -n) for n, row in enumerate(TABLE)), default=(0, 0))
    return TABLE[-best[1]].name if best[0] else None


def by_header(tensors: Mapping[str, Any], metadata: Mapping[str, str]) -> str | None:
    """The base model of a safetensors header; None where the header does not identify one.

    Args:
        tensors: names → shapes.
        metadata: the header's ``__metadata__``. Its architecture counts unless the tensors contradict it; its
            names tell apart related base models with the same tensors.
    """
    widths = sorted(
        {
            shape[1]
            for name, shape in tensors.items()
            if name.endswith(CONTEXT_KEYS) and len(shape) in (2, 4) and not _OF_TRANSFORMER.match(name)
        }
    )
    candidate = by_keys(tensors) or next(filter(None, map(by_context, reversed(widths))), None)
    architecture = _by_architecture(metadata)
    if architecture is not None and (
        candidate is None or _root(architecture) == _root(candidate) or _may_be(architecture, tensors)
    ):
        candidate = architecture
    is_lora = any("lora_" in name for name in tensors)
    words = metadata.get("ss_sd_model_name" if is_lora else "modelspec.title", "").casefold()
    if candidate is None:
        return None
    root = _root(candidate)
    hits = [
        (max(map(len, names)), -n)
        for n, row in enumerate(TABLE)
        if row.fingerprint is not None
        and _root(row.name) == root
        and (names := [name for name in row.fingerprint.names if name in words])
    ]
    return TABLE[-max(hits)[1]].name if hits else candidate


def by_file_name(text: str) -> str | None:
    """The base model with the longest spelling in a file's name or folder; else the one whose pattern
    fits."""
    flat = _flat(text)
    spellings = (
        (len(key), row.name)
        for row in TABLE
        for spelling in (row.name, *row.spellings)
        if len(key := _flat(spelling)) >= SHORTEST and key in flat
    )
    longest = max(spellings, key=lambda pair: pair[0], default=None)
    if longest is not None:
        return longest[1]
    return next((name for name, pattern in FILE_NAMES.items() if re.search(pattern, text, re.I)), None)


def examples(most: int = 3) -> str:
    """Examples of what ``--base-model`` takes, for messages."""
    usual = {row.family: row.name for row in TABLE if row.entries == "crawled"}
    pairs = list(usual.items())[:most]
    names, families = ", ".join(f'"{name}"' for _, name in pairs), ", ".join(family for family, _ in pairs)
    return f"base model ({names}) or family ({families})"


def families() -> Iterator[tuple[str, str]]:
    """The families of crawled base models with their titles, in the table's order."""
    for family in dict.fromkeys(row.family for row in TABLE if row.entries == "crawled"):
        yield family, FAMILIES[family]


def _flat(text: str) -> str:
    return re.sub(r"[\W_]+", "", text.casefold())


def _key(spelling: str) -> str:
    return re.sub(r"[\s._-]+", "", spelling.casefold())


@cache
def _by_name() -> Mapping[str, BaseModelFacts]:
    return {row.name: row for row in TABLE}


@cache
def _by_spelling() -> Mapping[str, BaseModelFacts]:
    rows: dict[str, BaseModelFacts] = {}
    for row in TABLE:
        rows |= dict.fromkeys(map(_key, (row.name, *row.spellings)), row)
    for row in TABLE:
        for word in row.words:
            rows.setdefault(_key(word), row)
        if row.backends.horde is not None:
            rows.setdefault(_key(row.backends.horde), row)
    return rows


@cache
def _groups() -> Mapping[str, tuple[str, ...]]:
    """Families, ecosystems and LoRA groups → their base models; on a clash the first of the three holds."""
    groups: dict[str, tuple[str, ...]] = {}
    for kind in ("family", "ecosystem", "lora_group"):
        rows: dict[str, list[str]] = {}
        for row in TABLE:
            if getattr(row, kind):
                rows.setdefault(getattr(row, kind), []).append(row.name)
        groups = {word: tuple(names) for word, names in rows.items()} | groups
    return groups


@cache
def _family_spellings() -> Mapping[str, str]:
    return {
        _key(spelling): name
        for name, family in _FAMILIES.items()
        for spelling in (*family.spellings, *family.words, family.title)
    }


@lru_cache(256)
def meant_by(spelling: str) -> tuple[str, ...]:
    """The base models of a name, a spelling, a family, an ecosystem or a LoRA group, tried in this order."""
    words = " ".join(spelling.casefold().split())
    for name in _by_name():
        if name.casefold() == words:
            return (name,)
    row = None if words in FAMILIES else find(words)
    if row is not None:
        return (row.name,)
    return _groups().get(_family_spellings().get(_key(words), words), ())


CONTEXT_KEYS = ("attn2.to_k.weight", "attn2_to_k.lora_down.weight", "attn2.to_k.lora_A.weight")
"""Endings of the names of tensors that read the text states."""
_OF_TRANSFORMER = re.compile(
    r"(?:(?:model\.)?diffusion_model\.|transformer\.|lora_unet_|lora_transformer_)?transformer_blocks[._]"
)
"""A layer of a transformer; a UNet's transformer blocks are nested in others."""


def _normal(name: str) -> str:
    """A tensor's name with underscores for dots, as in kohya's LoRAs."""
    return name.replace(".", "_")


class _TensorNames(NamedTuple):
    """A file's shapes by normalised tensor name, and all names as one text."""

    shapes: Mapping[str, Any]
    names: str

    @classmethod
    def of(cls, tensors: Mapping[str, Any]) -> _TensorNames:
        shapes = {_normal(name): shape for name, shape in tensors.items()}
        return cls(shapes, "\n".join(shapes))

    def has(self, part: str) -> bool:
        return _normal(part) in self.names

    def tensors_with(self, part: str) -> list[tuple[str, Any]]:
        """The tensors whose names contain ``part``."""
        key = _normal(part)
        return [(name, shape) for name, shape in self.shapes.items() if key in name] if self.has(part) else []


def _closeness(mark: Fingerprint | None, header: _TensorNames) -> int:
    """The number of a fingerprint's marks in a file's tensors; 0 where one is missing."""
    if mark is None:
        return 0
    others = max((_closeness(other, header) for other in mark.also), default=0)
    if not (mark.keys or mark.lora) or any(map(header.has, mark.absent)):
        return others
    loras = sum(
        _has_mark(lora_mark, header) * (1 + (lora_mark.reads is not None) + (lora_mark.writes is not None))
        for lora_mark in mark.lora
    )
    if loras and "lora" in header.names:
        return max(loras, others)
    if not mark.keys or not all(map(header.has, mark.keys)):
        return others
    sized = all(
        any(len(shape) > at and shape[at] == size for _, shape in header.tensors_with(key))
        for key, at, size in mark.shapes
    )
    return max(len(mark.keys) + len(mark.shapes) + len(mark.absent) if sized else 0, others)


def _may_be(base_model: str, tensors: Mapping[str, Any]) -> bool:
    """Whether a file's tensors match a base model's fingerprint, perhaps among others."""
    row = find(base_model)
    return row is not None and _closeness(row.fingerprint, _TensorNames.of(tensors)) > 0


def _has_mark(mark: LoraMark, header: _TensorNames) -> bool:
    """Whether a LoRA has a tensor of the mark with the mark's widths."""
    tensors = header.tensors_with(mark.key)
    downs = [
        shape[-1] for name, shape in tensors if re.search(r"lora_(?:down|A)(?:_|$)", name) and len(shape) == 2
    ]
    ups = [
        shape[0] for name, shape in tensors if re.search(r"lora_(?:up|B)(?:_|$)", name) and len(shape) == 2
    ]
    reads = mark.reads is None or mark.reads in downs
    return bool(tensors) and reads and (mark.writes is None or mark.writes in ups)


def _by_architecture(metadata: Mapping[str, str]) -> str | None:
    architectures = {
        metadata.get("modelspec.architecture", "").split("/")[0].casefold(),
        metadata.get("ss_base_model_version", "").casefold(),
    } - {""}
    rows = (row for row in TABLE if row.fingerprint and architectures & {*row.fingerprint.architectures})
    return next((row.name for row in rows), None)


@cache
def _root(base_model: str) -> str:
    """The first ancestor of a base model."""
    row = _by_name()[base_model]
    return row.name if row.parent is None else _root(row.parent)
