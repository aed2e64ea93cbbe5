"""The reward of suitability: by the reading, over what may be chosen, and its agreement with grades."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import pytest
from graded_requests import OIL, PIXELS, SLOTS, XL, request
from stand_ins import plain_suitability, quiet

from diffagent.agent.agent import Agent
from diffagent.agent.choosing.suitability import FEATURES
from diffagent.training.corpora.plain_requests import PlainRequest
from diffagent.training.fitting.suiting import GradedRequest
from diffagent.training.rewards.suited import UNKNOWN, SuitabilityReward, agreement, ordered_pairs

SUITABILITY = plain_suitability(kin=4.0)


def part(split: str, grades: Mapping[str, int]) -> PlainRequest:
    """A request whose words put it into a part."""
    requests = (request(f"a harbour, no {n}", grades) for n in range(200))
    return next(row for row in requests if row.split == split)


def test_a_known_request_is_scored_by_its_reading(make_reader: Callable[..., Agent]) -> None:
    query = request("a harbour", {OIL: 3, PIXELS: 0})  # read as an oil painting, which no word says
    reward = SuitabilityReward.from_requests(make_reader().prefilter, SUITABILITY, [query], quiet)
    oil, pixels, absent = reward.measure("a harbour", [OIL, PIXELS, "urn:air:x"])
    assert (oil, absent) == (4.0, UNKNOWN)
    assert pixels < oil
    by_rules = reward.measure("pixel art of a harbour", [OIL, PIXELS])
    assert by_rules[1] == pytest.approx(4.0)
    assert by_rules[0] < 4
    assert reward.score("a harbour", []) == []


def test_what_may_not_be_chosen_is_never_rewarded(make_reader: Callable[..., Agent]) -> None:
    prefilter = make_reader().prefilter
    cards = [
        replace(card, attributes=card.attributes.model_copy(update={"caution": ("sexualised",)}))
        if card.air == OIL and card.attributes
        else card
        for card in prefilter.cards
    ]
    reward = SuitabilityReward(replace(prefilter, cards=cards), SUITABILITY, {}, {})
    scores = reward.measure("an oil painting of a harbour", [OIL, PIXELS])
    assert scores[0] == UNKNOWN < scores[1]


def test_the_agreement_is_on_held_out_grades(make_reader: Callable[..., Agent]) -> None:
    grades = {OIL: 3, PIXELS: 0, XL: 0}
    held_out, train_row = part("test", grades), part("train", {OIL: 0, PIXELS: 3})
    reward = SuitabilityReward.from_requests(
        make_reader().prefilter, SUITABILITY, [held_out, train_row], quiet
    )
    shares = reward.report()["agreement"]
    assert (shares["n"], shares["pairs"], shares["ordered"], shares["good"]) == (1, 2, 1.0, 1.0)
    assert SuitabilityReward.from_requests(
        make_reader().prefilter, SUITABILITY, [train_row], quiet
    ).report() == {"agreement": {"n": 0}}


def test_pairs_in_order_by_hand() -> None:
    assert ordered_pairs(np.array([3.0, 2.0, 2.0, 1.0]), np.array([3, 0, 1, 0])) == (4.5, 5.0)
    assert ordered_pairs(np.array([1.0, 2.0]), np.array([2, 2])) is None
    table = np.zeros((2, len(FEATURES)))
    table[:, FEATURES.index("kin")], table[:, FEATURES.index("downloads")] = (1, 0), (2, 5)
    shares = agreement(SUITABILITY, [GradedRequest(table, np.array([3, 0]), "test")])
    assert (shares["ordered"], shares["ordered_by_downloads"]) == (1.0, 0.0)
    alike = agreement(SUITABILITY, [GradedRequest(table, np.array([3, 3]), "test")])
    assert (alike["pairs"], alike["ordered"]) == (0.0, 0.0)


def test_slots_are_those_of_an_oil_painting() -> None:
    assert request("x", {}).reading.medium == SLOTS["natural"] == "oil painting"
