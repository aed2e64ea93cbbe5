"""Particular models: requests that a checkpoint of one kind of picture, or a style's LoRA, may answer.

    "a dog and a man in a field" × a checkpoint of half-animals    → not its kind
    "ink and watercolor"         × a LoRA that is all black        → against the request

In: M cards with attributes and a reading. A checkpoint that is not broad answers where the request asks for
its medium, where its medium suits the subject and it has no style of its own, or where the request names one
of its subjects in full, its name or its trigger word.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt

from diffagent.agent.asking.reading import Reading
from diffagent.agent.asking.words import FUNCTION_WORDS, is_ordinary, words
from diffagent.agent.choosing.short_names import short_name
from diffagent.data.attributes import Attributes, Medium
from diffagent.data.media import kinship, named_media
from diffagent.data.records import Card

Mask = npt.NDArray[np.bool_]

KIN = 0.3
"""The least kinship of a checkpoint's first medium with the natural one of a subject that it does not
name."""
NAMED_PART = 0.6
"""The share of a name that one word has to cover to stand for it."""
MOST_KEPT = 256
"""The most requests' media with cached checkpoints."""
_GREY = re.compile(
    r"\b(?:monochrom\w*|gr[ae]y ?scale|black[- ]and[- ]white|b ?& ?w|no colou?rs?|colou?rless)\b", re.I
)
_COLOURFUL = re.compile(r"\b(?:vivid|vibrant|bright|rainbow|full) colou?rs?\b|\bcolou?rful\b", re.I)
COLOURED: frozenset[Medium] = frozenset(
    ("watercolor", "oil painting", "pastel", "stained glass", "pop art", "photo", "anime", "fine art",
     "mosaic",
     "textile", "digital painting", "children's book", "pixel art", "cartoon", "graffiti", "art nouveau")
)  # fmt: skip
"""Media in colour unless a request says otherwise."""
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
        """The checkpoints that are not for any subject, or have a look of their own by a trigger word."""
        return [
            number
            for number, card in enumerate(self._cards)
            if card.type == "Checkpoint"
            and (purpose := card.attributes) is not None
            and (purpose.breadth != "broad" or (purpose.role != "general" and purpose.needed))
        ]

    @cached_property
    def _by_phrase(self) -> dict[tuple[str, ...], list[tuple[int, int]]]:
        """Phrase → the special checkpoints with it as a subject or trigger word, each with its place."""
        phrases = defaultdict(list)
        for number in self._special:
            purpose = self._cards[number].attributes
            assert purpose is not None
            for place, text in (*enumerate(purpose.subjects), *((-1, text) for text in purpose.needed)):
                phrases[tuple(words(text))].append((number, place))
        return dict(phrases)

    @cached_property
    def _by_name(self) -> dict[str, list[int]]:
        """Word → the special checkpoints that it names: most of a one-word name, as "steampunk" of
        SteampunkAI."""
        words_of = defaultdict(list)
        for number in self._special:
            name = frozenset(words(re.sub(r"[\W_]+", " ", short_name(self._cards[number].name))))
            longest, whole = max(name, key=len, default=""), sum(map(len, name))
            for end in range(5, len(longest) + 1):
                if end >= NAMED_PART * whole and longest[:end] not in FUNCTION_WORDS:
                    words_of[longest[:end]].append(number)
        return dict(words_of)

    def off(self, reading: Reading) -> Mask:
        """Returns the checkpoints of a kind of picture that a request does not ask for: booleans [M]; none
        for a list of tags, which people write for such a model."""
        off = np.zeros(len(self._cards), bool)
        if reading.pasted:
            return off
        off[self._of_other_media(reading.medium, reading.named_media)] = True
        request_words = reading.words
        off[[number for word in request_words for number in self._by_name.get(word, ())]] = False
        for size in range(1, 6):
            for at in range(len(request_words) - size + 1):
                phrase = request_words[at : at + size]
                for number, place in self._by_phrase.get(phrase, ()):
                    if self._tells(phrase, place, self._has_style(number)):
                        off[number] = False
        return off

    def _has_style(self, number: int) -> bool:
        purpose = self._cards[number].attributes
        return purpose is not None and purpose.role != "general"

    def _of_other_media(self, medium: Medium, media: tuple[Medium, ...]) -> list[int]:
        """Returns the special checkpoints whose kind a request's media do not ask for; cached."""
        if (medium, media) not in self._others:
            if len(self._others) >= MOST_KEPT:
                self._others.clear()
            self._others[medium, media] = [
                number for number in self._special if not self._is_asked_for(number, medium, media)
            ]
        return self._others[medium, media]

    def _is_asked_for(self, number: int, medium: Medium, media: tuple[Medium, ...]) -> bool:
        """Whether a request's media ask for the kind of a special checkpoint."""
        purpose = self._cards[number].attributes
        assert purpose is not None
        has_style = purpose.role != "general"
        first = purpose.media[0]
        if first == medium or first in media:
            if not has_style or purpose.breadth == "broad":
                return True
            return bool(media) and self._is_of(number, first)
        return not has_style and (kinship(medium, first) >= KIN or bool(set(media) & set(purpose.media)))

    def _is_of(self, number: int, medium: Medium) -> bool:
        """Whether a style's name or subjects name its medium, so that the medium is the style."""
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
        """Whether a request's phrase asks for a checkpoint's kind."""
        if all(word in FUNCTION_WORDS for word in phrase):
            return False
        if place < 0:
            return len(phrase) > 1 or not is_ordinary(phrase[0])
        return not has_style or len(phrase) > 1 or place == 0

    @cached_property
    def _grey(self) -> Mask:
        """The LoRAs that make everything grey."""
        return self._that_say(_GREY)

    @cached_property
    def _colourful(self) -> Mask:
        """The LoRAs that make everything colourful."""
        return self._that_say(_COLOURFUL)

    def _that_say(self, pattern: re.Pattern[str]) -> Mask:
        marks = [
            card.type == "LoRA" and card.attributes is not None and _says(pattern, card.attributes)
            for card in self._cards
        ]
        return np.array(marks, bool)

    def against(self, reading: Reading) -> Mask:
        """Returns the LoRAs whose trigger words contradict a request: booleans [M]."""
        request_words = set(reading.words)
        is_grey = bool(_GREY_WORDS & request_words) or bool(_GREY.search(" ".join(reading.words)))
        if is_grey:
            return self._colourful
        if (len(reading.named_media) > 1 and COLOURED & set(reading.named_media)) or _COLOURS & request_words:
            return self._grey
        return np.zeros(len(self._cards), bool)


def _says(pattern: re.Pattern[str], purpose: Attributes) -> bool:
    return bool(pattern.search(" | ".join(purpose.needed)))
