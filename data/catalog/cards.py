"""Cards: the catalog entries of a crawl, one per model and base model at its newest usable version.

Two passes over the models, in constant memory beyond a table of hashes:

    first_pass = survey(raw.models(), scope)          # hash → checkpoint, and flags
    for card, samples in entries(raw.models(), first_pass, scope, keep=is_train): …

A card holds facts and counts only: its description is composed, never the uploader's text, and its usage
counts only samples that pass ``keep``, so that held-out images leave no trace.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from diffagent.data.air import AIR, CIVITAI
from diffagent.data.base_models import ecosystem_of, forbids_sale
from diffagent.data.catalog.filters import (
    PART_FILES,
    Funnel,
    Item,
    PassingVersion,
    Scope,
    is_flagged,
    is_model_file,
    passing,
)
from diffagent.data.catalog.quality import Standing
from diffagent.data.catalog.samples import invoked_lora, samples, stem
from diffagent.data.catalog.texts import about_text, clean
from diffagent.data.hubs.answers import date_of, is_placeholder
from diffagent.data.hubs.odd_rows import count, rating, sound
from diffagent.data.prompts import bare_words, is_sfw, strip_lora_tags
from diffagent.data.records import Card, Licence, ModelType, Sample, Stats, Usage

_HEX = re.compile(r"[0-9a-f]{8,64}")
COMMERCIAL = ("Image", "Rent", "Sell")
AIR_TYPES: Mapping[str, str] = {"LoCon": "lycoris", "DoRA": "dora"}
"""Civitai's type of model → the type in its AIR, where it is not ``checkpoint`` or ``lora``."""
_TELLS_NOTHING = frozenset(
    (
        "lora",
        "locon",
        "lycoris",
        "checkpoint",
        "base model",
        "model",
        "merge",
        "mix",
        "sd",
        "stable diffusion",
    )
)


class Entry(NamedTuple):
    """A card with the samples behind its counts, its file names as :func:`stem` gives them, and the
    uploader's text, which no catalog stores."""

    card: Card
    samples: tuple[Sample, ...] = ()
    stems: frozenset[str] = frozenset()
    about: str = ""


@dataclass(frozen=True)
class Survey:
    """The first pass: each checkpoint's AIR by hash and, as ``@ID``, by version; what Civitai flags; the
    community's ratings."""

    checkpoints: Mapping[str, str] = field(default_factory=dict)
    flagged_ids: frozenset[int] = frozenset()
    flagged_hashes: frozenset[str] = frozenset()
    standings: tuple[Standing, ...] = ()


def survey(items: Iterable[Item], scope: Scope | None = None, funnel: Funnel | None = None) -> Survey:
    """Makes the first pass. A hash that several models share means the most downloaded one."""
    best: dict[str, tuple[int, int, str]] = {}
    flagged_ids: set[int] = set()
    flagged_hashes: set[str] = set()
    standings: list[Standing] = []

    def watched() -> Iterator[Item]:
        for row in items:
            item = sound(row)
            if item is None:
                yield row
                continue
            if is_flagged(item):
                flagged_ids.add(item["id"])
                flagged_hashes.update(file_hashes(item.get("modelVersions") or ()))
            yield item

    for item, candidate in passing(watched(), scope or Scope(), funnel):
        own_air, stats = air(item, candidate.base_model, candidate), _stats(item)
        standings.append(Standing(own_air, (candidate.type, candidate.base_model), stats))
        if candidate.type == "Checkpoint":
            rank = (-stats.downloads, item["id"], own_air)
            versions = (f"@{version['id']}" for version in candidate.family_versions)
            for name in (*file_hashes(candidate.family_versions), *versions):
                best[name] = min(rank, best.get(name, rank))
    checkpoints = {digest: rank[2] for digest, rank in best.items()}
    standings.sort(key=lambda standing: standing.air)
    return Survey(checkpoints, frozenset(flagged_ids), frozenset(flagged_hashes), tuple(standings))


def entries(
    items: Iterable[Item],
    first_pass: Survey,
    scope: Scope | None = None,
    keep: Callable[[Sample], bool] = lambda sample: True,
    dropped: Counter[str] | None = None,
) -> Iterator[Entry]:
    """Makes the second pass: yields an entry per passing version, in the items' order, names unique.

    ``dropped`` counts the entries' images that are not samples, by reason.
    """
    names = Names()
    for item, candidate in passing(items, scope or Scope()):
        gallery = tuple(s for s in entry_samples(item, candidate, dropped) if keep(s))
        counts = usage(candidate, air(item, candidate.base_model, candidate), gallery, first_pass)
        about = about_text(item, candidate.version["id"])
        yield Entry(card(item, candidate, names, counts, gallery), gallery, stems(candidate), about)


def entry_samples(
    item: Item, candidate: PassingVersion, dropped: Counter[str] | None = None
) -> Iterator[Sample]:
    """The samples of all versions of an entry."""
    return samples(item, {version["id"] for version in candidate.family_versions}, dropped)


