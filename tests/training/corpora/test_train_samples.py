"""The train samples of a tiny invented hub: their documents, their folds, prompts cut to a few words."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from stand_ins import WordEncoder, invented
from themed_hub import THEMES, hub

from diffagent.data.catalog.cards import Entry
from diffagent.data.catalog.specification import MATCHED
from diffagent.training.corpora.train_samples import Corpus, _matcher, gather, shorten


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return gather(hub(), WordEncoder(), 3)


def test_the_corpus_holds_every_sample_as_its_models_document(corpus: Corpus) -> None:
    assert [card.name for card in corpus.cards] == list(THEMES)
    assert np.bincount(corpus.model).tolist() == [6] * 10
    assert len(corpus.docs) == len(corpus.texts) == 60
    assert set(corpus.image_fold.tolist()) == set(corpus.cluster_fold.tolist()) == {0, 1, 2}


def test_the_same_prompt_of_one_model_is_one_document_of_its_smallest_image() -> None:
    entry = invented(5, "Twin", ["a fox, snow", "a hare, snow", "a fox, snow"])
    once = gather([entry], WordEncoder(), 50)
    without_last = gather([replace_samples(entry, 2)], WordEncoder(), 50)
    assert once.texts == [("a fox, snow", ""), ("a hare, snow", "")]
    assert once.image_fold.tolist() == without_last.image_fold.tolist()


def replace_samples(entry: Entry, count: int) -> Entry:
    return Entry(entry.card, entry.samples[:count])


def test_near_duplicates_share_a_cluster_fold() -> None:
    entries = [
        invented(5, "One", ["a red fox in the deep snow", "harbour at night"]),
        invented(6, "Two", ["a red fox, in the deep snow", "teapot on a table"]),
    ]
    near_corpus = gather(entries, WordEncoder(), 1000)
    fox, harbour, twin, teapot = near_corpus.cluster_fold.tolist()
    assert fox == twin
    assert len({fox, harbour, teapot}) == 3
    assert near_corpus.image_fold[0] != near_corpus.image_fold[2]


def seen_by(corpus: Corpus, fold: int) -> npt.NDArray[np.bool_]:
    return np.asarray((corpus.image_fold != fold) & (corpus.cluster_fold != fold))


def test_a_fold_hides_its_own_images_and_clusters() -> None:
    entries = [*hub(4), *(replace_card(entry, 100) for entry in hub(4))]  # every prompt twice
    corpus = gather(entries, WordEncoder(), 3)
    for fold in range(3):
        hidden = _matcher(corpus, seen_by(corpus, fold))
        terms = {tuple(document.tolist()) for document in documents_of(hidden)}
        for at, doc in enumerate(corpus.docs):
            text = tuple(sorted(set(doc.prompt.tolist())))
            if fold == corpus.cluster_fold[at]:  # its near-duplicates of any model are gone
                assert text not in terms
        assert len(hidden.model) == seen_by(corpus, fold).sum() < len(corpus.docs)


def replace_card(entry: Entry, offset: int) -> Entry:
    number = (entry.card.model_id or 0) + offset
    return invented(number, f"{entry.card.name} {offset}", [sample.prompt for sample in entry.samples])


def documents_of(matcher: Any) -> list[np.ndarray]:
    """The hashed terms of each document's prompt, ascending."""
    index = matcher.prompts
    terms = np.repeat(np.arange(len(index.start) - 1), np.diff(index.start))
    return [terms[index.documents == at] for at in range(len(index))]


def test_short_prompts_are_a_few_phrases_and_often_a_word_of_the_model() -> None:
    card = invented(1, "Grand Inks", [], tags=("sumi",), trigger_words=("inkfox",)).card
    rng = np.random.default_rng(2)
    phrases = ["a red fox", "snow", "deep forest", "moss", "dawn"]
    prompts = [shorten("a (red:1.2) fox, snow, deep forest, moss, dawn", card, rng) for _ in range(200)]
    for text in prompts:
        parts = [phrase for phrase in phrases if phrase in text]
        assert 1 <= len(parts) <= 4
    mentions = [any(word in text for word in ("sumi", "Grand", "Inks", "inkfox")) for text in prompts]
    assert 0.6 < np.mean(mentions) < 0.8  # 0.45 a tag, 0.15 the name, 0.1 a trigger word
    assert len(set(prompts)) > 100


def test_a_card_without_words_leaves_the_prompt_alone() -> None:
    bare = invented(1, "??", []).card
    rng = np.random.default_rng(0)
    assert {shorten("snow", bare, rng) for _ in range(30)} == {"snow"}


def test_documents_of_the_corpus_are_flagged_as_the_catalogs_are(corpus: Corpus) -> None:
    assert all((doc.prompt & MATCHED).any() for doc in corpus.docs)
