"""Plain requests: read from a file, and split by their words."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from invented_requests import AIRS, FOX, HARBOUR, SLOTS, request_of

from diffagent.data.errors import BadInput
from diffagent.training.corpora.plain_requests import (
    GradedCandidate,
    read_graded,
    shipped_orders,
)


def row(**fields: Any) -> str:
    whole = {"id": "r0.0", "prompt": "a fox", "kind": "plain", "slots": SLOTS, "special": "none"}
    return json.dumps({**whole, "candidates": [{"air": AIRS[0], "grade": 3}], **fields}) + "\n"


def test_a_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "requests.jsonl"
    path.write_text(row() + row(candidates=[{"air": "x", "grade": 1, "base_checkpoint": AIRS[1]}]))
    first, second = read_graded(path)
    assert first == replace(request_of("a fox", 3), slots=SLOTS)
    assert second.candidates == (GradedCandidate("x", 1, AIRS[1]),)
    path.write_text(row(candidates=[{"air": air, "grade": 3, "place": 1} for air in "xy"]))
    assert [candidate.place for candidate in read_graded(path)[0].candidates] == [1, 1]


def test_what_ships_can_be_read() -> None:
    requests, orders = read_graded(), read_graded(shipped_orders())
    assert {order.id for order in orders} <= {request.id for request in requests}
    assert all(candidate.place for order in orders for candidate in order.candidates)
    assert not any(candidate.place for request in requests for candidate in request.candidates)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "JSONDecodeError"),
        ("[]", "TypeError"),
        ('{"id": "r1"}', "KeyError: 'candidates'"),
        (row(candidates=[{"air": "x"}]), "KeyError: 'grade'"),
        (row(candidates=[{"air": "x", "grade": -1}]), "grades are 0 to 3, not -1"),
        (
            row(candidates=[{"air": "x", "grade": 3, "place": 1}, {"air": "y", "grade": 3}]),
            r"an order has a place for each candidate, from 1, not \[1\]",
        ),
        (row(candidates=[{"air": "x", "grade": 3, "place": 2}]), r"from 1, not \[2\]"),
    ],
)
def test_a_line_that_is_no_request_is_named(tmp_path: Path, line: str, reason: str) -> None:
    path = tmp_path / "requests.jsonl"
    path.write_text(row() + line)
    with pytest.raises(BadInput, match=f"line 2 is not a request .*{reason}"):
        read_graded(path)


def test_splits_hang_on_the_words_alone() -> None:
    prompts = ("a fox", "a lamp", "a red door")
    assert [request_of(prompt).split for prompt in prompts] == ["train", "train", "align"]
    assert request_of("a fox at night", 3).split == replace(FOX, kind="chat", special="style").split
    counts = Counter(request_of(f"a fox and {n} hares").split for n in range(2000))
    assert counts["test"] == pytest.approx(200, abs=30)
    assert counts["align"] == pytest.approx(200, abs=30)
    assert counts.total() == 2000


def test_the_requests_that_ship_are_whole() -> None:
    requests = read_graded()
    assert (
        len({request.prompt for request in requests})
        == len({request.id for request in requests})
        == len(requests)
    )
    shares = {name: n / len(requests) for name, n in Counter(request.split for request in requests).items()}
    assert shares == pytest.approx({"train": 0.8, "align": 0.1, "test": 0.1}, abs=0.02)


def test_a_reading_keeps_what_the_rules_see() -> None:
    tags = request_of(
        "fox, night, snow, dark, moon, <lora:Old Sprites:1>", 3, medium="ink", natural="ink"
    ).reading
    assert (tags.pasted, tags.marked_names, tags.named_media) == (True, ("Old Sprites",), ("ink",))
    assert HARBOUR.reading.words == ("a", "harbour")  # a catalog is matched in English
