"""Availability filters: which versions of a Civitai model can be called, and why the others cannot.

In: an item of the models listing. Out: one :class:`Passed` per base model (its newest version with a
usable file), or the reason why there is none. The reasons, in the order they are checked, are
:data:`REASONS`; counted over a listing they are the funnel (the paper's Figure 2, "model screening").

The paper's quality filter (Bayesian rating, downloads) comes after these, over ``Passed`` records:
it compares models of one type and base model with each other, so it is not a judgement of one item.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from diffagent.data.base_models import CRAWLED, named, spelled
from diffagent.data.errors import BadInput
from diffagent.data.prompts import is_sfw
from diffagent.data.records import ModelType

Item = Mapping[str, Any]

TYPES: Mapping[str, ModelType] = {"Checkpoint": "Checkpoint", "LORA": "LoRA", "LoRA": "LoRA"}
_MODEL_FILES = ("Model", "Pruned Model")

MODEL_REASONS = ("type", "nsfw", "real person", "explicit words", "no version")
VERSION_REASONS = ("base model", "inpainting", "no model file", "not safetensors", "scan", "no sha256")
REASONS = MODEL_REASONS + VERSION_REASONS
"""Why a model is dropped; of its versions' reasons, the one of the version that came furthest."""

_SHA256 = re.compile(r"[0-9a-fA-F]{64}")
_REAL_PERSON = re.compile(
    r"\b(?:celebrit(?:y|ies)|real[ -](?:person|people|wom[ae]n|m[ae]n|girls?)|act(?:or|ress)(?:e?s)?|"
    r"politicians?|singers?|musicians?|(?<!virtual )youtubers?|tiktok(?:ers?)?|streamers?|influencers?|"
    r"supermodels?|athletes?|footballers?|porn ?stars?|k-?pop|(?:japanese|korean|chinese|gravure) idols?)\b"
)


@dataclass(frozen=True)
class Scope:
    """What is wanted: types and base models, as the catalog spells them."""

    base_models: tuple[str, ...] = CRAWLED
    types: tuple[ModelType, ...] = ("Checkpoint", "LoRA")

    @classmethod
    def of(cls, base_models: Sequence[str]) -> Scope:
        """The scope of the given base models or families; of all that are crawled if none is given.

        Raises:
            BadInput: one is no base model, or none that is crawled.
        """
        names: dict[str, None] = {}
        for given in base_models:
            crawled = [name for name in named(given) if name in CRAWLED]
            if not crawled:
                raise BadInput(
                    f"base model {named(given)[0]!r} is added by hand and never crawled: "
                    f"give one of {', '.join(CRAWLED)}"
                )
            names |= dict.fromkeys(crawled)
        return cls(tuple(names) or CRAWLED)


@dataclass(frozen=True)
class Passed:
    """A model's newest usable version for one base model, and the file to call.

    ``family_versions`` are all versions of the model that this one stands for: same base model, no
    inpainting, newest first, this one included. Their images, hashes and AIRs belong to the entry.
    """

    type: ModelType
    base_model: str
    version: Item
    file: Item
    family_versions: tuple[Item, ...]


@dataclass(frozen=True)
class Verdict:
    """What became of an item: what passed, or else why nothing did."""

    passed: tuple[Passed, ...] = ()
    reason: str | None = None
    """One of REASONS; None where something passed."""
    versions: Mapping[str, int] = field(default_factory=dict)
    """Reason → number of versions dropped for it."""


@dataclass
class Funnel:
    """Counts verdicts as items stream by: models and versions in, dropped by reason, entries out."""

    models: int = 0
    kept: int = 0
    entries: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    dropped_versions: Counter[str] = field(default_factory=Counter)

    def add(self, verdict: Verdict) -> None:
        self.models += 1
        self.kept += bool(verdict.passed)
        self.entries += len(verdict.passed)
        self.dropped_versions.update(verdict.versions)
        if verdict.reason is not None:
            self.dropped[verdict.reason] += 1

    def to_json(self) -> dict[str, Any]:
        order = [reason for reason in REASONS if reason in self.dropped]
        return {
            "models": self.models,
            "dropped": {reason: self.dropped[reason] for reason in order},
            "kept": self.kept,
            "entries": self.entries,
            "dropped_versions": {r: self.dropped_versions[r] for r in REASONS if r in self.dropped_versions},
        }


