"""Subjects and trigger words of cards that nobody has read."""

from __future__ import annotations

from dataclasses import replace

import pytest

from diffagent.data.attributes import Role
from diffagent.data.descriptions.subjects import needed_trigger, readable, subjects
from diffagent.data.records import Card

LORA = Card("", "LoRA", "SD 1.5", "urn:air:sd1:lora:civitai:1@2")


@pytest.mark.parametrize(
    ("role", "name", "tags", "words", "optional", "needed", "expected"),
    [
        # a name in parts, a series that is a tag, brackets and underscores of a tag's spelling
        ("character", "Mira Vale | Iron Orchard | LoRA v1.2", ("anime", "iron orchard"),
         ("mira_vale \\(iron orchard\\)", "red hair"), (), "mira_vale \\(iron orchard\\)",
         ("mira vale", "iron orchard")),
        # the series stands at the end of the name, the trigger is a token
        ("character", "Mira Iron Orchard", ("character", "iron orchard"), ("mrvl",), (), "mrvl",
         ("mira", "mrvl", "iron orchard")),
        # "1girl" and hair are no trigger words; one that is optional has the name
        ("character", "Mira (Iron Orchard) 米拉", ("girl",), ("1girl", "blue hair"), ("mira",), "mira",
         ("mira", "iron orchard", "米拉")),
        # a style's first word is the one that activates it
        ("style", "Loose Brush Style", ("style", "ink wash", "love"), ("lsbrsh", "1girl"), (), "lsbrsh",
         ("loose brush", "ink wash")),
        ("style", "Loose Brush", (), ("masterpiece", "best quality"), (), None, ("loose brush",)),
        # appearance is what a garment is about
        ("garment", "Long Scarf", ("clothing",), ("long scarf",), (), "long scarf", ("long scarf",)),
        ("general", "Everything Mix v4.5", ("base model", "castles"), (), (), None, ("castles",)),
    ],
)  # fmt: skip
def test_what_a_card_says(
    role: Role,
    name: str,
    tags: tuple[str, ...],
    words: tuple[str, ...],
    optional: tuple[str, ...],
    needed: str | None,
    expected: tuple[str, ...],
) -> None:
    card = replace(LORA, name=name, tags=tags, trigger_words=words, optional_words=optional)
    assert needed_trigger(card, role) == needed
    assert subjects(card, role, needed) == expected


def test_words_are_as_people_type_them() -> None:
    assert readable("(Red_Fox:1.2)") == "red fox"
    assert readable("fox \\(old tale\\)") == "fox"
    assert readable("King's Fox, v2") == "king's fox v2"


def test_explicit_words_are_no_subject() -> None:
    card = replace(LORA, name="Castle", tags=("nude bath", "castle moat"))
    assert subjects(card, "place", None) == ("castle", "castle moat")
