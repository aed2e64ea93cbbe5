"""Eq. 9 of the CGI paper on numbers worked out by hand, and its properties."""

from __future__ import annotations

import math
from collections.abc import Iterator
from random import Random

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from diffagent.agent.pmi.kernel_matching import (
    Doubles,
    KernelMatcher,
    Points,
    ReducedMatcher,
    ReducedSet,
    most_downloaded,
    prompt_weights,
    ranks,
    rbf,
)
from diffagent.data.errors import BadInput

LOG2 = math.log(2)
finite = st.floats(-3, 3, allow_subnormal=False).map(lambda x: round(x, 3))


def points(images: npt.ArrayLike, prompts: npt.ArrayLike | None = None) -> Points:
    return Points(np.array(images, float), None if prompts is None else np.array(prompts, float))


def matrices(rows: int, columns: int = 3) -> st.SearchStrategy[Doubles]:
    return arrays(np.float64, (rows, columns), elements=finite)


@st.composite
def specified(draw: st.DrawFn, least: int = 1, most: int = 4) -> Points:
    n = draw(st.integers(least, most))
    return Points(draw(matrices(n)), draw(matrices(n, 2)))


def distance(requirement: Points, specification: Points, gamma: float = 0.1) -> float:
    return float(KernelMatcher([specification], gamma).distances(requirement)[0])


def test_kernel_of_two_points() -> None:
    # squared distance 1, gamma log 2: k = 1/2; squared distance 4: k = 1/16
    kernel = rbf(np.array([[0.0], [2.0]]), np.array([[1.0], [0.0]]), LOG2)
    np.testing.assert_allclose(kernel, [[1 / 2, 1], [1 / 2, 1 / 16]])


def test_eq_9_with_uniform_weights_by_hand() -> None:
    # Z_m = {0, 1}, query 1: K = [[1, ½], [½, 1]], k = [½, 1], w = [1, 1], N = 2
    # (1 + ½ + ½ + 1)/4 − 2 (½ + 1)/2 + 1 = 0.75 − 1.5 + 1
    assert distance(points([[1.0]]), points([[0.0], [1.0]]), LOG2) == pytest.approx(0.25)


def test_eq_9_with_weights_of_prompts_by_hand() -> None:
    # q_1 · q̂ = 1, q_2 · q̂ = 0: w = [1, 0]; w'Kw / 4 − 2 w'k / 2 + 1 = 1/4 − 1/2 + 1
    specification = points([[0.0], [1.0]], [[2.0, 0.0], [0.0, 3.0]])
    discrepancy = distance(points([[1.0]], [[5.0, 0.0]]), specification, LOG2)
    assert discrepancy == pytest.approx(0.75)


def test_eq_9_is_the_mean_over_example_images() -> None:
    # image 1: 0.25 as above; image 0 the same by symmetry; image 3: k = [2^-9, 2^-4]
    specification = points([[0.0], [1.0]])
    third = 0.75 - (2**-9 + 2**-4) + 1
    discrepancy = distance(points([[1.0], [0.0], [3.0]]), specification, LOG2)
    assert discrepancy == pytest.approx((0.25 + 0.25 + third) / 3)


def test_weights_are_cosines_and_ones_without_prompts() -> None:
    left, right = points([[0.0]], [[3.0, 4.0]]), points([[0.0], [0.0]], [[1.0, 0.0], [0.0, 0.0]])
    np.testing.assert_allclose(prompt_weights(left, right), [[0.6, 0.0]])
    np.testing.assert_allclose(prompt_weights(points([[0.0]]), right), [[1.0, 1.0]])


def test_a_models_own_image_is_at_distance_0() -> None:
    assert distance(points([[0.3, -2.0]]), points([[0.3, -2.0]])) == 0.0


