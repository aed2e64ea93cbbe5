"""Fitting the ranker on a tiny invented hub: what a query may see, what is listed, what is learnt."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from stand_ins import WordEncoder, invented, quiet

from diffagent.agent.choosing.matching import FEATURES
from diffagent.agent.choosing.prefilter import Prefilter
from diffagent.data.catalog.cards import Entry
from diffagent.data.catalog.specification import MATCHED
from diffagent.training.fitting.ranker import (
    Corpus,
    FitConfig,
    Queries,
    _list,
    _matcher,
    fit,
    gather,
    queries,
    shorten,
)

THEMES = {
    "Ink": "ink brush monochrome paper stroke",
    "Pixel": "pixel sprite retro arcade dither",
    "Oil": "oil canvas impasto baroque varnish",
    "Robot": "robot chrome gears circuit android",
    "Forest": "forest moss fern canopy trail",
    "Harbour": "harbour boats gulls pier lighthouse",
    "Food": "ramen broth noodles bowl chopsticks",
    "Space": "nebula galaxy astronaut orbit comet",
    "Clay": "clay plasticine stopmotion thumbprint puppet",
    "Glass": "glass stained mosaic cathedral lead",
}
THINGS = ["fox", "castle", "hare", "door", "lamp", "river", "tower", "bird", "horse", "kettle"]


def hub(prompts: int = 6) -> list[Entry]:
    """A model a theme; each prompt holds three of the theme's words and a thing."""
    rng = np.random.default_rng(0)

    def prompt(words: list[str], i: int) -> str:
        places = rng.choice(len(words), 3, replace=False)
        return f"a {THINGS[i]}, " + ", ".join(words[w] for w in places)

    return [
        invented(n, name, [prompt(words.split(), i) for i in range(prompts)], tags=(words.split()[0],))
        for n, (name, words) in enumerate(THEMES.items(), 1)
    ]


CONFIG = FitConfig(
    folds=3, full=60, short=30, most_per_model=50, near=4, random=3, hidden=4, epochs=30, batch=16
)


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return gather(hub(), WordEncoder(), CONFIG.folds)


def column(features: np.ndarray, name: str) -> np.ndarray:
    return features[..., FEATURES.index(name)].astype(float)


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


def test_no_query_meets_its_own_image(corpus: Corpus) -> None:
    data = queries(corpus, WordEncoder(), replace(CONFIG, short=0), quiet)
    assert set(data.kind.tolist()) == {0, 1}
    # its own image would match word for word
    assert column(data.features, "term")[:, 0].max() < 0.99
    assert column(data.features, "sentence")[:, 0].max() < 0.99
    everything = _matcher(corpus, np.ones(60, bool))
    assert len(everything.model) == 60


def test_queries_list_the_true_model_first_then_the_near_and_a_weighted_draw(corpus: Corpus) -> None:
    data = queries(corpus, WordEncoder(), CONFIG, quiet)
    assert data.features.shape == (len(data.kind), 1 + 4 + 3, len(FEATURES))
    assert set(data.kind.tolist()) == {0, 1, 2}
    # ten models: the true one, four near ones, and three of the other five that stand for 5/3 each
    assert np.allclose(data.offset, [[0] * 5 + [np.log(5 / 3)] * 3], atol=1e-6)
    assert set(data.weight[data.kind < 2].tolist()) == {1.0}
    assert (data.weight > 0).all()
    assert column(data.features, "has_negative").max() == 0


def test_listed_models_are_the_true_one_the_nearest_and_others_once_each() -> None:
    table = np.zeros((6, len(FEATURES)), np.float32)
    table[:, FEATURES.index("joint")] = [0.1, 0.9, 0.5, 0.7, 0.2, 0.3]
    config = replace(CONFIG, near=2, random=2)
    ids, offset = _list(table, 3, config, np.random.default_rng(0))
    assert ids[:3].tolist() == [3, 1, 2]
    assert len(set(ids.tolist())) == 5
    assert offset.tolist() == pytest.approx([0, 0, 0, np.log(3 / 2), np.log(3 / 2)])
    alone, nothing = _list(table[:2], 0, config, np.random.default_rng(0))
    assert (alone.tolist(), nothing.tolist()) == ([0, 1], [0, 0])


@pytest.mark.wide
def test_the_fitted_ranker_finds_models_for_prompts_it_never_saw(corpus: Corpus) -> None:
    encoder = WordEncoder()
    config = replace(CONFIG, held_out=0.2)
    ranker, history = fit(queries(corpus, encoder, config, quiet), config, quiet)
    assert len(history) == 30
    assert history[-1]["loss"] < history[0]["loss"]
    assert history[-1]["recall@1"] >= 0.5  # one in eight by chance
    prefilter = Prefilter(corpus.cards, _matcher(corpus, np.ones(60, bool)), ranker, encoder)
    right = 0
    for name, words in THEMES.items():
        _, word, _, _, other_word = words.split()
        (candidate,) = prefilter.rank(prefilter.require(f"an owl, {word} and {other_word}"), k=1)
        right += candidate.card.name == name
    assert right >= 7  # of ten; one by chance


def test_a_listed_model_counts_for_all_it_stands_for() -> None:
    # two models that look alike, of which the other stands for nine: log(1 + 9)
    count = 20
    offset = np.tile(np.log(np.array([1, 9], np.float32)), (count, 1))
    data = Queries(
        np.zeros((count, 2, 3), np.float16), np.zeros(count, int), np.ones(count, np.float32), offset
    )
    _, history = fit(data, replace(CONFIG, epochs=1, held_out=0.5), quiet)
    assert history[0]["loss"] == pytest.approx(np.log(10), abs=1e-5)
    assert history[0]["held_out_loss"] == pytest.approx(np.log(10), abs=1e-5)


def test_queries_of_more_weight_are_heeded_more() -> None:
    # half of the queries want the greater value, half the smaller; those that count for more win
    features = np.zeros((80, 2, 1), np.float16)
    features[:40, 0], features[40:, 1] = 1, 1
    ones = np.ones(40)
    for weights, sign in ((np.r_[9 * ones, ones], 1), (np.r_[ones, 9 * ones], -1)):
        data = Queries(features, np.zeros(80, int), weights.astype(np.float32), np.zeros((80, 2), np.float32))
        ranker, _ = fit(data, replace(CONFIG, epochs=20, learning_rate=0.05), quiet)
        low, high = ranker(np.array([[0], [1]], np.float32))
        assert np.sign(high - low) == sign


def test_a_fit_is_the_same_every_time(corpus: Corpus) -> None:
    encoder, config = WordEncoder(), replace(CONFIG, epochs=2)
    first, second = (fit(queries(corpus, encoder, config, quiet), config, quiet)[0] for _ in range(2))
    for name, value in vars(first).items():
        assert getattr(second, name).tolist() == value.tolist(), name


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


@pytest.mark.parametrize("wrong", [{"folds": 1}, {"hidden": 0}, {"epochs": 0}, {"near": 0}])
def test_a_config_without_anything_to_fit_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="at least"):
        FitConfig(**wrong)


def test_documents_of_the_corpus_are_flagged_as_the_catalogs_are(corpus: Corpus) -> None:
    assert all((doc.prompt & MATCHED).any() for doc in corpus.docs)
