"""Namesakes: whether an entry's character is the one that a request names, or another of that name.

    "Hornet from Hollow Knight" × an entry for Hornet of another game      → a namesake
    "the USS Enterprise" × an entry for a ship girl called Enterprise      → a namesake

In: a reading with its origins (:mod:`diffagent.agent.asking.origins`), and M cards with attributes. A name of
two words or more is unique; a single word may be another's name, by the request or the list of well-known
characters.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import cached_property
from itertools import pairwise

from diffagent.agent.asking.origins import Origin, Words
from diffagent.agent.asking.reading import Reading
from diffagent.agent.asking.words import FUNCTION_WORDS, is_ordinary, words
from diffagent.data.characters import bearers, spellings, things
from diffagent.data.records import Card

ARTICLES = frozenset(("a", "an", "the", "this", "that", "some", "two", "three", "many", "several"))
"""Words before a common noun."""


class Namesakes:
    """The characters of M cards, by their works."""

    def __init__(self, cards: Sequence[Card]) -> None:
        self._cards = cards
        self._own: dict[int, frozenset[str]] = {}

    def is_other(self, number: int, name_words: Sequence[str], reading: Reading) -> bool:
        """Whether an entry's character differs from the one that a request names by ``name_words`` of the
        entry's name."""
        name, entry_words = set(name_words), self._words(number)
        about = [origin for origin in reading.origins if name & set(origin.name)]
        if any(_is_of(origin.series, entry_words - name) for origin in about):
            return False
        if any(origin.is_certain or self._is_series(origin) for origin in about):
            return True
        others = set(reading.words) - name
        purpose = self._cards[number].attributes
        assert purpose is not None
        if any(set(words(text)) <= others for text in purpose.subjects[1:3]):
            return False
        if len(name) > 1:
            return False
        return self._is_ambiguous(name_words[0], entry_words - name, reading) or self._is_elsewhere(
            entry_words - name, reading
        )

    def _is_ambiguous(self, name: str, entry_words: frozenset[str], reading: Reading) -> bool:
        """Whether a word is also the name of others, and the request does not tell which."""
        works, needs_more = bearers(name)
        if works:
            if not any(_is_of(_spellings(series), entry_words) for series in works):
                return True
            if not needs_more:
                return False
            shared = any(not _is_of(_spellings(series), entry_words) for series in things(name))
            is_common = any(after == name and before in ARTICLES for before, after in pairwise(reading.words))
            return shared or is_common or len(self._works_of.get(name, ())) > 1
        return len(self._works_of.get(name, ())) > 1

    def _is_elsewhere(self, entry_words: frozenset[str], reading: Reading) -> bool:
        """Whether a request names other works, but not the entry's."""
        works = [origin for origin in reading.origins if origin.name in origin.series]
        return bool(works) and not any(_is_of(origin.series, entry_words) for origin in works)

    def _words(self, number: int) -> frozenset[str]:
        """Returns all words of an entry; cached."""
        if number not in self._own:
            card, purpose = self._cards[number], self._cards[number].attributes
            needed = (*purpose.subjects, *purpose.needed) if purpose else ()
            text = " ".join((card.name, *needed, *card.tags, *card.trigger_words, card.description))
            self._own[number] = frozenset(words(text.replace("_", " ")))
        return self._own[number]

    def _is_series(self, origin: Origin) -> bool:
        """Whether a possible work's name begins with that of one of the catalog's works."""
        return any(
            spelling[:count] in self._series
            for spelling in origin.series
            for count in range(1, len(spelling) + 1)
            if count > 1 or not is_ordinary(spelling[0])
        )

    @cached_property
    def _series(self) -> frozenset[Words]:
        """The works with two characters or more in the catalog."""
        names: dict[Words, set[str]] = defaultdict(set)
        for name, series in self._characters:
            names[series].add(name)
        return frozenset(series for series, several in names.items() if len(several) > 1)

    @cached_property
    def _works_of(self) -> dict[str, set[Words]]:
        """Name of one word → the catalog's works with a character of that name."""
        works: dict[str, set[Words]] = defaultdict(set)
        for name, series in self._characters:
            if series in self._series and not any(set(series) & set(other) for other in works[name]):
                works[name].add(series)
        return works

    @cached_property
    def _characters(self) -> list[tuple[str, Words]]:
        """Each character's name and second subject, mostly the work."""
        return [
            (" ".join(words(purpose.subjects[0])), tuple(words(purpose.subjects[1])))
            for card in self._cards
            if (purpose := card.attributes) and purpose.role == "character" and len(purpose.subjects) > 1
        ]


def _spellings(series: str) -> tuple[Words, ...]:
    return tuple(tuple(words(text)) for text in spellings(series))


def _is_of(series: Iterable[Words], entry_words: frozenset[str]) -> bool:
    """Whether an entry's words contain one of the spellings, or a word of it that is not ordinary."""
    for spelling in series:
        core = [word for word in spelling if word not in FUNCTION_WORDS] or list(spelling)
        if core and all(word in entry_words for word in core):
            return True
        if any(word in entry_words and not is_ordinary(word) and len(word) > 2 for word in core):
            return True
    return False
