"""Vectors kept between commands: only what is new is encoded, whatever was cut off."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from stand_ins import WordEncoder

from diffagent.data.encoders import vector_cache
from diffagent.data.encoders.vector_cache import VectorCache


class Counting(WordEncoder):
    """Notes what it is asked, and breaks at a text that says so."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        if any("broken" in text for text in texts):
            raise RuntimeError("no memory")
        self.asked += texts
        return super().encode(texts)


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("DIFFAGENT_HOME", str(tmp_path))
    return tmp_path


def test_rows_are_the_encoders_in_order_and_each_text_is_encoded_once(home: Path) -> None:
    texts = ["a red fox", "a lake", "a red fox", "", "\ud800 fox"]
    first, plain = Counting(), WordEncoder().encode(texts)
    assert np.array_equal(VectorCache(first).encode(texts), plain)
    assert sorted(first.asked) == sorted(set(texts))
    later = Counting()
    vectors = VectorCache(later).encode(["a castle", *reversed(texts)])
    assert later.asked == ["a castle"]
    assert np.array_equal(vectors[1:], plain[::-1])
    (file,) = (home / "vectors").iterdir()
    assert b"fox" not in file.read_bytes()  # digests and vectors, no text


def test_another_encoder_has_a_file_of_its_own(home: Path) -> None:
    VectorCache(Counting()).encode(["a fox"])
    other = Counting()
    other.digest = "another"
    VectorCache(other).encode(["a fox"])
    assert other.asked == ["a fox"]
    assert len(list((home / "vectors").iterdir())) == 2


def test_what_was_encoded_before_a_break_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vector_cache, "AT_ONCE", 2)
    with pytest.raises(RuntimeError, match="no memory"):
        VectorCache(Counting()).encode(["fox", "lake", "castle", "broken tower"])
    later = Counting()
    VectorCache(later).encode(["fox", "lake", "castle"])
    assert later.asked == ["castle"]  # of the second two, which broke together


def test_no_text_is_no_row() -> None:
    assert VectorCache(Counting()).encode([]).shape == (0, 64)
