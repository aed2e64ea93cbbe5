"""The learnt space: posterior by hand, and invariances."""

from __future__ import annotations

import math

import numpy as np
import pytest

from diffagent.agent.pmi.learning import (
    Keys,
    TrainingImages,
    learn,
    left_out,
    log_softmax,
    prompt_folds,
    sets,
    temperature,
    windows,
)
from diffagent.agent.pmi.space import Floats, Ints, Space, SpaceSetting
from diffagent.data.errors import BadInput

PLAIN = SpaceSetting(0.3, 0.1)


def crops_of(style: Floats, spread: float = 0.5, seed: int = 9) -> Floats:
    """Four crops an image, around it."""
    rng = np.random.default_rng(seed)
    return (style[:, None] + spread * rng.normal(size=(len(style), 4, style.shape[1]))).astype(np.float32)


def fit(style: Floats, models: Ints, setting: SpaceSetting = PLAIN) -> Space:
    return Space.fit(style, crops_of(style), models, setting)


def train(style: Floats, models: Ints, prompts: Keys) -> TrainingImages:
    return TrainingImages(style, crops_of(style), models, prompts, (style.shape[1],))


def hub(
    models: int = 4, each: int = 8, size: int = 5, spread: float = 0.3, seed: int = 0
) -> tuple[Floats, Ints, Keys]:
    """Images of models with their own means: statistics, models, prompts."""
    rng = np.random.default_rng(seed)
    means = rng.normal(size=(models, size))
    of = np.repeat(np.arange(models), each)
    style = means[of] + spread * rng.normal(size=(models * each, size))
    prompts = np.tile(np.arange(1, each + 1, dtype=np.uint64), models)
    return style.astype(np.float32), of, prompts


def test_evidence_by_hand() -> None:
    # one axis, B = W = 1; n = 1 image at 2: c ~ N(1, ½); n = 3 images at 0: c ~ N(0, ¼)
    unit = np.ones(1, np.float32)
    space = Space(0 * unit, unit, unit[:, None], unit, unit, np.array([[2.0], [0.0]]), np.array([1.0, 3.0]))
    evidence = space.evidence(np.array([[1.5]], np.float32))[0]
    expected = [-0.5 * (0.5**2 / 1.5 + math.log(1.5)), -0.5 * (1.5**2 / 1.25 + math.log(1.25))]
    np.testing.assert_allclose(evidence, expected, rtol=1e-6)


def test_models_are_told_apart_and_order_does_not_matter() -> None:
    style, models, _ = hub()
    space = fit(style, models)
    evidence = space.evidence(space.project(style))
    assert (evidence.argmax(1) == models).mean() > 0.9
    order = np.random.default_rng(1).permutation(len(models))
    again = Space.fit(style[order], crops_of(style)[order], models[order], PLAIN)
    np.testing.assert_allclose(again.evidence(again.project(style)), evidence, rtol=1e-2, atol=0.05)


def test_what_crops_differ_by_is_not_style() -> None:
    """Two statistics tell the models apart; crops vary in the first, which is then no evidence."""
    rng = np.random.default_rng(0)
    models = np.repeat(np.arange(3), 4)
    style = (3.0 * models[:, None] + rng.normal(size=(12, 2)) * 0.1).astype(np.float32)
    crops = np.repeat(style[:, None], 4, 1)
    crops[:, :, 0] += rng.normal(size=(12, 4)).astype(np.float32) * 5
    axes = Space.fit(style, crops, models, SpaceSetting(0.9, 0.01)).axes
    assert abs(axes[1, 0]) > 5 * abs(axes[0, 0])


def test_settings_that_share_work_give_what_each_gives_alone() -> None:
    style, models, _ = hub()
    settings = [SpaceSetting(0.3, 0.1), SpaceSetting(0.3, 0.5), SpaceSetting(0.7, 0.1)]
    together = Space.fit_all(style, crops_of(style), models, settings)
    for setting, space in zip(settings, together, strict=True):
        alone = fit(style, models, setting)
        np.testing.assert_allclose(
            space.evidence(space.project(style)), alone.evidence(alone.project(style)), rtol=1e-3, atol=1e-3
        )


