"""The catalog that ships: it holds what datasets/ has of it, and nothing that was left out by hand."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from diffagent.data.air import AIR
from diffagent.data.catalog.catalog import Catalog
from diffagent.data.catalog.references import Notes, read_references
from diffagent.data.descriptions.descriptions import read_descriptions

DATASETS = Path(__file__).resolve().parents[3] / "datasets"


def test_every_entry_has_its_written_description_and_attributes() -> None:
    descriptions = read_descriptions(DATASETS / "descriptions.jsonl.gz")
    with Catalog.open() as catalog:
        cards = {card.air: card for card in catalog.cards()}
    assert len(cards) == 6_290
    assert {air: (row.description, row.attributes) for air, row in descriptions.items()} == {
        air: (card.description, card.attributes) for air, card in cards.items()
    }


def test_no_model_that_was_left_out_by_hand_ships() -> None:
    left_out = Notes.read(DATASETS / "newer").left_out
    with Catalog.open() as catalog:
        assert not [air for air in left_out if catalog.by_air(air) is not None]
    assert len(left_out) == 75
    assert set(left_out.values()) == {
        "sexual or suggestive",
        "minors in doubt",
        "injuries shown",
        "real person in doubt",
        "another base model",
    }


def test_of_the_listing_of_340_items_291_ship() -> None:
    folder = Path(os.environ.get("DIFFAGENT_DATA") or "nowhere") / "hub2026"
    if not folder.is_dir():
        pytest.skip("needs the shared data: set DIFFAGENT_DATA to its folder")
    references = read_references(folder, Notes.read(DATASETS / "newer"))
    dropped = {reason: n for (source, reason), n in references.dropped.items() if source == "civitai_items"}
    assert references.counts["civitai_items"] == 291
    assert dropped == {
        "sexual or suggestive": 37,
        "nsfw version": 5,
        "minors in doubt": 3,
        "injuries shown": 1,
        "early access": 1,
        "type": 1,
        "usual base model": 1,
    }
    with Catalog.open() as catalog:
        cards = [catalog.by_air(entry.card.air) for entry in references.entries]
    assert [card.base_model for card in cards if card] == [
        entry.card.base_model for entry in references.entries
    ]
    assert len({AIR.parse(entry.card.air).key for entry in references.entries}) == 574
