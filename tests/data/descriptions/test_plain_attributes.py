"""Attributes that a classifier makes: learnt on invented cards, and marked where they are stored."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from stand_ins import WordEncoder

from diffagent.data.attributes import (
    Attributes,
    EstimatedAttributes,
    attributes_from_json,
    attributes_to_json,
)
from diffagent.data.catalog.card_json import card_from_json, card_to_json
from diffagent.data.catalog.cards import Entry
from diffagent.data.catalog.catalog import Catalog, Filter
from diffagent.data.descriptions.card_features import CardFeatures
from diffagent.data.descriptions.plain_attributes import plain_attributes, with_plain_attributes
from diffagent.data.descriptions.plain_reader import HEADS, Cuts, PlainReader
from diffagent.data.descriptions.sources import Source
from diffagent.data.errors import BadInput
from diffagent.data.records import Card, Sample, Stats
from diffagent.serving.cli import main
from diffagent.training.evaluation.keyword_attributes import keyword_attributes
from diffagent.training.fitting.plain_fitting import ReaderFitConfig, assign_folds, cross_fit, fit, tune_cuts

INK = Attributes(role="style", media=("ink",), breadth="broad", people="any", needed=("inky",), renown=2)
HERO = Attributes(role="character", media=("anime", "manga"), people="women", needed=("hero",), renown=0)
BARE = Attributes(role="general", media=("photo",), breadth="broad", caution=("sexualised",), renown=1)


def source(number: int) -> Source:
    """An ink style, a heroine or an explicit checkpoint, told apart by its words."""
    kind = number % 3
    name = ("Brush", "Heroine", "Bare")[kind] + f" {number}"
    words = (("inky",), ("hero",), ())[kind]
    return Source(
        Card(
            name=name,
            type="Checkpoint" if kind == 2 else "LoRA",
            base_model="SD 1.5",
            air=f"urn:air:sd1:{'checkpoint' if kind == 2 else 'lora'}:civitai:{number + 1}@{number + 2}",
            tags=(("brush",), ("girl", "saga of iron"), ("camera",))[kind],
            trigger_words=words,
            stats=Stats(downloads=(900, 10, 100)[kind]),
        ),
        ("Made on Deliberate for ink.", "A girl.", "")[kind],
    )


SOURCES = [source(number) for number in range(60)]
READ = [(INK, HERO, BARE)[number % 3] for number in range(60)]
CONFIG = ReaderFitConfig(penalty=0.05, dense_penalty=0.05, least=2, folds=3)


@pytest.fixture(scope="module")
def features() -> CardFeatures:
    return CardFeatures.of(SOURCES, WordEncoder())


@pytest.fixture(scope="module")
def reader(features: CardFeatures) -> PlainReader:
    return fit(features, READ, CONFIG).with_cuts(Cuts((0.5, 1.5, 2.5), 0.5))


def test_what_was_learnt_is_said_of_new_cards(reader: PlainReader) -> None:
    ink, hero, bare = plain_attributes([source(90), source(91), source(92)], WordEncoder(), reader)
    assert ink == EstimatedAttributes(
        role="style", media=("ink",), subjects=("brush 90",), breadth="broad", needed=("inky",),
        carrier="Deliberate", renown=2,
    )  # fmt: skip
    assert (hero.role, hero.media, hero.people, hero.renown) == ("character", ("anime", "manga"), "women", 0)
    assert hero.subjects == ("heroine 91", "hero", "saga of iron")
    assert (bare.role, bare.caution, bare.is_choosable) == ("general", ("sexualised",), False)


def test_a_lora_is_never_general(reader: PlainReader) -> None:
    bare = source(92)
    lora = replace(bare, card=replace(bare.card, type="LoRA"))
    (attributes,) = plain_attributes([lora], WordEncoder(), reader)
    assert attributes.role in ("style", "character")


def test_a_word_for_minors_leaves_no_doubt(reader: PlainReader) -> None:
    ink = source(90)
    (attributes,) = plain_attributes(
        [replace(ink, card=replace(ink.card, tags=("loli",)))], WordEncoder(), reader
    )
    assert attributes.caution == ("minor",)


def test_no_card_is_no_work(reader: PlainReader) -> None:
    assert plain_attributes([], WordEncoder(), reader) == []


def test_probabilities_are_of_known_words_alone(features: CardFeatures) -> None:
    """One word, one number: logits by hand."""
    width = sum(map(len, HEADS.values()))
    words = np.zeros((1, width), np.float32)
    words[0, 0] = 2.0  # role "general"
    dense = np.zeros((features.dense.shape[1], width), np.float32)
    plain_reader = PlainReader(
        np.array([7], np.uint32), words, dense, np.zeros(width, np.float32), np.zeros((2, 4), np.float32)
    )
    pair = (np.array([3, 7], np.uint32), np.array([5.0, 0.5], np.float32))
    few = CardFeatures(features.dense[:1], (pair,), features.media[:1])
    role = plain_reader(few)["role"][0]
    assert role[0] == pytest.approx(np.e / (np.e + 9))  # exp(0.5 · 2) beside nine of exp(0)
    assert plain_reader(few)["needed"][0, 0] == 0.5


def test_another_encoders_vectors_are_refused(features: CardFeatures) -> None:
    with pytest.raises(BadInput, match="takes 1160 numbers a card, but there are 200"):
        PlainReader.load()(features)


def test_weights_survive_the_file(reader: PlainReader, features: CardFeatures, tmp_path: Path) -> None:
    reader.save(tmp_path / "reader.npz")
    copy = PlainReader.load(tmp_path / "reader.npz")
    assert copy.cuts == reader.cuts
    for name, rows in reader(features).items():
        assert np.abs(copy(features)[name] - rows).max() < 0.03  # int8 steps
    (tmp_path / "none.npz").write_bytes(b"no zip")
    with pytest.raises(BadInput, match="not a plain reader"):
        PlainReader.load(tmp_path / "none.npz")


def test_cross_fitting_keeps_an_uploader_together(features: CardFeatures) -> None:
    uploaders = [f"u{number // 6}" for number in range(60)]
    folds = assign_folds(uploaders, 3)
    assert all(len(set(folds[start : start + 6])) == 1 for start in range(0, 60, 6))
    assert sorted(np.bincount(folds)) == [18, 18, 24]
    probabilities = cross_fit(features, READ, uploaders, CONFIG)
    cuts = tune_cuts(probabilities, READ)
    assert cuts.renown == tuple(sorted(cuts.renown))
    assert probabilities["flags"][2, 3] > cuts.flag > probabilities["flags"][0, 3]


def test_the_keyword_baseline_reads_words() -> None:
    attributes = keyword_attributes(source(90))
    assert (attributes.role, attributes.media, attributes.breadth, attributes.renown) == (
        "concept",
        ("anime",),
        "narrow",
        1,
    )
    girl = keyword_attributes(replace(source(91), card=replace(source(91).card, tags=("character", "manga"))))
    assert (girl.role, girl.media, girl.people) == ("character", ("manga",), "any")


def test_entries_that_were_read_stay(reader: PlainReader) -> None:
    entry = Entry(replace(SOURCES[0].card, attributes=HERO))
    samples = (Sample(1, 2, "a fox, <lora:inky:1>"), Sample(2, 2, "nude"))
    unread = Entry(SOURCES[3].card, samples, frozenset({"brush"}), "Made on DreamShaper.")
    first, second = with_plain_attributes([entry, unread], WordEncoder(), reader, batch=1)
    assert first is entry
    assert second.card.attributes is not None
    assert (second.card.attributes.is_estimated, second.card.attributes.carrier) == (True, "DreamShaper")
    assert (second.samples, second.stems) == (samples, unread.stems)
    assert Source.of(second).prompts == ("a fox",)


def test_estimated_ones_are_marked_wherever_they_are_stored(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    guess = EstimatedAttributes(role="style", media=("ink",), renown=2)
    assert attributes_to_json(guess) == '{"estimated":true,"role":"style","media":["ink"],"renown":2}'
    assert attributes_from_json(attributes_to_json(guess)) == guess
    assert attributes_from_json(attributes_to_json(INK)) == INK
    assert guess != Attributes(role="style", media=("ink",), renown=2)
    card = replace(SOURCES[0].card, attributes=guess)
    assert card_to_json(card)["attributes"]["estimated"] is True
    assert card_from_json(card_to_json(card)).attributes == guess
    with Catalog.create(tmp_path / "c.sqlite") as catalog:
        (entry,) = catalog.add([card])
        assert [match.attributes for match in catalog.cards(Filter(role="style"))] == [guess]
        catalog.put_purposes({entry: replace(card, attributes=INK, description="Inkwell.")})
        assert catalog.find("Brush 0").attributes == INK
        assert [match.name for match in catalog.search("inkwell")] == ["Brush 0"]
        catalog.put_purposes({entry: card})
    with pytest.raises(SystemExit):
        main(["catalog", "show", "Brush 0", "--catalog", str(tmp_path / "c.sqlite")])
    assert "estimated" in capsys.readouterr().out
