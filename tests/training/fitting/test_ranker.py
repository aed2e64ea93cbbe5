"""Fitting the ranker on a tiny invented hub: what a query may see, what is listed, what is learnt."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from stand_ins import WordEncoder, quiet
from themed_hub import THEMES, hub

from diffagent.agent.choosing.matching import FEATURES
from diffagent.agent.choosing.prefilter import Prefilter
from diffagent.training.corpora.train_samples import Corpus, gather, seen_by
from diffagent.training.fitting.ranker import FitConfig, Queries, _list, fit, queries

CONFIG = FitConfig(
    folds=3, full=60, short=30, most_per_model=50, near=4, random=3, hidden=4, epochs=30, batch=16
)


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return gather(hub(), WordEncoder(), CONFIG.folds)


def column(features: np.ndarray, name: str) -> np.ndarray:
    return features[..., FEATURES.index(name)].astype(float)


def test_no_query_meets_its_own_image(corpus: Corpus) -> None:
    data = queries(corpus, WordEncoder(), replace(CONFIG, short=0), quiet)
    assert set(data.kind.tolist()) == {0, 1}
    # its own image would match word for word
    assert column(data.features, "term")[:, 0].max() < 0.99
    assert column(data.features, "sentence")[:, 0].max() < 0.99
    everything = seen_by(corpus, None)
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
    prefilter = Prefilter(corpus.cards, seen_by(corpus, None), ranker, encoder)
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


@pytest.mark.parametrize("wrong", [{"folds": 1}, {"hidden": 0}, {"epochs": 0}, {"near": 0}])
def test_a_config_without_anything_to_fit_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="at least"):
        FitConfig(**wrong)
