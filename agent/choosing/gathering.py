"""Gathering: from a catalog's packed specifications to vectors and an index of terms per kind.

    specifications, a few thousand at a time → vectors, and five kinds of term lists → an index per kind

In: packed specifications in the order of the models. Out: :class:`CatalogTerms`. Each group is freed after
use, so that memory holds little more than the result.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import numpy.typing as npt

from diffagent.agent.choosing.term_lists import TermIndex, TermLists
from diffagent.data.catalog.specification import MATCHED, Ints, PackedSpecification, Terms

GROUP = 4096
"""Specifications per group."""
KINDS = 5
"""Prompts, negatives, names, tags, profiles."""
Split = tuple[list[Terms], list[Terms]]


@dataclass(frozen=True)
class CatalogTerms:
    """The specifications of M models, sorted by model: ``vectors`` int8 [D, d]; ``count`` int64 [M], the
    documents of each; the terms of the D documents' prompts and negatives, of the M models' names, tags and
    profiles."""

    vectors: npt.NDArray[np.int8]
    count: Ints
    prompts: TermIndex
    negatives: TermIndex
    names: TermIndex
    tags: TermIndex
    profiles: TermIndex


def gather(specifications: Iterable[PackedSpecification], flag: int = MATCHED) -> CatalogTerms:
    """Gathers the models' specifications, with the prompts' terms that carry a flag."""
    stream = iter(specifications)
    vectors: list[npt.NDArray[np.int8]] = []
    counts: list[Ints] = []
    terms: list[list[Terms]] = [[] for _ in range(KINDS)]
    sizes: list[list[Terms]] = [[] for _ in range(KINDS)]
    while group := list(islice(stream, GROUP)):
        if embeddings := [packed.embeddings for packed in group if len(packed.embeddings)]:
            vectors.append(np.concatenate(embeddings))  # a copy, so that the group is freed
        counts.append(np.array([len(packed.embeddings) for packed in group], np.int64))
        for kind, (kind_terms, lengths) in enumerate(_split(group, counts[-1], flag)):
            terms[kind].append(kind_terms)
            sizes[kind].append(lengths)
    indexes = []
    for kind in range(KINDS):
        indexes.append(TermIndex.of(TermLists.of(terms[kind], sizes[kind])))
        terms[kind].clear()
    stacked = np.concatenate(vectors) if vectors else np.zeros((0, 1), np.int8)
    return CatalogTerms(stacked, np.concatenate([*counts, np.zeros(0, np.int64)]), *indexes)


def _split(group: Sequence[PackedSpecification], count: Ints, flag: int) -> list[tuple[Terms, Terms]]:
    """Returns the terms and the lengths of each kind."""
    hashed = np.concatenate([packed.hashed for packed in group])
    lengths = np.concatenate([packed.lengths for packed in group])
    once = np.ones_like(count)
    kinds = np.repeat(
        np.tile(np.arange(KINDS, dtype=np.int8), len(group)),
        np.stack([count, count, once, once, once], 1).ravel(),
    )
    of_term = np.repeat(kinds, lengths)
    by_kind = []
    for kind in range(KINDS):
        terms, sizes = hashed[of_term == kind], lengths[kinds == kind]
        if kind == 0:
            flagged = TermLists.of([terms], [sizes]).flagged(flag)
            terms, sizes = flagged.ids, np.diff(flagged.start).astype(np.uint32)
        by_kind.append((terms, sizes))
    return by_kind
