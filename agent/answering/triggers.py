"""Trigger words: which of a model's own words a prompt gets.

Needed ones always; of the variants that a model knows, the one that the prompt asks for. What the prompt
holds already is not said twice.

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
"""How a variant is described that stands for the whole."""


def triggers(card: Card, prompt: str) -> tuple[str, ...]:
    """The card's needed words, and those of the variant that the prompt asks for."""
    purpose = card.attributes
    if purpose is None or not purpose.variants:
        return card.needed_words
    asked = set(words(prompt))
    about = {word for text in (card.name, *purpose.needed, *purpose.subjects[:1]) for word in words(text)}
    matched = [
        (evidence, -place)
        for place, one in enumerate(purpose.variants)
        if (evidence := _evidence(one.draws, asked, about))
    ]
    if matched:
        return (*card.needed_words, purpose.variants[-max(matched)[1]].words)
    held = f" {bare_words(prompt)} "
    if card.needed_words or any(f" {bare_words(one.words)} " in held for one in purpose.variants):
        return card.needed_words
    if len(card.trigger_words) == 1 and card.trigger_words[0] in {one.words for one in purpose.variants}:
        return card.trigger_words  # its one switch, whatever it is said to add
    usual = next((one.words for one in purpose.variants if _USUAL.search(one.draws)), None)
    return (*card.needed_words, *([usual] if usual else []))


def quality_words(base_model: str, prompt: str) -> tuple[str, ...]:
    """The words of a base model's dialect that say how good a picture shall be; none where the prompt says
    one of them."""
    row = find(base_model)
    usual = () if row is None else row.dialect.quality_words
    return usual if len(missing(prompt, usual)) == len(usual) else ()


def missing(prompt: str, trigger_words: Sequence[str]) -> list[str]:
    """The phrases of trigger words that a prompt does not hold yet, each once, brackets balanced."""
    held = f" {bare_words(prompt)} "
    absent: dict[str, str] = {}
    for phrase in trigger_words:
        for piece in pieces(balanced(strip_lora_tags(phrase))):
            flat = bare_words(piece)
            if flat and f" {flat} " not in held and flat not in absent:
                absent[flat] = " ".join(piece.split())
    return list(absent.values())


def pieces(text: str) -> Iterator[str]:
    """The parts of a text between commas that stand in no bracket."""
    depth, start = 0, 0
    for place, sign, escaped in _signs(text):
        if sign == "," and depth == 0:
            yield text[start:place]
            start = place + 1
        elif not escaped:
            depth += (sign in "([{") - (sign in ")]}")
    yield text[start:]


def balanced(text: str) -> str:
    """The text without brackets that have no partner; escaped ones are letters."""
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
    """Commas and brackets, where they stand, and whether a backslash makes letters of them."""
    for place, sign in enumerate(text):
        if sign in ",()[]{}":
            yield place, sign, place > 0 and text[place - 1] == "\\"


def _evidence(draws: str, asked: set[str], about: set[str]) -> int:
    """How many words of what a variant draws are asked for; 0 unless a part of it is asked for wholly."""
    found = 0
    for part in draws.split(","):
        content = {word for word in words(part) if word not in FUNCTION_WORDS}
        if content and content <= asked | about and content - about:
            found = max(found, len(content))
    return found
