"""Settings: what people use a model with, smoothed by its family, and what a wish overrides."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diffagent.agent.settings import Setting, clip_skip, lora_weight, pooled, settings
from diffagent.agent.wishes import Wishes
from diffagent.data.records import Card, Usage
from diffagent.data.samplers import SAMPLERS

NOTHING = Wishes("a fox")


def card(**usage: dict[object, int]) -> Card:
    return Card("Fox", "Checkpoint", "SD 1.5", "urn:air:sd1:checkpoint:civitai:1@2", usage=Usage(**usage))


def shares(setting: Setting) -> dict[object, float]:
    return {v: math.exp(p) for v, p in zip(setting.values, setting.log_priors, strict=True)}


def test_a_models_own_images_count_one_each_and_its_familys_one_together() -> None:
    own = card(sampler={"Euler a": 9, "DDIM": 1})
    family = Usage(sampler={"DPM++ 2M Karras": 50, "Euler a": 50})
    found = settings(own, family, NOTHING)["sampler"]
    # 9 + 0.5, 1 and 0.5 of 11
    assert found.values == ("Euler a", "DDIM", "DPM++ 2M Karras")
    assert shares(found) == pytest.approx({"Euler a": 9.5 / 11, "DDIM": 1 / 11, "DPM++ 2M Karras": 0.5 / 11})


def test_a_model_without_images_is_used_as_its_family() -> None:
    found = settings(card(), Usage(sampler={"DDIM": 3, "Euler a": 1}), NOTHING)["sampler"]
    assert shares(found) == pytest.approx({"DDIM": 0.75, "Euler a": 0.25})


def test_the_median_of_steps_comes_first() -> None:
    found = settings(card(steps={20: 3, 25: 3, 60: 3}), Usage(steps={20: 7}), NOTHING)["steps"]
    # with the family's one: 4, 3 and 3 of 10, so the expected errors are 13.5, 12.5 and 26.5 steps
    assert found.values == (25, 20, 60)
    odds = [1, math.exp(1 - 13.5 / 12.5), math.exp(1 - 26.5 / 12.5)]
    assert list(shares(found).values()) == pytest.approx([one / sum(odds) for one in odds])


def test_a_catalog_without_usage_falls_back_to_the_papers_parameters() -> None:
    found = settings(card(), Usage(), NOTHING)
    assert {name: one.values for name, one in found.items()} == {
        "size": ((512, 512),),
        "sampler": ("Euler a",),
        "steps": (20,),
        "cfg_scale": (7.0,),
    }


def test_values_that_no_call_may_have_are_left_out() -> None:
    odd = card(
        sampler={"Magic": 99},
        steps={0: 99, 151: 99, 25: 1},
        cfg_scale={0.5: 99, 31.0: 99, 6: 1},
        size={"513x512": 99, "32x512": 99, "4104x512": 99, "640x448": 1},
    )
    found = settings(odd, odd.usage, NOTHING)
    assert found["size"].values == ((640, 448),)
    assert (found["steps"].values, found["cfg_scale"].values) == ((25,), (6.0,))
    assert found["sampler"].values == ("Euler a",)


def test_six_values_are_offered_most_used_first() -> None:
    found = settings(card(size={f"{8 * n}x512": n for n in range(70, 80)}), Usage(), NOTHING)["size"]
    assert found.values == tuple((8 * n, 512) for n in (79, 78, 77, 76, 75, 74))
    assert sum(shares(found).values()) == pytest.approx(1)


def test_wishes_override_usage() -> None:
    own = card(sampler={"Euler a": 9}, steps={20: 9}, cfg_scale={7.0: 9}, size={"512x512": 9})
    wished = Wishes("a fox", size=(1024, 768), sampler="DDIM", steps=31, cfg_scale=3.5)
    found = settings(own, Usage(), wished)
    assert {name: (one.values, one.log_priors) for name, one in found.items()} == {
        "size": (((1024, 768),), (0.0,)),
        "sampler": (("DDIM",), (0.0,)),
        "steps": ((31,), (0.0,)),
        "cfg_scale": ((3.5,), (0.0,)),
    }


def test_a_wished_shape_chooses_among_the_sizes_in_use() -> None:
    own = card(size={"512x512": 8, "512x768": 3, "640x960": 1, "768x512": 4})
    found = settings(own, Usage(size={"512x512": 1}), Wishes("a fox", aspect=(2, 3)))["size"]
    assert shares(found) == pytest.approx({(512, 768): 0.75, (640, 960): 0.25})


def test_a_word_that_may_mean_the_subject_makes_its_shape_three_times_as_probable() -> None:
    own = card(size={"512x512": 4, "512x768": 2, "768x512": 1})
    said = Wishes("portrait of a fox", aspect=(2, 3), leaning=True)
    found = settings(own, Usage(size={"512x512": 1}), said)["size"]
    assert shares(found) == pytest.approx({(512, 768): 6 / 12, (512, 512): 5 / 12, (768, 512): 1 / 12})


def test_a_shape_that_nobody_uses_gets_the_usual_area() -> None:
    own = card(size={"512x512": 8})
    found = settings(own, Usage(size={"512x512": 1}), Wishes("a fox", aspect=(9, 16)))["size"]
    # sqrt(512² · 9/16) = 384, and 384 · 16/9 = 683 is nearest to 11 · 64
    assert found == Setting.fixed((384, 704))


def test_the_weight_a_lora_is_used_with_most() -> None:
    assert lora_weight(card(lora_weight={0.7: 3, 1.0: 2})) == 0.7
    assert lora_weight(card(lora_weight={0.5: 2, 1.0: 2, 0.9: 2})) == 0.9  # nearest to 0.8 of equals
    assert lora_weight(card(lora_weight={5.0: 9, 0.0: 9, -1.5: 9, 0.05: 9, 0.6: 1})) == 0.6
    assert lora_weight(card()) == 0.8


def test_the_clip_skip_that_most_images_name() -> None:
    assert clip_skip(card(clip_skip={2: 4, 1: 1})) == 2
    assert clip_skip(card(clip_skip={2: 4, 1: 4})) == 1
    assert clip_skip(card(clip_skip={13: 4})) is None
    assert clip_skip(card()) is None


def test_no_model_counts_for_more_than_ten_images_a_value() -> None:
    found = pooled([Usage(steps={20: 400, 30: 2}), Usage(steps={30: 3}, clip_skip={2: 9})])
    assert found == Usage(steps={20: 10, 30: 5})


SIZES = st.tuples(st.integers(1, 300), st.integers(1, 300)).map(lambda s: f"{s[0] * 8}x{s[1] * 8}")


@given(
    own=st.dictionaries(SIZES, st.integers(1, 50), max_size=8),
    family=st.dictionaries(SIZES, st.integers(1, 50), max_size=8),
    aspect=st.none() | st.tuples(st.integers(1, 21), st.integers(1, 21)),
    sampler=st.dictionaries(st.sampled_from([*SAMPLERS, "Magic"]), st.integers(1, 50), max_size=8),
)
def test_every_offer_is_legal_and_its_priors_sum_to_1(
    own: dict[str, int],
    family: dict[str, int],
    aspect: tuple[int, int] | None,
    sampler: dict[str, int],
) -> None:
    found = settings(card(size=own, sampler=sampler), Usage(size=family), Wishes("a fox", aspect=aspect))
    for setting in found.values():
        assert len(set(setting.values)) == len(setting.values) <= 6
        assert sum(shares(setting).values()) == pytest.approx(1)
    assert set(found["sampler"].values) <= set(SAMPLERS)
    for sides in found["size"].values:
        assert all(64 <= side <= 4096 and side % 8 == 0 for side in sides)
