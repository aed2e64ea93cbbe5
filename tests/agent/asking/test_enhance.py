"""Prompt enrichment: the user's words stay, parts are added once, and a failing model changes nothing."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stand_ins import RuleEngine

from diffagent.agent.agent import Agent
from diffagent.agent.asking.enhance import CHOICES, EXAMPLES, LONGEST, enhance, grammar, question
from diffagent.agent.engines import Prompt
from diffagent.agent.engines.grammar import Grammar
from diffagent.data.errors import EngineError

LIKED = {"watercolor", "golden hour", "wide shot", "sharp focus"}
PAINTER = RuleEngine(like=lambda slot, option: 5.0 if option in LIKED else 0.0)


def test_a_caption_gets_medium_light_view_and_finish() -> None:
    assert enhance("a dog on a beach.", PAINTER) == (
        "a dog on a beach, watercolor, golden hour, wide shot, sharp focus"
    )


def test_what_the_user_says_is_not_said_again() -> None:
    prompt = enhance("pixel art of a fox, close-up", PAINTER)
    assert prompt == "pixel art of a fox, close-up, golden hour, sharp focus"


@given(st.text(min_size=1, max_size=LONGEST))
def test_the_users_words_stay_whole_and_first(prompt: str) -> None:
    words = " ".join(prompt.split()).rstrip(" ,.")
    assert enhance(prompt, PAINTER).startswith(words)


def test_long_and_full_prompts_stay_as_they_are() -> None:
    assert enhance("word " * 60, PAINTER) == "word " * 60
    full = ", ".join(options[0] for options in CHOICES.values())
    assert enhance(full, PAINTER) == full


class Failing(RuleEngine):
    """An engine that cannot write, or writes what is not asked for."""

    def write(self, prompt: Prompt, grammar: Grammar, draft: str = "") -> str:
        if "fox" in prompt.user.split("\n")[-1]:
            raise EngineError("no answer")
        return "something else"


@pytest.mark.parametrize("prompt", ["a fox", "a dog"])
def test_without_a_usable_answer_the_prompt_stays(prompt: str) -> None:
    assert enhance(prompt, Failing()) == prompt


def test_the_examples_are_answers_of_the_grammar() -> None:
    for caption, *rest in EXAMPLES:
        shown = ", ".join((caption, *rest))
        assert shown in question("a cat").user
        additions = [word for word in rest if word not in caption]
        grammar(caption).parse(", ".join((caption, *additions)))


def test_an_enhanced_call_is_made_of_the_enhanced_prompt(make_agent: Callable[..., Agent]) -> None:
    agent = make_agent(PAINTER)
    assert agent.call("a castle", enhance=True).prompt.endswith(
        "a castle, watercolor, golden hour, wide shot, sharp focus"
    )
    assert agent.call("a castle").prompt.endswith("a castle")
