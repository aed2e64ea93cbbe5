"""Phrases: subjects and trigger words of a catalog's LoRAs and special checkpoints, and what a request says.

    words of a request → the phrases that share one with it, how much of each is said, in nats by idf

In: cards with attributes, and the idf of a word. All is kept in flat arrays, so that a catalog of 75,000
entries takes some tens of megabytes.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from diffagent.agent.asking.words import FUNCTION_WORDS, words
from diffagent.data.records import Card

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Phrase:
    """A subject or trigger of an entry; ``place`` is its rank among the subjects, −1 for a trigger."""

    card: int
    place: int
    words: tuple[str, ...]
    core: tuple[str, ...]


@dataclass(frozen=True)
class Said:
    """P phrases that share a word with a request: their ``numbers`` and ``cards``; ``weight`` of the words
    that are shared, in nats; their ``share`` 0…1 of the phrase's; ``telling`` where all of them are shared,
    or one that is rare. Arrays [P]."""

    numbers: Ints
    cards: Ints
    weight: Floats
    share: Floats
    telling: npt.NDArray[np.bool_]


class Phrases:
    """The phrases of M cards; special checkpoints are those that are not general."""

    def __init__(self, cards: Sequence[Card], idf: Callable[[str], float]) -> None:
        self._idf = idf
        self._places: dict[str, int] = {}
        """Word → its place in the vocabulary."""
        card, place, ids, ends = array("i"), array("b"), array("i"), array("q", [0])
        for number, one in enumerate(cards):
            purpose = one.attributes
            if purpose is None or (one.type == "Checkpoint" and purpose.role == "general"):
                continue
            for rank, text in [*enumerate(purpose.subjects), *((-1, one) for one in purpose.needed)]:
                card.append(number)
                place.append(rank)
                ids.extend(self._places.setdefault(word, len(self._places)) for word in words(text))
                ends.append(len(ids))
        self._card, self._place = np.array(card, np.int32), np.array(place, np.int8)
        self._ids, self._ends = np.array(ids, np.int32), np.array(ends, np.int64)
        self._vocabulary = list(self._places)
        self._bearers: dict[str, frozenset[tuple[str, ...]]] = {}

    @cached_property
    def _weights(self) -> Floats:
        """What each word of the vocabulary weighs in a phrase, in nats; 0 for a function word."""
        return np.array([0.0 if word in FUNCTION_WORDS else self._idf(word) for word in self._vocabulary])

    @cached_property
    def _is_core(self) -> npt.NDArray[np.bool_]:
        """Whether each stored word says something."""
        return ~np.array([word in FUNCTION_WORDS for word in self._vocabulary], bool)[self._ids]

    @cached_property
    def _owner(self) -> npt.NDArray[np.int32]:
        """The phrase of each stored word."""
        return np.repeat(np.arange(len(self._card), dtype=np.int32), np.diff(self._ends))

    @cached_property
    def _totals(self) -> tuple[Floats, Ints]:
        """The weight of each phrase, and the number of its words that say something."""
        count = len(self._card)
        weights: Floats = np.bincount(self._owner, self._weights[self._ids], count).astype(float)
        return weights, np.bincount(self._owner[self._is_core], minlength=count)

    @cached_property
    def _postings(self) -> tuple[npt.NDArray[np.int32], Ints]:
        """The phrases by the words that say something, and where those of each word begin."""
        order = np.argsort(self._ids[self._is_core], kind="stable")
        owners = self._owner[self._is_core][order]
        counts = np.bincount(self._ids[self._is_core], minlength=len(self._vocabulary))
        return owners, np.r_[0, np.cumsum(counts)]

    def holding(self, word: str) -> npt.NDArray[np.int32]:
        """The phrases that hold a word, one for each time that they do."""
        place = self._places.get(word)
        owners, starts = self._postings
        return owners[:0] if place is None else owners[starts[place] : starts[place + 1]]

    def said(self, asked: Collection[str], rare: Collection[str]) -> Said:
        """The phrases that share one of the ``asked`` words, of which those ``rare`` name something."""
        held = {word: found for word in asked if len(found := self.holding(word))}
        hits = np.concatenate([self._postings[0][:0], *held.values()])
        numbers, at = np.unique(hits, return_inverse=True)
        weights = np.repeat([self._idf(word) for word in held], [len(one) for one in held.values()])
        weight: Floats = np.bincount(at, weights, len(numbers)).astype(float)
        totals, sizes = self._totals
        total, size = totals[numbers], sizes[numbers]
        named = np.concatenate([hits[:0], *(found for word, found in held.items() if word in rare)])
        telling = (np.bincount(at, minlength=len(numbers)) == size) | np.isin(numbers, named)
        share = weight / np.where(total == 0, 1.0, total)
        return Said(numbers, self._card[numbers], weight, share, telling)

    def __getitem__(self, number: int) -> Phrase:
        ids = self._ids[self._ends[number] : self._ends[number + 1]].tolist()
        flat = tuple(self._vocabulary[one] for one in ids)
        core = tuple(word for word in flat if word not in FUNCTION_WORDS)
        return Phrase(int(self._card[number]), int(self._place[number]), flat, core)

    def names(self, word: str, is_bearer: Callable[[int], bool]) -> frozenset[tuple[str, ...]]:
        """The different first subjects that hold a word, of entries that ``is_bearer`` lets pass; kept."""
        if word not in self._places:
            return frozenset()
        if word not in self._bearers:
            found = (self[number] for number in np.unique(self.holding(word)).tolist())
            self._bearers[word] = frozenset(
                one.words for one in found if one.place == 0 and is_bearer(one.card)
            )
        return self._bearers[word]
