"""Models of one kind of picture, on an invented catalog."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from diffagent.agent.asking.reading import Reading
from diffagent.agent.choosing.particular import Particular
from diffagent.data.attributes import Attributes
from diffagent.data.records import Card, Stats


def card(name: str, kind: Any = "Checkpoint", **purpose: Any) -> Card:
    return Card(
        name=name,
        type=kind,
        base_model="SD 1.5",
        air=f"urn:air:sd1:{kind.casefold()}:civitai:{len(name)}@1",
        stats=Stats(downloads=1000),
        description="Draws something.",
        attributes=Attributes.parse({"role": "style", "media": ["photo"], "breadth": "genre", **purpose}),
    )


CARDS = [
    card("Plain Camera", role="general", breadth="broad"),
    card("Beast People", role="concept", media=["photo", "furry art"], needed=["beastling"],
         subjects=["half animal", "horse man", "animal in clothes"]),
    card("Gloom", media=["digital painting", "oil painting"], subjects=["gloomy painting", "skeleton"]),
    card("Impasto", media=["oil painting"], subjects=["thick oil painting", "landscapes"]),
    card("Fruit Dreams", subjects=["fruit art", "surreal fruit"]),
    card("BrassworkAI", media=["digital painting"], subjects=["brasswork portrait", "brasswork castle"]),
    card("Rooms", role="place", media=["photo", "3d render"], subjects=["interior design", "living room"]),
    card("Scaly", role="general", media=["furry art", "digital painting"], subjects=["anthro dragons"]),
    card("Neon", breadth="broad", media=["digital painting", "ink"], needed=["neonwave"], subjects=["neon"]),
]  # fmt: skip
NAMES = [card.name for card in CARDS]


@pytest.mark.parametrize(
    ("prompt", "candidates"),
    [
        ("a horse and a man in a field", ""),
        ("a horse man at a desk", "Beast People"),
        ("a beastling in the rain", "Beast People"),
        ("oil painting of a calm harbour", "Impasto"),
        ("a gloomy painting of a moor", "Gloom Scaly Neon"),
        ("bananas at a fruit stand", ""),
        ("fruit art, a melon", "Fruit Dreams"),
        ("a brasswork airship", "BrassworkAI Neon"),
        ("a photo of a small living room", "Rooms"),
        ("a dragon on a hill", "Neon"),
        ("anthro dragons on a hill", "Scaly"),
        ("ink drawing of a sailor", ""),
        ("digital painting of a sailor", "Scaly Neon"),  # a medium of its own, and no style
    ],
)
def test_a_checkpoint_of_one_kind_answers_for_that_kind(prompt: str, candidates: str) -> None:
    off = Particular(CARDS).off(Reading.of(prompt))
    expected = ["Plain Camera", *(name for name in NAMES if name in candidates)]
    assert [name for name, is_off in zip(NAMES, off, strict=True) if not is_off] == expected


def test_a_list_of_tags_leaves_all_in() -> None:
    tags = Reading.of("horse, man, field, hat, boots, fence, cloudy sky")
    assert tags.pasted
    assert not Particular(CARDS).off(tags).any()


def test_a_lora_that_makes_all_grey_is_against_colour() -> None:
    loras = [
        card("Black Brush", "LoRA", media=["ink"], needed=["blckbrsh", "monochrome"]),
        card("Loose Ink", "LoRA", media=["ink"], needed=["lsnk"], subjects=["monochrome figures"]),
        card("Loud", "LoRA", media=["ink"], needed=["vivid colors"]),
    ]
    particular = Particular(loras)
    for prompt, against in (
        ("a bridge, ink and watercolour", [True, False, False]),
        ("a red kite, ink drawing", [True, False, False]),
        ("a bridge, ink drawing", [False, False, False]),
        ("a bridge, ink and watercolour, monochrome", [False, False, True]),
    ):
        assert np.array_equal(particular.against(Reading.of(prompt)), against), prompt