def card(
    item: Item, candidate: PassingVersion, names: Names, counts: Usage, gallery: Sequence[Sample] = ()
) -> Card:
    """Returns one catalog entry; its name is claimed from ``names``."""
    version, file = candidate.version, candidate.file
    others = [v for v in candidate.family_versions if v["id"] != version["id"]]
    hashes = file_hashes([{"files": [file]}, version, *others])
    tags = _distinct(clean(tag) for tag in item.get("tags") or ())
    texts = (strip_lora_tags(str(word)) for word in version.get("trainedWords") or ())
    words = _distinct(clean(piece) for text in texts for piece in text.split(","))
    words = tuple(word for word in words if is_sfw(word))
    needed = needed_words(words, [sample.prompt for sample in gallery])
    return Card(
        name=names.claim(clean(item.get("name")), item["id"], version["id"]),
        type=candidate.type,
        base_model=candidate.base_model,
        air=air(item, candidate.base_model, candidate),
        model_id=item["id"],
        version_id=version["id"],
        version_name=clean(version.get("name")),
        sha256=file["hashes"]["SHA256"].lower(),
        autov2=file["hashes"]["SHA256"][:10].lower(),
        file_name=clean(file.get("name")),
        tags=tags,
        trigger_words=needed,
        stats=_stats(item),
        licence=_licence(item, candidate.base_model),
        usage=counts,
        description=compose(candidate.type, candidate.base_model, tags, words),
        created_at=date_of(version),
        older_airs=tuple(air(item, candidate.base_model, candidate, v["id"]) for v in others),
        hashes=hashes,
        optional_words=tuple(word for word in words if word not in needed),
    )


def needed_words(words: Sequence[str], prompts: Sequence[str]) -> tuple[str, ...]:
    """Returns the trigger words in at least half of the model's sample prompts, else the most used one.

    Uploaders also list alternatives (a word per character, outfit or version): people use both of two words
    in 39 % of a LoRA's images, all of three in 19 %.
    """
    flat = [f" {bare_words(prompt)} " for prompt in prompts]
    uses = {word: sum(f" {bare_words(word)} " in prompt for prompt in flat) for word in words}
    often = tuple(word for word in words if prompts and 2 * uses[word] >= len(prompts))
    return often or tuple(sorted(words, key=lambda word: -uses[word])[:1])


def air(item: Item, base_model: str, candidate: PassingVersion, version_id: int | None = None) -> str:
    """Returns the AIR of a version of the item, by default the passing one."""
    number = candidate.version["id"] if version_id is None else version_id
    kind = AIR_TYPES.get(item["type"], candidate.type.casefold())
    if candidate.file.get("type") in PART_FILES:
        kind = str(candidate.file["type"]).casefold().replace(" ", "")
    return str(AIR(ecosystem_of(base_model), kind, CIVITAI, str(item["id"]), str(number)))


def usage(candidate: PassingVersion, own_air: str, gallery: Iterable[Sample], first_pass: Survey) -> Usage:
    """Counts the settings of the model's samples.

    Inpainting does not count, nor the sizes of img2img, nor images of other models: a checkpoint's image with
    another entry's hash, a LoRA's image that names other LoRAs only.
    """
    counts: dict[str, Counter[Any]] = {name: Counter() for name in Usage.__dataclass_fields__}
    hashes = frozenset(file_hashes(candidate.family_versions))
    names, versions = stems(candidate), frozenset(version["id"] for version in candidate.family_versions)
    for sample in gallery:
        checkpoint = checkpoint_of(sample, first_pass.checkpoints)
        if sample.inpainting:
            continue
        if candidate.type == "Checkpoint" and checkpoint not in (None, own_air):
            continue
        if candidate.type == "LoRA" and sample.loras:
            lora = invoked_lora(sample, hashes, names, versions)
            if lora is None:
                continue
            if lora.weight is not None:
                counts["lora_weight"][round(round(lora.weight * 20) / 20, 2)] += 1
            if checkpoint is not None and same_ecosystem(checkpoint, own_air):
                counts["checkpoints"][checkpoint] += 1
        _count_settings(counts, sample)
    return Usage(**{name: _by_count(counter) for name, counter in counts.items()})


def checkpoint_of(sample: Sample, checkpoints: Mapping[str, str]) -> str | None:
    """The AIR of the checkpoint that an image names by hash or else by version; None where unknown.

    Args:
        sample: an image.
        checkpoints: those of a :class:`Survey`.
    """
    by_hash = checkpoints.get(sample.checkpoint_hash or "")
    return by_hash if by_hash is not None else checkpoints.get(f"@{sample.checkpoint_version_id}")


def stems(candidate: PassingVersion) -> frozenset[str]:
    """The entry's file names as prompts may spell them."""
    files = (file for version in candidate.family_versions for file in version.get("files") or ())
    return frozenset(stem(str(file.get("name"))) for file in files)


def same_ecosystem(air: str, other: str) -> bool:
    """Whether two AIRs are of one ecosystem."""
    return AIR.parse(air).ecosystem == AIR.parse(other).ecosystem


