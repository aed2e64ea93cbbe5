"""Trigger words: the model's own words to add to a prompt.

Needed words are always added; of a model's variants, the one that the prompt asks for. Words that the prompt
already has are not repeated.

    triggers(card, "videl with twintails")   -> ("videl2, twintails",)
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from diffagent.agent.asking.words import FUNCTION_WORDS, words
from diffagent.data.base_models import find
from diffagent.data.prompts import bare_words, strip_lora_tags
from diffagent.data.records import Card

_USUAL = re.compile(r"\b(?:default|usual|standard)\b", re.I)
"""Marks of the variant that stands for the whole model."""


def triggers(card: Card, prompt: str) -> tuple[str, ...]:
    """Returns the card's needed words, and those of the variant that the prompt asks for."""
    purpose = card.attributes
    if purpose is None or not purpose.variants:
        return card.needed_words
    prompt_words = set(words(prompt))
    about = {word for text in (card.name, *purpose.needed, *purpose.subjects[:1]) for word in words(text)}
    matched = [
        (evidence, -place)
        for place, variant in enumerate(purpose.variants)
        if (evidence := _evidence(variant.draws, prompt_words, about))
    ]
    if matched:
        return (*card.needed_words, purpose.variants[-max(matched)[1]].words)
    bare = f" {bare_words(prompt)} "
    if card.needed_words or any(f" {bare_words(variant.words)} " in bare for variant in purpose.variants):
        return card.needed_words
    if len(card.trigger_words) == 1 and card.trigger_words[0] in {
        variant.words for variant in purpose.variants
    }:
        return card.trigger_words  # its only switch, whatever it adds
    usual = next((variant.words for variant in purpose.variants if _USUAL.search(variant.draws)), None)
    return (*card.needed_words, *([usual] if usual else []))


def quality_words(base_model: str, prompt: str) -> tuple[str, ...]:
    """Returns the quality words of a base model's dialect; none where the prompt has one of them."""
    row = find(base_model)
    usual = () if row is None else row.dialect.quality_words
    return usual if len(missing(prompt, usual)) == len(usual) else ()


def missing(prompt: str, trigger_words: Sequence[str]) -> list[str]:
    """Returns the phrases of trigger words that a prompt lacks, each once, with balanced brackets."""
    bare = f" {bare_words(prompt)} "
    absent: dict[str, str] = {}
    for phrase in trigger_words:
        for piece in pieces(balanced(strip_lora_tags(phrase))):
            flat = bare_words(piece)
            if flat and f" {flat} " not in bare and flat not in absent:
                absent[flat] = " ".join(piece.split())
    return list(absent.values())


def pieces(text: str) -> Iterator[str]:
    """Yields the parts of a text between commas outside brackets."""
    depth, start = 0, 0
    for place, sign, escaped in _signs(text):
        if sign == "," and depth == 0:
            yield text[start:place]
            start = place + 1
        elif not escaped:
            depth += (sign in "([{") - (sign in ")]}")
    yield text[start:]


def balanced(text: str) -> str:
    """Returns the text without unbalanced brackets; escaped ones are letters."""
    opened: list[tuple[int, str]] = []
    odd: set[int] = set()
    for place, sign, escaped in _signs(text):
        if escaped or sign == ",":
            continue
        if sign in "([{":
            opened.append((place, sign))
        elif opened and opened[-1][1] + sign in ("()", "[]", "{}"):
            opened.pop()
        else:
            odd.add(place)
    odd |= {place for place, _ in opened}
    return "".join(letter for place, letter in enumerate(text) if place not in odd) if odd else text


def _signs(text: str) -> Iterator[tuple[int, str, bool]]:
    """Yields commas and brackets, each with its place and whether a backslash escapes it."""
    for place, sign in enumerate(text):
        if sign in ",()[]{}":
            yield place, sign, place > 0 and text[place - 1] == "\\"


def _evidence(draws: str, prompt_words: set[str], about: set[str]) -> int:
    """Returns how many words of a variant the prompt has; 0 unless it has a whole part of it."""
    count = 0
    for part in draws.split(","):
        content = {word for word in words(part) if word not in FUNCTION_WORDS}
        if content and content <= prompt_words | about and content - about:
            count = max(count, len(content))
    return count
