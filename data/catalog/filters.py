"""Availability filters: which versions of a Civitai model can be called, and why the others cannot.

In: an item of the models listing. Out: one :class:`PassingVersion` per base model (its newest version with a
usable file), or the reason why there is none. :data:`REASONS` lists the reasons in the order of the checks;
their counts over a listing are the funnel (the paper's Figure 2, "model screening").

The paper's quality filter (Bayesian rating, downloads) follows: it compares models of one type and base model
with each other, so it does not judge single items.
"""

from __future__ import annotations

import functools
import operator
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from diffagent.data.base_models import CRAWLED, LISTED, RUNNABLE, base_models_of, canonical_name, parts_of
from diffagent.data.catalog.samples import SFW_LEVELS
from diffagent.data.errors import BadInput
from diffagent.data.hubs.answers import date_of, is_placeholder
from diffagent.data.hubs.odd_rows import sound
from diffagent.data.prompts import is_sfw
from diffagent.data.records import ModelType

Item = Mapping[str, Any]

TYPES: Mapping[str, ModelType] = {
    "Checkpoint": "Checkpoint", "LORA": "LoRA", "LoRA": "LoRA", "LoCon": "LoRA", "DoRA": "LoRA",
}  # fmt: skip
WHOLE_FILES = ("Model", "Pruned Model")
PART_FILES = ("Diffusion Model", "UNet")
"""Files of checkpoints without text encoder and VAE, for base models that run in parts."""
MODEL_FILES = WHOLE_FILES + PART_FILES
_OTHER_FORMATS = ("gguf", "diffusers", "onnx", "core ml")
_QUANTISED = ("nf4", "nvfp4", "int4", "int8", "mxfp8")
"""Precisions that a server loads only with an extension."""

MODEL_REASONS = (
    "odd row", "type", "nsfw", "minor", "real person", "explicit words", "taken down", "archived",
    "no version",
)  # fmt: skip
VERSION_REASONS = (
    "base model", "inpainting", "another task", "nsfw version", "not published", "private",
    "generation only", "early access", "paid access", "no model file", "not safetensors", "scan", "no sha256",
)  # fmt: skip
REASONS = MODEL_REASONS + VERSION_REASONS
"""The reasons why a model is dropped; of its versions' reasons, the last one in this order."""

_SHA256 = re.compile(r"[0-9a-fA-F]{64}")
_REAL_PERSON = re.compile(
    r"\b(?:celebrit(?:y|ies)|real[ -](?:person|people|wom[ae]n|m[ae]n|girls?)|act(?:or|ress)(?:e?s)?|"
    r"politicians?|singers?|musicians?|(?<!virtual )youtubers?|tiktok(?:ers?)?|streamers?|influencers?|"
    r"supermodels?|athletes?|footballers?|porn ?stars?|k-?pop|(?:japanese|korean|chinese|gravure) idols?)\b"
)


CALLABLE = (*CRAWLED, *(name for name in LISTED if name in RUNNABLE and name not in CRAWLED))
"""The base models whose models become entries: those that the table can run."""


@dataclass(frozen=True)
class Scope:
    """The types and base models of a selection, as the catalog spells them."""

    base_models: tuple[str, ...] = CALLABLE
    types: tuple[ModelType, ...] = ("Checkpoint", "LoRA")

    @classmethod
    def of(cls, base_models: Sequence[str]) -> Scope:
        """Returns the scope of base models or families; without any, of all that can be run.

        Raises:
            BadInput: one is not a base model, or cannot be run.
        """
        names: dict[str, None] = {}
        for spelling in base_models:
            callable_names = [name for name in base_models_of(spelling) if name in CALLABLE]
            if not callable_names:
                raise BadInput(
                    f"base model {base_models_of(spelling)[0]!r} is added by hand, because nothing says how "
                    f"to run it: give another, such as {', '.join(CALLABLE[:3])}"
                )
            names |= dict.fromkeys(callable_names)
        return cls(tuple(names) or CALLABLE)


@dataclass(frozen=True)
class PassingVersion:
    """A model's newest usable version for one base model, and the file to call.

    ``family_versions`` are the model's versions for the base model without inpainting, this one included,
    newest first. Their images, hashes and AIRs belong to the entry.
    """

    type: ModelType
    base_model: str
    version: Item
    file: Item
    family_versions: tuple[Item, ...]


