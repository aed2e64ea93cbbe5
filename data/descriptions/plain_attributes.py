"""Plain attributes: what models are for, estimated without a language model.

    entries without attributes → features of their cards → the plain reader's probabilities → values, with
    rules for subjects and trigger words → the same entries with EstimatedAttributes

It needs no network; a card takes about 20 ms, nearly all of it in the sentence encoder.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice

import numpy as np

from diffagent.data.attributes import MEDIA, ROLES, EstimatedAttributes, Medium
from diffagent.data.catalog.cards import Entry
from diffagent.data.descriptions.card_features import CardFeatures, Floats, own_words
from diffagent.data.descriptions.plain_reader import BREADTHS, FLAGS, PEOPLE, Cuts, PlainReader
from diffagent.data.descriptions.sources import Source
from diffagent.data.descriptions.subjects import needed_trigger, subjects
from diffagent.data.encoders.text_encoder import Encoder

BATCH = 512
"""Entries per batch of the encoder."""
CARRIERS = (
    "AnyLoRA", "Counterfeit", "MeinaMix", "MeinaHentai", "Anything", "AbyssOrangeMix", "OrangeMix",
    "ChilloutMix", "Realistic Vision", "Deliberate", "DreamShaper", "GhostMix", "majicMIX", "ReV Animated",
    "Cetus-Mix", "Pastel-Mix", "CuteYukiMix", "DarkSushiMix", "Perfect World", "epiCRealism", "Lyriel",
    "NeverEnding Dream", "Protogen", "Hassaku",
)  # fmt: skip
"""Checkpoints that LoRA authors recommend."""
_MINOR = re.compile(r"\b(?:loli(?:con|ta fashion)?|shota(?:con)?|toddler|childlike)\b", re.IGNORECASE)
_CARRIER = re.compile("|".join(rf"\b{re.escape(name)}" for name in CARRIERS), re.IGNORECASE)


def plain_attributes(
    sources: Sequence[Source], encoder: Encoder, reader: PlainReader | None = None
) -> list[EstimatedAttributes]:
    """Returns the attributes of sources, in their order."""
    reader = reader or PlainReader.load()
    if not sources:
        return []
    return from_probabilities(sources, reader(CardFeatures.of(sources, encoder)), reader.cuts)


def with_plain_attributes(
    entries: Iterable[Entry], encoder: Encoder, reader: PlainReader | None = None, batch: int = BATCH
) -> Iterator[Entry]:
    """Yields the entries, with estimated attributes where they have none, in batches."""
    stream = iter(entries)
    while group := list(islice(stream, batch)):
        unread = [entry for entry in group if entry.card.attributes is None]
        estimates = iter(plain_attributes([Source.of(entry) for entry in unread], encoder, reader))
        for entry in group:
            if entry.card.attributes is None:
                entry = entry._replace(card=replace(entry.card, attributes=next(estimates)))
            yield entry


def from_probabilities(
    sources: Sequence[Source], probabilities: Mapping[str, Floats], cuts: Cuts
) -> list[EstimatedAttributes]:
    """Returns attributes by a reader's probabilities: head → [n, K]."""
    return [
        _from_probabilities(source, {name: rows[n] for name, rows in probabilities.items()}, cuts)
        for n, source in enumerate(sources)
    ]


def _from_probabilities(
    source: Source, probabilities: Mapping[str, Floats], cuts: Cuts
) -> EstimatedAttributes:
    card = source.card
    roles = probabilities["role"].copy()
    if card.type == "LoRA":
        roles[ROLES.index("general")] = 0
    role = ROLES[int(roles.argmax())]
    is_needed = float(probabilities["needed"][0]) >= 0.5
    needed = needed_trigger(card, role) if is_needed else None
    renown = float(probabilities["renown"] @ np.arange(4, dtype=np.float32))
    return EstimatedAttributes(
        role=role,
        media=_media(probabilities, cuts),
        subjects=subjects(card, role, needed),
        breadth=BREADTHS[int(probabilities["breadth"].argmax())],
        people=PEOPLE[int(probabilities["people"].argmax())],
        needed=(needed,) if needed else (),
        carrier=_carrier(source) if card.type == "LoRA" else None,
        caution=_cautions(source, probabilities["flags"], cuts),
        renown=sum(renown >= cut for cut in cuts.renown),
    )


def _media(probabilities: Mapping[str, Floats], cuts: Cuts) -> tuple[Medium, ...]:
    """The most probable first medium, then at most two further probable ones."""
    first = int(probabilities["first"].argmax())
    others = [
        n
        for n in np.argsort(-probabilities["media"])
        if n != first and probabilities["media"][n] >= cuts.medium
    ]
    return tuple(MEDIA[n] for n in (first, *others[:2]))


def _cautions(source: Source, flags: Floats, cuts: Cuts) -> tuple[str, ...]:
    """The cautions that keep a model from being chosen, by probability and by unambiguous words."""
    probabilities = flags[: FLAGS.index("any")]
    cautions = [FLAGS[n] for n in np.flatnonzero(probabilities >= 0.5)]
    if not cautions and flags[FLAGS.index("any")] >= cuts.flag:
        cautions = [FLAGS[int(probabilities.argmax())]]
    if "minor" not in cautions and _MINOR.search(own_words(source)):
        cautions.append("minor")
    return tuple(cautions)


def _carrier(source: Source) -> str | None:
    """The first checkpoint in the uploader's text, or None."""
    match = _CARRIER.search(source.about)
    if match is None:
        return None
    return next(name for name in CARRIERS if name.casefold() == match[0].casefold())
