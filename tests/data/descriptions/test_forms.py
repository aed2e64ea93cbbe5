"""Forms: what blanks offer is said by the card, its uploader or several prompts, and nothing else."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from diffagent.data.descriptions.forms import OFFERED, filling, form, kind, name_parts
from diffagent.data.descriptions.sources import Source
from diffagent.data.records import Card

KESTRA = Card(
    name="[Nobody] Kestra v1.2 (Moonharbor 3) | 海の物語 LoRA",
    type="LoRA",
    base_model="SD 1.5",
    air="urn:air:sd1:lora:civitai:1@2",
    tags=("anime", "character", "girl", "game character", "Moon_Saga", "kestra"),
    trigger_words=("kestra", "silver braid, blue cloak"),
)


def card(name: str, *tags: str, **changes: Any) -> Card:
    return replace(KESTRA, name=name, tags=tags, trigger_words=(), **changes)


def test_a_characters_form() -> None:
    assert form(Source(KESTRA), 0) == (
        "An SD 1.5 LoRA of {Kestra from Moonharbor 3|Kestra from Nobody|Moonharbor 3 from Kestra|Kestra}, "
        "{a female game character|a female anime character}, with silver braid and blue cloak."
    )
    assert form(Source(KESTRA), 2).endswith("{a female game character|a female anime character}.")


def test_a_style_tells_its_tags_and_what_several_prompts_share() -> None:
    style = card("Charcoal Dreams Style", "style", "sketch", "dark", "haunted towns", "lora", "dreams")
    prompts = (
        "masterpiece, old house, (gothic:1.2), by Jane Roe",
        "old house, gothic, best quality, Jane Roe",
        "iron gate, watercolor",
    )
    assert form(Source(style, "", prompts), 0) == (
        "An SD 1.5 LoRA for images in the Charcoal Dreams style: sketch, dark and haunted towns; "
        "sample images show gothic."
    )
    assert form(Source(style, "", prompts), 1).endswith("and haunted towns.")


def test_a_checkpoint_tells_the_uploaders_looks() -> None:
    checkpoint = card("LumenMix", "base model", type="Checkpoint")
    assert form(Source(checkpoint, "Good for cinematic photography and anime!"), 0) == (
        "An SD 1.5 checkpoint for anime, cinematic and photography images."
    )
    assert form(Source(checkpoint), 0) == "An SD 1.5 checkpoint for images of many kinds."


@pytest.mark.parametrize(
    ("name", "tags", "expected"),
    [
        ("Blue Cloak", ("clothing", "style"), "clothing"),
        ("Salute", ("poses",), "pose"),
        ("Old Pier", ("architecture_design",), "scene"),
        ("Ink style", ("character", "style"), "style"),
        ("Ink style", (), "style"),
        ("Kettle", ("glass",), "thing"),
    ],
)
def test_kinds(name: str, tags: tuple[str, ...], expected: str) -> None:
    assert kind(card(name, *tags)) == expected


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("Kestra - Moonharbor", ["Kestra", "Moonharbor"]),
        ("Kestra from Moonharbor LoRA v2", ["Kestra", "Moonharbor"]),
        ("【Moonharbor】Kestra", ["Kestra", "Moonharbor"]),
        ("kestra_(old_moonharbor)_style", ["kestra", "old moonharbor"]),
        ("The Kestra # style 海", ["Kestra"]),
        ("海の物語", ["海の物語"]),
        ("{|}", ["it"]),
    ],
)
def test_parts_of_names(name: str, parts: list[str]) -> None:
    assert name_parts(card(name)) == parts
    moonharbor = replace(card(name), trigger_words=("moonharbor",))
    assert name_parts(moonharbor) == sorted(parts, key=lambda part: part != "Moonharbor")


def test_a_filling_tells_a_few_facts_and_ends_in_the_form() -> None:
    source = Source(card("Kettle {new}", *(f"tag{n}" for n in range(40)), "glass"), "long 海 text " * 50)
    lines = filling(source, 0, "").splitlines()
    assert [line.partition(":")[0] for line in lines[:-1]] == ["Name", "Tags", "About"]
    assert max(map(len, lines[:-1])) <= 160
    assert lines[-1] == form(source, 0)
    assert "海" not in lines[2]


def test_blanks_offer_a_few_safe_phrases() -> None:
    tags = (
        "nude",
        "a" * 9,
        "b" * 9,
        *(f"tag {c}" for c in "cdefghijklmnopqrstuvwxyz"),
        "with {brace}",
        "x|y",
    )
    text = form(Source(card("Kettle", *tags)), 0)
    blanks = re.findall(r"\{([^{}]*)\}", text)
    assert [len(blank.split("|")) for blank in blanks] == [OFFERED] * 3
    assert "nude" not in text
    assert "brace" not in text
