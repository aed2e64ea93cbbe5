"""Particular models: what a checkpoint of one kind of picture, or a style's LoRA, may answer.

    "a dog and a man in a field" × a checkpoint of half-animals    → not its kind
    "ink and watercolor"         × a LoRA that is all black        → against what is asked for

In: M cards with attributes and a reading. A checkpoint that is not broad answers where its medium is asked
for, or suits the subject and it has no style of its own; where one of its subjects is named whole; or its
name or trigger word.
"""

from __future__ import annotations

import re
from collections import defaultdict
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
MOST_KEPT = 256
"""Requests' media whose checkpoints are kept."""
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
        self._others: dict[tuple[Medium, tuple[Medium, ...]], list[int]] = {}

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
    def _by_phrase(self) -> dict[tuple[str, ...], list[tuple[int, int]]]:
        """The special checkpoints whose subjects or trigger words a phrase is, each with its place."""
        spoken = defaultdict(list)
        for number in self._special:
            purpose = self._cards[number].attributes
            assert purpose is not None
            for place, text in (*enumerate(purpose.subjects), *((-1, text) for text in purpose.needed)):
                spoken[tuple(words(text))].append((number, place))
        return dict(spoken)

    @cached_property
    def _by_name(self) -> dict[str, list[int]]:
        """The special checkpoints that a word names: it is most of a name that is one word, as "steampunk" of
        SteampunkAI."""
        named = defaultdict(list)
        for number in self._special:
            name = frozenset(words(re.sub(r"[\W_]+", " ", short_name(self._cards[number].name))))
            longest, whole = max(name, key=len, default=""), sum(map(len, name))
            for end in range(5, len(longest) + 1):
                if end >= NAMED_PART * whole and longest[:end] not in FUNCTION_WORDS:
                    named[longest[:end]].append(number)
        return dict(named)

    def off(self, reading: Reading) -> Mask:
        """The checkpoints of one kind of picture that a request does not ask for: booleans [M]; none where it
        is a list of tags, which people write for such a model."""
        off = np.zeros(len(self._cards), bool)
        if reading.pasted:
            return off
        off[self._of_other_media(reading.medium, reading.named)] = True
        asked = reading.words
        off[[number for word in asked for number in self._by_name.get(word, ())]] = False
        for size in range(1, 6):
            for at in range(len(asked) - size + 1):
                phrase = asked[at : at + size]
                for number, place in self._by_phrase.get(phrase, ()):
                    if self._tells(phrase, place, self._has_style(number)):
                        off[number] = False
        return off

    def _has_style(self, number: int) -> bool:
        purpose = self._cards[number].attributes
        return purpose is not None and purpose.role != "general"

    def _of_other_media(self, medium: Medium, named: tuple[Medium, ...]) -> list[int]:
        """The special checkpoints whose kind a request's media do not ask for."""
        if (medium, named) not in self._others:
            if len(self._others) >= MOST_KEPT:
                self._others.clear()
            self._others[medium, named] = [
                number for number in self._special if not self._is_asked_for(number, medium, named)
            ]
        return self._others[medium, named]

    def _is_asked_for(self, number: int, medium: Medium, named: tuple[Medium, ...]) -> bool:
        """Whether a request's media ask for the kind of a special checkpoint."""
        purpose = self._cards[number].attributes
        assert purpose is not None
        has_style = purpose.role != "general"
        first = purpose.media[0]
        if first == medium or first in named:
            if not has_style or purpose.breadth == "broad":
                return True
            return bool(named) and self._is_of(number, first)
        return not has_style and (kinship(medium, first) >= KIN or bool(set(named) & set(purpose.media)))

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
