"""Plain requests as dialogues: readings, and choices whose targets follow the grades."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from invented_requests import CARDS, FOX, HARBOUR, SPRITE, request_of

from diffagent.agent.answering.choice import SHOWN
from diffagent.agent.engines.decode import Vocabulary
from diffagent.agent.engines.transformers_engine import TransformersEngine
from diffagent.training.corpora.plain_requests import PlainRequest
from diffagent.training.sft.dialogues import tokenise
from diffagent.training.sft.request_dialogues import choices, readings


def choices_of(requests: list[PlainRequest], seed: int = 0) -> list[Any]:
    return list(choices(requests, CARDS, np.random.default_rng(seed)))


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