def file_hashes(versions: Iterable[Item]) -> tuple[str, ...]:
    """Returns the distinct hashes of the versions' model files, lower case, in order.

    VAEs, configurations and training data are left out, because many models share them; so is the hash of an
    empty file, which some files have for an AutoV3.
    """
    digests: dict[str, None] = {}
    for version in versions:
        for file in version.get("files") or ():
            if not is_model_file(file):
                continue
            hashes = file.get("hashes") or {}
            sha256 = str(hashes.get("SHA256") or "")
            every = (
                str(digest).casefold().removeprefix("0x")
                for digest in (sha256, sha256[:10], *hashes.values())
            )
            valid = (digest for digest in every if _HEX.fullmatch(digest) and not is_placeholder(digest))
            digests.update(dict.fromkeys(valid))
    return tuple(digests)


def compose(kind: ModelType, base_model: str, tags: Iterable[str], words: Iterable[str]) -> str:
    """Returns a description of one or two sentences, made of facts alone."""
    telling = [tag for tag in tags if tag.casefold() not in _TELLS_NOTHING][:8]
    short = [word for word in words if len(word) <= 60][:4]
    first = f"{base_model} {kind if kind == 'LoRA' else 'checkpoint'}"
    first += f": {', '.join(telling)}." if telling else "."
    return first + (f" Trigger words: {'; '.join(short)}." if short else "")


@dataclass
class Names:
    """Names that are unique by NFKC and case folding; a later claim gets `` (id)``."""

    keys: set[str] = field(default_factory=set)

    def claim(self, name: str, *ids: int | str) -> str:
        """Returns the name, with the first id that makes it unique where needed.

        An empty name becomes "model ID", so at least one id is needed.
        """
        name = name or f"model {ids[0]}"
        numbered = (f"{name} ({ids[-1]}, {n})" for n in itertools.count(2))
        for choice in itertools.chain([name], (f"{name} ({i})" for i in ids), numbered):
            key = name_key(choice)
            if key not in self.keys:
                break
        self.keys.add(key)
        return choice


def name_key(name: str) -> str:
    """The key of equal names: NFKC, case-folded, single spaces."""
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


def _count_settings(counts: Mapping[str, Counter[Any]], sample: Sample) -> None:
    for name in ("sampler", "steps", "cfg_scale", "clip_skip"):
        value = sample.joined_sampler if name == "sampler" else getattr(sample, name)
        if value is not None:
            counts[name][round(float(value), 2) if name == "cfg_scale" else value] += 1
    if sample.width is not None and not sample.img2img:
        counts["size"][f"{sample.width}x{sample.height}"] += 1


def _by_count(counter: Counter[Any]) -> dict[Any, int]:
    return dict(sorted(counter.items(), key=lambda pair: (-pair[1], pair[0])))


def _distinct(texts: Iterable[str]) -> tuple[str, ...]:
    first: dict[str, str] = {}
    for text in filter(None, texts):
        first.setdefault(text.casefold(), text)
    return tuple(first.values())


def _stats(item: Item) -> Stats:
    """The statistics by stars of the older API, or by thumbs of today's: up is 5, down is 1."""
    stats = item.get("stats") or {}
    up, down = count(stats.get("thumbsUpCount")) or 0, count(stats.get("thumbsDownCount")) or 0
    ratings, mean = count(stats.get("ratingCount")) or 0, rating(stats.get("rating")) or 0.0
    if not ratings and up + down:
        ratings, mean = up + down, 1 + 4 * up / (up + down)
    downloads = _downloads(item)
    return Stats(
        downloads=downloads or 0,
        favorites=count(stats.get("favoriteCount")) or up,
        comments=count(stats.get("commentCount")) or 0,
        ratings=ratings,
        rating=float(mean),
        hidden=downloads is None,
    )


def _downloads(item: Item) -> int | None:
    """The downloads of a model, or else of its versions that show them; None where all are hidden."""
    total = count((item.get("stats") or {}).get("downloadCount"))
    if total is not None:
        return total
    numbers = [count((version.get("stats") or {}).get("downloadCount")) for version in item["modelVersions"]]
    counts = [number for number in numbers if number is not None]
    return sum(counts) if counts else None


def _licence(item: Item, base_model: str) -> Licence:
    """The uploader's permissions, except where the base model's own licence forbids commercial use."""
    return Licence(
        no_credit=bool(item.get("allowNoCredit", True)),
        commercial=None if forbids_sale(base_model) else _commercial(item.get("allowCommercialUse")),
        derivatives=bool(item.get("allowDerivatives", True)),
        different_licence=bool(item.get("allowDifferentLicense", True)),
    )


def _commercial(value: object) -> str | None:
    """The highest permission; since 2024 permissions are a list, in which "Image" allows selling images.

    The list may come as text: ``{Image,RentCivit}``.
    """
    if isinstance(value, str) and not value.strip().startswith("{"):
        return value if value in COMMERCIAL else None
    permissions: Sequence[Any] = value if isinstance(value, list) else ()
    if isinstance(value, str):
        permissions = [permission.strip(' "') for permission in value.strip("{} ").split(",")]
    return (
        next((use for use in reversed(COMMERCIAL) if use in permissions), None)
        if "Image" in permissions
        else None
    )
