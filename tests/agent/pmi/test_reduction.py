from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diffagent.agent.pmi.exact import Floats, Task, distances, squares, unit
from diffagent.agent.pmi.reduction import ALIGNED, Reduction, kernel, largest, prompt_basis, upwards
from diffagent.data.errors import BadInput


def hub(random: np.random.Generator, models: int, prompts: int, d: int, spread: float) -> Floats:
    """Features of unit length around shared contents, in float16 as a store has them."""
    contents = random.standard_normal((prompts, d))
    noise = random.standard_normal((models, prompts, d)) + random.standard_normal((models, 1, d))
    return unit((contents + spread * noise).astype(np.float32)).astype(np.float16).astype(np.float32)


@given(
    seed=st.integers(0, 2**32),
    gamma=st.sampled_from([0.005, 0.02, 0.3, 2.0]),
    rows=st.integers(1, 7),
    images=st.integers(1, 3),
    spread=st.sampled_from([0.05, 0.5, 3.0]),
    signed=st.booleans(),
    length=st.sampled_from([0.5, 1.0, 2.0]),
)
@settings(max_examples=120, deadline=None)
def test_no_model_is_nearer_than_its_bound(
    seed: int, gamma: float, rows: int, images: int, spread: float, signed: bool, length: float
) -> None:
    random = np.random.default_rng(seed)
    features = hub(random, 24, 7, 12, spread)
    reduction = Reduction.fit(features[:9], random.standard_normal((7, 5)).astype(np.float32), gamma, rows)
    apart = np.sqrt(squares(features - reduction.center).max())
    gap = np.abs(squares(features) - 1).max()
    reduction = replace(reduction, radius=float(apart), norm_gap=float(gap))
    stored = reduction.reduce(features, kernel(features, gamma)).astype(np.float64)
    weights = random.uniform(-1 if signed else 0, 1, (images, 7)).astype(np.float32)
    shown = length * unit(random.standard_normal((images, 12)).astype(np.float32))
    task = Task(shown.astype(np.float32), weights)
    probe, true = reduction.probe(task), distances(features, task, gamma)
    assert (probe.base - stored @ probe.bound - probe.slack <= true + 1e-6).all()


def test_with_all_rows_and_a_flat_kernel_the_estimate_is_the_distance() -> None:
    random = np.random.default_rng(3)
    features = hub(random, 30, 5, 16, 0.5)
    prompts = random.standard_normal((5, 8)).astype(np.float32)
    task = Task.of(features[3, :2], prompts[:2], prompts)
    true = distances(features, task, 0.005)
    errors = []
    for rows in (1, 5):
        reduction = Reduction.fit(features, prompts, 0.005, rows)
        probe = reduction.probe(task)
        stored = reduction.reduce(features, kernel(features, 0.005)).astype(np.float64)
        errors.append(np.abs(probe.base - stored @ probe.estimate - true).max())
    assert errors[1] < errors[0]
    assert errors[1] < 2e-5 < 10 * true.std()


def test_the_first_axis_is_uniform_weights_and_the_second_the_prompts_main_contrast() -> None:
    prompts = np.array([[1, 0], [1, 0.1], [-1, 0], [-1, 0.1]], np.float32)
    basis = prompt_basis(prompts)
    assert basis.T @ basis == pytest.approx(np.eye(4), abs=1e-6)
    assert np.abs(basis[:, 0]) == pytest.approx(0.5)
    assert np.abs(basis[:, 1]) == pytest.approx(0.5, abs=0.01)
    assert len(set(np.sign(basis[:2, 1]))) == 1
    assert np.sign(basis[0, 1]) != np.sign(basis[2, 1])


@given(st.integers(0, 2**32), st.integers(1, 40), st.booleans())
@settings(max_examples=40, deadline=None)
def test_the_eigenvalue_bound_is_above_and_near(seed: int, size: int, definite: bool) -> None:
    matrix = np.random.default_rng(seed).standard_normal((2, size, size)).astype(np.float32)
    symmetric = matrix @ matrix.transpose(0, 2, 1) if definite else matrix + matrix.transpose(0, 2, 1)
    true = np.abs(np.linalg.eigvalsh(symmetric)).max(1)
    assert (largest(symmetric) >= true * (1 - 1e-6)).all()
    assert (largest(symmetric) <= 1.001 * true * size ** (1 / 16)).all()


def test_the_eigenvalue_bound_of_nothing_is_nothing() -> None:
    assert largest(np.zeros((2, 3, 3), np.float32)).tolist() == [0, 0]
    assert largest(np.zeros((2, 0, 0), np.float32)).tolist() == [0, 0]


def test_slacks_are_rounded_up() -> None:
    values = np.array([0.0, 1.0, 1.0001, 3e-8, 4.3], np.float32)
    bounds = upwards(values)
    assert (bounds >= values).all()
    assert bounds[:2].tolist() == [0, 1]
    assert bounds[2] == np.float16(1.001)


def test_a_row_fills_whole_registers() -> None:
    features = hub(np.random.default_rng(0), 4, 5, 9, 1.0)
    reduction = Reduction.fit(features, np.eye(5, dtype=np.float32), 0.02, 2)
    assert reduction.used == 2 * 9 + (5 + 4) + 4
    assert reduction.width == 2 * ALIGNED
    assert not reduction.reduce(features, kernel(features, 0.02))[:, reduction.used :].any()


@pytest.mark.parametrize("rows", [0, 6])
def test_rows_beyond_the_prompts_are_refused(rows: int) -> None:
    with pytest.raises(BadInput, match="rows 1 to 5"):
        Reduction.fit(np.zeros((2, 5, 3), np.float32), np.eye(5, dtype=np.float32), 0.02, rows)
