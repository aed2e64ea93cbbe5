"""Import: entries become a catalog with specifications, and no prompt is left in it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from stand_ins import ENTRIES, WordEncoder

from diffagent.data.catalog import importing
from diffagent.data.catalog.catalog import Catalog
from diffagent.data.catalog.importing import add_cards, import_catalog
from diffagent.data.catalog.specification import KIND, PackedSpecification, documents, instructions, specify


def watched(labels: list[str]) -> Any:
    def progress(items: Iterable[Any], label: str) -> Iterable[Any]:
        labels.append(label)
        return items

    return progress


def test_a_crawl_becomes_a_catalog_with_a_specification_each(
    tmp_path: Path, encoder: WordEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "BATCH", 2)  # three batches
    out, labels = tmp_path / "new.sqlite", list[str]()
    assert import_catalog(iter(ENTRIES), out, encoder, watched(labels), "both") == len(ENTRIES)
    assert labels == ["import"]
    with Catalog.open(out) as catalog:
        assert [card for _, card in catalog.entries()] == [entry.card for entry in ENTRIES]
        assert catalog.get_meta("held_out") == "both"
        stored = dict(catalog.features(KIND))
        for (entry_id, card), entry in zip(catalog.entries(), ENTRIES, strict=True):
            docs = documents(instructions(card, entry.samples), encoder)
            assert stored[entry_id] == specify(card, docs)
            assert len(PackedSpecification.read(stored[entry_id]).embeddings) == len(entry.samples)


def test_no_prompt_is_in_the_file(tmp_path: Path, encoder: WordEncoder) -> None:
    out = tmp_path / "new.sqlite"
    import_catalog(ENTRIES, out, encoder, watched([]), "none")
    stored = out.read_bytes()
    assert b"Tiny Pixels" in stored
    for entry in ENTRIES:
        for sample in entry.samples:
            for phrase in sample.prompt.split(", "):
                assert phrase.encode() not in stored or phrase in entry.card.tags


def test_bare_cards_are_specified_by_their_words(tmp_path: Path, encoder: WordEncoder) -> None:
    with Catalog.create(tmp_path / "new.sqlite") as catalog:
        ids = add_cards(catalog, [entry.card for entry in ENTRIES], encoder)
        stored = dict(catalog.features(KIND))
    assert list(stored) == ids
    assert stored[ids[0]] == specify(ENTRIES[0].card, [])


def test_a_failing_import_leaves_no_catalog(tmp_path: Path, encoder: WordEncoder) -> None:
    def breaks() -> Iterable[Any]:
        yield ENTRIES[0]
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="disk"):
        import_catalog(breaks(), tmp_path / "new.sqlite", encoder, watched([]), "none")
    assert list(tmp_path.iterdir()) == []
