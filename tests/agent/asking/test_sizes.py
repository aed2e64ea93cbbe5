"""Sizes: what is asked for is kept; what is not is the base model's, by the subject."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diffagent.agent.asking.sizes import size_for, sizes
from diffagent.agent.asking.wishes import Wishes
from diffagent.data.base_models import OTHER, BaseModelFacts, find
from diffagent.data.records import Counts

SD, XL = (row for row in map(find, ("SD 1.5", "SDXL 1.0")) if row is not None)


@pytest.mark.parametrize(
    ("prompt", "size"),
    [("a cafe waitress with a tray", (832, 1216)), ("a cafe with a waitress", (1216, 832))],
)
def test_who_works_at_a_place_is_a_person(prompt: str, size: tuple[int, int]) -> None:
    assert best({}, Wishes(prompt), XL) == size


def best(used: Counts, wished: Wishes, row: BaseModelFacts = SD, *, is_general: bool = False) -> object:
    weights = sizes(used, {}, row, wished, is_general=is_general)
    return max(weights, key=lambda size: weights[size])


@pytest.mark.parametrize(
    ("aspect", "small", "large"),
    [
        ((1, 1), (512, 512), (1024, 1024)), ((2, 3), (512, 768), (832, 1216)),
        ((3, 2), (768, 512), (1216, 832)), ((3, 4), (576, 768), (896, 1152)),
        ((16, 9), (768, 432), (1344, 768)), ((9, 16), (432, 768), (768, 1344)),
        ((21, 9), (896, 384), (1536, 640)), ((4, 5), (512, 640), (896, 1152)),
        ((210, 297), (512, 720), (832, 1216)), ((1, 2), (384, 768), (704, 1472)),
        ((3, 1), (888, 296), (1792, 576)),
    ],
)  # fmt: skip
def test_a_ratio_is_kept_within_five_percent(
    aspect: tuple[int, int], small: tuple[int, int], large: tuple[int, int]
) -> None:
    wished = Wishes("a fox", aspect=aspect)
    assert (best({}, wished), best({}, wished, XL)) == (small, large)
    for width, height in (small, large):
        assert width / height == pytest.approx(aspect[0] / aspect[1], rel=0.05)


def test_the_area_of_a_call_is_kept_where_it_is_given() -> None:
    assert size_for((16, 9), SD, 1024 * 1024) == (1344, 768)  # 1365 × 768
    assert size_for((1, 1), SD, 768 * 768) == (768, 768)


def test_a_size_that_is_asked_for_is_kept() -> None:
    used = {"512x768": 99}
    assert best(used, Wishes("a fox", size=(1000, 408))) == (1000, 408)
    assert best(used, Wishes("a fox", side=(512, None))) == (512, 768)
    assert best({}, Wishes("a fox", side=(None, 1024))) == (256, 1024)


def test_the_sizes_of_a_models_images_snap_to_the_base_models() -> None:
    assert best({"768x1024": 3, "600x800": 2}, Wishes("a fox")) == (576, 768)  # both are 3:4
    assert best({"768x1024": 4}, Wishes("a fox")) == (512, 512)
    assert best({"1024x1536": 9}, Wishes("a fox")) == (512, 768)
    assert best({"1280x832": 9}, Wishes("a fox"), XL) == (1216, 832)


def test_a_small_models_images_keep_their_size() -> None:
    small = {"64x64": 5, "512x768": 4}
    assert best(small, Wishes("a fox in a field")) == (64, 64)
    assert best(small, Wishes("a fox", aspect=(2, 1))) == (88, 64)  # no side is below 64
    assert best(small, Wishes("a fox", side=(128, None))) == (128, 64)
    assert best({"64x64": 4}, Wishes("a fox")) == (512, 512)
    assert best({"128x128": 9}, Wishes("a fox")) == (512, 512)
    assert best({"128x128": 9}, Wishes("a fox"), XL) == (128, 128)


def test_a_models_own_sizes_go_before_the_tables_where_they_fit() -> None:
    used = {"512x512": 8, "512x720": 6, "768x768": 5}
    assert best(used, Wishes("a fox", aspect=(1, 1))) == (512, 512)
    assert best({"768x768": 5}, Wishes("a fox", aspect=(1, 1))) == (768, 768)
    assert best(used, Wishes("a fox", aspect=(2, 3))) == (512, 768)  # 512x720 is 6.7 % wider
    assert best(used, Wishes("portrait of a fox", aspect=(2, 3), leaning=True)) == (512, 720)


@pytest.mark.parametrize(
    ("prompt", "general", "special"),
    [
        ("a red fox in the snow", (512, 512), (512, 768)),
        ("an old woman at her window", (512, 768), (512, 768)),
        ("a village in the mountains", (768, 512), (768, 512)),
        ("a city street with a woman in red", (768, 512), (768, 512)),
        ("a woman in a city street", (512, 768), (512, 768)),
        ("infographic on bees in the city, five steps", (512, 768), (512, 768)),
    ],
)
def test_the_subject_says_the_shape_where_nothing_else_does(
    prompt: str, general: tuple[int, int], special: tuple[int, int]
) -> None:
    used = {"512x768": 40}
    assert best(used, Wishes(prompt), is_general=True) == general
    assert best(used, Wishes(prompt)) == special


@given(
    used=st.dictionaries(st.sampled_from(["512x512", "8x8", "4096x64", "904x1000"]), st.integers(1, 50)),
    aspect=st.none() | st.tuples(st.integers(1, 21), st.integers(1, 21)),
    row=st.sampled_from([SD, XL, OTHER]),
)
def test_every_size_is_legal(used: Counts, aspect: tuple[int, int] | None, row: BaseModelFacts) -> None:
    weights = sizes(used, {}, row, Wishes("a fox", aspect=aspect))
    for size, weight in weights.items():
        assert weight > 0
        assert all(64 <= side <= 4096 and side % 8 == 0 for side in size)
        assert aspect is not None or not row.shapes or size in row.shapes