@dataclass(frozen=True)
class Verdict:
    """The filters' verdict on an item: the versions that passed, or why none did."""

    passed: tuple[PassingVersion, ...] = ()
    reason: str | None = None
    """One of REASONS; None where a version passed."""
    versions: Mapping[str, int] = field(default_factory=dict)
    """Reason → number of versions dropped for it."""


@dataclass
class Funnel:
    """Counts verdicts as items stream by: models and versions in, dropped by reason, entries out."""

    models: int = 0
    usable: int = 0
    entries: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    dropped_versions: Counter[str] = field(default_factory=Counter)

    def add(self, verdict: Verdict) -> None:
        self.models += 1
        self.usable += bool(verdict.passed)
        self.entries += len(verdict.passed)
        self.dropped_versions.update(verdict.versions)
        if verdict.reason is not None:
            self.dropped[verdict.reason] += 1

    def to_json(self) -> dict[str, Any]:
        order = [reason for reason in REASONS if reason in self.dropped]
        return {
            "models": self.models,
            "dropped": {reason: self.dropped[reason] for reason in order},
            "kept": self.usable,
            "entries": self.entries,
            "dropped_versions": {r: self.dropped_versions[r] for r in REASONS if r in self.dropped_versions},
        }


def judge(item: Item, scope: Scope | None = None) -> Verdict:
    """Judges which of the item's versions can be called within the scope (default: all supported)."""
    row = sound(item)
    return Verdict(reason="odd row") if row is None else _judge(row, scope or Scope())


def _judge(item: Item, scope: Scope) -> Verdict:
    reason = _model_reason(item, scope)
    if reason is not None:
        return Verdict(reason=reason)
    usable: dict[str, list[Item]] = {}
    candidates: dict[str, tuple[Item, Item]] = {}
    dropped: Counter[str] = Counter()
    for version in _newest_first(item["modelVersions"]):
        base = canonical_name(version.get("baseModel"))
        reason, file = _version_reason(item, version, base, scope)
        if reason not in ("base model", "inpainting"):
            usable.setdefault(base, []).append(version)
        if file is None:
            dropped[str(reason)] += 1
        else:
            candidates.setdefault(base, (version, file))
    if not candidates:
        return Verdict(reason=max(dropped, key=VERSION_REASONS.index), versions=dropped)
    kind = TYPES[item["type"]]
    order = sorted(candidates, key=lambda base: (scope.base_models.index(base), base))
    return Verdict(
        tuple(PassingVersion(kind, base, *candidates[base], tuple(usable[base])) for base in order),
        None,
        dropped,
    )


def passing(
    items: Iterable[Item], scope: Scope, funnel: Funnel | None = None
) -> Iterator[tuple[Item, PassingVersion]]:
    """Yields every item's passing versions in the items' order, and fills the funnel.

    The yielded items lack their odd rows (:mod:`diffagent.data.hubs.odd_rows`).
    """
    for row in items:
        item = sound(row)
        verdict = Verdict(reason="odd row") if item is None else _judge(item, scope)
        if funnel is not None:
            funnel.add(verdict)
        for candidate in verdict.passed:
            assert item is not None
            yield item, candidate


def is_flagged(item: Item) -> bool:
    """Whether Civitai or the model's words mark it as NSFW, as a minor or as a real person."""
    return _content_reason(item) is not None


def is_model_file(file: Item) -> bool:
    """Whether a file holds the model's own weights, not a VAE, text encoder or training data."""
    return file.get("type") in MODEL_FILES


def _model_reason(item: Item, scope: Scope) -> str | None:
    if TYPES.get(item.get("type", "")) not in scope.types:
        return "type"
    reason = _content_reason(item) or _MODES.get(str(item.get("mode")))
    if reason is None and not item.get("modelVersions"):
        return "no version"
    return reason


_MODES = {"Archived": "archived", "TakenDown": "taken down"}


def _content_reason(item: Item) -> str | None:
    if item.get("nsfw"):
        return "nsfw"
    if item.get("minor"):
        return "minor"
    tags = [str(tag).casefold().replace("_", " ") for tag in item.get("tags") or ()]
    if item.get("poi") or any(_REAL_PERSON.search(tag) for tag in tags):
        return "real person"
    return None if is_sfw("\n".join([str(item.get("name")), *tags])) else "explicit words"


