"""Hashed terms of many documents in flat arrays: idf, norms, and cosines with a query."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from diffagent.agent.specification import IDS, TERM_BITS, Floats, Ints, Terms


@dataclass(frozen=True)
class TermLists:
    """Hashed terms of many documents: ``ids`` [total], document i is ``ids[start[i]:start[i + 1]]``."""

    ids: Terms
    start: Ints

    @classmethod
    def of(cls, pieces: Sequence[Terms], lengths: Sequence[Terms]) -> TermLists:
        """From runs of documents: the terms of each run end to end, and its documents' lengths."""
        sizes = np.concatenate([*lengths, np.zeros(0, np.uint32)]).astype(np.int64)
        return cls(np.concatenate([*pieces, np.zeros(0, np.uint32)]), np.r_[0, np.cumsum(sizes)])

    def __len__(self) -> int:
        return len(self.start) - 1

    def flagged(self, flag: int) -> TermLists:
        """The terms that carry a flag, flags removed; the documents stay the same."""
        kept = self.ids & np.uint32(flag) > 0
        start = np.r_[0, np.cumsum(kept)][self.start]
        return TermLists(self.ids[kept] & np.uint32(IDS), start)

    def sums(self, values: Floats) -> Floats:
        """Sum of ``values`` [total] over each document's terms: float32 [documents]."""
        if not len(self):
            return np.zeros(0, np.float32)
        padded = np.append(values, np.float32(0))
        out: Floats = np.add.reduceat(padded, self.start[:-1])
        out[np.diff(self.start) == 0] = 0
        return out

    @cached_property
    def idf(self) -> Floats:
        """Inverse document frequency of each hashed term, smoothed: float32 [2**21]."""
        counts = np.bincount(self.ids, minlength=1 << TERM_BITS)
        return (np.log((1 + len(self)) / (1 + counts)) + 1).astype(np.float32)

    @cached_property
    def seen(self) -> npt.NDArray[np.bool_]:
        """Which hashed terms any document holds: booleans [2**21]."""
        held = np.zeros(1 << TERM_BITS, np.bool_)
        held[self.ids] = True
        return held

    @cached_property
    def squared(self) -> Floats:
        """idf² of each stored term: float32 [total]."""
        return np.square(self.idf)[self.ids]

    @cached_property
    def norms(self) -> Floats:
        """Length of each document's idf vector; 1 for an empty one: float32 [documents]."""
        norms: Floats = np.sqrt(self.sums(self.squared))
        norms[norms == 0] = 1
        return norms

    @cached_property
    def owner(self) -> npt.NDArray[np.int32]:
        """The document of each stored term: int32 [total]."""
        return np.repeat(np.arange(len(self), dtype=np.int32), np.diff(self.start))

    @cached_property
    def _postings(self) -> tuple[Terms, Ints]:
        """The stored terms in ascending order, and where each of them is stored: [total] each."""
        order = np.argsort(self.ids, kind="stable")
        return self.ids[order], order

    def overlap(self, query: Terms) -> Floats:
        """Sum of idf² over the terms of each document that the query, distinct terms, holds: float32
        [documents]."""
        terms, places = self._postings
        first, last = np.searchsorted(terms, query, "left"), np.searchsorted(terms, query, "right")
        hits = np.concatenate([places[:0], *(places[a:b] for a, b in zip(first, last, strict=True))])
        summed = np.bincount(self.owner[hits], self.squared[hits], minlength=len(self))
        return summed.astype(np.float32)

    def cosine(self, query: Terms, overlap: Floats) -> Floats:
        """Cosine of idf-weighted terms between the query and each document: float32 [documents]."""
        length = float(np.sqrt(np.square(self.idf[query]).sum())) or 1.0
        return overlap / (self.norms * np.float32(length))
