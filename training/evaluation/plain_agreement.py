"""How well estimated attributes agree with read ones, beside the majority's value and a keyword program.

what a crawl says of the models that a catalog's attributes were written for → folds by uploader →
attributes of each model by a reader that saw none of its uploader's → shares of agreement
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from diffagent.data.attributes import Attributes
from diffagent.data.catalog.catalog import Catalog
from diffagent.data.catalog.filters import Scope
from diffagent.data.descriptions.card_features import CardFeatures
from diffagent.data.descriptions.plain_attributes import from_probabilities
from diffagent.data.descriptions.plain_reader import PlainReader
from diffagent.data.descriptions.sources import Source, read_sources
from diffagent.data.encoders.text_encoder import Encoder
from diffagent.data.errors import BadInput
from diffagent.data.hubs.raw import RawFolder
from diffagent.training.evaluation.keyword_attributes import keyword_attributes
from diffagent.training.fitting.plain_fitting import FitConfig, cross_fitted, fit, tuned

FACETS: Mapping[str, Callable[[Attributes], Any]] = {
    "role": lambda one: one.role,
    "first medium": lambda one: one.media[0],
    "people": lambda one: one.people,
    "breadth": lambda one: one.breadth,
    "renown": lambda one: one.renown,
    "choosable": lambda one: one.is_choosable,
    "needed": lambda one: one.needed[:1],
    "first subject": lambda one: one.subjects[:1],
}


@dataclass(frozen=True)
class Lesson:
    """n models: what is known of each, what a strong language model read in it, and its uploader."""

    sources: tuple[Source, ...]
    read: tuple[Attributes, ...]
    uploaders: tuple[str, ...]

    @classmethod
    def of(cls, raw: RawFolder, catalog: Catalog) -> Lesson:
        """The models of a crawl that a catalog has read attributes of.

        Raises:
            BadInput: there are too few to learn from.
        """
        read = {card.air: card.attributes for _, card in catalog.entries()}
        names = {item.get("id"): (item.get("creator") or {}).get("username") for item in raw.models()}
        rule: Any = catalog.get_meta("held_out") or "none"
        rows = []
        for source in read_sources(raw, Scope(), rule):
            purpose = read.get(source.card.air)
            if purpose is not None and not purpose.is_estimated:
                uploader = names.get(source.card.model_id) or source.card.air
                rows.append((source, purpose, str(uploader)))
        if len(rows) < 100:
            raise BadInput(
                f"the crawl has {len(rows)} models that {catalog.path} has read attributes of, but at least "
                "100 are needed: give the crawl that the catalog was made of"
            )
        sources, purposes, uploaders = zip(*rows, strict=True)
        return cls(sources, purposes, uploaders)


def learn(
    lesson: Lesson, encoder: Encoder, config: FitConfig | None = None
) -> tuple[PlainReader, list[Attributes]]:
    """A reader of all models with its thresholds, and each model's attributes by readers that did not see its
    uploader's."""
    features = CardFeatures.of(lesson.sources, encoder)
    found = cross_fitted(features, lesson.read, lesson.uploaders, config)
    cuts = tuned(found, lesson.read)
    reader = fit(features, lesson.read, config).with_cuts(cuts)
    return reader, list(from_probabilities(lesson.sources, found, cuts))


def agreement(lesson: Lesson, estimated: Sequence[Attributes]) -> dict[str, dict[str, float]]:
    """Facet → share of models whose estimated, most frequent, and keyword's value is the read one."""
    words = [keyword_attributes(source) for source in lesson.sources]
    return {
        name: {
            "estimated": _share(facet, lesson.read, estimated),
            "majority": _majority([facet(one) for one in lesson.read]),
            "keywords": _share(facet, lesson.read, words),
        }
        for name, facet in FACETS.items()
    }


def rebuild(lesson: Lesson, estimated: Sequence[Attributes], catalog: Catalog, out: Path) -> int:
    """A copy of the catalog as if nobody had read it: estimated attributes, composed descriptions.

    Returns how many entries were changed.
    """
    shutil.copyfile(catalog.path, out)
    out.chmod(0o644)
    cards = {
        source.card.air: (source.card.description, purpose)
        for source, purpose in zip(lesson.sources, estimated, strict=True)
    }
    with Catalog.open(out, writable=True) as copy:
        changed = {
            entry: replace(card, description=cards[card.air][0], attributes=cards[card.air][1])
            for entry, card in copy.entries()
            if card.air in cards
        }
        copy.put_purposes(changed)
    return len(changed)


def _share(
    facet: Callable[[Attributes], Any], read: Sequence[Attributes], other: Sequence[Attributes]
) -> float:
    same = sum(bool(facet(a) == facet(b)) for a, b in zip(read, other, strict=True))
    return round(same / len(read), 4)


def _majority(values: Sequence[Any]) -> float:
    _, count = Counter(values).most_common(1)[0]
    return round(count / len(values), 4)
