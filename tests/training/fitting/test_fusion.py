"""Fitting the fusion: a language model that knows the parameters is heeded as far as it is right."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from stand_ins import RuleEngine, quiet

from diffagent.agent.agent import Agent
from diffagent.agent.choosing.fusion import Fusion
from diffagent.data.errors import BadInput
from diffagent.training.corpora.held_out_pairs import HeldOutPair
from diffagent.training.fitting.fusion import WRITE, fit_write, save

MakeAgent = Callable[..., Agent]
PIXELS = "urn:air:sd1:checkpoint:civitai:11@12"


def test_a_saved_fusion_comes_back(tmp_path: Path) -> None:
    save(Fusion(0.1, 2.0, 0.3, 1.5, "1f"), tmp_path / "f.json")
    loaded = Fusion.load(tmp_path / "f.json")
    assert loaded == Fusion(
        parameter_weight=0.1, reading_weight=2.0, choice_weight=0.3, apart=1.5, weights="1f"
    )
    assert json.loads((tmp_path / "f.json").read_text()) == {
        "write": 0.1,
        "read": 2.0,
        "asked": 0.3,
        "apart": 1.5,
        "weights": "1f",
    }


API = {"sampling_method": "DDIM", "width": 512, "height": 512, "sampling_steps": 20, "cfg_scale": 7.0}


def test_parameters_are_weighed_by_how_many_come_out_right(make_agent: MakeAgent) -> None:
    likes_ddim = RuleEngine(like=lambda slot, option: 30.0 if option == "DDIM" else 0.0)
    pairs = [HeldOutPair("a fox", "", PIXELS, API)]
    weight, trials = fit_write(make_agent(likes_ddim), pairs, quiet)
    assert [trial["write"] for trial in trials] == list(WRITE)
    # what people use speaks for Euler a by 4.4 nats: 3 nats at weight 0.1 do not outweigh it, 9 at 0.3 do
    assert [trial["sampler"] for trial in trials] == [0, 0, 0, 1, 1, 1, 1, 1]
    assert all((trial["size"], trial["steps"], trial["cfg"]) == (1, 1, 1) for trial in trials)
    assert weight == 0.3  # no larger one is better


def test_pairs_of_unknown_models_or_without_parameters_cannot_weigh_them(make_agent: MakeAgent) -> None:
    unknown = [
        HeldOutPair("a fox", "", "urn:air:sd1:checkpoint:civitai:9@9", API),
        HeldOutPair("a fox", "", PIXELS),
    ]
    with pytest.raises(BadInput, match="none of 2 pairs has parameters"):
        fit_write(make_agent(), unknown, quiet)
    catalog_pair = HeldOutPair("a fox", "", PIXELS, API)
    agent = make_agent()
    assert fit_write(agent, [*unknown, catalog_pair], quiet) == fit_write(agent, [catalog_pair], quiet)
