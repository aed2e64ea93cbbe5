"""The latency bench: the plain way answers the same questions as a call."""

from __future__ import annotations

from collections.abc import Callable

from stand_ins import RuleEngine

from diffagent.agent.agent import Agent
from diffagent.agent.bench import _plain, turns
from diffagent.agent.engines.transformers_engine import TransformersEngine
from diffagent.agent.fusion import Fusion

MakeAgent = Callable[..., Agent]


def test_both_answers_of_a_call_are_told(make_reader: MakeAgent) -> None:
    engine = RuleEngine(
        prefer=lambda label: 1.0 if label == "C" else 0.0,
        like=lambda slot, option: 9.0 if option == "oil painting" else 0.0,
    )
    reading, choice = turns(make_reader(engine, Fusion(read=1.0, asked=1.0)), "a harbour")
    assert (reading[0].user, reading[1]) == ("Prompt: a harbour", "oil painting; people: none; special: none")
    assert choice[0].earlier == ((reading[0].user, reading[1]),)
    assert choice[1] == "C"
    *_, parameters = turns(make_reader(engine, Fusion(asked=1.0, write=1.0)), "a harbour")
    assert parameters[1].endswith("]")
    assert turns(make_reader(engine, Fusion()), "a harbour") == []


def test_as_many_tokens_are_generated_as_the_agent_answers(
    make_reader: MakeAgent, tiny: TransformersEngine
) -> None:
    agent = make_reader(tiny, Fusion(read=1.0, asked=1.0))
    reading, choice = turns(agent, "a harbour")
    milliseconds, (read, written) = _plain(agent, "a harbour")
    assert milliseconds > 0
    assert read == sum(len(tiny.chat.prompt_ids(asked)) for asked, _ in (reading, choice))
    assert written == tiny.count_tokens(reading[1]) + 1
