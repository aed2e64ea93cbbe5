"""Listing: candidates of training pairs, from a catalog without a query's image and near-duplicates."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from stand_ins import WordEncoder, invented, plain_ranker, quiet

from diffagent.data.errors import BadInput
from diffagent.training.corpora.train_samples import Corpus, gather, seen_by
from diffagent.training.sft.listing import ListingConfig, list_held_out, list_train, plain_list, read_rows

FOX = "a red fox in deep snow, pixel art, tiny sprite"
ENTRIES = [
    invented(1, "Snow Pixels", [FOX, "castle on a hill, dithered"]),
    invented(2, "Copycat", [FOX + ", bright", "teapot, clay"]),  # a near-duplicate of the first's prompt
    invented(3, "Harbour Oils", ["harbour in oil", "boats in oil, storm"]),
    invented(4, "Old Pickle", [FOX + " again"], file_name="old.ckpt"),
]
WHOLE = ListingConfig(k=2, short=0, without_negative=0, folds=5)


def row(number: int, prompt: str, negative: str = "") -> dict[str, Any]:
    air = ENTRIES[number - 1].card.air
    return {"instruction": {"prompt": prompt, "negative_prompt": negative}, "api": {"n": number}, "air": air}


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return gather(ENTRIES, WordEncoder(), WHOLE.folds)


def listed(rows: list[dict[str, Any]], corpus: Corpus, config: ListingConfig = WHOLE) -> Any:
    return list_train(rows, corpus, plain_ranker(), WordEncoder(), config, quiet)


def test_a_query_never_meets_its_own_image_or_near_duplicates(corpus: Corpus) -> None:
    at = next(i for i, (prompt, _) in enumerate(corpus.texts) if prompt == FOX)
    fold = int(corpus.cluster_fold[at])
    twins = [i for i, (prompt, _) in enumerate(corpus.texts) if prompt.startswith(FOX)]
    assert {int(corpus.cluster_fold[i]) for i in twins} == {fold}
    matcher = seen_by(corpus, fold)
    vectors = {vector.tobytes() for vector in matcher.vectors}
    for i in twins:
        assert corpus.docs[i].vector.tobytes() not in vectors
    everything = seen_by(corpus, None)
    assert len(everything.vectors) == len(corpus.docs)


def test_pairs_come_with_the_best_candidates_and_one_in_reserve(corpus: Corpus) -> None:
    (pair,) = listed([row(3, "harbour in oil")], corpus)
    assert pair.prompt == "harbour in oil"
    assert pair.card.name == "Harbour Oils"
    assert pair.api == {"n": 3}
    assert len(pair.candidates) == 3  # no pickle: three are left of four
    assert pair.cards[0].name == "Harbour Oils"
    assert "Old Pickle" not in {card.name for card in pair.cards}


def test_rows_keep_their_order_and_those_of_other_crawls_are_left_out(corpus: Corpus) -> None:
    rows = [row(3, "boats in oil, storm"), row(1, "never seen"), row(1, FOX)]
    assert [pair.prompt for pair in listed(rows, corpus)] == ["boats in oil, storm", FOX]
    with pytest.raises(BadInput, match="none of 1 rows comes from this crawl"):
        listed([row(1, "never seen")], corpus)


def test_short_queries_are_parts_of_the_prompt(corpus: Corpus) -> None:
    config = ListingConfig(k=2, short=1, without_negative=0, folds=5)
    queries = [(1, FOX), (1, "castle on a hill, dithered"), (2, FOX + ", bright"), (2, "teapot, clay")]
    whole = [prompt for _, prompt in queries]
    prompts = [query.prompt for query in listed([row(*query) for query in queries], corpus, config)]
    assert prompts != whole
    for short, prompt in zip(prompts, whole, strict=True):
        assert set(short.replace(",", " ").split()) & set(prompt.replace(",", " ").split())


def test_held_out_rows_meet_the_whole_corpus(corpus: Corpus) -> None:
    rows = [row(2, "teapot made of clay"), {**row(1, "x"), "air": "urn:air:sd1:lora:civitai:9@9"}]
    (held_out_pair,) = list_held_out(rows, corpus, plain_ranker(), WordEncoder(), 2, quiet)
    assert held_out_pair.cards[0].name == "Copycat"
    cards = {entry.card.air: entry.card for entry in ENTRIES}
    assert [pair.candidates for pair in plain_list(rows, cards)] == [()]


def test_rows_are_read_and_bad_lines_named(tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    path.write_text(json.dumps(row(1, FOX)) + "\n")
    assert read_rows(path) == [row(1, FOX)]
    path.write_text(json.dumps(row(1, FOX)) + '\n{"air": 1}\n')
    with pytest.raises(BadInput, match="line 2 is not a row"):
        read_rows(path)
    path.write_text("")
    with pytest.raises(BadInput, match="has no rows"):
        read_rows(path)
    with pytest.raises(BadInput, match=r"is not a file$"):
        read_rows(tmp_path / "none.jsonl")


@pytest.mark.parametrize("wrong", [{"k": 1}, {"folds": 1}, {"short": 0.7, "without_negative": 0.6}])
def test_a_config_that_cannot_be_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises((BadInput, ValidationError)):
        ListingConfig(**wrong)
