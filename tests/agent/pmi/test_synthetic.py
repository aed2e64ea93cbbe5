from __future__ import annotations

import numpy as np
import pytest

from diffagent.agent.pmi import synthetic
from diffagent.agent.pmi.exact import squares
from diffagent.agent.pmi.synthetic import Hub, in_memory


def test_a_seed_makes_a_hub_and_another_seed_another() -> None:
    first, again, other = (in_memory(Hub(5, seed)) for seed in (3, 3, 4))
    assert first.shape == (5, 61, 512)
    assert first.dtype == np.float16
    assert (first == again).all()
    assert np.abs(first - other).max() > 0.05


def test_a_model_is_the_same_in_a_larger_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(synthetic, "BLOCK", 4)
    assert (in_memory(Hub(9, 0, 5, 16))[:6] == in_memory(Hub(6, 0, 5, 16))).all()


def test_features_have_length_1() -> None:
    assert squares(in_memory(Hub(3)).astype(np.float32)) == pytest.approx(1, abs=1e-3)


def test_prompts_are_as_alike_as_those_of_a_clip_text_encoder() -> None:
    prompts = Hub(1).prompts
    cosines = (prompts @ prompts.T)[np.triu_indices(61, 1)]
    assert cosines.mean() == pytest.approx(0.6, abs=0.05)
    assert 0.05 < cosines.std() < 0.12


def test_images_of_a_task_are_nearest_to_their_model_in_the_mean() -> None:
    hub = Hub(40, seed=2)
    means = in_memory(hub).astype(np.float32).mean(1)
    hits = [np.argmax(means @ task.images[0]) == model for model, task in map(hub.task, range(20))]
    assert np.mean(hits) > 0.8


def test_weights_are_those_of_the_descriptions() -> None:
    _, task = Hub(4).task(0, images=3)
    assert task.images.shape == (3, 512)
    assert task.weights.shape == (3, 61)
    assert 0.3 < task.weights.mean() < 0.9
