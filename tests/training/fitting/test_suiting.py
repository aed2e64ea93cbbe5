"""The suitability is fitted: what is good comes first, and is measured so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from stand_ins import plain_suitability, quiet

from diffagent.agent.agent import Agent
from diffagent.agent.choosing.suitability import FEATURES
from diffagent.training.corpora.plain_requests import GradedCandidate, PlainRequest
from diffagent.training.fitting.suiting import GradedRequest, fit, fit_once, fit_preferences, gather, measure

PIXELS, OIL, UNKNOWN = (f"urn:air:sd1:checkpoint:civitai:{n}@{n + 1}" for n in (11, 22, 66))


def graded(*pairs: tuple[float, int], split: str = "train", feature: str = "kin") -> GradedRequest:
    """Candidates by one feature and their grade."""
    table = np.zeros((len(pairs), len(FEATURES)))
    table[:, FEATURES.index(feature)] = [value for value, _ in pairs]
    return GradedRequest(table, np.array([grade for _, grade in pairs]), split)


def test_the_good_come_first_where_a_feature_tells_them() -> None:
    rng = np.random.default_rng(0)
    rows = []
    for n in range(64):
        values = rng.normal(size=3 + n % 3)  # of different lengths
        good = int(values.argmax())
        rows.append(graded(*((x, 3 if i == good else 0) for i, x in enumerate(values))))
    model = fit_once(rows, hidden=2, epochs=30)
    assert measure(model, rows)["good"] > 0.95
    assert model(graded((-1, 0), (1, 3)).features).argmax() == 1
    repeat = fit_once(rows, hidden=2, epochs=30)
    np.testing.assert_array_equal(repeat.linear, model.linear)  # the seed decides


def test_grades_are_ordered() -> None:
    rows = [graded((0, 0), (1, 1), (2, 2), (3, 3)) for _ in range(8)]
    logits = fit_once(rows, hidden=2, epochs=40)(rows[0].features)
    assert list(np.argsort(logits)) == [0, 1, 2, 3]


def test_an_order_tells_models_of_one_grade_apart() -> None:
    lists = [graded((0, 3), (1, 3), (2, 1)) for _ in range(8)]
    orders = [replace(row, places=np.array([2, 1, 3])) for row in lists]
    assert list(orders[0].worth) == pytest.approx([0.4, 1, 0.02 * 0.16])
    first, second, last = fit_once([*lists, *orders], hidden=8, epochs=200)(lists[0].features)
    assert second > first > last


def test_an_order_weighs_more_than_a_list_of_grades() -> None:
    one_way, other_way = graded((0, 3), (1, 0)), graded((0, 0), (1, 3))
    order = replace(other_way, places=np.array([2, 1]))
    for row, gain in ((other_way, 0.0), (order, 0.6)):
        logits = fit_once([one_way, row] * 8, hidden=2, epochs=40)(one_way.features)
        assert logits[1] - logits[0] == pytest.approx(gain, abs=0.1)


def test_readers_preferences_tell_models_of_like_features_apart() -> None:
    """Of three models alike, "b" is liked best and "c" least; "rare" stands in too few orders."""
    order = replace(graded((0, 3), (0, 3), (0, 3)), places=np.array([2, 1, 3]), airs=("a", "b", "c"))
    rows = [*[order] * 12, replace(order, airs=("a", "b", "rare"))]
    known = fit_preferences(rows, fits=2, least=12)
    assert sorted(known) == ["a", "b", "c"]
    assert known["b"] > known["a"] > known["c"]
    row = order.with_preferences(known)
    assert list(row.features[:, FEATURES.index("preference")]) == [known[air] for air in "abc"]
    row.features[:, FEATURES.index("is_checkpoint")] = 1
    row.features[:, FEATURES.index("kin")] = (1, 0.5, 0)
    row.features[:, FEATURES.index("likely_kin")] = (1, 0.5, 0.5)
    half = row.with_preferences(dict.fromkeys("abc", 2.0)).features[:, FEATURES.index("preference")]
    assert list(half) == [2, 1, 0.5]  # a checkpoint of another medium is not liked for its own
    fitted = fit_once([row.with_preferences(known) for row in rows], hidden=4)
    assert list(np.argsort(fitted(order.with_preferences(known).features))) == [2, 0, 1]


def test_preferences_are_fitted_without_the_ones_before() -> None:
    order = replace(graded((0, 3), (0, 3)), places=np.array([1, 2]), airs=("a", "b"))
    before = order.with_preferences({"b": 5.0})
    assert fit_preferences([before] * 8, fits=1, least=8) == fit_preferences([order] * 8, fits=1, least=8)


def test_a_fit_is_the_average_of_several_seeds() -> None:
    rows = [graded((0, 0), (1, 1), (2, 2), (3, 3)) for _ in range(4)]
    table = rows[0].features
    seeds = [fit_once([*rows, *rows], seed=seed)(table) for seed in range(2)]
    assert not np.allclose(seeds[0], seeds[1])
    np.testing.assert_allclose(fit(rows, fits=2)(table), np.mean(seeds, axis=0))


def test_models_without_a_preference_are_fitted_too() -> None:
    """What is good is told by its features alone where nobody has compared the models."""
    row = replace(graded((0, 0), (1, 3)), airs=("a", "b")).with_preferences({"b": 1.0})
    logits = fit([row] * 256, fits=1)(row.with_preferences({}).features)
    assert logits[1] - logits[0] > 5.5


def test_a_rare_feature_keeps_its_whole_range() -> None:
    rows = [graded(*((1.0 if n == i == 0 else 0.0, 0) for i in range(4))) for n in range(25)]
    model = fit_once(rows, hidden=1, epochs=1)
    at = FEATURES.index("kin")
    assert model.mean[at] == pytest.approx(0.01)
    assert model.scale[at] == pytest.approx(0.99 / 6, abs=1e-5)  # its deviation is 0.0995
    assert model.scale[FEATURES.index("marked")] == pytest.approx(1e-6)  # the same in all rows


def test_shares_by_hand() -> None:
    rows = [
        graded((1, 3), (0, 0)),  # good first
        graded((1, 2), (0, 3)),  # acceptable before good
        graded((1, 1), (0, 2)),  # weak
        graded((1, 0), (0, 3), (0.5, 3)),  # wrong
    ]
    assert measure(plain_suitability(kin=1.0), rows) == {
        "n": 4,
        "good": 0.25,
        "acceptable": 0.5,
        "wrong": 0.25,
        "good_listed": 0.75,
    }


def test_a_request_counts_under_both_readings(make_reader: Callable[..., Agent]) -> None:
    slots = {"medium": None, "natural": "oil painting", "people": "none", "english": "a harbour"}
    candidates = (GradedCandidate(OIL, 3), GradedCandidate(UNKNOWN, 2), GradedCandidate(PIXELS, 0))
    request = PlainRequest("r1", "un porto", "language", slots, "none", candidates)
    lamp = PlainRequest("r2", "a lamp", "plain", {**slots, "english": None}, "none", candidates[1:2])
    by_reading, by_rules = gather(make_reader().prefilter, [request, lamp], quiet)
    assert (by_reading.split, by_reading.kind) == (request.split, "language")
    for row in (by_reading, by_rules):
        assert row.features.shape == (2, len(FEATURES))
        assert row.grades.tolist() == [3, 0]
    kin = FEATURES.index("kin")
    assert by_reading.features[:, kin].tolist() == [1, 0]
    assert by_rules.features[:, kin].tolist() == [0, 0]  # rules take it for a photo
    assert by_reading.features[0, FEATURES.index("subject")] == pytest.approx(1)  # harbour, in English
