"""The prefilter: the ranker's arithmetic, its file, and the candidates it offers."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from stand_ins import ENTRIES, WordEncoder, plain_ranker

from diffagent.agent.choosing.matching import FEATURES
from diffagent.agent.choosing.prefilter import Candidate, Prefilter, Ranker, including
from diffagent.data.catalog.catalog import Catalog
from diffagent.data.errors import BadCatalog, BadInput


@pytest.fixture
def prefilter(catalog_path: Path, encoder: WordEncoder) -> Prefilter:
    with Catalog.open(catalog_path) as catalog:
        return Prefilter.of(catalog, encoder, plain_ranker())


def test_a_ranker_is_a_mixture_of_lines_plus_one_hidden_layer_over_standardised_features() -> None:
    ranker = Ranker(
        mean=np.array([1, 2], np.float32),
        scale=np.array([2, 4], np.float32),
        hidden=np.array([np.zeros((2, 2)), [[1, 0], [0, -1]]], np.float32),
        hidden_bias=np.array([[[0, 0]], [[0.5, 0]]], np.float32),
        out=np.array([[[0], [0]], [[1], [2]]], np.float32),
        linear=np.array([[[1], [3]], [[0], [0]]], np.float32),
        gate_hidden=np.array([[1, -9], [1, 0]], np.float32),
        gate_hidden_bias=np.array([0.5, 0], np.float32),
        gate=np.array([[0.5, 0], [7, 7]], np.float32),
        gate_bias=np.array([math.log(3) - 2.75, 0], np.float32),
    )
    # [3, 6] is (1, 1) standardised, [-3, -2] is (-2, -1), [99, 2] is (49, 0), cut to (4, 0).
    # The first expert scores 4, -5, 4; the second max(1.5, 0) = 1.5, 2·max(1, 0) = 2, max(4.5, 0) = 4.5.
    # The gate reads (4, 1), the greatest of each: max(4 + 1 + 0.5, 0) = 5.5 and max(-36, 0) = 0, so
    # 2.75 + log 3 - 2.75 against 0: 3 to 1 for the first expert.
    log_probabilities = ranker(np.array([[3, 6], [-3, -2], [99, 2]], np.float32))
    assert np.exp(log_probabilities).tolist() == pytest.approx([0.385973, 0.018177, 0.595850], abs=1e-6)
    assert log_probabilities.dtype == np.float32
    assert ranker(np.zeros((0, 2), np.float32)).tolist() == []


def some_ranker() -> Ranker:
    rng, size = np.random.default_rng(5), len(FEATURES)
    shapes: dict[str, int | tuple[int, ...]] = {
        "mean": size,
        "scale": size,
        "hidden": (2, size, 3),
        "hidden_bias": (2, 1, 3),
        "out": (2, 3, 1),
        "linear": (2, size, 1),
        "gate_hidden": (size, 4),
        "gate_hidden_bias": 4,
        "gate": (4, 2),
        "gate_bias": 2,
    }
    return Ranker(**{name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()})


def test_a_saved_ranker_comes_back_at_half_precision(tmp_path: Path) -> None:
    ranker = some_ranker()
    ranker.save(tmp_path / "r.npz")
    back = Ranker.load(tmp_path / "r.npz")
    for name, value in vars(ranker).items():
        assert getattr(back, name).dtype == np.float32
        assert getattr(back, name).tolist() == value.astype(np.float16).tolist(), name


def test_a_ranker_of_other_features_is_refused(tmp_path: Path) -> None:
    some_ranker().save(tmp_path / "r.npz")
    with np.load(tmp_path / "r.npz") as stored:
        arrays = dict(stored)
    np.savez(tmp_path / "other.npz", **{**arrays, "features": np.array(FEATURES[::-1])})
    with pytest.raises(BadCatalog, match="fitted for other features"):
        Ranker.load(tmp_path / "other.npz")


def test_the_ranker_that_ships_fits_these_features() -> None:
    ranker = Ranker.load()
    assert len(ranker.mean) == len(FEATURES) == ranker.linear.shape[1]
    assert np.exp(ranker(np.zeros((2, len(FEATURES)), np.float32))) == pytest.approx([0.5, 0.5])


def test_candidates_are_the_k_best_with_log_probabilities_over_the_catalog(prefilter: Prefilter) -> None:
    requirement = prefilter.require("pixel art of a fox")
    everything = prefilter.rank(requirement, k=99)
    assert {candidate.card.name for candidate in everything} == {entry.card.name for entry in ENTRIES}
    assert sum(math.exp(candidate.score) for candidate in everything) == pytest.approx(1)
    scores = [candidate.score for candidate in everything]
    assert scores == sorted(scores, reverse=True)
    assert everything[0].card.name == "Tiny Pixels"
    two = prefilter.rank(requirement, k=2)
    assert two == everything[:2]
    logits = prefilter.scores(requirement)
    order = [card.name for card in prefilter.cards]
    gap = logits[order.index(two[0].card.name)] - logits[order.index(two[1].card.name)]
    assert two[0].score - two[1].score == pytest.approx(gap, abs=1e-5)


def test_a_mask_leaves_only_what_it_allows_and_normalises_over_that(prefilter: Prefilter) -> None:
    requirement = prefilter.require("pixel art of a fox")
    mask = prefilter.allowing(lambda card: card.type == "LoRA" or card.base_model == "SDXL 1.0")
    candidates = prefilter.rank(requirement, k=16, allow=mask)
    assert {candidate.card.name for candidate in candidates} == {"Ink Fox Style", "Grand XL"}
    assert sum(math.exp(candidate.score) for candidate in candidates) == pytest.approx(1)


def test_what_cannot_be_ranked_is_refused(prefilter: Prefilter) -> None:
    requirement = prefilter.require("a fox")
    with pytest.raises(BadInput, match="no model of the catalog passes these filters"):
        prefilter.rank(requirement, allow=prefilter.allowing(lambda card: False))
    with pytest.raises(BadInput, match="k is 0"):
        prefilter.rank(requirement, k=0)


def test_lora_tags_of_a_query_are_not_matched(prefilter: Prefilter) -> None:
    plainly = prefilter.scores(prefilter.require("a fox", "blurry"))
    tagged = prefilter.scores(prefilter.require("a fox <lora:harbour:1>", "<lora:x:1> blurry"))
    assert tagged.tolist() == plainly.tolist()


def test_entries_without_a_specification_are_named(tmp_path: Path, encoder: WordEncoder) -> None:
    path = tmp_path / "bare.sqlite"
    with Catalog.create(path) as catalog:
        catalog.add(entry.card for entry in ENTRIES[:2])
    with Catalog.open(path) as catalog, pytest.raises(BadCatalog, match=r"2 entries .*Tiny Pixels"):
        Prefilter.of(catalog, encoder, plain_ranker())


def test_a_damaged_specification_is_refused(catalog_path: Path, encoder: WordEncoder) -> None:
    with Catalog.open(catalog_path, writable=True) as catalog:
        catalog.put_features("text", {1: b"\x01"})
        with pytest.raises(BadCatalog, match="damaged"):
            Prefilter.of(catalog, encoder, plain_ranker())


def test_a_card_is_included_in_the_last_ones_place_as_probable_as_it() -> None:
    fox, lake, castle = (entry.card for entry in ENTRIES[:3])
    listed = [Candidate(fox, -1.0), Candidate(lake, -2.0)]
    assert including(listed, lake) == listed
    assert including(listed, castle) == [Candidate(fox, -1.0), Candidate(castle, -2.0)]
    assert including([], castle) == [Candidate(castle, 0.0)]
