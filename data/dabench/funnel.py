"""The funnel: how many models and images are crawled, what each filter drops, what becomes pairs.

In: counts taken while a crawl streams by. Out: two lists of stages, models and images, for ``stats.json``,
``diffagent data stats`` and the plot; and the crawl's composition as on the left of the paper's Figure 2
(type, base model, NSFW, file).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from diffagent.data.base_models import canonical_name
from diffagent.data.catalog.filters import REASONS, TYPES, Funnel, Item, is_model_file
from diffagent.data.catalog.quality import QUALITY_REASONS
from diffagent.data.catalog.samples import IMAGE_REASONS
from diffagent.data.dabench.pairs import PAIR_REASONS
from diffagent.data.hubs.answers import date_of
from diffagent.data.hubs.odd_rows import sound

Json = dict[str, Any]


@dataclass
class Census:
    """The composition of a crawl: each model once, by its newest version, and all images."""

    type: Counter[str] = field(default_factory=Counter)
    base_model: Counter[str] = field(default_factory=Counter)
    content: Counter[str] = field(default_factory=Counter)
    file: Counter[str] = field(default_factory=Counter)
    images: int = 0

    def watching(self, items: Iterable[Item]) -> Iterator[Item]:
        """Yields the items and counts them."""
        for row in items:
            item = sound(row)
            if item is not None:
                self.add(item)
            yield row

    def add(self, item: Item) -> None:
        versions = item.get("modelVersions") or ()
        newest: Item = max(versions, key=date_of, default={})
        kind = str(item.get("type"))
        self.type[TYPES.get(kind, kind)] += 1
        self.base_model[canonical_name(newest.get("baseModel")) or "none"] += 1
        self.content["NSFW" if item.get("nsfw") else "SFW"] += 1
        self.file[_file_kind(newest)] += 1
        self.images += sum(len(version.get("images") or ()) for version in versions)

    def to_json(self) -> Json:
        return {
            name: dict(getattr(self, name).most_common())
            for name in ("type", "base_model", "content", "file")
        }


@dataclass
class Tally:
    """All counts between a crawl and its pairs."""

    census: Census = field(default_factory=Census)
    models: Funnel = field(default_factory=Funnel)
    low_entries: Counter[str] = field(default_factory=Counter)
    """Entries dropped by the quality filter, by reason."""
    no_sample: Counter[str] = field(default_factory=Counter)
    """Images of callable entries that are not samples, by reason."""
    samples: int = 0
    no_pair: Counter[str] = field(default_factory=Counter)
    low_pairs: Counter[str] = field(default_factory=Counter)
    """Pairs of entries that the quality filter drops, by its reason."""
    pairs: int = 0
    entries_with_pairs: int = 0

    def to_json(self) -> Json:
        """``{"models": [stage…], "images": [stage…]}``; a stage's ``dropped`` lie between it and the next."""
        models, images = self.models, self.no_sample
        of_quality = models.entries - self.low_entries.total()
        others = self.census.images - self.samples - images.total()
        low = {**self.low_pairs}
        return {
            "models": [
                _stage("models crawled", models.models, models.dropped, REASONS),
                _stage("callable models", models.usable),
                _stage("entries (a model and base model)", models.entries, self.low_entries, QUALITY_REASONS),
                _stage(
                    "entries of quality", of_quality, {"no pair": of_quality - self.entries_with_pairs},
                    ("no pair",),
                ),
                _stage("entries with pairs", self.entries_with_pairs),
            ],
            "images": [
                _stage(
                    "images crawled", self.census.images, {"no callable model": others, **images},
                    ("no callable model", *IMAGE_REASONS),
                ),
                _stage("samples", self.samples, self.no_pair, PAIR_REASONS),
                _stage("pairs", self.pairs + sum(low.values()), low, QUALITY_REASONS),
                _stage("pairs of quality", self.pairs),
            ],
        }  # fmt: skip


def render(funnel: Mapping[str, Sequence[Json]], files: Mapping[str, int] | None = None) -> str:
    """Returns the funnel as aligned text, each drop below its stage."""
    lines: list[tuple[str, str]] = []
    for stages in funnel.values():
        for stage in stages:
            lines.append((stage["stage"], f"{stage['count']:,}"))
            lines += [(f"  {reason}", f"-{count:,}") for reason, count in stage["dropped"].items()]
        lines.append(("", ""))
    lines += [(f"{name}.jsonl", f"{count:,}") for name, count in (files or {}).items()]
    label_width, count_width = (max(len(line[i]) for line in lines) for i in (0, 1))
    return "\n".join(
        f"{name:<{label_width}}  {count:>{count_width}}".rstrip() for name, count in lines
    ).strip()


def _stage(
    name: str, count: int, dropped: Mapping[str, int] | None = None, order: Sequence[str] = ()
) -> Json:
    drops = {reason: (dropped or {}).get(reason, 0) for reason in order}
    return {"stage": name, "count": count, "dropped": {reason: n for reason, n in drops.items() if n}}


def _file_kind(version: Item) -> str:
    names = [str(file.get("name")).casefold() for file in version.get("files") or () if is_model_file(file)]
    if not names:
        return "none"
    return "safetensors" if any(name.endswith(".safetensors") for name in names) else "pickle"
