"""Hashed terms of many documents, by document and by term, with idf, norms and cosines with a query."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from diffagent.data.catalog.specification import IDS, TERM_BITS, Floats, Ints, Terms

BLOCK = 1 << 18
"""Stored terms per block, which bounds the temporary memory."""


@dataclass(frozen=True)
class TermLists:
    """Hashed terms of many documents: ``ids`` [total], document i is ``ids[start[i]:start[i + 1]]``."""

    ids: Terms
    start: Ints

    @classmethod
    def of(cls, pieces: Sequence[Terms], lengths: Sequence[Terms]) -> Self:
        """Builds from runs of documents: each run's concatenated terms, and its documents' lengths."""
        sizes = np.concatenate([*lengths, np.zeros(0, np.uint32)]).astype(np.int64)
        return cls(np.concatenate([*pieces, np.zeros(0, np.uint32)]), np.r_[0, np.cumsum(sizes)])

    def __len__(self) -> int:
        return len(self.start) - 1

    def flagged(self, flag: int) -> TermLists:
        """Returns the terms with a flag, flags removed; the documents stay the same."""
        is_flagged = self.ids & np.uint32(flag) > 0
        start = np.r_[0, np.cumsum(is_flagged)][self.start]
        return TermLists(self.ids[is_flagged] & np.uint32(IDS), start)

    def sums(self, values: Floats) -> Floats:
        """Returns the sum of ``values`` [total] over each document's terms: float32 [documents]."""
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
    """The same documents by term: those with term t are ``documents[start[t]:start[t + 1]]``, ascending,
    int32 [total]; ``norms`` float32 [documents] are the lengths of their idf vectors, 1 for an empty one."""

    documents: npt.NDArray[np.int32]
    start: npt.NDArray[np.int32]
    norms: Floats

    @classmethod
    def of(cls, lists: TermLists) -> Self:
        """Builds from lists of distinct terms."""
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

    def common_terms(self, query: Terms) -> Terms:
        """Returns the terms of a query that any document has."""
        is_held = self.start[query + np.uint32(1)] > self.start[query]
        terms: Terms = query[is_held]
        return terms

    def overlap(self, query: Terms) -> Floats:
        """Returns the sum of idf² over each document's terms in the query, distinct terms: float32
        [documents]."""
        spans = [self.documents[self.start[term] : self.start[term + 1]] for term in query.tolist()]
        squared = np.square(self.idf[query])
        hits = np.concatenate([self.documents[:0], *spans])
        weights = np.repeat(squared, [len(span) for span in spans])
        return np.bincount(hits, weights, len(self)).astype(np.float32)

    def cosine(self, query: Terms, overlap: Floats) -> Floats:
        """Returns the cosine of idf-weighted terms between query and document: float32 [documents]."""
        length = float(np.sqrt(np.square(self.idf[query]).sum())) or 1.0
        return overlap / (self.norms * np.float32(length))


def _idf(counts: npt.NDArray[np.integer[Any]], documents: int) -> Floats:
    return (np.log((1 + documents) / (1 + counts)) + 1).astype(np.float32)


def _by_term(lists: TermLists, start: Ints) -> npt.NDArray[np.int32]:
    """Returns the documents of each term, ascending; works block by block."""
    documents = np.empty(len(lists.ids), np.int32)
    free = start[:-1].copy()
    owner = lists.owner
    for at in range(0, len(lists.ids), BLOCK):
        order = _sorting(lists.ids[at : at + BLOCK])
        terms, owners = lists.ids[at : at + BLOCK][order], owner[at : at + BLOCK][order]
        begins = np.flatnonzero(np.r_[True, terms[1:] != terms[:-1]])
        counts = np.diff(np.r_[begins, len(terms)])
        first_terms = terms[begins]
        places = np.repeat(free[first_terms] - begins, counts) + np.arange(len(terms))
        documents[places] = owners
        free[first_terms] += counts
    return documents


def _sorting(ids: Terms) -> Ints:
    """Returns the stable order of 21-bit ids, in two 16-bit passes, which NumPy does by radix sort."""
    low = np.argsort(ids.astype(np.uint16), kind="stable")
    high = np.argsort((ids >> np.uint32(16)).astype(np.uint16)[low], kind="stable")
    return low[high]
