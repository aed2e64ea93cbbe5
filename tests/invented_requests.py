"""Invented plain requests, whose candidates are nine general models of photos."""

from __future__ import annotations

from typing import Any

from diffagent.data.attributes import Attributes
from diffagent.data.records import Card
from diffagent.training.corpora.plain_requests import GradedCandidate, PlainRequest

SLOTS = {"medium": None, "natural": "photo", "people": "none", "english": None}


def card(number: int) -> Card:
    attributes = Attributes.parse({"role": "general", "media": ["photo"], "subjects": [f"subject {number}"]})
    air = f"urn:air:sd1:checkpoint:civitai:{number}@{number}"
    return Card(
        name=f"Model {'ABCDEFGHIJ'[number]}",
        type="Checkpoint",
        base_model="SD 1.5",
        air=air,
        attributes=attributes,
    )


CARDS = {card_.air: card_ for card_ in map(card, range(9))}
AIRS = tuple(CARDS)


def request_of(prompt: str, *grades: int, special: Any = "none", **slots: Any) -> PlainRequest:
    graded = tuple(GradedCandidate(air, grade) for air, grade in zip(AIRS, grades, strict=False))
    return PlainRequest("r0.0", prompt, "plain", {**SLOTS, **slots}, special, graded)


FOX = request_of("a fox at night", 3, 2, 0)
SPRITE = request_of("pixel art Zorblax", 0, 1, special="character", medium="pixel art", natural="pixel art")
HARBOUR = request_of(
    "un porto", *[3, 2, 2, 1, 0, 0, 0, 0, 0], natural="any", people="men", english="a harbour"
)
