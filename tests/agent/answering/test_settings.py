"""Settings: what five images of a model agree on, else its base model's, and what a wish overrides."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diffagent.agent.answering.settings import (
    clip_skip,
    guidance,
    lora_weight,
    settings,
)
from diffagent.agent.asking.wishes import Wishes
from diffagent.agent.setting import Setting
from diffagent.data.attributes import Attributes, Medium
from diffagent.data.base_models import TABLE, find
from diffagent.data.catalog.catalog import Catalog, Filter, default_catalog
from diffagent.data.catalog.usage import by_family, pooled
from diffagent.data.records import Card, Usage
from diffagent.data.samplers import SAMPLERS

NOTHING = Wishes("a fox")
FIELDS = ("size", "sampler", "steps", "cfg_scale")


def card(**usage: Mapping[Any, int]) -> Card:
    return Card("Fox", "Checkpoint", "SD 1.5", "urn:air:sd1:checkpoint:civitai:1@2", usage=Usage(**usage))


def first(offers: dict[str, Setting]) -> tuple[object, ...]:
    return tuple(offers[name].values[0] for name in FIELDS)


def shares(setting: Setting) -> dict[object, float]:
    return {v: math.exp(p) for v, p in zip(setting.values, setting.log_priors, strict=True)}


def test_what_five_images_agree_on_goes_before_the_base_models_usual() -> None:
    model = card(sampler={"Euler a": 9, "DDIM": 4})
    setting = settings(model, Usage(sampler={"UniPC": 50, "Euler a": 50}), NOTHING)["sampler"]
    # 9 images, and one more of which the table's value has half and the family's two a quarter each
    assert setting.values == ("Euler a", "DPM++ 2M Karras", "UniPC")
    assert shares(setting) == pytest.approx(
        {"Euler a": 9.25 / 10, "DPM++ 2M Karras": 0.5 / 10, "UniPC": 0.25 / 10}
    )


def test_a_base_models_own_guidance_is_its_rows() -> None:
    advised = Usage(steps={40: 5}, cfg_scale={7.0: 5})
    model = Card(
        "Large", "Checkpoint", "SD 3.5 Large",
        "urn:air:sd3:diffusionmodel:huggingface:stabilityai/stable-diffusion-3.5-large", usage=advised,
    )  # fmt: skip
    offers = settings(model, advised, NOTHING)
    assert (offers["steps"].values[0], offers["cfg_scale"].values[0]) == (40, 3.5)
    tuned = replace(model, air="urn:air:sd3:diffusionmodel:huggingface:moor/large")
    assert settings(tuned, advised, NOTHING)["cfg_scale"].values[0] == 7.0


@pytest.mark.parametrize(
    ("base_model", "used", "samplers"),
    [
        ("Flux.1 D", {}, ("Euler Simple",)),
        ("Chroma", {"Euler": 7, "Euler Beta": 5}, ("Euler Beta",)),
        ("SD 1.5", {"Euler": 30}, ("Euler", "DPM++ 2M Karras")),
    ],
)
def test_a_base_model_that_is_always_used_with_a_schedule_has_it(
    base_model: str, used: dict[str, int], samplers: tuple[str, ...]
) -> None:
    model = Card(
        "Fox", "Checkpoint", base_model, "urn:air:x:checkpoint:civitai:1@2", usage=Usage(sampler=used)
    )
    assert settings(model, Usage(), NOTHING)["sampler"].values == samplers
    wished = settings(model, Usage(), replace(NOTHING, sampler="Euler"))["sampler"].values
    assert wished == (("Euler",) if base_model == "SD 1.5" else samplers)


def test_four_images_are_not_enough() -> None:
    few = card(sampler={"DDIM": 4}, steps={50: 4}, cfg_scale={12.0: 4}, size={"768x512": 4})
    assert first(settings(few, Usage(), NOTHING)) == ((512, 512), "DPM++ 2M Karras", 25, 7.0)
    five = card(sampler={"DDIM": 5}, steps={50: 5}, cfg_scale={12.0: 5}, size={"768x512": 5})
    assert first(settings(five, Usage(), NOTHING)) == ((768, 512), "DDIM", 50, 12.0)


def test_numbers_agree_within_a_span() -> None:
    near = card(steps={28: 2, 30: 2, 33: 1, 45: 2}, cfg_scale={8.0: 3, 9.0: 2, 4.0: 2})
    offers = settings(near, Usage(), NOTHING)
    # the median of 25 (the table's), 28, 28, 30, 30, 33
    assert (offers["steps"].values[0], offers["cfg_scale"].values[0]) == (28, 8.0)
    apart = card(steps={28: 2, 34: 2, 45: 3}, cfg_scale={8.0: 3, 9.5: 2, 4.0: 2})
    assert first(settings(apart, Usage(), NOTHING))[2:] == (25, 7.0)


def test_what_is_outside_the_base_models_ranges_is_not_its_models_own() -> None:
    odd = card(sampler={"DPM adaptive": 40}, steps={66: 40, 7: 40}, cfg_scale={13.0: 40, 1.5: 40})
    assert first(settings(odd, odd.usage, NOTHING))[1:] == ("DPM++ 2M Karras", 25, 7.0)


def test_a_distilled_models_few_steps_are_its_own() -> None:
    turbo = card(steps={6: 4, 8: 4}, cfg_scale={1.5: 6, 2.0: 2})
    assert first(settings(turbo, Usage(), NOTHING))[2:] == (8, 1.5)  # the median with the table's 25
    guided = card(steps={6: 4, 8: 4}, cfg_scale={7.0: 8})
    assert first(settings(guided, Usage(), NOTHING))[2:] == (25, 7.0)


def test_a_lora_without_settings_of_its_own_has_its_carriers() -> None:
    carrier = card(sampler={"DDIM": 6}, steps={40: 6}, cfg_scale={5.0: 6}, size={"768x512": 6})
    lora = card(sampler={"UniPC": 7}, steps={20: 3})
    assert first(settings(lora, Usage(), NOTHING, carrier)) == ((512, 512), "UniPC", 40, 5.0)


def test_an_xl_model_has_its_base_models_settings() -> None:
    offers = settings(replace(card(), base_model="SDXL 1.0"), Usage(), NOTHING)
    assert first(offers) == ((1024, 1024), "DPM++ 2M Karras", 30, 7.0)


def test_a_base_model_that_the_table_does_not_know_has_its_familys_settings() -> None:
    toy = replace(card(), base_model="Toy DiT")
    assert first(settings(toy, Usage(), NOTHING)) == ((512, 512), "Euler a", 20, 7.0)  # the paper's
    family = Usage(sampler={"DDIM": 3}, steps={8: 3}, cfg_scale={2.0: 3}, size={"640x448": 2})
    assert first(settings(toy, family, NOTHING)) == ((640, 448), "DDIM", 8, 2.0)


def test_values_that_no_call_may_have_are_left_out() -> None:
    odd = replace(
        card(
            sampler={"Magic": 99},
            steps={0: 99, 151: 99, 25: 5},
            cfg_scale={0.5: 99, 31.0: 99, 6: 5},
            size={"513x512": 99, "32x512": 99, "4104x512": 99, "640x448": 5},
        ),
        base_model="Toy DiT",
    )
    offers = settings(odd, Usage(), NOTHING)
    assert first(offers) == ((640, 448), "Euler a", 25, 6.0)
    assert (offers["size"].values, offers["sampler"].values) == (((640, 448),), ("Euler a",))


def test_at_most_six_values_are_offered() -> None:
    family = Usage(sampler=dict.fromkeys(SAMPLERS, 10), steps=dict.fromkeys(range(20, 30), 3))
    offers = settings(card(), family, NOTHING)
    assert [len(offers[name].values) for name in ("sampler", "steps")] == [6, 6]
    assert sum(shares(offers["sampler"]).values()) == pytest.approx(1)


def test_wishes_override_usage() -> None:
    model = card(sampler={"Euler a": 9}, steps={20: 9}, cfg_scale={7.0: 9}, size={"512x512": 9})
    wished = Wishes("a fox", size=(1024, 768), sampler="DDIM", steps=31, cfg_scale=3.5)
    offers = settings(model, Usage(), wished)
    assert {name: (setting.values, setting.log_priors) for name, setting in offers.items()} == {
        "size": (((1024, 768),), (0.0,)),
        "sampler": (("DDIM",), (0.0,)),
        "steps": ((31,), (0.0,)),
        "cfg_scale": ((3.5,), (0.0,)),
    }


def test_the_weight_a_lora_is_used_with_most() -> None:
    assert lora_weight(card(lora_weight={0.7: 3, 1.0: 2})) == 0.7
    assert lora_weight(card(lora_weight={0.5: 2, 1.0: 2, 0.9: 2})) == 0.9  # nearest to 0.8 of equals
    assert lora_weight(card(lora_weight={5.0: 9, 0.0: 9, -1.5: 9, 0.05: 9, 0.6: 1})) == 0.6
    assert lora_weight(card(lora_weight={1.5: 4})) == lora_weight(card()) == 0.8
    assert lora_weight(card(lora_weight={1.5: 5, 1.0: 4})) == 1.5
    assert lora_weight(card(lora_weight={0.3: 5, 1.0: 6})) == 1.0


def drawing(*media: Medium) -> Attributes:
    return Attributes(role="general", media=media, breadth="broad")


def test_distilled_guidance_is_that_of_what_runs() -> None:
    flux, krea, plain = (replace(card(), base_model=name) for name in ("Flux.1 D", "Flux.1 Krea", "SD 1.5"))
    assert (guidance(flux), guidance(krea), guidance(plain)) == (3.5, 4.5, None)
    assert guidance(flux, krea) == 4.5


def test_the_clip_skip_that_most_images_name() -> None:
    assert clip_skip(card(clip_skip={2: 5, 1: 1}, sampler={"DDIM": 10})) == 2
    assert clip_skip(card(clip_skip={2: 5}, sampler={"DDIM": 11})) is None  # six images are silent: 1
    assert clip_skip(card(clip_skip={2: 4})) is clip_skip(card(clip_skip={7: 9})) is None
    assert clip_skip(card(), card(clip_skip={2: 6})) == 2  # the carrier's
    anime, photo = (replace(card(), attributes=drawing(medium)) for medium in ("anime", "photo"))
    assert (clip_skip(anime), clip_skip(photo), clip_skip(anime, photo)) == (2, None, None)
    assert clip_skip(replace(anime, base_model="SDXL 1.0")) is None


def test_no_model_counts_for_more_than_ten_images_a_value() -> None:
    pool = pooled([Usage(steps={20: 400, 30: 2}), Usage(steps={30: 3}, clip_skip={2: 9})])
    assert pool == Usage(steps={20: 10, 30: 5})


SIZES = st.tuples(st.integers(1, 300), st.integers(1, 300)).map(lambda s: f"{s[0] * 8}x{s[1] * 8}")


@given(
    counts=st.dictionaries(SIZES, st.integers(1, 50), max_size=8),
    family=st.dictionaries(SIZES, st.integers(1, 50), max_size=8),
    aspect=st.none() | st.tuples(st.integers(1, 21), st.integers(1, 21)),
    sampler=st.dictionaries(st.sampled_from([*SAMPLERS, "Magic"]), st.integers(1, 50), max_size=8),
)
def test_every_offer_is_legal_and_its_priors_sum_to_1(
    counts: dict[str, int],
    family: dict[str, int],
    aspect: tuple[int, int] | None,
    sampler: dict[str, int],
) -> None:
    offers = settings(card(size=counts, sampler=sampler), Usage(size=family), Wishes("a fox", aspect=aspect))
    for setting in offers.values():
        assert len(set(setting.values)) == len(setting.values) <= 6
        assert sum(shares(setting).values()) == pytest.approx(1)
    assert set(offers["sampler"].values) <= set(SAMPLERS)
    for sides in offers["size"].values:
        assert all(64 <= side <= 4096 and side % 8 == 0 for side in sides)


@pytest.mark.parametrize("every", [24, pytest.param(1, marks=pytest.mark.wide)])
def test_no_entry_of_the_catalog_leaves_its_base_models_table(every: int) -> None:
    with Catalog.open(default_catalog()) as catalog:
        cards = catalog.cards(Filter(among=catalog.unasked))
    assert len(cards) == 5716
    usual = by_family(cards)
    for card in cards[::every]:
        row = find(card.base_model)
        assert row is not None
        assert row.samplers is not None
        assert row.guidance is not None
        offers = settings(card, usual[row.family], NOTHING)
        assert set(offers["size"].values) <= set(row.shapes), card.name
        assert set(offers["sampler"].values) <= set(row.samplers), card.name
        assert all(15 <= steps <= 50 for steps in offers["steps"].values), card.name
        assert all(3 <= cfg <= 12 for cfg in offers["cfg_scale"].values), card.name
        assert clip_skip(card) in (None, 1, 2)
        assert 0.1 <= lora_weight(card) <= 2
    assert {row.steps_range for row in TABLE if row.entries == "crawled"} == {(15, 50), (10, 50)}
