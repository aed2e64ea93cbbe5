"""Systems side by side: the community's score of their choices, recall, hallucination."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from stand_ins import ENTRIES, RuleEngine, WordEncoder, quiet

from diffagent.agent.agent import Agent
from diffagent.agent.choosing.fusion import Fusion
from diffagent.data.errors import BadInput
from diffagent.training.corpora.held_out_pairs import HeldOutPair
from diffagent.training.evaluation.compare import answers, parse_system, table
from diffagent.training.rewards.community import Community


def test_a_system_is_a_name_a_model_and_perhaps_a_fusion() -> None:
    assert parse_system("sft=tuned") == ("sft", "tuned", None)
    assert parse_system("rrhf=a/b,f.json") == ("rrhf", "a/b", Path("f.json"))
    with pytest.raises(BadInput, match="'tuned' is not NAME=LLM"):
        parse_system("tuned")


def prefers(letter: str, label: str) -> float:
    return 9.0 * (label == letter)


def test_the_system_that_chooses_what_is_liked_gains(make_agent: Callable[..., Agent]) -> None:
    pair = HeldOutPair("pixel art, a small fox", "", "urn:air:sd1:checkpoint:civitai:11@12")
    community = Community.from_entries(ENTRIES, WordEncoder(), [pair.prompt], quiet, "report")
    systems = {}
    for name, letter in (("first", "A"), ("last", "B")):
        engine = RuleEngine(prefer=partial(prefers, letter))
        systems[name] = answers(
            make_agent(engine, Fusion(choice_weight=5.0)), [pair, pair], community, 1, quiet
        )
    rows = table(systems)
    assert rows["first"]["agent"]["recall"] == 100.0
    assert rows["last"]["agent"]["recall"] == 0.0
    assert (rows["first"]["n"], rows["first"]["hallucination"], rows["first"]["unconstrained"]) == (
        2,
        0.0,
        1.0,
    )
    first, other = rows["first"]["agent"]["raw"], rows["last"]["agent"]["raw"]
    assert first["relevance"] > other["relevance"]
    expected = 50 * (0 - 1) + 25 * (
        other["rating"] - first["rating"] + other["downloads"] - first["downloads"]
    )
    assert rows["gain"]["agent"]["community"]["mean"] == pytest.approx(expected, abs=0.02)
    assert rows["gain"]["llm"]["recall"] == {"mean": -100.0, "ci95": [-100.0, -100.0]}
