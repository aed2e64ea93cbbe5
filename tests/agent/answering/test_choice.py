"""The choice among candidates: their lines, behind the turn that read the request."""

from __future__ import annotations

from typing import Any

from diffagent.agent.answering.choice import SUBJECT_CHARACTERS, purpose, question
from diffagent.agent.asking.reading import SYSTEM, Reading
from diffagent.data.attributes import Attributes
from diffagent.data.records import Card


def card(name: str, kind: Any = "Checkpoint", base_model: str = "SD 1.5", **fields: Any) -> Card:
    attributes = Attributes.parse({"role": "general", "media": ["photo"], **fields}) if fields else None
    air = f"urn:air:sd1:{kind.casefold()}:civitai:1@2"
    return Card(name=name, type=kind, base_model=base_model, air=air, attributes=attributes)


CAMERA = card("Plain Camera", media=["photo", "analog photo", "any"], subjects=["people", "rooms"])
ZORBLAX = card("Zorblax", "LoRA", "SDXL 1.0", role="character", media=["anime"], subjects=["zorblax"])
UNREAD = card("Nobody Knows v3", "LoRA")


def test_a_line_says_what_a_model_is_for() -> None:
    assert purpose(CAMERA) == "Plain Camera = general, photo/analog photo: people, rooms"
    assert purpose(ZORBLAX) == "Zorblax + SDXL 1.0 character, anime: zorblax"
    assert purpose(UNREAD) == "Nobody Knows +"


def test_the_choice_stands_behind_the_reading() -> None:
    line = Reading.of("a fox").line
    prompt = question([CAMERA, ZORBLAX, UNREAD], "a fox", line)
    assert prompt.system == SYSTEM
    assert prompt.earlier == (("Prompt: a fox", "photo; people: none; special: none"),)
    assert prompt.user.split("\n") == [
        "A Plain Camera = general, photo/analog photo: people, rooms",
        "B Zorblax + SDXL 1.0 character, anime: zorblax",
        "C Nobody Knows +",
    ]


def test_subjects_are_whole_and_few() -> None:
    def shown(*subjects: str) -> str:
        return purpose(card("Camera", subjects=list(subjects))).partition(": ")[2]

    assert shown("misty harbours", "old lighthouses", "fog") == "misty harbours, old lighthouses, fog"
    assert len("misty harbours, old lighthouses, fog") == SUBJECT_CHARACTERS
    assert shown("misty harbours", "old lighthouses", "fogs") == "misty harbours, old lighthouses"
    assert shown("x" * 40, "fog") == "x" * 40  # the first is shown whatever its length
    assert shown("x" * 100) == "x" * 72
    assert shown() == ""
