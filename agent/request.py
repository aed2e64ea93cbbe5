"""A request, checked before anything is loaded: its prompt as it goes on, and what is wished in it."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Any

from diffagent.agent.answer import LABELS
from diffagent.agent.pmi.requirement import check_count
from diffagent.agent.wishes import Wishes, wishes
from diffagent.data.errors import BadInput, BadPrompt
from diffagent.data.prompts import strip_lora_tags

MAX_CHARACTERS = 20_000
"""The longest prompt that is routed; text encoders of T2I models read the first few hundred words."""


def check(prompt: Any, k: int = 16, seed: int | None = None, images: Sequence[Any] = ()) -> Wishes:
    """The wishes of a request; one that cannot be answered is refused before anything is loaded.

    Raises:
        BadPrompt: see :func:`clean`. BadInput: k, seed or images are out of range.
    """
    if images:
        check_count(images)
    if not 1 <= k <= len(LABELS):
        raise BadInput(f"k is {k}, but a language model reads 1 to {len(LABELS)} candidates: pass -k 16")
    if seed is not None and not 0 <= seed < 2**32:
        raise BadInput(f"seed is {seed}, but seeds go from 0 to {2**32 - 1}")
    wished = wishes(clean(prompt))
    if not strip_lora_tags(wished.prompt):
        raise BadPrompt("the prompt holds nothing but LoRA tags: say what to draw")
    return wished


def clean(text: Any, *, optional: bool = False) -> str:
    """A prompt as it goes on: valid Unicode, control characters as spaces, ends trimmed.

    Raises:
        BadPrompt: not text, empty (unless optional), or longer than 20,000 characters.
    """
    if not isinstance(text, str):
        raise BadPrompt(f"the prompt is {type(text).__name__}, but it has to be text")
    if len(text) > MAX_CHARACTERS:
        raise BadPrompt(
            f"the prompt has {len(text):,} characters, but at most {MAX_CHARACTERS:,} are read: shorten it"
        )
    valid = text.encode("utf-8", "replace").decode("utf-8")
    spaced = "".join(c if c == "\n" or unicodedata.category(c) != "Cc" else " " for c in valid).strip()
    if not spaced and not optional:
        raise BadPrompt('the prompt is empty: say what to draw, such as "A cute happy corgi, pixel art"')
    return spaced


def joined(*texts: str) -> str:
    return ", ".join(dict.fromkeys(text for text in texts if text))
