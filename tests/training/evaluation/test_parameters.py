"""Parameters: the agent's, a model's most frequent and the global ones, against the true ones."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from stand_ins import ENTRIES, RuleEngine

from diffagent.agent.agent import Agent
from diffagent.agent.choosing.fusion import Fusion
from diffagent.agent.choosing.prefilter import Candidate
from diffagent.data.records import Card
from diffagent.training.corpora.held_out_pairs import Parameters
from diffagent.training.evaluation.parameters import GLOBAL, PairParameters, measure_pair, table

PIXELS, OIL, INK, _, _ = (entry.card for entry in ENTRIES)
API = {"sampling_method": "DDIM", "width": 512, "height": 768, "sampling_steps": 35, "cfg_scale": 7.5}
TRUE = Parameters("DDIM", (512, 768), 35, 7.5)


def likely(card: Card, log_probability: float = 0.0) -> Candidate:
    return Candidate(card, log_probability)


def test_the_global_ones_are_the_papers() -> None:
    assert Parameters("Euler a", (512, 512), 20, 7.0) == GLOBAL


def test_what_is_written_for_the_true_model(make_agent: Callable[..., Agent]) -> None:
    likes_ddim = RuleEngine(like=lambda slot, option: 30.0 if option in ("DDIM", "35") else 0.0)
    agent = make_agent(likes_ddim, Fusion(parameter_weight=1.0))
    measures = measure_pair(agent, "a fox", [likely(OIL), likely(PIXELS)], PIXELS, API)
    assert measures.true == TRUE
    assert measures.agent == Parameters("DDIM", (512, 512), 35, 7.0)
    assert measures.model_default == measures.global_default == GLOBAL
    with_wishes = measure_pair(agent, "a fox, 640x640, 12 steps", [likely(OIL), likely(PIXELS)], PIXELS, API)
    assert (with_wishes.agent.size, with_wishes.agent.steps) == ((640, 640), 12)


def test_shares_errors_and_the_lead_by_hand() -> None:
    right = PairParameters(TRUE, agent=TRUE, model_default=GLOBAL)
    half = PairParameters(TRUE, agent=Parameters("DDIM", (512, 512), 25, 7.0), model_default=GLOBAL)
    summary = table([right, half], seed=0)
    assert summary is not None
    assert summary["n"] == 2
    assert summary["agent"] == {"sampler": 100, "size": 50, "steps_mae": 5, "cfg_mae": 0.25}
    assert summary["model_default"] == {"sampler": 0, "size": 0, "steps_mae": 15, "cfg_mae": 0.5}
    assert summary["gain"] == {"sampler": 100, "size": 50, "steps_mae": 10, "cfg_mae": 0.25}
    assert summary["ci95"]["gain"]["sampler"] == [100, 100]
    assert summary["ci95"]["agent"]["size"] == [0, 100]
    assert table([], 0) is None


@pytest.mark.parametrize("name", ["agent", "model_default", "global_default"])
def test_every_one_has_the_contracts_four_measures(name: str) -> None:
    summary = table([PairParameters(TRUE, TRUE, GLOBAL)], 0)
    assert summary is not None
    assert list(summary[name]) == ["sampler", "size", "steps_mae", "cfg_mae"]
