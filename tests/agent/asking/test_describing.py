# ruff: noqa: E501
"""Describing: a chat server writes the prompt of a long message; what is of no use is left."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from stand_ins import RuleEngine

from diffagent.agent.agent import Agent
from diffagent.agent.asking.describing import SYSTEM, description
from diffagent.agent.asking.request import Request
from diffagent.agent.engines import Prompt
from diffagent.data.errors import EngineError

MESSAGE = (
    "Hello! My aunt kept a grey goose called Berta for years, and I would like a picture for her kitchen. I thought of "
    "a meadow first, but she liked the harbour better, so a goose on the harbour wall at dusk please, as a linocut. "
    "No people. Landscape format would be great, thank you!"
)
PROMPT = "a grey goose on the harbour wall at dusk, linocut"


class Writer(RuleEngine):
    """An engine that writes one text for every message, and keeps what it was asked."""

    translates = True

    def __init__(self, text: str | None) -> None:
        super().__init__()
        self.text = text
        self.prompts: list[Prompt] = []

    def generate(self, prompt: Prompt, max_new_tokens: int) -> str:
        self.prompts.append(prompt)
        if self.text is None:
            raise EngineError("the model is gone")
        return self.text


def test_a_long_message_is_put_into_a_prompt_by_an_engine_that_can() -> None:
    engine: Any = Writer(f' "{PROMPT}"\n')
    assert description(MESSAGE, engine) == PROMPT
    assert (engine.prompts[0].system, engine.prompts[0].user) == (SYSTEM, MESSAGE)


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "I'm sorry, but I cannot help with that request.",
        "ein graues Huhn auf der Mauer am Hafen bei Nacht und Nebel",
        PROMPT * 20,
    ],
)
def test_an_answer_of_no_use_is_left(text: str | None) -> None:
    engine: Any = Writer(text)
    assert description(MESSAGE, engine) is None


def test_the_call_has_what_the_engine_wrote_and_keeps_the_wishes(make_agent: Callable[..., Agent]) -> None:
    decision = make_agent(engine=Writer(PROMPT)).decide(Request.from_prompt(MESSAGE))
    assert decision.call.prompt.endswith(PROMPT)
    assert "people" in decision.call.negative_prompt
    assert decision.call.width > decision.call.height
    assert "the language model wrote the prompt from the message" in decision.notes


def test_short_requests_and_engines_that_only_choose_are_as_before(make_agent: Callable[..., Agent]) -> None:
    engine = Writer(PROMPT)
    assert (
        "goose" not in make_agent(engine=engine).decide(Request.from_prompt("a fox in the snow")).call.prompt
    )
    assert engine.prompts == []
    ruled = make_agent().decide(Request.from_prompt(MESSAGE))
    assert not any("wrote the prompt" in note for note in ruled.notes)
