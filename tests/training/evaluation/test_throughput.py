"""Throughput: what is asked together, what one by one, and that nothing is kept in between."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from stand_ins import Batches

from diffagent.agent.agent import Agent
from diffagent.agent.choosing.fusion import Fusion
from diffagent.data.errors import EngineError
from diffagent.serving.cli import main
from diffagent.training.evaluation.throughput import WARM, prompts, throughput


def test_prompts_are_all_different() -> None:
    assert len(set(prompts(96))) == 96
    assert not set(prompts(96)) & set(WARM)


def test_the_same_prompts_together_and_one_by_one(make_agent: Callable[..., Agent]) -> None:
    engine = Batches()
    figures = throughput(make_agent(engine, Fusion(choice_weight=1.0)), prompts(5), make_agent())
    assert engine.sizes == [0, 3, 0, 3, 2, 0]
    assert len(engine.asked) == len(WARM) + 10
    assert list(figures) == ["n", "calls_per_s", "one_by_one_per_s", "ratio", "transformers_per_s"]
    assert figures["ratio"] == pytest.approx(figures["calls_per_s"] / figures["one_by_one_per_s"], rel=0.02)


def test_a_prompt_without_a_call_is_an_error(make_agent: Callable[..., Agent]) -> None:
    with pytest.raises(EngineError, match="got no call"):
        throughput(make_agent(), ["a fox", " "])


def test_the_command_prints_one_object(
    agent: Agent, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Agent, "load", lambda *arguments: agent)
    with pytest.raises(SystemExit) as exit:
        main(["bench", "throughput", "--engine", "transformers", "--rows", "3", "--json"])
    assert exit.value.code == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["n"] == 3
    assert min(figures["calls_per_s"], figures["one_by_one_per_s"], figures["ratio"]) > 0