def test_more_statistics_than_images() -> None:
    style, models, _ = hub(models=3, each=4, size=60)
    space = fit(style, models, SpaceSetting(0.3, 0.3))
    assert (space.evidence(space.project(style)).argmax(1) == models).all()


def test_a_constant_statistic_and_an_odd_image_do_no_harm() -> None:
    style, models, _ = hub()
    style = np.concatenate([style, np.ones((len(style), 1), np.float32)], 1)
    space = fit(style, models)
    odd = style[:1].copy()
    odd[0, 2] = 1e6
    assert np.isfinite(space.evidence(space.project(odd))).all()


def test_too_little_to_learn_from() -> None:
    with pytest.raises(BadInput, match="at least two models"):
        fit(np.zeros((3, 2), np.float32), np.zeros(3, np.int64))
    with pytest.raises(BadInput, match="a few images of each"):
        fit(np.zeros((2, 2), np.float32), np.arange(2))


def test_folds_leave_out_whole_prompts() -> None:
    _, models, prompts = hub()
    folds = prompt_folds(models, prompts)
    for key in np.unique(prompts):
        assert len(set(folds[prompts == key])) == 1
    assert len(set(folds)) == 5


def test_folds_without_prompts_deal_each_models_images_out() -> None:
    _, models, prompts = hub()
    folds = prompt_folds(models, 0 * prompts)
    for model in range(4):
        assert len(set(folds[models == model])) == 5


def test_left_out_evidence_never_saw_the_image() -> None:
    style, models, prompts = hub()
    images = train(style, models, prompts)
    folds = prompt_folds(models, prompts)
    evidence = left_out(images, folds, [PLAIN])[0]
    others = images[folds != 0]
    space = Space.fit(others.style, others.crops, others.models, PLAIN)
    np.testing.assert_allclose(evidence[folds == 0], space.evidence(space.project(style[folds == 0])))


def test_temperature_of_evidence_that_is_ten_times_too_bold() -> None:
    rng = np.random.default_rng(0)
    true = rng.normal(size=(400, 3))
    probabilities = np.exp(log_softmax(true))
    models = np.array([rng.choice(3, p=row) for row in probabilities])
    factor, loss = temperature(10 * true, models, np.arange(400)[:, None])
    assert factor == pytest.approx(0.1, rel=0.3)
    assert loss < math.log(3)


def test_sets_are_of_one_model() -> None:
    _, models, _ = hub()
    drawn = sets(models, 4)
    assert drawn.shape == (4 * 20, 4)
    assert all(len(set(models[row])) == 1 and len(set(row)) == 4 for row in drawn)
    assert sets(models, 9).shape == (0, 9)


def test_windows_of_layers() -> None:
    assert windows((2, 3, 4, 5)) == [slice(0, 9), slice(2, 14)]
    assert windows((2, 3)) == [slice(0, 5)]


def test_learning_is_calibrated_and_repeatable() -> None:
    style, models, prompts = hub(models=6, each=12, size=8, spread=1.0)
    images = TrainingImages(style, crops_of(style), models, prompts, (2, 2, 2, 2))
    settings = (PLAIN, SpaceSetting(0.3, 0.6))
    learnt, again = learn(images, settings), learn(images, settings)
    assert [(view.start, view.stop) for view in learnt.views] == [(0, 6), (2, 8)]
    assert learnt.temperatures == again.temperatures
    assert learnt.project(style).shape == (72, 10)
    log_probabilities = learnt.log_probabilities(learnt.evidence(style[models == 2][:3]))
    assert np.exp(log_probabilities).sum() == pytest.approx(1)
    assert log_probabilities.argmax() == 2
    winners = [learnt.log_probabilities(learnt.evidence(style[n : n + 1])).argmax() for n in range(72)]
    assert np.mean(winners == models) > 0.5
