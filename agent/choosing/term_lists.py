"""Hashed terms of many documents: as stored, and by term, with idf, norms, and cosines with a query."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from diffagent.data.catalog.specification import IDS, TERM_BITS, Floats, Ints, Terms

BLOCK = 1 << 18
"""Stored terms that are worked on at a time, which bounds what is needed beside the result."""


@dataclass(frozen=True)
class TermLists:
    """Hashed terms of many documents: ``ids`` [total], document i is ``ids[start[i]:start[i + 1]]``."""

    ids: Terms
    start: Ints

    @classmethod
    def of(cls, pieces: Sequence[Terms], lengths: Sequence[Terms]) -> Self:
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

    @property
    def owner(self) -> npt.NDArray[np.int32]:
        """The document of each stored term: int32 [total]."""
        return np.repeat(np.arange(len(self), dtype=np.int32), np.diff(self.start))


@dataclass(frozen=True)
class TermIndex:
    """The same documents by term: those that hold term t are ``documents[start[t]:start[t + 1]]``, ascending,
    int32 [total]; ``norms`` float32 [documents] are the lengths of their idf vectors, 1 for an empty one."""

    documents: npt.NDArray[np.int32]
    start: npt.NDArray[np.int32]
    norms: Floats

    @classmethod
    def of(cls, lists: TermLists) -> Self:
        """From lists of distinct terms."""
        counts = np.zeros(1 << TERM_BITS, np.int64)
        for at in range(0, len(lists.ids), BLOCK):
            counts += np.bincount(lists.ids[at : at + BLOCK], minlength=len(counts))
        start = np.r_[0, np.cumsum(counts)]
        squared = np.square(_idf(counts, len(lists)))
        norms: Floats = np.sqrt(lists.sums(squared[lists.ids]))
        norms[norms == 0] = 1
        return cls(_by_term(lists, start), start.astype(np.int32), norms)

    def __len__(self) -> int:
        return len(self.norms)

    @cached_property
    def idf(self) -> Floats:
        """Inverse document frequency of each hashed term, smoothed: float32 [2**21]."""
        return _idf(np.diff(self.start), len(self))

    def known(self, query: Terms) -> Terms:
        """The terms of a query that any document holds."""
        is_held = self.start[query + np.uint32(1)] > self.start[query]
        known: Terms = query[is_held]
        return known

    def overlap(self, query: Terms) -> Floats:
        """Sum of idf² over the terms of each document that the query, distinct terms, holds: float32
        [documents]."""
        spans = [self.documents[self.start[term] : self.start[term + 1]] for term in query.tolist()]
        squared = np.square(self.idf[query])
        hits = np.concatenate([self.documents[:0], *spans])
        weights = np.repeat(squared, [len(one) for one in spans])
        return np.bincount(hits, weights, len(self)).astype(np.float32)

    def cosine(self, query: Terms, overlap: Floats) -> Floats:
        """Cosine of idf-weighted terms between the query and each document: float32 [documents]."""
        length = float(np.sqrt(np.square(self.idf[query]).sum())) or 1.0
        return overlap / (self.norms * np.float32(length))


def _idf(counts: npt.NDArray[np.integer[Any]], documents: int) -> Floats:
    return (np.log((1 + documents) / (1 + counts)) + 1).astype(np.float32)


def _by_term(lists: TermLists, start: Ints) -> npt.NDArray[np.int32]:
    """The documents of each term, ascending; a block of documents at a time."""
    found = np.empty(len(lists.ids), np.int32)
    free = start[:-1].copy()
    owner = lists.owner
    for at in range(0, len(lists.ids), BLOCK):
        order = _sorting(lists.ids[at : at + BLOCK])
        terms, owners = lists.ids[at : at + BLOCK][order], owner[at : at + BLOCK][order]
        begins = np.flatnonzero(np.r_[True, terms[1:] != terms[:-1]])
        counts = np.diff(np.r_[begins, len(terms)])
        held = terms[begins]
        places = np.repeat(free[held] - begins, counts) + np.arange(len(terms))
        found[places] = owners
        free[held] += counts
    return found


def _sorting(ids: Terms) -> Ints:
    """What sorts ids of 21 bits, equals in order: two passes of 16 bits each, for which NumPy counts."""
    low = np.argsort(ids.astype(np.uint16), kind="stable")
    high = np.argsort((ids >> np.uint32(16)).astype(np.uint16)[low], kind="stable")
    return low[high]
