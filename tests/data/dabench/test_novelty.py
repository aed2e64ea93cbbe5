"""Novel prompts: exactly those without a near training prompt."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from diffagent.data.dabench import novelty
from diffagent.data.dabench.novelty import novel

ANGLES = {"zero": 0.0, "half": 0.5, "near": 0.6, "far": 2.0}


class Angles:
    """Each word is a point on the unit circle; remembers how often it was asked for each."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.asked += texts
        return np.array([[np.cos(ANGLES[t]), np.sin(ANGLES[t])] for t in texts], np.float32)


def test_by_hand() -> None:
    # cos 0.6 = 0.825, cos 0.5 = 0.878, cos 2 < 0, and half is 1.5 from far: 0.071
    assert novel(["zero", "half", "far"], ["near"], Angles()) == [False, False, True]
    assert novel(["zero"], ["near"], Angles(), below=0.83) == [True]
    assert novel(["zero"], ["far", "near"], Angles()) == [False]


def test_equal_prompts_are_encoded_once_and_tags_do_not_count() -> None:
    encoder = Angles()
    training = ["near", "(near:1.2)", "near <lora:ink:1>", "far"]
    assert novel(["zero", "zero, "], training, encoder) == [False, False]
    assert encoder.asked == ["zero", "near", "far"]


def test_without_training_everything_is_novel_and_nothing_is_asked_for_nothing() -> None:
    encoder = Angles()
    assert novel(["zero"], [], encoder) == [True]
    assert novel([], ["near"], encoder) == []
    assert encoder.asked == ["zero"]


def test_blocks_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    for i in range(40):
        ANGLES[f"w{i}"] = float(rng.uniform(0, 6.28))
    queries, training = [f"w{i}" for i in range(10)], [f"w{i}" for i in range(10, 40)]
    expected = [max(np.cos(ANGLES[a] - ANGLES[t]) for t in training[:3]) < 0.8 for a in queries]
    monkeypatch.setattr(novelty, "BLOCK", 2)
    steps: list[int] = []
    assert novel(queries, training[:3], Angles(), progress=steps.append) == expected
    assert set(expected) == {True, False}
    assert steps == [2, 3]
