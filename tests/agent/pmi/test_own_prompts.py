"""Models specified by prompts of their own, and the learnt space that reads the request's prompt."""

from __future__ import annotations

import numpy as np
import pytest

from diffagent.agent.pmi.bench import Bench, Images, learn_space
from diffagent.agent.pmi.learning import TrainingImages
from diffagent.agent.pmi.own_prompts import halved, mean, settings
from diffagent.agent.pmi.prompted import PromptedSpace, SpaceImages
from diffagent.agent.pmi.space import Space, SpaceSetting

PROMPTS, MODELS, WIDTH = 9, 4, 6


@pytest.fixture(scope="module")
def bench() -> Bench:
    """Images whose statistics are their model's and noise; no prompt is like another."""
    rng = np.random.default_rng(0)
    text = np.eye(PROMPTS + 3, dtype=np.float32)
    style, models, prompts = [], [], []
    centres = rng.normal(size=(MODELS, WIDTH))
    for model in range(MODELS):
        for prompt in range(PROMPTS + 3):
            style.append(centres[model] + rng.normal(size=WIDTH) * 0.8)
            models.append(model)
            prompts.append(prompt)
    statistics = np.array(style, np.float32)
    crops = statistics[:, None] + rng.normal(size=(len(style), 4, WIDTH)).astype(np.float32) * 0.5
    keys = np.array(prompts, np.uint64) + np.uint64(1)
    images = Images(statistics, statistics, crops.astype(np.float32), text[prompts], np.array(models), keys)
    ids = [3 * prompt if prompt < PROMPTS else 3 * prompt + 2 for prompt in prompts]
    return Bench.of([f"m{n}" for n in range(MODELS)], images, ids, (3, 3))


def test_each_model_keeps_a_half_of_its_own_and_all_test_images(bench: Bench) -> None:
    half, again, other = (halved(bench, seed) for seed in (0, 0, 1))
    halves = [
        set(half.specification.prompts[half.specification.models == model].tolist())
        for model in range(MODELS)
    ]
    assert [len(prompts) for prompts in halves] == [5] * MODELS  # of nine
    assert len(set(map(frozenset, halves))) > 1
    assert len(half.test) == len(bench.test) == 12
    assert (
        half.specification.prompts.tolist()
        == again.specification.prompts.tolist()
        != other.specification.prompts.tolist()
    )


def test_both_settings_and_all_methods(bench: Bench) -> None:
    figures = settings(bench, (1,), seeds=2)
    assert set(figures) == {"seeds", "common", "own"}
    for part in ("common", "own"):
        assert figures[part]["baseline"]["1"]["top1"] == 1 / MODELS
        for method in ("rkme", "pmi", "ours", "prompted"):
            assert figures[part][method]["1"]["top1"] > 1 / MODELS
    assert len(figures["own"]["gamma"]) == 2


def test_means_over_seeds_by_hand() -> None:
    def run(top1: float) -> dict[str, object]:
        scores = {"top1": top1, "frechet": None}
        return {"gamma": 0.02, "sharpness": 1.0, **{name: {"1": scores} for name in
                ("baseline", "rkme", "pmi", "ours", "prompted")}}  # fmt: skip

    ours = mean([run(0.2), run(0.4)])["ours"]["1"]
    assert ours["top1"] == pytest.approx(0.3)
    assert ours["top1_sd"] == pytest.approx(0.02**0.5)
    assert ours["frechet"] is None


def test_without_sharpness_it_is_the_space_alone(bench: Bench) -> None:
    specification = bench.specification
    space = Space.fit(specification.style, specification.crops, specification.models, SpaceSetting())
    points = space.project(specification.style)
    evidence = SpaceImages(points, specification.models, specification.text, MODELS).evidence(
        space, space.project(bench.test.style), bench.test.text, 0.0
    )
    np.testing.assert_allclose(
        evidence, space.evidence(space.project(bench.test.style)), rtol=1e-4, atol=1e-3
    )


def test_with_sharpness_a_model_is_its_images_of_like_prompts() -> None:
    """One axis, two images a model: 0 of the first prompt and 2 of the second, and their contrary."""
    unit = np.ones(1, np.float32)
    space = Space(
        0 * unit, unit, unit[:, None], 100 * unit, 0.01 * unit, np.zeros((2, 1), np.float32), 2 * unit
    )
    points = np.array([[0.0], [2.0], [2.0], [0.0]], np.float32)
    text = np.array([[1, 0], [0, 1], [1, 0], [0, 1]], np.float32)
    images = SpaceImages(points, np.array([0, 0, 1, 1]), text, 2)
    queries = np.array([[0.0], [0.0]], np.float32), np.array([[1, 0], [0, 1]], np.float32)
    plain = images.evidence(space, *queries, 0.0)
    np.testing.assert_allclose(plain[:, 0], plain[:, 1], rtol=1e-6)  # both have a mean of 1
    assert images.evidence(space, *queries, 8.0).argmax(1).tolist() == [0, 1]


def test_beta_is_chosen_where_left_out_images_are_most_probable(bench: Bench) -> None:
    specification = bench.specification
    training = TrainingImages(
        specification.style, specification.crops, specification.models, specification.prompts, bench.layers
    )
    prompted_space = PromptedSpace.fit(learn_space(bench), training, specification.text)
    assert prompted_space.sharpness == 0.0  # prompts have nothing in common here
    evidence = prompted_space.evidence(bench.test.style, bench.test.text)
    assert evidence.shape == (12, MODELS)
    assert np.exp(prompted_space.log_probabilities(evidence[:2])).sum() == pytest.approx(1)
