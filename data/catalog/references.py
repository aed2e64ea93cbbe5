"""Reads other projects' lists of models as catalog entries.

    references = read_references(Path("hub2026"), Notes.read(Path("datasets/newer")))
    references.entries, references.dropped    # entries; (source, reason) → how many rows became none

These files are read where the folder has them:

    reference_models.json    SD.Next's reference models, with recommended settings
    base_models.json         the hub's default versions, for base models without a reference model
    flux_loras.json          LoRAs of Flux.1 D: repository and trigger word
    pony_loras.json          LoRAs of Pony: versions, the author's weight, triggers
    civitai_items.jsonl.gz   items of the hub's models listing

Only models of base models that can be run (:data:`~diffagent.data.catalog.filters.CALLABLE`) become entries.
The most usual base models (``SD 1.x``, ``SDXL 1.0``) are left to a crawl, which has their usage.
"""

from __future__ import annotations

import gzip
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from diffagent.data.air import AIR, CIVITAI, HUGGINGFACE
from diffagent.data.base_model_facts import Part
from diffagent.data.base_models import CRAWLED, TABLE, BaseModelFacts, find, parts_of
from diffagent.data.catalog.cards import Entry, Names, compose, entries, survey
from diffagent.data.catalog.filters import CALLABLE, Scope, judge
from diffagent.data.catalog.texts import clean
from diffagent.data.errors import BadInput
from diffagent.data.prompts import is_sfw
from diffagent.data.records import Card, Licence, ModelType, Usage
from diffagent.data.samplers import join, read

RECOMMENDED = 5
"""The images that a recommended setting counts as: the fewest that have to agree."""
Row = Mapping[str, Any]
Left = Counter[tuple[str, str]]

_SAME: Mapping[str, str] = {"vladmandic/Anima-1.0-Base": "circlestone-labs/Anima"}
"""Copy → the repository in the table of base models."""
_V_PREDICTION = re.compile(r"v[-_ ]?pred", re.I)
_SCANT = re.compile(r"bikini|swimsuit|inner|pajama|preg", re.I)
"""Outfits that no entry lists."""
_OTHERS = ("nunchaku", "quantized", "cloud")
"""Lists of copies in other precisions, and of services."""


@dataclass(frozen=True)
class Notes:
    """Notes beside the lists, by AIR: why a model is ``left_out``, and its ``files`` (a name and, after a
    tab, the SHA-256)."""

    left_out: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    bases: Mapping[str, str] = field(default_factory=dict)
    """A repository, or a model and version of the hub ("12@34") → its base model and, after a tab, its name
    where the lists lack it."""

    @classmethod
    def read(cls, folder: Path) -> Notes:
        """Reads a folder's ``left_out.tsv``, ``files.tsv`` and ``bases.tsv``: a key and a text per line."""
        return cls(*(_table(folder / f"{name}.tsv") for name in ("left_out", "files", "bases")))

    def with_file(self, card: Card) -> Card:
        """Returns the card with its noted file."""
        name, _, digest = self.files.get(card.air, "").partition("\t")
        if digest:
            card = replace(card, sha256=digest, autov2=digest[:10], hashes=(digest, digest[:10]))
        return replace(card, file_name=name or card.file_name)

    def base(self, key: str) -> BaseModelFacts | None:
        """The base model of a model; None where unknown."""
        return find(self.bases.get(key, "").split("\t")[0])

    def key(self, version: str) -> str:
        """The model and version ("12@34") of a hub version, since lists give the version alone."""
        return next((key for key in self.bases if key.partition("@")[2] == version), version)


@dataclass
class References:
    """The lists' ``entries``, their ``counts`` by source, and ``dropped`` rows by source and reason."""

    entries: list[Entry] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    dropped: Counter[tuple[str, str]] = field(default_factory=Counter)

    def to_json(self) -> dict[str, Any]:
        dropped: dict[str, dict[str, int]] = {}
        for (source, reason), n in self.dropped.most_common():
            dropped.setdefault(source, {})[reason] = n
        return {"entries": len(self.entries), "kept": dict(self.counts), "left_out": dropped}


def read_references(folder: Path, notes: Notes | None = None) -> References:
    """Reads the entries of a folder's lists, names unique, each model and base model once.

    Raises:
        BadInput: the folder has none of the lists, or one is damaged.
    """
    notes, references, names, airs = notes or Notes(), References(), Names(), set[str]()
    paths = {name: folder / name for name in _LISTS if (folder / name).is_file()}
    if not paths:
        raise BadInput(f"{folder} has none of the lists {', '.join(_LISTS)}: give a folder that has some")
    for name, path in paths.items():
        source = name.split(".")[0]
        try:
            rows = list(_LISTS[name](_rows(path), references.dropped, notes))
        except (ValueError, KeyError, TypeError, AttributeError, OSError, EOFError) as error:
            raise BadInput(f"{path} is damaged ({type(error).__name__}: {error}): fetch it again") from None
        for entry in rows:
            card = entry.card
            reason = _why_not(card, notes, airs)
            if reason is not None:
                references.dropped[source, reason] += 1
                continue
            airs.add(card.air)
            unique_name = names.claim(card.name, AIR.parse(card.air).key)
            card = notes.with_file(replace(card, name=unique_name))
            references.entries.append(entry._replace(card=card))
            references.counts[source] += 1
    return references