@settings(max_examples=40, deadline=None)
@given(specified(), specified(), st.randoms(use_true_random=False))
def test_the_order_of_images_does_not_matter(
    requirement: Points, specification: Points, random: Random
) -> None:
    def shuffled(sample: Points) -> Points:
        assert sample.prompts is not None
        order = list(range(len(sample.images)))
        random.shuffle(order)
        return Points(sample.images[order], sample.prompts[order])

    assert distance(shuffled(requirement), shuffled(specification)) == pytest.approx(
        distance(requirement, specification), abs=1e-9
    )


@settings(max_examples=40, deadline=None)
@given(specified(), specified())
def test_duplicating_all_prompts_changes_nothing(requirement: Points, specification: Points) -> None:
    def twice(sample: Points) -> Points:
        assert sample.prompts is not None
        return Points(np.repeat(sample.images, 2, 0), np.repeat(sample.prompts, 2, 0))

    plain = distance(requirement, specification)
    assert distance(requirement, twice(specification)) == pytest.approx(plain, abs=1e-9)
    assert distance(twice(requirement), specification) == pytest.approx(plain, abs=1e-9)


def norms(requirement: Points, specification: Points, gamma: float) -> Iterator[float]:
    """‖Σ a k(x, ·)‖² = aᵀ K a of each example image, over all points at once."""
    weights = prompt_weights(requirement, specification) / len(specification.images)
    for i, row in enumerate(weights):
        joined = np.concatenate([specification.images, requirement.images[i : i + 1]])
        signed = np.append(row, -1.0)
        yield signed @ rbf(joined, joined, gamma) @ signed


@settings(max_examples=60, deadline=None)
@given(specified(), specified(), st.sampled_from([0.005, 0.02, 1.0, 50.0]))
def test_the_distance_is_the_mean_norm(requirement: Points, specification: Points, gamma: float) -> None:
    expected = np.mean(list(norms(requirement, specification, gamma)))
    assert distance(requirement, specification, gamma) == pytest.approx(expected, abs=1e-9)


@settings(max_examples=20, deadline=None)
@given(specified(), specified())
def test_equal_models_tie(requirement: Points, specification: Points) -> None:
    for matcher in (KernelMatcher, ReducedMatcher):
        first, second = matcher([specification, specification], 0.1).distances(requirement)
        assert first == second
        assert ranks(np.array([first, second])).tolist() == [1, 1]


def test_reduced_set_of_one_image_is_that_image() -> None:
    reduced_set = ReducedSet.of(np.array([[1.0, 2.0]]), 0.02)
    np.testing.assert_allclose(reduced_set.point, [1.0, 2.0])
    assert reduced_set.weight == pytest.approx(1.0)


def test_reduced_set_by_hand() -> None:
    # of {−1, 1} at gamma log 2 the mean is a fixed point: β = k(0, ±1) = ½
    reduced_set = ReducedSet.of(np.array([[-1.0], [1.0]]), LOG2)
    np.testing.assert_allclose(reduced_set.point, [0.0], atol=1e-9)
    assert reduced_set.weight == pytest.approx(0.5)
    # ‖½ k(0) − k(0)‖² = ¼
    assert ReducedMatcher([points([[-1.0], [1.0]])], LOG2).distances(points([[0.0]]))[0] == pytest.approx(
        0.25
    )


def test_reduced_set_far_from_all_images_stays_finite() -> None:
    reduced_set = ReducedSet.of(np.array([[-1e4], [1e4]]), 1.0)
    assert np.isfinite(reduced_set.point).all()
    assert reduced_set.weight == 0.0


def test_the_most_downloaded_model_comes_first() -> None:
    assert ranks(most_downloaded([5, 9, 9])).tolist() == [3, 1, 1]


def test_points_say_what_is_wrong() -> None:
    with pytest.raises(BadInput, match="at least one row"):
        points(np.zeros((0, 3)))
    with pytest.raises(BadInput, match="2 images came with 1 prompts"):
        points([[0.0], [1.0]], [[1.0]])
