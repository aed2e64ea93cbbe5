from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diffagent.agent.pmi.exact import CHUNK, Floats, Task, distances, unit
from diffagent.data.errors import BadInput


def by_hand(features: Floats, task: Task, gamma: float) -> npt.NDArray[np.float64]:
    """Eq. 9 as it is printed, one kernel at a time, in float64."""

    def k(x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]) -> float:
        return math.exp(-gamma * float(((x - y) ** 2).sum()))

    means = []
    for z in np.asarray(features, np.float64):
        total = 0.0
        for image, w in zip(task.images.astype(np.float64), task.weights.astype(np.float64), strict=True):
            n = len(w)
            norm = sum(w[a] * w[b] * k(z[a], z[b]) for a in range(n) for b in range(n)) / n**2
            total += norm - 2 / n * sum(w[j] * k(z[j], image) for j in range(n)) + 1
        means.append(total / len(task.images))
    return np.array(means)


def invented(
    seed: int, models: int = 5, prompts: int = 4, d: int = 6, images: int = 1
) -> tuple[Floats, Task]:
    random = np.random.default_rng(seed)
    features = random.standard_normal((models, prompts, d)).astype(np.float32)
    task = Task(
        random.standard_normal((images, d)).astype(np.float32),
        random.uniform(-1, 1, (images, prompts)).astype(np.float32),
    )
    return features, task


def test_literal_numbers() -> None:
    # one prompt, weight 1: ‖k(z) − k(x)‖² = 2 − 2 exp(−γ ‖z − x‖²), with ‖z − x‖² = 0 and 4
    task = Task(np.array([[1, 0]], np.float32), np.ones((1, 1), np.float32))
    row = distances(np.array([[[1, 0]], [[-1, 0]]], np.float32), task, 0.5)
    assert row == pytest.approx([0.0, 2 - 2 * math.exp(-2)], abs=1e-6)


@given(st.integers(0, 2**32), st.sampled_from([0.005, 0.02, 0.5]), st.integers(1, 4))
@settings(max_examples=40, deadline=None)
def test_it_is_the_printed_equation(seed: int, gamma: float, images: int) -> None:
    features, task = invented(seed, images=images)
    assert distances(features, task, gamma) == pytest.approx(by_hand(features, task, gamma), abs=2e-6)


def test_chunks_do_not_show() -> None:
    features, task = invented(1, models=CHUNK + 3)
    single = [distances(features[at : at + 1], task, 0.02)[0] for at in range(CHUNK + 3)]
    assert distances(features, task, 0.02) == pytest.approx(single, abs=1e-6)


def test_weights_are_cosines_of_descriptions_and_prompts_and_one_without_descriptions() -> None:
    prompts = np.array([[2, 0], [0, 3], [1, 1]], np.float32)
    image = np.zeros((1, 4), np.float32)
    task = Task.of(image, np.array([[0, 5]], np.float32), prompts)
    assert task.weights[0] == pytest.approx([0, 1, math.sqrt(0.5)])
    assert Task.of(image, None, prompts).weights.tolist() == [[1, 1, 1]]


def test_a_row_of_zeros_has_no_direction() -> None:
    assert unit(np.array([[0, 0], [3, 4]], np.float32)) == pytest.approx(np.array([[0, 0], [0.6, 0.8]]))


@pytest.mark.parametrize(
    ("images", "weights", "message"),
    [
        ((0, 4), (0, 3), "one or more rows"),
        ((2, 4), (1, 3), "as many rows"),
        ((4,), (1, 3), "one or more rows"),
    ],
)
def test_a_task_of_other_shapes_is_refused(
    images: tuple[int, ...], weights: tuple[int, int], message: str
) -> None:
    with pytest.raises(BadInput, match=message):
        Task(np.zeros(images, np.float32), np.zeros(weights, np.float32))


def test_a_task_with_nan_is_refused() -> None:
    with pytest.raises(BadInput, match="NaN"):
        Task(np.full((1, 4), np.nan, np.float32), np.ones((1, 3), np.float32))
