"""Many requests at once: an engine that batches decides as one that is asked one by one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from stand_ins import Batches, RuleEngine

from diffagent.agent.agent import Agent
from diffagent.agent.asking.request import Request
from diffagent.agent.choosing.fusion import Fusion
from diffagent.agent.decision import Decision
from diffagent.agent.engines import Choice, Writing
from diffagent.data.errors import BadInput, BadPrompt, EngineError, EngineGone, UnknownModel

MakeAgent = Callable[..., Agent]
FUSION = Fusion(reading_weight=1.0, choice_weight=1.0, parameter_weight=1.0)
PROMPTS = (
    "pixel art of a dog",
    "a mountain lake",
    "ink drawing of a hare",
    "a stormy sea",
    "a fox, 30 steps",
)
RULE: dict[str, Any] = {
    "prefer": lambda label: 1.0 if label == "B" else 0.0,
    "like": lambda slot, option: 9.0 if option in ("oil painting", "style", "35") else 0.0,
}


def essence(decision: Any) -> Any:
    assert isinstance(decision, Decision)
    return (decision.call, decision.candidates, decision.reasons, decision.notes, decision.n)


def test_together_is_as_one_by_one(make_reader: MakeAgent) -> None:
    requests = [Request.from_prompt(prompt) for prompt in PROMPTS]
    requests.append(Request.from_prompt("a dog", model="Tiny Pixels"))  # asks nothing but parameters
    single = make_reader(RuleEngine(**RULE), FUSION)
    engine = Batches(**RULE)
    answers = make_reader(engine, FUSION).decide_many(requests)
    assert list(map(essence, answers)) == [essence(single.decide(request)) for request in requests]
    assert list(map(essence, single.decide_many(requests))) == list(map(essence, answers))
    assert engine.sizes == [3, 2]  # of the second three, one names its model
    assert len({answer.call.model for answer in answers if isinstance(answer, Decision)}) > 1


def test_errors_stay_in_their_places(make_reader: MakeAgent) -> None:
    requests = [
        {"prompt": "a fox"},
        {"prompt": " "},
        {"prompt": "a dog", "model": "Nobody"},
        {"prompt": "a sea"},
    ]
    answers = make_reader(Batches(**RULE), FUSION).decide_many([*requests, {"prompt": "a fox", "k": 0}])
    assert [type(answer) for answer in answers] == [Decision, BadPrompt, UnknownModel, Decision, BadInput]


@dataclass
class Failing(Batches):
    """Fails in one of its answers: the ``at``-th of the ``step``-th batch."""

    step: int = 0
    at: int = 0
    batches: int = 0

    def choose_many(self, choices: Sequence[Choice]) -> list[list[float] | EngineError]:
        return self._spoilt(super().choose_many(choices))

    def write_many(self, writings: Sequence[Writing]) -> list[str | EngineError]:
        return self._spoilt(super().write_many(writings))

    def _spoilt(self, answers: list[Any]) -> list[Any]:
        if self.batches == self.step:
            answers[self.at] = EngineError("the prompt is too long")
        self.batches += 1
        return answers


@pytest.mark.parametrize("step", [0, 1, 2])  # reading, choice, parameters
def test_an_engine_that_fails_at_one_request_answers_the_others(make_reader: MakeAgent, step: int) -> None:
    requests = [Request.from_prompt(prompt) for prompt in PROMPTS[:3]]
    answers = make_reader(Failing(**RULE, step=step, at=1), FUSION).decide_many(requests)
    assert [type(answer) for answer in answers] == [Decision, EngineError, Decision]
    sound = make_reader(RuleEngine(**RULE), FUSION)
    assert essence(answers[2]) == essence(sound.decide(requests[2]))


def test_a_lora_without_a_checkpoint_fails_alone(make_reader: MakeAgent) -> None:
    agent = make_reader(Batches(**RULE), FUSION)

    def outcome(pending: Any, ranked: Any) -> Any:
        if pending.request.prompt == PROMPTS[1]:
            raise BadInput("there is no such checkpoint to run it on")
        return Agent.outcome(agent, pending, ranked)

    agent.outcome = outcome  # type: ignore[method-assign]
    answers = agent.decide_many([Request.from_prompt(prompt) for prompt in PROMPTS[:3]])
    assert [type(answer) for answer in answers] == [Decision, BadInput, Decision]


class Gone(Batches):
    """Is gone at the first choice."""

    def choose_many(self, choices: Sequence[Choice]) -> list[list[float] | EngineError]:
        raise EngineGone("it ended")


def test_an_engine_that_is_gone_ends_it(make_reader: MakeAgent) -> None:
    with pytest.raises(EngineGone):
        make_reader(Gone(), FUSION).decide_many([{"prompt": "a fox"}, {"prompt": "a dog"}])
