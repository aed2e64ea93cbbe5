"""Pairs: a row an image, or the reason why there is none."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from diffagent.data.catalog.cards import Entry
from diffagent.data.dabench.pairs import PAIR_REASONS, pair
from diffagent.data.records import Card, LoraUse, Sample

BASE, XL = "urn:air:sd1:checkpoint:civitai:4@44", "urn:air:sdxl:checkpoint:civitai:5@55"
CHECKPOINTS = {"aaaa000001": BASE, "bbbb000002": XL}
LORA = Entry(
    Card(
        name="Ink Fox",
        type="LoRA",
        base_model="SD 1.5",
        air="urn:air:sd1:lora:civitai:7@72",
        trigger_words=("inkfox",),
        description="SD 1.5 LoRA: ink.",
        hashes=("cccc000003",),
    ),
    stems=frozenset({"inkfox"}),
)
CHECKPOINT = Entry(
    Card("Grey", "Checkpoint", "SD 1.5", BASE, hashes=("aaaa000001", "0a1b2c3d")), stems=frozenset({"grey"})
)
SAMPLE = Sample(
    image_id=500,
    version_id=72,
    prompt="inkfox, a fox <lora:inkfox:0.8>, snow",
    negative_prompt="blurry <lora:neg:1>",
    sampler="DDIM",
    steps=25,
    cfg_scale=6.5,
    width=512,
    height=768,
    checkpoint_hash="aaaa000001",
    loras=(LoraUse("inkfox", 0.8),),
)
ROW = {
    "instruction": {"prompt": "a fox, snow", "negative_prompt": "blurry"},
    "api": {
        "model": "Ink Fox",
        "type": "LoRA",
        "base_model": "SD 1.5",
        "width": 512,
        "height": 768,
        "sampling_method": "DDIM",
        "sampling_steps": 25,
        "cfg_scale": 6.5,
        "model_description": "SD 1.5 LoRA: ink.",
    },
    "air": "urn:air:sd1:lora:civitai:7@72",
    "source": {"image": 500, "version": 72},
}


def outcome(entry: Entry = LORA, **changes: Any) -> Any:
    return pair(entry, replace(SAMPLE, **changes), CHECKPOINTS)


def test_a_row_has_the_nine_fields_and_a_prompt_that_does_not_tell_the_model() -> None:
    assert outcome() == ROW


def test_optional_trigger_words_do_not_tell_the_model_either() -> None:
    card = replace(LORA.card, trigger_words=(), optional_words=("inkfox", "snow"))
    assert outcome(LORA._replace(card=card))["instruction"]["prompt"] == "a fox"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"inpainting": True}, "inpainting"),
        ({"img2img": True}, "img2img"),
        ({"loras": ()}, "LoRA not invoked"),
        ({"loras": (LoraUse("inkfox", 0.0),)}, "LoRA not invoked"),
        ({"loras": (LoraUse("wash", 1.0), LoraUse("oil", 1.0))}, "LoRA not invoked"),
        ({"checkpoint_hash": None}, "base checkpoint not named"),
        ({"checkpoint_hash": "dddd000004"}, "base checkpoint unavailable"),
        ({"checkpoint_hash": "bbbb000002"}, "base checkpoint unavailable"),  # of another family
        ({"sampler": None}, "settings missing"),
        ({"steps": None}, "settings missing"),
        ({"cfg_scale": None}, "settings missing"),
        ({"width": None}, "settings missing"),
        ({"height": None}, "settings missing"),
        ({"prompt": "inkfox <lora:x:1>"}, "nothing left of the prompt"),
        ({"prompt": "inkfox, ab"}, "nothing left of the prompt"),
    ],
)
def test_why_a_loras_image_is_no_pair(changes: dict[str, Any], reason: str) -> None:
    assert outcome(**changes) == reason
    assert reason in PAIR_REASONS


@pytest.mark.parametrize(
    ("digest", "reason"),
    [(None, "checkpoint not named"), ("bbbb000002", "another checkpoint"), ("eeee", "another checkpoint")],
)
def test_why_a_checkpoints_image_is_no_pair(digest: str | None, reason: str) -> None:
    assert outcome(CHECKPOINT, checkpoint_hash=digest) == reason


@pytest.mark.parametrize("digest", ["aaaa000001", "0a1b2c3d"])
def test_any_hash_of_the_checkpoint_will_do(digest: str) -> None:
    assert outcome(CHECKPOINT, checkpoint_hash=digest)["air"] == BASE


def test_a_lora_is_invoked_by_hash_under_any_name() -> None:
    loras = (LoraUse("renamed", 0.5, "cccc000003"), LoraUse("other", 1.0))
    assert outcome(loras=loras)["air"] == LORA.card.air
