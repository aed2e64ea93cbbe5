"""Tasks, ranks, Fréchet distance and calibration on small numbers."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from diffagent.agent.pmi.frechet import frechet
from diffagent.agent.pmi.metrics import confusions, measure, ranks_of_true, reliability, tasks
from diffagent.data.errors import BadInput


def test_all_subsets_of_a_models_images() -> None:
    models = np.repeat([0, 1], [4, 3])
    sample = tasks(models, 2)
    assert len(sample) == 6 + 3
    assert {tuple(row) for row in sample.images.tolist()} >= {(0, 1), (2, 3), (4, 6)}
    assert (models[sample.images] == sample.models[:, None]).all()


def test_at_most_so_many_tasks_a_model_and_the_same_ones_again() -> None:
    models = np.zeros(20, np.int64)
    sample = tasks(models, 4, most=50)
    assert len({tuple(row) for row in sample.images.tolist()}) == 50
    np.testing.assert_array_equal(sample.images, tasks(models, 4, most=50).images)


def test_ranks_and_ties() -> None:
    distances = np.array([[0.1, 0.5, 0.9], [0.5, 0.5, 0.1], [0.3, 0.3, 0.3]])
    assert ranks_of_true(distances, np.array([0, 1, 1])).tolist() == [1.0, 2.0, 1.0]
    scores = measure(distances, np.array([0, 1, 1]))
    assert scores["top1"] == pytest.approx(2 / 3)
    assert scores["top2"] == 1.0
    assert scores["rank"] == pytest.approx(4 / 3)
    assert scores["tied"] == pytest.approx(2 / 3)  # the paper's formula flatters a method that cannot tell


def test_confusions_are_of_the_first_model() -> None:
    distances = np.array([[0.0, 1, 1], [1, 0, 1], [1, 0, 1], [1, 1, 0]])
    pairs = confusions(distances, np.array([0, 0, 0, 2]), ["a", "b", "c"])
    assert pairs == [{"true": "a", "taken_for": "b", "share": 0.6667}]


def test_reliability_by_bin() -> None:
    log_probabilities = np.log(np.array([[0.95, 0.05], [0.92, 0.08], [0.45, 0.55]]))
    low, high = reliability(log_probabilities, np.array([0, 1, 1]))
    assert (low["n"], low["right"], low["from"]) == (1, 1.0, 0.5)
    assert (high["n"], high["right"]) == (2, 0.5)
    assert high["said"] == pytest.approx(0.935)


def test_frechet_by_hand() -> None:
    # means 0 and 3, variances 2 (ddof 1) and 8: 9 + (√2 − √8)²
    assert frechet([[-1.0], [1.0]], [[1.0], [5.0]]) == pytest.approx(9 + 2)


def test_frechet_of_diagonal_covariances() -> None:
    rng = np.random.default_rng(0)
    left = rng.normal(size=(4000, 3)) * [1, 2, 3]
    right = rng.normal(size=(4000, 3)) * [2, 2, 1] + [1, 0, 0]
    assert frechet(left, right) == pytest.approx(1 + 1 + 0 + 4, rel=0.1)


@settings(max_examples=30, deadline=None)
@given(
    arrays(np.float64, (5, 3), elements=st.floats(-5, 5)),
    arrays(np.float64, (4, 3), elements=st.floats(-5, 5)),
)
def test_frechet_is_symmetric_and_zero_to_itself(
    left: npt.NDArray[np.float64], right: npt.NDArray[np.float64]
) -> None:
    assert frechet(left, right) == pytest.approx(frechet(right, left), abs=1e-6)
    assert frechet(left, left) == pytest.approx(0, abs=1e-6)


def test_frechet_needs_two_rows() -> None:
    with pytest.raises(BadInput, match="two or more rows"):
        frechet([[1.0]], [[1.0], [2.0]])