def _why_not(card: Card, notes: Notes, airs: set[str]) -> str | None:
    """Returns why a card does not become an entry, or None."""
    if card.air in notes.left_out:
        return notes.left_out[card.air]
    if card.air in airs:
        return "twice in the lists"
    if card.base_model not in CALLABLE:
        return "base model is not run"
    if card.base_model in CRAWLED:
        return "usual base model"
    words = "\n".join((card.name, *card.tags, *card.all_words))
    return None if is_sfw(words) else "explicit words"


def _models(rows: Iterable[Row], dropped: Left, notes: Notes) -> Iterator[Entry]:
    """SD.Next's reference models of known base models."""
    base_models = {row.repository: row for row in reversed(TABLE) if row.repository is not None}
    for row in rows:
        if row["list"] in _OTHERS:
            dropped["reference_models", "other precision or service"] += 1
            continue
        key, file = _place(row["path"], notes)
        repository = _SAME.get(key, key)
        base = base_models.get(repository) or notes.base(key)
        if base is None or row.get("subfolder"):
            dropped["reference_models", "base model is not in the table"] += 1
            continue
        if file is None and base.repository == repository:
            file = _usual_file(base)
        aliases = (repository, repository.split("/")[1]) if "/" in repository else ()
        card = _checkpoint(clean(row["name"]), base, repository, file, aliases)
        date = str(row.get("date") or "").split()
        usage = _recommended(row.get("extras") or "", base)
        card = replace(card, usage=usage, created_at=date[0] if len(date) == 2 else "")
        yield Entry(card, about=clean(row.get("desc")))


def _default_versions(rows: Iterable[Row], dropped: Left, notes: Notes) -> Iterator[Entry]:
    """The hub's default versions with a noted name."""
    for version in [str(number) for table in rows for number in table["default_version_ids"].values()]:
        key = notes.key(version)
        base, (_, _, name) = notes.base(key), notes.bases.get(key, "").partition("\t")
        if base is None or not name:
            dropped["base_models", "default version has no name"] += 1
        else:
            yield Entry(_checkpoint(name, base, key, None, ()))


def _flux_loras(rows: Iterable[Row], dropped: Left, _: Notes) -> Iterator[Entry]:
    for row in rows:
        base = find(row["base_model"])
        if base is None:
            dropped["flux_loras", "base model is not in the table"] += 1
            continue
        repository = _repository(row["repo"])
        words = tuple(filter(None, (clean(word) for word in str(row["trigger_word"]).split(","))))
        about = " | ".join(map(clean, row["prompts"]))
        card = _card(
            "LoRA", clean(row["name"]), base, AIR(base.ecosystem, "lora", HUGGINGFACE, repository), words
        )
        yield Entry(replace(card, aliases=(repository, repository.split("/")[1])), about=about)


def _pony_loras(rows: Iterable[Row], dropped: Left, _: Notes) -> Iterator[Entry]:
    """The newest version of each model, with the other versions' AIRs."""
    models: dict[int, list[Row]] = {}
    for row in rows:
        models.setdefault(row["model_id"], []).append(row)
    for model, versions in models.items():
        newest, *older = sorted(versions, key=lambda row: -row["version_id"])
        base = find(newest["base_models"][0])
        if base is None:
            dropped["pony_loras", "base model is not in the table"] += 1
            continue
        dropped["pony_loras", "older version"] += len(older)
        words = tuple(clean(str(word).replace("\\", "")) for word in newest["triggers"])
        outfits = tuple(word for word in map(clean, newest["outfits"]) if not _SCANT.search(word))
        airs = [
            AIR(base.ecosystem, "lora", CIVITAI, str(model), str(row["version_id"]))
            for row in (newest, *older)
        ]
        card = _card("LoRA", clean(newest["name"]).replace("_", " "), base, airs[0], words)
        yield Entry(
            replace(
                card,
                optional_words=outfits,
                older_airs=tuple(map(str, airs[1:])),
                usage=Usage(lora_weight={float(newest["weight"]): RECOMMENDED}),
                file_name=f"{newest['name']}.safetensors",
            ),
            about=", ".join(outfits),
        )


def _items(rows: Iterable[Row], dropped: Left, _: Notes) -> Iterator[Entry]:
    items = list(rows)
    for item in items:
        reason = judge(item).reason
        if reason is not None:
            dropped["civitai_items", reason] += 1
    for entry in entries(items, survey(items, Scope()), Scope()):
        yield entry._replace(card=_as_predicted(entry.card))


