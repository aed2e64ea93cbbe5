"""Plain requests: read from a file, split by their words, and told as dialogues."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from diffagent.agent.answering.choice import SHOWN
from diffagent.agent.engines.decode import Vocabulary
from diffagent.agent.engines.transformers_engine import TransformersEngine
from diffagent.data.attributes import Attributes
from diffagent.data.errors import BadInput
from diffagent.data.records import Card
from diffagent.training.corpora.plain_requests import (
    GradedCandidate,
    PlainRequest,
    choices,
    read_graded,
    readings,
    shipped_orders,
)
from diffagent.training.sft.dialogues import tokenise

SLOTS = {"medium": None, "natural": "photo", "people": "none", "english": None}


def card(number: int) -> Card:
    attributes = Attributes.parse({"role": "general", "media": ["photo"], "subjects": [f"subject {number}"]})
    air = f"urn:air:sd1:checkpoint:civitai:{number}@{number}"
    return Card(
        name=f"Model {'ABCDEFGHIJ'[number]}",
        type="Checkpoint",
        base_model="SD 1.5",
        air=air,
        attributes=attributes,
    )


CARDS = {card_.air: card_ for card_ in map(card, range(9))}
AIRS = tuple(CARDS)


def request_of(prompt: str, *grades: int, special: Any = "none", **slots: Any) -> PlainRequest:
    graded = tuple(GradedCandidate(air, grade) for air, grade in zip(AIRS, grades, strict=False))
    return PlainRequest("r0.0", prompt, "plain", {**SLOTS, **slots}, special, graded)


FOX = request_of("a fox at night", 3, 2, 0)
SPRITE = request_of("pixel art Zorblax", 0, 1, special="character", medium="pixel art", natural="pixel art")
HARBOUR = request_of(
    "un porto", *[3, 2, 2, 1, 0, 0, 0, 0, 0], natural="any", people="men", english="a harbour"
)


def choices_of(requests: list[PlainRequest], seed: int = 0) -> list[Any]:
    return list(choices(requests, CARDS, np.random.default_rng(seed)))


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


def test_readings_are_what_was_read() -> None:
    lines = [reading.answer for reading in readings([FOX, SPRITE, HARBOUR])]
    assert lines == [
        "photo; people: none; special: none",
        "pixel art; people: none; special: character",
        "digital painting; people: men; special: none",  # what any medium serves
    ]
    (reading,) = readings([SPRITE])
    assert (reading.form, reading.prompt.user, reading.targets) == (
        "reading",
        "Prompt: pixel art Zorblax",
        (),
    )
    assert reading.grammar.parse(reading.answer)["special"] == "character"


def test_a_reading_keeps_what_the_rules_see() -> None:
    tags = request_of(
        "fox, night, snow, dark, moon, <lora:Old Sprites:1>", 3, medium="ink", natural="ink"
    ).reading
    assert (tags.pasted, tags.marked_names, tags.named_media) == (True, ("Old Sprites",), ("ink",))
    assert HARBOUR.reading.words == ("a", "harbour")  # a catalog is matched in English


def test_a_choice_shares_its_target_by_grade() -> None:
    for seed in range(8):
        (choice,) = choices_of([FOX], seed)
        names = [line[2:9] for line in choice.prompt.user.split("\n")]
        assert sorted(names) == ["Model A", "Model B", "Model C"]
        shares = dict(zip(names, choice.targets, strict=True))
        assert shares == pytest.approx({"Model A": 1 / 1.25, "Model B": 0.25 / 1.25, "Model C": 0})
        assert choice.answer == "ABC"[names.index("Model A")]
        assert choice.prompt.earlier == (("Prompt: a fox at night", "photo; people: none; special: none"),)


def test_no_place_is_a_hint() -> None:
    assert {choice.answer for seed in range(30) for choice in choices_of([FOX], seed)} == {"A", "B", "C"}


def test_at_most_so_many_are_shown_the_better_half_among_them() -> None:
    for seed in range(8):
        (choice,) = choices_of([HARBOUR], seed)
        lines = choice.prompt.user.split("\n")
        assert len(lines) == len(choice.targets) == SHOWN == 6
        assert sum(choice.targets) == pytest.approx(1)
        assert {"Model A", "Model B", "Model C"} <= {line[2:9] for line in lines}
    assert (
        len(
            {
                line[2:9]
                for seed in range(9)
                for line in choices_of([HARBOUR], seed)[0].prompt.user.split("\n")
            }
        )
        == 9
    )


def test_a_fifth_stand_behind_the_rules_reading() -> None:
    lines = Counter(
        choice.prompt.earlier[0][1] for seed in range(10) for choice in choices_of([SPRITE_WELL] * 20, seed)
    )
    right = lines["pixel art; people: none; special: character"]
    assert lines.total() == right + lines["pixel art; people: none; special: none"] == 200
    assert 140 <= right <= 180


SPRITE_WELL = replace(SPRITE, candidates=FOX.candidates)


def test_a_request_without_an_acceptable_candidate_makes_no_choice() -> None:
    assert choices_of([SPRITE]) == []
    assert choices_of([request_of("a fox", 3)]) == []  # one alone is no choice
    unknown = tuple(replace(candidate, air=f"{candidate.air}9") for candidate in FOX.candidates)
    assert choices_of([replace(FOX, candidates=unknown)]) == []


def test_both_become_tokens(tiny: TransformersEngine) -> None:
    vocabulary = Vocabulary(tiny.chat)
    (choice,) = choices_of([FOX])
    example = tokenise(choice, tiny.chat, vocabulary)
    assert example.targets == list(choice.targets)
    assert example.ids[example.answer_at :] == [*tiny.chat.encode(choice.answer), vocabulary.end]
    (reading,) = readings([FOX])
    example = tokenise(reading, tiny.chat, vocabulary)
    assert tiny.chat.decode(example.ids[example.answer_at : -1]) == reading.answer
    assert example.targets == []
