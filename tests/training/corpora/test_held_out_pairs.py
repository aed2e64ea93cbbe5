"""Held-out pairs: read from a file, sampled, and the models and parameters they are compared with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from stand_ins import ENTRIES

from diffagent.agent.choosing.prefilter import Candidate
from diffagent.data.errors import BadInput
from diffagent.data.records import Card, Usage
from diffagent.training.corpora.held_out_pairs import HeldOutPair, Parameters, offer, read_pairs, sample

PIXELS, INK = "urn:air:sd1:checkpoint:civitai:11@12", "urn:air:sd1:lora:civitai:33@34"
PIXELS_CARD, OIL_CARD, INK_CARD, _, _ = (entry.card for entry in ENTRIES)
GOOD = {"prompt": "a fox", "air": PIXELS}


def test_pairs_are_plain_or_dabench_rows(tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    bench = {"instruction": {"prompt": "sea", "negative_prompt": "fog"}, "api": {"width": 512}, "air": INK}
    path.write_text("\n".join(map(json.dumps, [GOOD, {**GOOD, "negative_prompt": None}, bench])))
    assert list(read_pairs(path)) == [
        HeldOutPair("a fox", "", PIXELS),
        HeldOutPair("a fox", "", PIXELS),
        HeldOutPair("sea", "fog", INK, {"width": 512}),
    ]


@pytest.mark.parametrize(
    "bad", ["", "{", "[]", "7", '"text"', '{"prompt": "a fox"}', '{"air": "x"}', '{"instruction": "a fox"}',
            '{"prompt": 5, "air": "x"}', '{"prompt": "a fox", "air": null}']
)  # fmt: skip
def test_a_line_that_is_no_pair_is_named(tmp_path: Path, bad: str) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_text(f"{json.dumps(GOOD)}\n{bad}\n{json.dumps(GOOD)}\n")
    with pytest.raises(BadInput, match=r"pairs\.jsonl, line 2 is not a pair") as refusal:
        list(read_pairs(path))
    assert "\n" not in str(refusal.value)


def test_a_file_that_is_missing_or_no_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"is not a file$"):
        list(read_pairs(tmp_path / "none.jsonl"))
    (tmp_path / "image.jsonl").write_bytes(b"\x89PNG\xff\xfe")
    with pytest.raises(BadInput, match=r"image\.jsonl"):
        list(read_pairs(tmp_path / "image.jsonl"))


def test_a_sample_is_seeded_and_keeps_the_order() -> None:
    pairs = [HeldOutPair(str(i), "", PIXELS) for i in range(50)]
    ten = sample(pairs, 10, seed=3)
    numbers = [int(pair.prompt) for pair in ten]
    assert len(set(numbers)) == 10
    assert numbers == sorted(numbers)
    assert sample(pairs, 10, seed=3) == ten != sample(pairs, 10, seed=4)
    assert sample(pairs, None, 0) == sample(pairs, 50, 0) == sample(pairs, 99, 0) == pairs


def test_the_most_frequent_of_a_model_else_of_its_family() -> None:
    usage = Usage({"Euler a": 2, "DDIM": 3, "Unknown": 9}, {30: 1, 20: 1}, {}, {"512x768": 1, "500x500": 8})
    family = Usage({}, {}, {6.5: 2}, {})
    assert Parameters.from_usage(usage, family) == Parameters("DDIM", (512, 768), 20, 6.5)


def likely(card: Card, log_probability: float = 0.0) -> Candidate:
    return Candidate(card, log_probability)


def test_the_true_model_takes_the_last_place_where_it_is_not_listed() -> None:
    candidates = [likely(OIL_CARD, -1.0), likely(PIXELS_CARD, -2.0)]
    assert offer(candidates, PIXELS_CARD) == (candidates, "B")
    assert offer([likely(OIL_CARD, -1.0), likely(INK_CARD, -2.0)], PIXELS_CARD) == (candidates, "B")
    assert offer([], PIXELS_CARD) == ([likely(PIXELS_CARD)], "A")
