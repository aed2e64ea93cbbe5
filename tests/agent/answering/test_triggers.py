"""Trigger words: needed ones always, a variant's by what is asked for, brackets balanced."""

from __future__ import annotations

import pytest

from diffagent.agent.answering.answer import ready
from diffagent.agent.answering.triggers import balanced, missing, triggers
from diffagent.data.attributes import Attributes
from diffagent.data.records import Card


def card(needed: tuple[str, ...], variants: list[tuple[str, str]], role: str = "character") -> Card:
    purpose = Attributes.parse(
        {
            "role": role,
            "media": ["anime"],
            "subjects": ["videl"],
            "needed": needed,
            "variants": [{"words": words, "draws": draws} for words, draws in variants],
        }
    )
    air = "urn:air:sd1:lora:civitai:1@2"
    return Card("Videl", "LoRA", "SD 1.5", air, optional_words=("extra",), attributes=purpose)


HAIR = [("videl1, short hair", "short-haired Videl"), ("videl2, twintails", "Videl with twintails")]


@pytest.mark.parametrize(
    ("needed", "variants", "prompt", "expected"),
    [
        (("ink",), [], "a fox", ("ink",)),
        ((), HAIR, "videl with twintails", ("videl2, twintails",)),
        ((), HAIR, "videl in the park", ()),
        (("vdl",), HAIR, "videl in the park", ("vdl",)),
        (("vdl",), HAIR, "Videl, twintails, smiling", ("vdl", "videl2, twintails")),
        (
            (),
            [("roxy", "Roxy, the blue-haired mage"), ("eris", "Eris, the swordswoman")],
            "Eris at sea",
            ("eris",),
        ),
        ((), [("kdef", "default outfit"), ("krnd", "other clothes")], "videl at sea", ("kdef",)),
        ((), [("kdef", "default outfit"), ("krnd", "other clothes")], "krnd, videl", ()),
        (("k",), [("kdef", "default outfit")], "videl at sea", ("k",)),
    ],
)
def test_a_variant_is_chosen_by_what_is_asked_for(
    needed: tuple[str, ...], variants: list[tuple[str, str]], prompt: str, expected: tuple[str, ...]
) -> None:
    assert triggers(card(needed, variants), prompt) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("(ink fox", "ink fox"),
        ("ink) fox", "ink fox"),
        ("((ink) fox", "(ink) fox"),
        ("keqing \\(genshin\\)", "keqing \\(genshin\\)"),
        ("[a (b] c)", "a (b c)"),
        ("(ink:1.2)", "(ink:1.2)"),
    ],
)
def test_brackets_are_balanced(text: str, expected: str) -> None:
    assert balanced(text) == expected


def test_only_what_the_prompt_lacks_is_added() -> None:
    assert missing("a red hat", ["ink, red hat", "INK"]) == ["ink"]
    assert missing("a fox", ["(ink, brush:1.2), snow"]) == ["(ink, brush:1.2)", "snow"]
    assert ready("a fox", ["((ink, snow"]) == "ink, snow, a fox"


def test_the_one_switch_of_a_style_is_added_although_it_is_called_a_variant() -> None:
    air = "urn:air:sd1:checkpoint:civitai:1@2"
    fields = {
        "role": "style",
        "media": ["vector"],
        "variants": [{"words": "vct", "draws": "a stronger look"}],
    }
    model = Card(
        "V", "Checkpoint", "SD 1.5", air, trigger_words=("vct",), attributes=Attributes.parse(fields)
    )
    assert triggers(model, "a kettle") == ("vct",)