def _as_predicted(card: Card) -> Card:
    """Returns a v-prediction checkpoint under its own base model, which the hub does not have."""
    words = "\n".join((card.name, str(card.file_name), *card.tags))
    variants = (row for row in TABLE if row.hub == card.base_model and row.prediction == "v")
    base = next(variants, None) if _V_PREDICTION.search(words) else None
    if base is None or card.type != "Checkpoint":
        return card
    return replace(card, base_model=base.name, description=compose(card.type, base.name, card.tags, ()))


_LISTS = {
    "reference_models.json": _models,
    "base_models.json": _default_versions,
    "flux_loras.json": _flux_loras,
    "pony_loras.json": _pony_loras,
    "civitai_items.jsonl.gz": _items,
}
"""File → the reader of its rows, in the order in which names are claimed."""


def _checkpoint(
    name: str, base: BaseModelFacts, key: str, file: str | None, aliases: tuple[str, ...]
) -> Card:
    """Returns a checkpoint's card; ``key`` is a repository, or a model and version of the hub."""
    ids = key.split("@")
    is_hub = len(ids) == 2
    kind = "checkpoint" if is_hub else (base.types or ("checkpoint",))[0]
    air = AIR(base.ecosystem, kind, CIVITAI if is_hub else HUGGINGFACE, *ids)
    card = _card("Checkpoint", name, base, air, ())
    return replace(card, file_name=file, aliases=aliases)


def _card(kind: ModelType, name: str, base: BaseModelFacts, air: AIR, words: tuple[str, ...]) -> Card:
    ids = air.civitai_ids or (None, None)
    allowed = base.licence is not None and base.licence.commercial
    return Card(
        name=name,
        type=kind,
        base_model=base.name,
        air=str(air),
        model_id=ids[0],
        version_id=ids[1],
        trigger_words=words,
        licence=Licence(commercial="Sell" if allowed and kind == "Checkpoint" else None),
        description=compose(kind, base.name, (), words),
        source=air.source,
    )


def _recommended(extras: str, base: BaseModelFacts) -> Usage:
    """The recommended settings within the base model's range: "sampler: DEIS, steps: 20, width: 1024"."""
    pairs = dict(part.split(": ", 1) for part in extras.split(", ") if ": " in part)
    usage, guided = Usage(), base.guidance
    low, high = base.steps_range or (1, 150)
    if low <= int(pairs.get("steps", 0)) <= high:
        usage = replace(usage, steps={int(pairs["steps"]): RECOMMENDED})
    scale = float(pairs.get("cfg_scale", 0))
    if guided is not None and guided.kind == "cfg" and guided.low <= scale <= guided.high:
        usage = replace(usage, cfg_scale={scale: RECOMMENDED})
    sampler = read(pairs.get("sampler"))
    if sampler is not None and (joined := join(sampler)) and joined in (base.samplers or ()):
        usage = replace(usage, sampler={joined: RECOMMENDED})
    if "width" in pairs and "height" in pairs:
        usage = replace(usage, size={f"{pairs['width']}x{pairs['height']}": RECOMMENDED})
    return usage


def _place(path: str, notes: Notes) -> tuple[str, str | None]:
    """The repository, or the model and version of the hub, of a reference's path, and the file."""
    file, _, url = path.rpartition("@http")
    version = re.search(r"civitai\.com/api/download/models/(\d+)", url)
    if version is not None:
        return notes.key(version[1]), file
    repository = re.search(r"huggingface\.co/([^/]+/[^/]+)/resolve/[^/]+/([^?]+)", url)
    if repository is not None:
        return repository[1], repository[2].split("/")[-1]
    return path.removeprefix("huggingface/"), None


def _usual_file(base: BaseModelFacts) -> str | None:
    """The usual file name of a base model's own model."""
    part = _own_part(base.name)
    if part is None or (base.parent is not None and part == _own_part(base.parent)):
        return None
    return part.file or next(iter(part.also), None)


def _own_part(base_model: str) -> Part | None:
    return next((part for part in parts_of(base_model) if part.role in ("whole", "transformer")), None)


def _repository(name: str) -> str:
    """The repository of a folder name, where the first underscore is a slash and later ones may be dots."""
    owner, _, rest = name.partition("_")
    rest = re.sub(r"(?i)^(flux_)1-", lambda match: f"{match[1][:-1]}.1-", rest)
    return f"{owner}/{re.sub(r'(?<=-[0-9])_(?=[0-9]$)', '.', rest)}"


def _rows(path: Path) -> list[Row]:
    if path.suffix == ".gz":
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            return [json.loads(line) for line in lines]
    document = json.loads(path.read_text("utf-8"))
    return document if isinstance(document, list) else [document]


def _table(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    lines = path.read_text("utf-8").splitlines()
    pairs = (line.split("\t") for line in lines if line and not line.startswith("#"))
    return {key: "\t".join(texts) for key, *texts in pairs}
