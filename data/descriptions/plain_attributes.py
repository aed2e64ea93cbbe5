"""Plain attributes: what models are for, made with what ships, for catalogs that nobody has read.

    entries without attributes → features of their cards → the plain reader's probabilities → values, with
    rules for subjects and trigger words → the same entries with :class:`~diffagent.data.attributes.Estimated`

No network and no language model is needed; about 20 ms a card, nearly all of it in the sentence encoder.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice

import numpy as np

from diffagent.data.attributes import MEDIA, ROLES, Estimated, Medium
from diffagent.data.catalog.cards import Entry
from diffagent.data.descriptions.card_features import CardFeatures, Floats, own_words
from diffagent.data.descriptions.plain_reader import BREADTHS, FLAGS, PEOPLE, Cuts, PlainReader
from diffagent.data.descriptions.sources import Source
from diffagent.data.descriptions.subjects import needed_trigger, subjects
from diffagent.data.encoders.text_encoder import Encoder

BATCH = 512
"""Entries whose texts are encoded together."""
CARRIERS = (
    "AnyLoRA", "Counterfeit", "MeinaMix", "MeinaHentai", "Anything", "AbyssOrangeMix", "OrangeMix",
    "ChilloutMix", "Realistic Vision", "Deliberate", "DreamShaper", "GhostMix", "majicMIX", "ReV Animated",
    "Cetus-Mix", "Pastel-Mix", "CuteYukiMix", "DarkSushiMix", "Perfect World", "epiCRealism", "Lyriel",
    "NeverEnding Dream", "Protogen", "Hassaku",
)  # fmt: skip
"""Checkpoints that authors of LoRAs name."""
_MINOR = re.compile(r"\b(?:loli(?:con|ta fashion)?|shota(?:con)?|toddler|childlike)\b", re.IGNORECASE)
_CARRIER = re.compile("|".join(rf"\b{re.escape(name)}" for name in CARRIERS), re.IGNORECASE)


def plain_attributes(
    sources: Sequence[Source], encoder: Encoder, reader: PlainReader | None = None
) -> list[Estimated]:
    """Attributes of cards with what is beside them, in their order."""
    reader = reader or PlainReader.load()
    if not sources:
        return []
    return composed(sources, reader(CardFeatures.of(sources, encoder)), reader.cuts)


def with_plain_attributes(
    entries: Iterable[Entry], encoder: Encoder, reader: PlainReader | None = None, batch: int = BATCH
) -> Iterator[Entry]:
    """The entries, those without attributes with estimated ones; a batch of them at a time."""
    stream = iter(entries)
    while group := list(islice(stream, batch)):
        unread = [entry for entry in group if entry.card.attributes is None]
        found = iter(plain_attributes([Source.of(one) for one in unread], encoder, reader))
        for entry in group:
            if entry.card.attributes is None:
                entry = entry._replace(card=replace(entry.card, attributes=next(found)))
            yield entry


def composed(sources: Sequence[Source], found: Mapping[str, Floats], cuts: Cuts) -> list[Estimated]:
    """Attributes from a reader's probabilities [n, K] of each head."""
    return [
        _composed(source, {name: rows[n] for name, rows in found.items()}, cuts)
        for n, source in enumerate(sources)
    ]


def _composed(source: Source, found: Mapping[str, Floats], cuts: Cuts) -> Estimated:
    card = source.card
    roles = found["role"].copy()
    if card.type == "LoRA":
        roles[ROLES.index("general")] = 0
    role = ROLES[int(roles.argmax())]
    is_needed = float(found["needed"][0]) >= 0.5
    needed = needed_trigger(card, role) if is_needed else None
    renown = float(found["renown"] @ np.arange(4, dtype=np.float32))
    return Estimated(
        role=role,
        media=_media(found, cuts),
        subjects=subjects(card, role, needed),
        breadth=BREADTHS[int(found["breadth"].argmax())],
        people=PEOPLE[int(found["people"].argmax())],
        needed=(needed,) if needed else (),
        carrier=_carrier(source) if card.type == "LoRA" else None,
        caution=_cautions(source, found["flags"], cuts),
        renown=sum(renown >= cut for cut in cuts.renown),
    )


def _media(found: Mapping[str, Floats], cuts: Cuts) -> tuple[Medium, ...]:
    """The most probable first medium, then at most two that are probably among them."""
    first = int(found["first"].argmax())
    others = [n for n in np.argsort(-found["media"]) if n != first and found["media"][n] >= cuts.medium]
    return tuple(MEDIA[n] for n in (first, *others[:2]))


def _cautions(source: Source, flags: Floats, cuts: Cuts) -> tuple[str, ...]:
    """The flags that keep a model from being chosen, by probability, and by words that allow no doubt."""
    named = flags[: FLAGS.index("any")]
    cautions = [FLAGS[n] for n in np.flatnonzero(named >= 0.5)]
    if not cautions and flags[FLAGS.index("any")] >= cuts.flag:
        cautions = [FLAGS[int(named.argmax())]]
    if "minor" not in cautions and _MINOR.search(own_words(source)):
        cautions.append("minor")
    return tuple(cautions)


def _carrier(source: Source) -> str | None:
    """The checkpoint that the uploader's text names first."""
    match = _CARRIER.search(source.about)
    if match is None:
        return None
    return next(name for name in CARRIERS if name.casefold() == match[0].casefold())