def _version_reason(item: Item, version: Item, base: str, scope: Scope) -> tuple[str | None, Item | None]:
    """Returns (why the version cannot be called, None) or (None, the file to call)."""
    if base not in scope.base_models:
        return "base model", None
    files = [file for file in version.get("files") or () if file.get("type") in _files_of(item, base)]
    names = [item.get("name"), version.get("name"), *(file.get("name") for file in files)]
    if version.get("baseModelType") == "Inpainting" or any(
        "inpaint" in str(name).casefold() for name in names
    ):
        return "inpainting", None
    if version.get("baseModelType") in ("Refiner", "Pix2Pix"):
        return "another task", None
    if not _is_sfw_version(item, version):
        return "nsfw version", None
    reason = _why_not_to_be_had(item, version)
    if reason is not None:
        return reason, None
    if not files:
        return "no model file", None
    safe = [file for file in files if _is_safetensors(file)]
    if not safe:
        return "not safetensors", None
    clean = [f for f in safe if f.get("pickleScanResult") == f.get("virusScanResult") == "Success"]
    if not clean:
        return "scan", None
    hashed = [f for f in clean if _has_sha256(f)]
    if not hashed:
        return "no sha256", None
    return None, min(hashed, key=_preference)


def _files_of(item: Item, base: str) -> tuple[str, ...]:
    """The types of files that hold the model; bare transformers only where the base model runs in parts."""
    in_parts = any(part.role == "transformer" for part in parts_of(base))
    return MODEL_FILES if in_parts and TYPES[item["type"]] == "Checkpoint" else WHOLE_FILES


def _is_sfw_version(item: Item, version: Item) -> bool:
    """Whether the version shows something rated PG or PG-13; true on a hub without levels."""
    for level in (version.get("nsfwLevel"), _levels(version), item.get("nsfwLevel")):
        if isinstance(level, int) and not isinstance(level, bool):
            return bool(level & SFW_LEVELS)
    return True


def _levels(version: Item) -> int | None:
    """The levels of a version's images together, as a bit mask; None where they have none."""
    ratings = (image.get("nsfwLevel") for image in version.get("images") or ())
    levels = [level for level in ratings if isinstance(level, int)]
    return functools.reduce(operator.or_, levels) if levels else None


def _why_not_to_be_had(item: Item, version: Item) -> str | None:
    """Returns why the version cannot be downloaded for free, or None."""
    if version.get("status") not in (None, "Published"):
        return "not published"
    version_access, model_access = version.get("availability"), item.get("availability")
    if "Private" in (version_access, model_access):
        return "private"
    if version.get("usageControl") not in (None, "Download"):
        return "generation only"
    if version_access == "EarlyAccess" or (
        version_access is None and (model_access == "EarlyAccess" or _ends_later(version))
    ):
        return "early access"
    paid = version.get("paidAccess")
    is_paid = any(paid.values()) if isinstance(paid, dict) else paid
    return "paid access" if is_paid else None


def _ends_later(version: Item) -> bool:
    """Whether the early access ends in the future, for answers that give its end only."""
    ends = str(version.get("earlyAccessEndsAt") or version.get("earlyAccessDeadline") or "")
    return ends > datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _is_safetensors(file: Item) -> bool:
    form = str((file.get("metadata") or {}).get("format")).casefold()
    return str(file.get("name")).casefold().endswith(".safetensors") and form not in _OTHER_FORMATS


def _has_sha256(file: Item) -> bool:
    digest = str((file.get("hashes") or {}).get("SHA256"))
    return _SHA256.fullmatch(digest) is not None and not is_placeholder(digest)


def _preference(file: Item) -> tuple[bool, bool]:
    """The sort key of files: weights that every server loads first, then the primary file."""
    precision = str((file.get("metadata") or {}).get("fp")).casefold()
    return precision in _QUANTISED, not file.get("primary")


def _newest_first(versions: Iterable[Item]) -> list[Item]:
    return sorted(versions, key=lambda version: (date_of(version), version["id"]), reverse=True)
