"""Phrases: subjects and trigger words of a catalog's LoRAs and special checkpoints, matched with a request.

    words of a request → the phrases that share one, and the shared weight of each, in nats by idf

In: cards with attributes, and the idf of a word. The phrases are stored in flat arrays, so that a catalog of
75,000 entries takes some tens of megabytes.
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
class SharedPhrases:
    """P phrases that share a word with a request: their ``numbers`` and ``cards``; the ``weight`` of the
    shared words, in nats, and its ``share`` 0…1 of the phrase's; ``telling``: whether all words are shared,
    or a rare one. Arrays [P]."""

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
        """Word → its index in the vocabulary."""
        card, place, ids, ends = array("i"), array("b"), array("i"), array("q", [0])
        for number, entry in enumerate(cards):
            purpose = entry.attributes
            if purpose is None or (entry.type == "Checkpoint" and purpose.role == "general"):
                continue
            for rank, text in [*enumerate(purpose.subjects), *((-1, text) for text in purpose.needed)]:
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
        """The weight of each word of the vocabulary, in nats; 0 for a function word."""
        return np.array([0.0 if word in FUNCTION_WORDS else self._idf(word) for word in self._vocabulary])

    @cached_property
    def _is_core(self) -> npt.NDArray[np.bool_]:
        """Whether each stored word is a content word."""
        return ~np.array([word in FUNCTION_WORDS for word in self._vocabulary], bool)[self._ids]

    @cached_property
    def _owner(self) -> npt.NDArray[np.int32]:
        """The phrase of each stored word."""
        return np.repeat(np.arange(len(self._card), dtype=np.int32), np.diff(self._ends))

    @cached_property
    def _totals(self) -> tuple[Floats, Ints]:
        """The weight of each phrase, and the number of its content words."""
        count = len(self._card)
        weights: Floats = np.bincount(self._owner, self._weights[self._ids], count).astype(float)
        return weights, np.bincount(self._owner[self._is_core], minlength=count)

    @cached_property
    def _postings(self) -> tuple[npt.NDArray[np.int32], Ints]:
        """The phrases by content word, and the start of each word's."""
        order = np.argsort(self._ids[self._is_core], kind="stable")
        owners = self._owner[self._is_core][order]
        counts = np.bincount(self._ids[self._is_core], minlength=len(self._vocabulary))
        return owners, np.r_[0, np.cumsum(counts)]

    def holding(self, word: str) -> npt.NDArray[np.int32]:
        """Returns the phrases with a word, once per occurrence."""
        place = self._places.get(word)
        owners, starts = self._postings
        return owners[:0] if place is None else owners[starts[place] : starts[place + 1]]

    def shared(self, request_words: Collection[str], rare: Collection[str]) -> SharedPhrases:
        """Returns the phrases that share one of ``request_words``; those in ``rare`` are names."""
        holders = {
            word: phrase_numbers for word in request_words if len(phrase_numbers := self.holding(word))
        }
        hits = np.concatenate([self._postings[0][:0], *holders.values()])
        numbers, at = np.unique(hits, return_inverse=True)
        weights = np.repeat(
            [self._idf(word) for word in holders],
            [len(phrase_numbers) for phrase_numbers in holders.values()],
        )
        weight: Floats = np.bincount(at, weights, len(numbers)).astype(float)
        totals, sizes = self._totals
        total, size = totals[numbers], sizes[numbers]
        rare_hits = np.concatenate(
            [hits[:0], *(phrase_numbers for word, phrase_numbers in holders.items() if word in rare)]
        )
        telling = (np.bincount(at, minlength=len(numbers)) == size) | np.isin(numbers, rare_hits)
        share = weight / np.where(total == 0, 1.0, total)
        return SharedPhrases(numbers, self._card[numbers], weight, share, telling)

    def __getitem__(self, number: int) -> Phrase:
        ids = self._ids[self._ends[number] : self._ends[number + 1]].tolist()
        flat = tuple(self._vocabulary[word_id] for word_id in ids)
        core = tuple(word for word in flat if word not in FUNCTION_WORDS)
        return Phrase(int(self._card[number]), int(self._place[number]), flat, core)

    def names(self, word: str, is_bearer: Callable[[int], bool]) -> frozenset[tuple[str, ...]]:
        """Returns the distinct first subjects with a word, of entries that pass ``is_bearer``; cached."""
        if word not in self._places:
            return frozenset()
        if word not in self._bearers:
            phrases = (self[number] for number in np.unique(self.holding(word)).tolist())
            self._bearers[word] = frozenset(
                phrase.words for phrase in phrases if phrase.place == 0 and is_bearer(phrase.card)
            )
        return self._bearers[word]
