"""The likely media of a request: probabilities by hand, and weights of another encoder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from stand_ins import WordEncoder

from diffagent.agent.choosing.likely_media import LikelyMedia
from diffagent.data.attributes import MEDIA
from diffagent.data.encoders.text_encoder import TextEncoder
from diffagent.data.errors import BadCatalog

PHOTO, ANIME = MEDIA.index("photo"), MEDIA.index("anime")


def two_media() -> LikelyMedia:
    """Only photo and anime, told apart by the second number of an embedding."""
    weights, bias = np.zeros((2, len(MEDIA))), np.full(len(MEDIA), -100.0)
    bias[[PHOTO, ANIME]] = 0.0
    weights[1, ANIME] = np.log(3)
    return LikelyMedia(weights, bias, "a digest")


def test_probabilities_by_hand() -> None:
    probabilities = two_media()(np.array([5.0, 1.0]))
    assert probabilities[[PHOTO, ANIME]] == pytest.approx([0.25, 0.75])
    assert probabilities.sum() == pytest.approx(1)


def test_weights_are_kept(tmp_path: Path) -> None:
    two_media().save(tmp_path / "media.npz")
    loaded = LikelyMedia.load(tmp_path / "media.npz")
    assert loaded.encoder == "a digest"
    assert loaded(np.array([0.0, 1.0])) == pytest.approx(two_media()(np.array([0.0, 1.0])), abs=1e-3)


def test_weights_for_other_media_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "media.npz", features=np.array(["photo"]), weights=np.zeros((2, 1)))
    with pytest.raises(BadCatalog, match="fitted for other features"):
        LikelyMedia.load(tmp_path / "media.npz")


def test_what_ships_is_of_the_default_encoder_alone() -> None:
    encoder = TextEncoder.load()
    assert LikelyMedia.fitted_with(WordEncoder()) is None
    packaged = LikelyMedia.fitted_with(encoder)
    assert packaged is not None
    for prompt, medium in (
        ("a photograph of my grandmother's hands", "photo"),
        ("anime girl with a katana under cherry blossoms", "anime"),
        ("watercolor of a harbour", "watercolor"),
    ):
        assert MEDIA[int(packaged(encoder.encode([prompt])[0]).argmax())] == medium
