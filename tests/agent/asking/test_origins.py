"""The works that names of a request come from."""

from __future__ import annotations

import pytest

from diffagent.agent.asking.origins import Origin, origins, unknown_character
from diffagent.data.characters import characters


def of(prompt: str) -> tuple[Origin, ...]:
    return origins(prompt, characters(prompt))


@pytest.mark.parametrize(
    ("prompt", "origin"),
    [
        ("Zorblax from Star Harbour at sea", Origin(("zorblax",), (("star", "harbour"),), True)),
        ("zorblax from star harbour", Origin(("zorblax",), (("star", "harbour"),), False)),
        ("Zorblax of the Night", Origin(("zorblax",), (("night",),), False)),
        ("Zorblax from the game Star Harbour", Origin(("zorblax",), (("star", "harbour"),), True)),
        ("zorblax \\(star harbour\\), rain", Origin(("zorblax",), (("star", "harbour"),), True)),
        ("zorblax_(star_harbour), rain", Origin(("zorblax",), (("star", "harbour"),), True)),
        ("zorblax (star harbour)", Origin(("zorblax",), (("star", "harbour"),), False)),
        ("Mona Quorl at a fair", Origin(("mona",), (("quorl",),), True)),
    ],
)
def test_a_name_has_an_origin(prompt: str, origin: Origin) -> None:
    assert of(prompt)[0] == origin


@pytest.mark.parametrize("prompt", ["a fox (smiling:1.2)", "zorblax \\(style\\)", "a fox, a hare and an owl"])
def test_weights_and_styles_are_no_origins(prompt: str) -> None:
    assert of(prompt) == ()


def test_the_well_known_have_the_spellings_of_their_series() -> None:
    origin = of("the USS Enterprise over a lake")[0]
    assert (origin.name, origin.is_certain) == (("uss", "enterprise"), True)
    assert ("star", "trek") in origin.series


@pytest.mark.parametrize(
    ("prompt", "is_unknown"),
    [
        ("Pippa Quorl from Lantern Hollowmere baking bread", True),
        ("Brannoch from Ashenvale Tides on a deck", True),
        ("Maria Quorl from Brazil", False),
        ("a woman from Lisbon", False),
        ("Cheese from Holland on a board", False),
        ("a shot from behind", False),
        ("soldiers from World War II", False),
    ],
)
def test_a_name_from_a_work_that_nobody_knows(prompt: str, is_unknown: bool) -> None:
    assert unknown_character(prompt) == is_unknown