def judge(item: Item, scope: Scope | None = None) -> Verdict:
    """Which of the item's versions can be called within the scope (default: all that is supported)."""
    scope = scope or Scope()
    reason = _model_reason(item, scope)
    if reason is not None:
        return Verdict(reason=reason)
    usable: dict[str, list[Item]] = {}
    passed: dict[str, tuple[Item, Item]] = {}
    dropped: Counter[str] = Counter()
    for version in _newest_first(item["modelVersions"]):
        base = spelled(version.get("baseModel"))
        reason, file = _version_reason(item, version, base, scope)
        if reason not in ("base model", "inpainting"):
            usable.setdefault(base, []).append(version)
        if file is None:
            dropped[str(reason)] += 1
        else:
            passed.setdefault(base, (version, file))
    if not passed:
        return Verdict(reason=max(dropped, key=VERSION_REASONS.index), versions=dropped)
    kind = TYPES[item["type"]]
    order = sorted(passed, key=lambda base: (scope.base_models.index(base), base))
    return Verdict(
        tuple(Passed(kind, base, *passed[base], tuple(usable[base])) for base in order), None, dropped
    )


def passing(
    items: Iterable[Item], scope: Scope, funnel: Funnel | None = None
) -> Iterator[tuple[Item, Passed]]:
    """Every item's passing versions in the items' order; fills in the funnel on the way."""
    for item in items:
        verdict = judge(item, scope)
        if funnel is not None:
            funnel.add(verdict)
        for passed in verdict.passed:
            yield item, passed


def is_flagged(item: Item) -> bool:
    """Whether Civitai or the words on it mark the model as NSFW or as a real person."""
    return _content_reason(item) is not None


def _model_reason(item: Item, scope: Scope) -> str | None:
    if TYPES.get(item.get("type", "")) not in scope.types:
        return "type"
    reason = _content_reason(item)
    if reason is None and not item.get("modelVersions"):
        return "no version"
    return reason


def _content_reason(item: Item) -> str | None:
    if item.get("nsfw"):
        return "nsfw"
    tags = [str(tag).casefold().replace("_", " ") for tag in item.get("tags") or ()]
    if item.get("poi") or any(_REAL_PERSON.search(tag) for tag in tags):
        return "real person"
    return None if is_sfw("\n".join([str(item.get("name")), *tags])) else "explicit words"


def _version_reason(item: Item, version: Item, base: str, scope: Scope) -> tuple[str | None, Item | None]:
    """Why the version cannot be called, or (None, the file to call)."""
    if base not in scope.base_models:
        return "base model", None
    files = [file for file in version.get("files") or () if file.get("type") in _MODEL_FILES]
    names = [item.get("name"), version.get("name"), *(file.get("name") for file in files)]
    if any("inpaint" in str(name).casefold() for name in names):
        return "inpainting", None
    if not files:
        return "no model file", None
    safe = [file for file in files if str(file.get("name")).casefold().endswith(".safetensors")]
    if not safe:
        return "not safetensors", None
    clean = [f for f in safe if f.get("pickleScanResult") == f.get("virusScanResult") == "Success"]
    if not clean:
        return "scan", None
    hashed = [f for f in clean if _SHA256.fullmatch(str((f.get("hashes") or {}).get("SHA256")))]
    if not hashed:
        return "no sha256", None
    return None, next((file for file in hashed if file.get("primary")), hashed[0])


def _newest_first(versions: Iterable[Item]) -> list[Item]:
    return sorted(versions, key=lambda version: (str(version.get("createdAt")), version["id"]), reverse=True)
