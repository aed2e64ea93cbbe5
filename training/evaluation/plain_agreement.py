"""The agreement of estimated attributes with read ones, beside the majority's value and a keyword program.

a crawl's data on the models with attributes in a catalog → folds by uploader → each model's attributes by a
reader fitted without its uploader's models → shares of agreement
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
from diffagent.training.fitting.plain_fitting import ReaderFitConfig, cross_fit, fit, tune_cuts

FACETS: Mapping[str, Callable[[Attributes], Any]] = {
    "role": lambda attributes: attributes.role,
    "first medium": lambda attributes: attributes.media[0],
    "people": lambda attributes: attributes.people,
    "breadth": lambda attributes: attributes.breadth,
    "renown": lambda attributes: attributes.renown,
    "choosable": lambda attributes: attributes.is_choosable,
    "needed": lambda attributes: attributes.needed[:1],
    "first subject": lambda attributes: attributes.subjects[:1],
}


@dataclass(frozen=True)
class Lesson:
    """n models: the sources of each, the attributes that a strong language model read, and its uploader."""

    sources: tuple[Source, ...]
    attributes: tuple[Attributes, ...]
    uploaders: tuple[str, ...]

    @classmethod
    def from_crawl(cls, raw: RawFolder, catalog: Catalog) -> Lesson:
        """The models of a crawl with read attributes in a catalog.

        Raises:
            BadInput: there are too few models to learn from.
        """
        attributes_by_air = {card.air: card.attributes for _, card in catalog.entries()}
        names = {item.get("id"): (item.get("creator") or {}).get("username") for item in raw.models()}
        rule: Any = catalog.get_meta("held_out") or "none"
        rows = []
        for source in read_sources(raw, Scope(), rule):
            purpose = attributes_by_air.get(source.card.air)
            if purpose is not None and not purpose.is_estimated:
                uploader = names.get(source.card.model_id) or source.card.air
                rows.append((source, purpose, str(uploader)))
        if len(rows) < 100:
            raise BadInput(
                f"the crawl has {len(rows)} models with read attributes in {catalog.path}, but at least "
                "100 are needed: give the crawl that the catalog was built from"
            )
        sources, purposes, uploaders = zip(*rows, strict=True)
        return cls(sources, purposes, uploaders)


def learn(
    lesson: Lesson, encoder: Encoder, config: ReaderFitConfig | None = None
) -> tuple[PlainReader, list[Attributes]]:
    """A reader of all models with its thresholds, and each model's attributes by a reader fitted without its
    uploader's models."""
    features = CardFeatures.of(lesson.sources, encoder)
    probabilities = cross_fit(features, lesson.attributes, lesson.uploaders, config)
    cuts = tune_cuts(probabilities, lesson.attributes)
    reader = fit(features, lesson.attributes, config).with_cuts(cuts)
    return reader, list(from_probabilities(lesson.sources, probabilities, cuts))


def agreement(lesson: Lesson, estimated: Sequence[Attributes]) -> dict[str, dict[str, float]]:
    """Facet → shares of models whose estimated, most frequent and keyword's value is the read one."""
    words = [keyword_attributes(source) for source in lesson.sources]
    return {
        name: {
            "estimated": _share(facet, lesson.attributes, estimated),
            "majority": _majority([facet(attributes) for attributes in lesson.attributes]),
            "keywords": _share(facet, lesson.attributes, words),
        }
        for name, facet in FACETS.items()
    }


def rebuild(lesson: Lesson, estimated: Sequence[Attributes], catalog: Catalog, out: Path) -> int:
    """Copies the catalog with estimated attributes and composed descriptions in place of read ones.

    Returns the number of changed entries.
    """
    shutil.copyfile(catalog.path, out)
    out.chmod(0o644)
    cards = {
        source.card.air: (source.card.description, purpose)
        for source, purpose in zip(lesson.sources, estimated, strict=True)
    }
    with Catalog.open(out, writable=True) as copy:
        changes = {
            entry: replace(card, description=cards[card.air][0], attributes=cards[card.air][1])
            for entry, card in copy.entries()
            if card.air in cards
        }
        copy.put_purposes(changes)
    return len(changes)


def _share(
    facet: Callable[[Attributes], Any], expected: Sequence[Attributes], other: Sequence[Attributes]
) -> float:
    same = sum(bool(facet(a) == facet(b)) for a, b in zip(expected, other, strict=True))
    return round(same / len(expected), 4)


def _majority(values: Sequence[Any]) -> float:
    _, count = Counter(values).most_common(1)[0]
    return round(count / len(values), 4)
