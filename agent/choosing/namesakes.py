"""Namesakes: whether the character of an entry is the one whom a request names, or another of that name.

    "Hornet from Hollow Knight" × an entry for Hornet of another game      → a namesake
    "the USS Enterprise" × an entry for a ship girl called Enterprise      → a namesake

In: a reading with its origins (:mod:`diffagent.agent.asking.origins`), and M cards with attributes. A name of
two words or more is nobody else's; one word is, where the request or the list of well-known characters says
of whom.
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
"""What stands before a common noun."""


class Namesakes:
    """The characters of M cards, by what they are from."""

    def __init__(self, cards: Sequence[Card]) -> None:
        self._cards = cards
        self._own: dict[int, frozenset[str]] = {}

    def is_other(self, number: int, heard: Sequence[str], reading: Reading) -> bool:
        """Whether an entry's character is another than the one that a request names by the ``heard`` words of
        the entry's name."""
        name, own = set(heard), self._words(number)
        about = [origin for origin in reading.origins if name & set(origin.name)]
        if any(_is_of(origin.series, own - name) for origin in about):
            return False
        if any(origin.is_certain or self._is_series(origin) for origin in about):
            return True
        asked = set(reading.words) - name
        purpose = self._cards[number].attributes
        assert purpose is not None
        if any(set(words(text)) <= asked for text in purpose.subjects[1:3]):
            return False
        if len(name) > 1:
            return False
        return self._is_ambiguous(heard[0], own - name, reading) or self._is_elsewhere(own - name, reading)

    def _is_ambiguous(self, name: str, own: frozenset[str], reading: Reading) -> bool:
        """Whether one word is the name of others too, and the request does not say whose."""
        known, needs_more = bearers(name)
        if known:
            if not any(_is_of(_spelled(series), own) for series in known):
                return True
            if not needs_more:
                return False
            shared = any(not _is_of(_spelled(series), own) for series in things(name))
            is_common = any(after == name and before in ARTICLES for before, after in pairwise(reading.words))
            return shared or is_common or len(self._works_of.get(name, ())) > 1
        return len(self._works_of.get(name, ())) > 1

    def _is_elsewhere(self, own: frozenset[str], reading: Reading) -> bool:
        """Whether a request names other works, and not an entry's."""
        works = [origin for origin in reading.origins if origin.name in origin.series]
        return bool(works) and not any(_is_of(origin.series, own) for origin in works)

    def _words(self, number: int) -> frozenset[str]:
        """All that an entry says of itself; kept."""
        if number not in self._own:
            card, purpose = self._cards[number], self._cards[number].attributes
            needed = (*purpose.subjects, *purpose.needed) if purpose else ()
            text = " ".join((card.name, *needed, *card.tags, *card.trigger_words, card.description))
            self._own[number] = frozenset(words(text.replace("_", " ")))
        return self._own[number]

    def _is_series(self, origin: Origin) -> bool:
        """Whether what may be a work's name begins with that of one of the catalog's."""
        return any(
            spelling[:count] in self._series
            for spelling in origin.series
            for count in range(1, len(spelling) + 1)
            if count > 1 or not is_ordinary(spelling[0])
        )

    @cached_property
    def _series(self) -> frozenset[Words]:
        """The works of which the catalog has two characters or more."""
        names: dict[Words, set[str]] = defaultdict(set)
        for name, series in self._characters:
            names[series].add(name)
        return frozenset(series for series, several in names.items() if len(several) > 1)

    @cached_property
    def _works_of(self) -> dict[str, set[Words]]:
        """One word → the works in which the catalog has somebody of that name."""
        works: dict[str, set[Words]] = defaultdict(set)
        for name, series in self._characters:
            if series in self._series and not any(set(series) & set(other) for other in works[name]):
                works[name].add(series)
        return works

    @cached_property
    def _characters(self) -> list[tuple[str, Words]]:
        """Each character's name, and what stands behind it, mostly the work."""
        return [
            (" ".join(words(purpose.subjects[0])), tuple(words(purpose.subjects[1])))
            for card in self._cards
            if (purpose := card.attributes) and purpose.role == "character" and len(purpose.subjects) > 1
        ]


def _spelled(series: str) -> tuple[Words, ...]:
    return tuple(tuple(words(text)) for text in spellings(series))


def _is_of(series: Iterable[Words], own: frozenset[str]) -> bool:
    """Whether an entry's words hold one of the spellings, or a word of it that is no ordinary one."""
    for spelling in series:
        core = [word for word in spelling if word not in FUNCTION_WORDS] or list(spelling)
        if core and all(word in own for word in core):
            return True
        if any(word in own and not is_ordinary(word) and len(word) > 2 for word in core):
            return True
    return False
