"""The language model's weights in reading and choice: by hand, and on an invented catalog."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from graded_requests import ABSENT, OIL, PIXELS, SLOTS, XL, request
from stand_ins import RuleEngine, quiet

from diffagent.agent.agent import Agent
from diffagent.agent.choosing.fusion import Fusion
from diffagent.training.fitting.asking_weights import (
    CandidateScores,
    candidate_scores,
    fit,
    read_accuracy,
    readings,
    table,
)

MakeAgent = Callable[..., Agent]
HARBOUR = request("a harbour", {PIXELS: 0, OIL: 3, XL: 1, ABSENT: 3})
ZORBLAX = replace(
    request("Zorblax, photo", {ABSENT: 3}), slots={**SLOTS, "natural": "photo"}, special="character"
)


def test_the_first_by_both_by_hand() -> None:
    row = CandidateScores(prior=(2.0, 1.0, 0.5), letters=(-3.0, -1.0), grades=(0, 3, 2))
    assert row.first(0.0) == 0  # 2 before 1
    assert row.first(0.4) == 0  # 0.8 before 0.6
    assert row.first(0.6) == 3  # 0.2 behind 0.4
    assert CandidateScores((1.0, 9.0), (0.0,), (2, 3)).first(5.0) == 2  # the second was not shown


def test_shares_by_hand() -> None:
    rows = [
        CandidateScores((2.0, 1.0), (-3.0, -1.0), (0, 3)),
        CandidateScores((2.0, 1.0), (-1.0, -1.0), (2, 3)),
        CandidateScores((2.0, 1.0), (-1.0, -2.0), (1, 0)),
        CandidateScores((2.0, 1.0), (0.0, -9.0), (3, 0)),
    ]
    assert table(rows, 0.0) == {
        "asked": 0.0, "good": 0.25, "acceptable": 0.5, "wrong": 0.25, "worth": (0 + 0.25 + 0.02 + 1) / 4,
    }  # fmt: skip
    assert table(rows, 1.0) == {
        "asked": 1.0, "good": 0.5, "acceptable": 0.75, "wrong": 0.0, "worth": (1 + 0.25 + 0.02 + 1) / 4,
    }  # fmt: skip


def test_slots_that_come_out_right(make_reader: MakeAgent) -> None:
    """The rules read a photo of nothing special; the model reads oil paintings of characters."""
    engine = RuleEngine(like=lambda slot, option: 9.0 if option in ("oil painting", "character") else 0.0)
    by_rules, both = read_accuracy(make_reader(engine), [HARBOUR, ZORBLAX], (0.0, 1.0), quiet)
    assert by_rules == {
        "read": 0.0,
        "medium": 0.5,
        "people": 1.0,
        "special": 0.5,
        "mean": pytest.approx(2 / 3),
    }
    assert both == {  # a photo that is named stays one
        "read": 1.0,
        "medium": 1.0,
        "people": 1.0,
        "special": 0.5,
        "mean": pytest.approx(5 / 6),
    }


def test_candidates_stand_by_suitability_under_the_reading(make_reader: MakeAgent) -> None:
    engine = RuleEngine(
        prefer=lambda label: 1.0 if label == "B" else 0.0,
        like=lambda slot, option: 9.0 if option == "oil painting" else 0.0,
    )
    agent = make_reader(engine)
    both = [HARBOUR, ZORBLAX]  # of the second nothing is in the catalog
    (by_rules,) = candidate_scores(agent, both, readings(agent, both, 0.0, quiet), quiet)
    assert by_rules.grades == (1, 0, 3)  # a photo's checkpoint first; of equals in the order given
    assert (
        by_rules.letters[1] - by_rules.letters[0],
        by_rules.letters[2] - by_rules.letters[0],
    ) == pytest.approx((1, 0))
    (by_reading,) = candidate_scores(agent, [HARBOUR], readings(agent, [HARBOUR], 1.0, quiet), quiet)
    assert by_reading.grades[0] == 3
    assert engine.asked[-1].earlier[0][1] == "oil painting; people: none; special: none"
    (mute,) = candidate_scores(agent, [HARBOUR], readings(agent, [HARBOUR], 0.0, quiet), quiet, letters=False)
    assert mute.letters == (0.0, 0.0, 0.0)


def test_the_smallest_weights_that_help_most_are_taken(make_reader: MakeAgent) -> None:
    engine = RuleEngine(
        prefer=lambda label: 9.0 if label == "A" else 0.0,
        like=lambda slot, option: 2.0 if option == "oil painting" else 0.0,
    )
    fusion, trials = fit(make_reader(engine, Fusion(parameter_weight=0.5)), [HARBOUR], quiet)
    # the rules' photo stands at log 0.6 against log(0.4 / 48): 4.28 nats, and the model gives 2 a weight
    assert (fusion.reading_weight, fusion.choice_weight, fusion.parameter_weight) == (3.0, 0.0, 0.5)
    assert (fusion.apart, fusion.weights) == (18.0, engine.digest)  # letters of this model lie 9 nats apart
    assert [row["read"] for row in trials["readings"] if row["mean"] == 1] == [3.0, 5.0, 8.0]
    assert trials["choices"][0]["good"] == 1
