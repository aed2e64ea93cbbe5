"""Particular models: what a checkpoint of one kind of picture, or a style's LoRA, may answer.

    "a dog and a man in a field" × a checkpoint of half-animals    → not its kind
    "ink and watercolor"         × a LoRA that is all black        → against what is asked for

In: M cards with attributes and a reading. A checkpoint that is not broad answers where its medium is asked
for, or suits the subject and it has no style of its own; where one of its subjects is named whole; or its
name or trigger word.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt

from diffagent.agent.answering.answer import short_name
from diffagent.agent.asking.reading import Reading
from diffagent.agent.asking.words import FUNCTION_WORDS, is_ordinary, words
from diffagent.data.attributes import Attributes, Medium
from diffagent.data.media import kinship, named_media
from diffagent.data.records import Card

Mask = npt.NDArray[np.bool_]

KIN = 0.3
"""How near a checkpoint's first medium has to be to the natural one of a subject that it does not name."""
NAMED_PART = 0.6
"""The part of a name that one word has to be, to be it."""
_GREY = re.compile(
    r"\b(?:monochrom\w*|gr[ae]y ?scale|black[- ]and[- ]white|b ?& ?w|no colou?rs?|colou?rless)\b", re.I
)
_COLOURFUL = re.compile(r"\b(?:vivid|vibrant|bright|rainbow|full) colou?rs?\b|\bcolou?rful\b", re.I)
COLOURED: frozenset[Medium] = frozenset(
    ("watercolor", "oil painting", "pastel", "stained glass", "pop art", "photo", "anime", "fine art",
     "mosaic",
     "textile", "digital painting", "children's book", "pixel art", "cartoon", "graffiti", "art nouveau")
)  # fmt: skip
"""Media that are in colour unless a request says otherwise."""
_COLOURS = frozenset(
    ("colour", "color", "colourful", "colorful", "red", "blue", "green", "yellow", "pink", "purple", "orange",
     "turquoise", "teal", "crimson", "golden", "vivid", "vibrant")
)  # fmt: skip
_GREY_WORDS = frozenset(("monochrome", "monochromatic", "greyscale", "grayscale", "colourless", "colorless"))


class Particular:
    """The particular models of M cards."""

    def __init__(self, cards: Sequence[Card]) -> None:
        self._cards = cards
        self._named: dict[tuple[int, Medium], bool] = {}

    @cached_property
    def _special(self) -> list[int]:
        """The checkpoints that are not for any subject, or put a look of their own on it by a trigger."""
        return [
            number
            for number, card in enumerate(self._cards)
            if card.type == "Checkpoint"
            and (one := card.attributes) is not None
            and (one.breadth != "broad" or (one.role != "general" and one.needed))
        ]

    @cached_property
    def _spoken(self) -> dict[int, tuple[frozenset[str], list[tuple[int, tuple[str, ...]]]]]:
        """Of each special checkpoint the folded parts of its name, and its phrases with their places."""
        spoken = {}
        for number in self._special:
            card = self._cards[number]
            assert card.attributes is not None
            texts = [*enumerate(card.attributes.subjects), *((-1, text) for text in card.attributes.needed)]
            phrases = [(at, tuple(words(text))) for at, text in texts]
            name = frozenset(words(re.sub(r"[\W_]+", " ", short_name(card.name))))
            spoken[number] = name, phrases
        return spoken

    def off(self, reading: Reading) -> Mask:
        """The checkpoints of one kind of picture that a request does not ask for: booleans [M]; none where it
        is a list of tags, which people write for such a model."""
        off = np.zeros(len(self._cards), bool)
        if reading.pasted:
            return off
        asked = reading.words
        runs = {asked[at : at + size] for size in range(1, 6) for at in range(len(asked) - size + 1)}
        for number in self._special:
            off[number] = not self._suits(number, reading, runs)
        return off

    def _suits(self, number: int, reading: Reading, runs: set[tuple[str, ...]]) -> bool:
        """Whether the kind of a special checkpoint is asked for."""
        purpose = self._cards[number].attributes
        assert purpose is not None
        has_style = purpose.role != "general"
        first = purpose.media[0]
        if first == reading.medium or first in reading.named:
            if not has_style or purpose.breadth == "broad":
                return True
            if reading.named and self._is_of(number, first):
                return True
        elif not has_style and (
            kinship(reading.medium, first) >= KIN or set(reading.named) & set(purpose.media)
        ):
            return True
        name, phrases = self._spoken[number]
        for place, phrase in phrases:
            if phrase in runs and self._tells(phrase, place, has_style):
                return True
        return any(_is_name(word, name) for (word,) in (run for run in runs if len(run) == 1))

    def _is_of(self, number: int, medium: Medium) -> bool:
        """Whether name or subjects of a style say its medium, so that it is the style."""
        if (number, medium) not in self._named:
            card = self._cards[number]
            assert card.attributes is not None
            text = " | ".join((card.name, *card.attributes.subjects, *card.attributes.needed))
            self._named[number, medium] = any(
                kinship(medium, mention.medium) >= 0.5 for mention in named_media(text)
            )
        return self._named[number, medium]

    @staticmethod
    def _tells(phrase: tuple[str, ...], place: int, has_style: bool) -> bool:
        """Whether a phrase that a request holds asks for a checkpoint's kind."""
        if all(word in FUNCTION_WORDS for word in phrase):
            return False
        if place < 0:
            return len(phrase) > 1 or not is_ordinary(phrase[0])
        return not has_style or len(phrase) > 1 or place == 0

    @cached_property
    def _grey(self) -> Mask:
        """The LoRAs that make all grey."""
        return self._that_say(_GREY)

    @cached_property
    def _colourful(self) -> Mask:
        """The LoRAs that make all colourful."""
        return self._that_say(_COLOURFUL)

    def _that_say(self, pattern: re.Pattern[str]) -> Mask:
        marks = [
            card.type == "LoRA" and card.attributes is not None and _says(pattern, card.attributes)
            for card in self._cards
        ]
        return np.array(marks, bool)

    def against(self, reading: Reading) -> Mask:
        """The LoRAs whose trigger words exclude what a request asks for: booleans [M]."""
        said = set(reading.words)
        is_grey = bool(_GREY_WORDS & said) or bool(_GREY.search(" ".join(reading.words)))
        if is_grey:
            return self._colourful
        if (len(reading.named) > 1 and COLOURED & set(reading.named)) or _COLOURS & said:
            return self._grey
        return np.zeros(len(self._cards), bool)


def _says(pattern: re.Pattern[str], purpose: Attributes) -> bool:
    return bool(pattern.search(" | ".join(purpose.needed)))


def _is_name(word: str, name: frozenset[str]) -> bool:
    """Whether a word is most of a name that is one word: "steampunk" of SteampunkAI."""
    longest = max(name, key=len, default="")
    whole = sum(map(len, name))
    return (
        len(word) > 4
        and word not in FUNCTION_WORDS
        and longest.startswith(word)
        and len(word) >= NAMED_PART * whole
    )
