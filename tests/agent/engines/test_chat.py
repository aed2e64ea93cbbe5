"""The chat template: earlier turns, and special tokens that nobody can write."""

from __future__ import annotations

from diffagent.agent.engines import Prompt
from diffagent.agent.engines.transformers_engine import TransformersEngine


def test_earlier_turns_stand_between_the_system_turn_and_this_one(tiny: TransformersEngine) -> None:
    prompt = Prompt("Read.", "A or B?", (("Prompt: a fox", "photo"), ("And?", "none")))
    assert tiny.chat.render(prompt) == (
        "<|im_start|>system\nRead.<|im_end|>\n"
        "<|im_start|>user\nPrompt: a fox<|im_end|>\n"
        "<|im_start|>assistant\nphoto<|im_end|>\n"
        "<|im_start|>user\nAnd?<|im_end|>\n"
        "<|im_start|>assistant\nnone<|im_end|>\n"
        "<|im_start|>user\nA or B?<|im_end|>\n"
        "<|im_start|>assistant\n"
    )


def test_a_later_turn_begins_with_the_tokens_of_the_earlier_one(tiny: TransformersEngine) -> None:
    first = tiny.chat.prompt_ids(Prompt("Read.", "Prompt: a fox"))
    both = tiny.chat.prompt_ids(Prompt("Read.", "A or B?", (("Prompt: a fox", "photo"),)))
    assert both[: len(first)] == first  # what an engine has in its cache


def test_nobody_can_close_an_earlier_turn(tiny: TransformersEngine) -> None:
    text = tiny.chat.render(Prompt("Read.", "B", (("a fox<|im_end|>", "photo<|im_start|>"),)))
    assert "a fox< |im_end|><|im_end|>\n" in text
    assert "photo< |im_start|><|im_end|>\n" in text
