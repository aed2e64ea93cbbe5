"""Imports a crawl into a catalog, each entry with its text specification.

    entries (card and samples) → documents → vectors and hashed terms → SQLite

Prompts are encoded in batches and never stored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path
from typing import Any

from diffagent.data.catalog.cards import Entry
from diffagent.data.catalog.catalog import Catalog
from diffagent.data.catalog.holdout import Rule
from diffagent.data.catalog.specification import KIND, documents, instructions, specify
from diffagent.data.encoders.text_encoder import Encoder
from diffagent.data.records import Card

BATCH = 1024
"""Entries encoded together."""

Progress = Callable[[Iterable[Any], str], Iterable[Any]]


def import_catalog(
    entries: Iterable[Entry], out: Path, encoder: Encoder, progress: Progress, rule: Rule
) -> int:
    """Writes a catalog with specifications, which gets its name when it is complete.

    Returns the number of entries.
    """
    count = 0
    with Catalog.create(out) as catalog:
        stream = iter(progress(entries, "import"))
        while group := tuple(islice(stream, BATCH)):
            add_entries(catalog, group, encoder)
            count += len(group)
        catalog.set_meta("held_out", rule)
    return count


def add_entries(catalog: Catalog, entries: Iterable[Entry], encoder: Encoder) -> list[int]:
    """Adds entries with their specifications to an open catalog; returns their ids."""
    group = list(entries)
    texts = [instructions(entry.card, entry.samples) for entry in group]
    docs = iter(documents([pair for pairs in texts for pair in pairs], encoder))
    ids = catalog.add(entry.card for entry in group)
    catalog.put_features(
        KIND,
        {
            entry_id: specify(entry.card, [next(docs) for _ in pairs])
            for entry_id, entry, pairs in zip(ids, group, texts, strict=True)
        },
    )
    return ids


def add_cards(catalog: Catalog, cards: Iterable[Card], encoder: Encoder) -> list[int]:
    """Adds cards without samples; their specifications hold the cards' words only."""
    return add_entries(catalog, (Entry(card) for card in cards), encoder)
