"""Setting words: pieces that are about the call, in many people's words."""

from __future__ import annotations

import pytest

from diffagent.agent.asking.setting_words import NO_SETTINGS, setting_words


@pytest.mark.parametrize(
    ("piece", "field", "value"),
    [
        ("like 4 pics of", "n", 4),
        ("three different ones", "n", 3),
        ("a couple of versions so i can pick", "n", 2),
        ("x3", "n", 3),
        ("two please", "n", 2),
        ("one is enough", "n", 1),
        ("one picture only,", "n", 1),
        ("FIVE.", "n", None),
        ("80 pictures of", "n", None),
        ("768x512 px", "n", None),
        ("super wide banner 3:1", "aspect", (3, 1)),
        ("3 times wider than tall", "aspect", (3, 1)),
        ("twice as tall as wide", "aspect", (1, 2)),
        ("2.35:1 like in the cinema", "aspect", (235, 100)),
        ("1920x1080", "aspect", None),
        ("really wide like a cinema screen", "aspect", (21, 9)),
        ("tall pictures, phone shape", "aspect", (9, 16)),
        ("Widescreen I guess?", "shape", (16, 9)),
        ("landscape way round", "shape", (3, 2)),
        ("20:1", "aspect", None),
        ("low steps", "steps", 12),
        ("quick draft is ok", "steps", 12),
        ("like 40 steps", "steps", 40),
        ("steps maybe 25", "steps", 25),
        ("400 steps", "steps", None),
        ("same seed as always (424242)", "seed", 424242),
        ("seed: 7", "seed", 7),
        ("same seed as yesterday if u can, it was 88123", "seed", 88123),
        ("same seed for both, one with 15 steps and one with 50", "seed", None),
        ("random seed", "seed", None),
        ("seed 99999999999", "seed", None),
        ("guidance around 6.5", "cfg_scale", 6.5),
        ("cfg 90", "cfg_scale", None),
        ("leave space at the top for the title", "room", "copy space at the top"),
        ("nothing in the middle bc my text goes there", "room", "copy space in the middle"),
        ("plenty of breathing room on the left for copy", "room", "copy space on the left"),
        ("Title goes at the top so plan for that", "room", "copy space at the top"),
        ("portrait orientation", "room", ""),
    ],
)
def test_a_piece_says_a_value(piece: str, field: str, value: object) -> None:
    assert getattr(setting_words(["fine", piece]), field) == value


def test_the_first_piece_that_says_a_value_counts() -> None:
    words = setting_words(["2:3", "seed 5", "16:9", "4 pics"])
    assert (words.aspect, words.seed, words.n, words.steps) == ((2, 3), 5, 4, None)
    assert setting_words([]) == NO_SETTINGS
