"""Corrections: second thoughts of one message, and what only sounds like one."""

from __future__ import annotations

import pytest

from diffagent.agent.asking.corrections import corrections
from diffagent.agent.asking.phrasing import phrasing


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("a goat in a red scarf. or wait blue. yes blue", "a goat in a blue scarf"),
        ("a goat in a red scarf, no wait, make it yellow", "a goat in a yellow scarf"),
        ("a goat with a green hat on a hill, actually purple please", "a goat with a purple hat on a hill"),
        ("a goat, no wait, a ram, on a hill", "a ram, on a hill"),
        ("a knight. sorry I meant a wizard", "a wizard"),
        ("a man waiting for a bus, actually a tram", "a man waiting for a tram"),
        (
            "A goat in a vest sells bread. Wait, actually it wasn't a goat it was an ibex, tall.",
            "An ibex in a vest sells bread, tall.",
        ),
        ("a goat at a desk. oh wait it is not a goat but a ram", "a ram at a desk"),
        ("a crab holding one glowing green lamp. actually make the lamp purple, green is the villains color",
         "a crab holding one glowing purple lamp"),
        ("paper hills with a gold disc for the moon. no wait, gold looks cheap on wood, make the moon white",
         "paper hills with a white disc for the moon"),
        ("a boat with pink sails. or maybe purple? no pink. grainy", "a boat with pink sails. grainy"),
        ("A print with beetroot, leek, and... parsnip? No, nobody likes parsnip, make it a radish.",
         "A print with beetroot, leek, and a radish."),
        ("a robot vacuum as a knight, as pixar style or real photo? ...do pixar.",
         "a robot vacuum as a knight, pixar style."),
        ("Unicorn? Nah, pegasus. Black with silver wings", "pegasus. Black with silver wings"),
        ("A castle by the sea, cypresses. I was thinking of adding the wind, but how is it drawn, forget it.",
         "A castle by the sea, cypresses."),
    ],
)  # fmt: skip
def test_a_second_thought_stands_where_the_first_stood(text: str, sent: str) -> None:
    prompt, words = corrections(text)
    assert prompt == sent
    assert len(words) == 1
    assert phrasing(text).prompt == sent
    assert any("was left out of the prompt" in note for note in phrasing(text).notes)


@pytest.mark.parametrize(
    "text",
    [
        "people wait, red bus, rain",
        "green chairs where people wait, red, rain",
        "a house in green, blue, red",
        "a green door. it is not a door but a window",
        "a boy in a red cap who has to wait",
        'a sign that says "wait, red"',
        "a sorry sight, an old barn",
        "a red barn on a hill, make the sky green",
        "realistic? nah looks cheap, an otter",
        "tavern? nah boring, a cliff",
        "a sign at a shop: forget it",
    ],
)
def test_what_only_sounds_like_a_second_thought_stays(text: str) -> None:
    assert corrections(text) == (text, [])
