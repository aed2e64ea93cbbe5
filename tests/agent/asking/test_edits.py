"""What a later message changes: settings, model, seed, words; or that it is a prompt of its own."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stand_ins import ENTRIES

from diffagent.agent.asking.edits import Edit, edit, with_edit
from diffagent.agent.asking.wishes import Wishes
from diffagent.data.errors import BadPrompt
from diffagent.data.records import Card, T2ICall

CARDS = {entry.card.name.casefold(): entry.card for entry in ENTRIES}


def find(name: str) -> Card | None:
    by_air = {card.air: card for card in CARDS.values()}
    return CARDS.get(name.casefold()) or by_air.get(name)


def call(**changes: Any) -> T2ICall:
    fields: dict[str, Any] = {
        "model": "Tiny Pixels",
        "type": "Checkpoint",
        "base_model": "SD 1.5",
        "width": 512,
        "height": 768,
        "sampling_method": "Euler a",
        "sampling_steps": 20,
        "cfg_scale": 7.0,
        "model_description": "",
        "prompt": "a fox",
        "seed": 5,
        "air": "urn:air:sd1:checkpoint:civitai:11@12",
    }
    return T2ICall(**fields | changes)


def settings(**wishes: Any) -> Edit:
    return Edit(settings=Wishes("", **wishes))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("make it landscape", settings(aspect=(3, 2))),
        ("Please make it a landscape image.", settings(aspect=(3, 2))),
        ("now in portrait orientation!", settings(aspect=(2, 3))),
        ("square please", settings(aspect=(1, 1))),
        ("16:9", settings(aspect=(16, 9))),
        ("1024x768", settings(size=(1024, 768))),
        ("can you change the size to 640 x 512?", settings(size=(640, 512))),
        ("30 steps", settings(steps=30)),
        ("set the steps to 40", settings(steps=40)),
        ("ok, use 12 steps and cfg 5.5", settings(steps=12, cfg_scale=5.5)),
        ("use Euler a", settings(sampler="Euler a")),
        ("switch the sampler to DPM++ 2M Karras", settings(sampler="DPM++ 2M Karras")),
        ("seed 42", settings(seed=42)),
        ("clip skip 2", settings(clip_skip=2)),
        ("use SDXL instead", settings(base_model="sdxl")),
        ("make it landscape, use SDXL and 30 steps", settings(aspect=(3, 2), base_model="sdxl", steps=30)),
        ("use a LoRA", settings(type="LoRA")),
        ("another seed", Edit(new_seed=True)),
        ("try again", Edit(new_seed=True)),
        ("with a different seed and 25 steps", Edit(settings=Wishes("", steps=25), new_seed=True)),
        ("use Ink Fox Style instead", Edit(model="urn:air:sd1:lora:civitai:33@34")),
        ("switch to the model grand xl", Edit(model="urn:air:sdxl:checkpoint:civitai:44@45")),
        ("use urn:air:sd1:lora:civitai:33@34", Edit(model="urn:air:sd1:lora:civitai:33@34")),
        ("add a red hat", Edit(words=("a red hat",))),
        ("without people", Edit(avoid=("people",))),
        ("remove the text and add snow", Edit(words=("snow",), avoid=("text",))),
        ("make it a watercolor", Edit(words=("a watercolor",), restyle=True)),
        ("turn it into a comic, 9 steps", Edit(Wishes("", steps=9), words=("a comic",), restyle=True)),
    ],
)  # fmt: skip
def test_an_edit_is_read(text: str, expected: Edit) -> None:
    assert edit(text, find) == expected


@pytest.mark.parametrize(
    "text",
    [
        "a portrait of an old fisherman",
        "photo of a lighthouse at night, 30 steps",
        "a castle in the style of an ink drawing",
        "landscape with a river",
        "two foxes and a seed",
        "inside a dark forest",
        "Masterpiece, best quality, 1girl",
    ],
)
def test_a_prompt_is_none(text: str) -> None:
    assert edit(text, find) is None


@pytest.mark.parametrize("text", ["900 steps", "steps to 0", "size 20x20"])
def test_an_edit_of_nothing_is_refused(text: str) -> None:
    with pytest.raises(BadPrompt, match="changes nothing"):
        edit(text, find)


def test_settings_change_their_fields_and_nothing_else() -> None:
    before = call()
    after = with_edit(before, settings(aspect=(3, 2), steps=30))
    assert (after.width, after.height, after.sampling_steps) == (768, 512, 30)
    assert after == before.model_copy(update={"width": 768, "height": 512, "sampling_steps": 30})


def test_an_xl_call_keeps_its_area() -> None:
    after = with_edit(call(width=1024, height=1024), settings(aspect=(16, 9)))
    assert (after.width, after.height) == (1344, 768)


def test_words_are_added_once() -> None:
    after = with_edit(
        call(negative_prompt="text"), Edit(words=("a red hat", "a fox"), avoid=("text", "people"))
    )
    assert (after.prompt, after.negative_prompt) == ("a fox, a red hat", "text, people")


def test_another_seed_is_another_one() -> None:
    seeds = {with_edit(call(), Edit(new_seed=True)).seed for _ in range(8)}
    assert len(seeds) == 8
    assert with_edit(call(), settings(seed=0)).seed == 0


def test_later_edits_hold() -> None:
    both = settings(aspect=(3, 2), steps=20) + settings(size=(512, 512), steps=30)
    assert (both.settings.size, both.settings.aspect, both.settings.steps) == ((512, 512), None, 30)
    switch = settings(base_model="sdxl") + Edit(model="urn:air:sd1:lora:civitai:33@34")
    assert (switch.settings.base_model, switch.model) == (None, "urn:air:sd1:lora:civitai:33@34")
    again = switch + settings(base_model="sd1")
    assert (again.settings.base_model, again.model) == ("sd1", None)
    assert (Edit(words=("a",)) + Edit(words=("b",))).words == ("a", "b")
    reseeded = settings(seed=9) + Edit(new_seed=True)
    assert (reseeded.settings.seed, reseeded.new_seed) == (None, True)
    seeded = reseeded + settings(seed=8)
    assert (seeded.settings.seed, seeded.new_seed) == (8, False)


@given(st.text(max_size=200))
def test_any_text_is_a_prompt_or_an_edit_of_a_legal_call(text: str) -> None:
    try:
        change = edit(text, find)
    except BadPrompt:
        return
    if change is not None:
        T2ICall.parse(with_edit(call(), change).model_dump())
