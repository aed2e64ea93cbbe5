"""The latency bench: the plain way answers the same questions as a call."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
from stand_ins import RuleEngine

from diffagent.agent.agent import Agent
from diffagent.agent.choosing.fusion import Fusion
from diffagent.agent.engines.transformers_engine import TransformersEngine
from diffagent.training.evaluation.bench import _busy_cores, _plain, _run, beside_busy, turns

MakeAgent = Callable[..., Agent]


def test_both_answers_of_a_call_are_told(make_reader: MakeAgent) -> None:
    engine = RuleEngine(
        prefer=lambda label: 1.0 if label == "C" else 0.0,
        like=lambda slot, option: 9.0 if option == "oil painting" else 0.0,
    )
    (reading, choice), parameters = turns(
        make_reader(engine, Fusion(reading_weight=1.0, choice_weight=1.0)), "a harbour"
    )
    assert (reading[0].user, reading[1]) == ("Prompt: a harbour", "oil painting; people: none; special: none")
    assert choice[0].earlier == ((reading[0].user, reading[1]),)
    assert choice[1] == "C"
    assert parameters[1].endswith("]")
    assert turns(make_reader(engine, Fusion()), "a harbour")[0] == []


def test_plain_makes_the_choice_that_the_agent_leaves_out(make_reader: MakeAgent) -> None:
    engine = RuleEngine()
    agent = make_reader(engine, Fusion(choice_weight=1.0, apart=1e-9, weights=engine.digest))
    agent.call("a harbour, oil painting")
    assert engine.asked == []
    ((choice, _),), _ = turns(agent, "a harbour, oil painting")
    assert engine.asked == [choice]


def test_plain_answers_both_questions_and_writes_the_parameters(
    make_reader: MakeAgent, tiny: TransformersEngine
) -> None:
    agent = make_reader(tiny, Fusion(reading_weight=1.0, choice_weight=1.0))
    (reading, choice), _ = turns(agent, "a harbour")
    plain = _plain(agent, "a harbour")
    assert min(plain.turns_ms, plain.parameters_ms) > 0
    assert plain.prompt_tokens == sum(len(tiny.chat.prompt_ids(prompt)) for prompt, _ in (reading, choice))
    assert plain.answer_tokens == tiny.count_tokens(reading[1]) + 1


def test_busy_processes_end_with_the_measurement(make_reader: MakeAgent) -> None:
    figures = beside_busy(make_reader(), 2)
    assert figures["busy_ratio"] == pytest.approx(figures["busy_p50_ms"] / figures["quiet_p50_ms"], rel=0.1)
    with _busy_cores() as spinning:
        assert len(spinning) == len(os.sched_getaffinity(0))
        assert all(process.poll() is None for process in spinning)
    assert all(process.poll() is not None for process in spinning)


def test_the_peak_of_a_command_is_its_own() -> None:
    """A forked process has its parent's memory for a moment, which is no peak of the command."""
    ballast = bytearray(400_000_000)
    seconds, memory = _run("ballast = b'a' * 60_000_000", tries=1)
    assert len(ballast) > 0 < seconds
    assert 60 < memory < 200
