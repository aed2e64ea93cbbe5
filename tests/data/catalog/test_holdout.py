"""What each held-out rule lets a catalog see."""

from __future__ import annotations

import pytest

from diffagent.data.catalog.holdout import Rule, splits, visible
from diffagent.data.catalog.splits import split_of
from diffagent.data.errors import BadInput
from diffagent.data.records import Sample

# by their own ids: 18 is test, 17 align, 1 and 3 train (SHA-256 of the digits, modulo 10)
TEST, ALIGN, TRAIN, OTHER = 18, 17, 1, 3


def splits_of(rule: Rule, *samples: tuple[int, str]) -> dict[int, tuple[str, str]]:
    return dict(splits([Sample(image, 5, prompt) for image, prompt in samples], rule))


def test_the_ids_of_these_tests_are_what_they_say() -> None:
    assert [split_of(image) for image in (TEST, ALIGN, TRAIN, OTHER)] == ["test", "align", "train", "train"]


FOUR = ((TEST, "a red fox in the snow"), (ALIGN, "harbour at night"), (TRAIN, "ink drawing"), (OTHER, "sea"))


@pytest.mark.parametrize("rule", ["cluster", "both"])
def test_prompts_of_their_own_have_one_split_by_either_rule(rule: Rule) -> None:
    expected = {TEST: "test", ALIGN: "align", TRAIN: "train", OTHER: "train"}
    assert splits_of(rule, *FOUR) == {image: (split, split) for image, split in expected.items()}


# near-duplicates: the smallest id, 1, draws 18 to train
NEAR = ((TRAIN, "a red fox in the snow"), (TEST, "a red fox in the snow!"), (ALIGN, "harbour at night"))


def test_a_cluster_goes_where_its_smallest_image_goes() -> None:
    assert splits_of("both", *NEAR) == {
        TRAIN: ("train", "train"),
        TEST: ("train", "test"),
        ALIGN: ("align", "align"),
    }


@pytest.mark.parametrize(
    ("rule", "images"),
    [
        ("none", {TRAIN, TEST, ALIGN}),
        ("cluster", {TRAIN, TEST}),
        ("image", {TRAIN}),
        ("both", {TRAIN}),
    ],
)
def test_what_a_rule_lets_through(rule: Rule, images: set[int]) -> None:
    samples = [Sample(image, 5, prompt) for image, prompt in NEAR]
    assert visible(splits(samples, rule), rule) == images


def test_a_train_image_in_a_test_cluster_is_seen_by_the_image_rule_alone() -> None:
    samples = [Sample(TEST, 5, "a red fox"), Sample(100, 5, "a red fox")]
    assert split_of(100) == "train"
    images = {rule: visible(splits(samples, rule), rule) for rule in ("cluster", "image", "both")}
    assert images == {"cluster": frozenset(), "image": {100}, "both": frozenset()}


def test_an_unknown_rule_is_refused() -> None:
    with pytest.raises(BadInput, match="'all', but it is one of none, cluster, image, both"):
        splits([], "all")  # type: ignore[arg-type]
