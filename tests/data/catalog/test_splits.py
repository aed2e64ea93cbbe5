"""The held-out rule on numbers worked out by hand, and its clusters against brute force."""

from __future__ import annotations

from collections import Counter
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diffagent.data.catalog.splits import assign, cluster_prompts, split_of, word_set
from diffagent.data.records import Sample


def test_the_rule_by_hand() -> None:
    # printf %s 18 | sha256sum ends in …A42C5FED14A, which bc prints with 0 as its last decimal digit;
    # 2 gives 1, 1 gives 5, 11 gives 8 and 4201 gives 3.
    assert [split_of(i) for i in (18, 2, 1, 11, 4201)] == ["test", "align", "train", "train", "train"]


def test_shares_are_8_1_1() -> None:
    counts = Counter(split_of(image_id) for image_id in range(20_000))
    assert abs(counts["test"] - 2000) < 150
    assert abs(counts["align"] - 2000) < 150


def test_near_duplicates_share_a_label() -> None:
    prompts = [
        "a red fox in the snow, oil painting",
        "harbour at night, neon lights, rain",
        "oil painting, (a red fox:1.2) in the snow <lora:ink:0.8>",
        "a blue fox in the snow, oil painting",
        "harbour by day",
        "A RED FOX in the snow, oil painting",
    ]
    assert cluster_prompts(prompts).tolist() == [0, 1, 0, 0, 4, 0]


def test_one_word_of_six_is_near_and_of_five_is_not() -> None:
    assert cluster_prompts(["a b c d e f", "a b c d e x"]).tolist() == [0, 0]  # 5/7
    assert cluster_prompts(["a b c d e", "a b c d x"]).tolist() == [0, 1]  # 4/6


def test_clusters_are_connected_pairs() -> None:
    chain = ["a b c d e f g", "b c d e f g h", "c d e f g h i"]  # neighbours 6/8, the ends 5/9
    assert cluster_prompts(chain).tolist() == [0, 0, 0]


def test_prompts_without_words_are_kept_apart() -> None:
    assert cluster_prompts(["🦊", "🐙", "🦊", ""]).tolist() == [0, 1, 0, 3]
    assert cluster_prompts([]).tolist() == []
    assert word_set("a_b, 水墨") == {"a", "b", "水墨"}


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.lists(st.sampled_from("abcdefghij"), min_size=1, max_size=9), max_size=14),
    st.sampled_from([0.34, 0.5, 0.6, 0.7, 0.85, 1.0]),
)
def test_clusters_are_exactly_those_of_all_pairs(bags: list[list[str]], threshold: float) -> None:
    prompts = [" ".join(bag) for bag in bags]
    sets = [frozenset(bag) for bag in bags]
    group = list(range(len(sets)))
    for i, j in combinations(range(len(sets)), 2):
        if len(sets[i] & sets[j]) >= threshold * len(sets[i] | sets[j]) - 1e-9:
            old, new = max(group[i], group[j]), min(group[i], group[j])
            group = [new if g == old else g for g in group]
    labels = cluster_prompts(prompts, threshold)
    assert labels.dtype == np.int64
    assert labels.tolist() == group


def test_a_cluster_goes_where_its_smallest_id_goes() -> None:
    test_id = next(i for i in range(100, 1000) if split_of(i) == "test")
    samples = [
        Sample(test_id + 5000, 1, "a red fox in the snow, oil painting"),
        Sample(test_id, 2, "a red fox in the snow, oil painting, night"),
        Sample(7, 2, "something else altogether"),
    ]
    assert assign(samples) == {test_id + 5000: "test", test_id: "test", 7: split_of(7)}


def test_the_order_of_samples_does_not_matter() -> None:
    prompts = [f"{a} {b} tree river stone cloud {c}" for a in "xyz" for b in "uvw" for c in "rst"]
    samples = [Sample(i, 1, prompt) for i, prompt in enumerate(prompts, 50)]
    assert assign(samples) == assign(samples[::-1])


def test_a_threshold_is_a_similarity() -> None:
    with pytest.raises(ValueError, match="threshold is 0"):
        cluster_prompts(["a"], 0)
