"""Systems side by side on plain requests: what was rewarded, and what was not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from graded_requests import OIL, PIXELS, XL, request
from stand_ins import RuleEngine, plain_suitability, quiet

from diffagent.agent.agent import Agent
from diffagent.data.errors import BadInput
from diffagent.training.evaluation.suited_table import Offer, choices, offers, table
from diffagent.training.rewards.suited import SuitabilityReward


@pytest.fixture
def offered(make_reader: Callable[..., Agent]) -> list[Offer]:
    agent = make_reader()
    requests = [request(f"a harbour, no {n}", {OIL: 3, PIXELS: 0, XL: 2, "x": 3}) for n in range(4)]
    reward = SuitabilityReward.from_requests(agent.prefilter, plain_suitability(kin=4.0), requests, quiet)
    lone = request("a lake", {XL: 3})
    usable_offers = offers(agent, [*requests, lone], reward, quiet)
    assert len(usable_offers) == 4  # of the last there is nothing to choose
    with pytest.raises(BadInput, match="no request has two graded candidates"):
        offers(agent, [lone], reward, quiet)
    return usable_offers


def test_graded_candidates_stand_in_orders_of_their_own(offered: list[Offer]) -> None:
    orders = {tuple(candidate.card.air for candidate in offer.candidates) for offer in offered}
    assert len(orders) > 1
    for offer in offered:
        at = [candidate.card.air for candidate in offer.candidates].index(OIL)
        assert offer.measures["suitability"][at] == 1.0  # both others suit less
        assert offer.measures["good"].tolist() == [i == at for i in range(3)]
        assert offer.measures["wrong"].sum() == 1
        assert offer.measures["acceptable"].sum() == 2


def test_the_language_model_alone_chooses_by_letter_or_by_name(offered: list[Offer]) -> None:
    lettered = RuleEngine(prefer=lambda label: 5.0 * (label == "B"))
    assert choices(lettered, offered, "candidates", quiet) == [1, 1, 1, 1]
    assert choices(lettered, offered, "choice", quiet) == [1, 1, 1, 1]
    plain, purposes = (prompt.user for prompt in lettered.asked[-5:-3])
    assert "general, " not in plain
    assert "general, " in purposes  # the choice form shows what each is for

    class Named(RuleEngine):
        def write(self, prompt: object, grammar: object, draft: str = "") -> str:
            (slot,) = grammar.slots  # type: ignore[attr-defined]
            return str(next(option for option in slot.options if "Masters" in option))

    places = choices(Named(), offered, "memory", quiet)
    assert [offer.candidates[at].card.air for at, offer in zip(places, offered, strict=True)] == [OIL] * 4


def test_the_table_names_what_was_not_optimised(offered: list[Offer]) -> None:
    good = [int(np.argmax(offer.measures["good"])) for offer in offered]
    wrong = [int(np.argmax(offer.measures["wrong"])) for offer in offered]
    rows = table({"sft": wrong, "rrhf": good}, offered)
    assert rows["n"] == 4
    assert rows["optimised"] == ["suitability"]
    assert rows["not_optimised"] == ["good", "acceptable", "wrong", "rating", "downloads"]
    assert rows["chance"]["good"] == pytest.approx(33.33)
    assert (rows["sft"]["wrong"]["mean"], rows["rrhf"]["good"]["mean"]) == (100, 100)
    assert rows["gain"]["good"] == {"mean": 100.0, "ci95": [100.0, 100.0]}
    assert "gain" not in table({"sft": wrong}, offered)
