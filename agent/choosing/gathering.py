"""Gathering: the packed specifications of a whole catalog become vectors, and terms by kind.

    specifications, some thousand at a time → vectors, and five kinds of term lists → an index of each kind

In: packed specifications in the order of the models. Out: :class:`Gathered`. What is read is let go, so that
memory holds the result and little else.
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
"""Specifications that are split together."""
KINDS = 5
"""Prompts, negatives, names, tags, profiles."""
Split = tuple[list[Terms], list[Terms]]


@dataclass(frozen=True)
class Gathered:
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


def gather(specifications: Iterable[PackedSpecification], flag: int = MATCHED) -> Gathered:
    """The models' specifications put together; of the prompts' terms those that carry a flag."""
    stream = iter(specifications)
    vectors: list[npt.NDArray[np.int8]] = []
    counts: list[Ints] = []
    terms: list[list[Terms]] = [[] for _ in range(KINDS)]
    sizes: list[list[Terms]] = [[] for _ in range(KINDS)]
    while group := list(islice(stream, GROUP)):
        if told := [one.embeddings for one in group if len(one.embeddings)]:
            vectors.append(np.concatenate(told))  # a copy: the rest of what was read is let go
        counts.append(np.array([len(one.embeddings) for one in group], np.int64))
        for kind, (found, lengths) in enumerate(_split(group, counts[-1], flag)):
            terms[kind].append(found)
            sizes[kind].append(lengths)
    indexes = []
    for kind in range(KINDS):
        indexes.append(TermIndex.of(TermLists.of(terms[kind], sizes[kind])))
        terms[kind].clear()
    stacked = np.concatenate(vectors) if vectors else np.zeros((0, 1), np.int8)
    return Gathered(stacked, np.concatenate([*counts, np.zeros(0, np.int64)]), *indexes)


def _split(group: Sequence[PackedSpecification], count: Ints, flag: int) -> list[tuple[Terms, Terms]]:
    """The terms and the lengths of each kind."""
    hashed = np.concatenate([one.hashed for one in group])
    lengths = np.concatenate([one.lengths for one in group])
    once = np.ones_like(count)
    kinds = np.repeat(
        np.tile(np.arange(KINDS, dtype=np.int8), len(group)),
        np.stack([count, count, once, once, once], 1).ravel(),
    )
    of_term = np.repeat(kinds, lengths)
    found = []
    for kind in range(KINDS):
        terms, sizes = hashed[of_term == kind], lengths[kinds == kind]
        if kind == 0:
            flagged = TermLists.of([terms], [sizes]).flagged(flag)
            terms, sizes = flagged.ids, np.diff(flagged.start).astype(np.uint32)
        found.append((terms, sizes))
    return found
