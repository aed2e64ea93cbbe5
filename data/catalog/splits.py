"""The held-out rule: which images belong to ``test``, ``align`` and ``train``.

Uploaders reuse prompts within and across models, so near-duplicate prompts form a cluster that stays on one
side: SHA-256 of the cluster's smallest image id, modulo 10, is 0 for test, 1 for align, else train.

Two prompts are near-duplicates where their word sets (without tags, weights and case) have a Jaccard
similarity of at least 0.7; clusters are the connected components. So a reordered prompt joins, as do one word
of six changed (5/7 = 0.71), two of twelve, or a third added. On the snapshot's 28,000 distinct prompts, pairs
at 0.6 chain through boilerplate ("masterpiece, best quality, 1girl, …") to a cluster of 1,222; at 0.7 the
largest has 338. Shingles of three words miss reordered tags and one word changed in ten.

Prompts are streamed; the memory is four bytes per word of each distinct word set.
"""

from __future__ import annotations

import hashlib
import math
import re
from array import array
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from diffagent.data.prompts import plain
from diffagent.data.records import Sample

Split = Literal["test", "align", "train"]
NEAR = 0.7
"""The least Jaccard similarity of the word sets of near-duplicate prompts."""

_WORD = re.compile(r"[^\W_]+")
_SHARED = 2  # words that two prefixes must share: 1 compares five times as many pairs, 3 gains nothing


def split_of(image_id: int) -> Split:
    """The split of an image by its own id: SHA-256 of the decimal digits, modulo 10."""
    tenth = int(hashlib.sha256(str(image_id).encode("ascii")).hexdigest(), 16) % 10
    return "test" if tenth == 0 else "align" if tenth == 1 else "train"


Ints = NDArray[np.int32]


def assign(samples: Iterable[Sample], threshold: float = NEAR) -> dict[int, Split]:
    """Image id → split, each cluster of near-duplicate prompts on one side."""
    ids = array("q")

    def prompts() -> Iterator[str]:
        for sample in samples:
            ids.append(sample.image_id)
            yield sample.prompt

    labels = cluster_prompts(prompts(), threshold).tolist()
    smallest: dict[int, int] = {}
    for image_id, label in zip(ids, labels, strict=True):
        smallest[label] = min(image_id, smallest.get(label, image_id))
    sides = {label: split_of(image_id) for label, image_id in smallest.items()}
    return {image_id: sides[label] for image_id, label in zip(ids, labels, strict=True)}


def cluster_prompts(prompts: Iterable[str], threshold: float = NEAR) -> NDArray[np.int64]:
    """A label per prompt: the index of its cluster's first prompt.

    Exact, not sampled: every pair of at least ``threshold`` is found, by prefix filtering (Chaudhuri,
    Ganti, Kaushik 2006): with words ordered rare to common, similar sets share two of their first few.
    """
    if not 0 < threshold <= 1:
        raise ValueError(f"threshold is {threshold}: a Jaccard similarity lies in 0 < threshold <= 1")
    sets, at, firsts = WordSets(), array("q"), array("q")
    for i, prompt in enumerate(prompts):
        number = sets.add(word_set(prompt))
        if number == len(firsts):
            firsts.append(i)
        at.append(number)
    roots = _cluster_roots(sets, threshold)
    label = np.array(firsts, np.int64)[roots]
    return label[np.array(at, np.int64)]


def word_set(prompt: str) -> frozenset[str]:
    """The words of a prompt; the text itself where it has no words (emoji, punctuation)."""
    text = plain(prompt).casefold()
    return frozenset(_WORD.findall(text)) or frozenset((text,))


@dataclass
class WordSets:
    """Distinct sets of words as one flat array of word numbers: set i is ``words[ends[i]:ends[i + 1]]``."""

    words: array[int] = field(default_factory=lambda: array("i"))
    ends: array[int] = field(default_factory=lambda: array("q", [0]))
    _numbers: dict[str, int] = field(default_factory=dict)
    _seen: dict[bytes, int] = field(default_factory=dict)

    def add(self, words: Iterable[str]) -> int:
        """Returns the number of the set: that of an equal set, or the next one."""
        numbers = array("i", sorted(self._numbers.setdefault(w, len(self._numbers)) for w in sorted(words)))
        key = hashlib.blake2b(numbers.tobytes(), digest_size=16).digest()
        number = self._seen.setdefault(key, len(self._seen))
        if number == len(self.ends) - 1:
            self.words.extend(numbers)
            self.ends.append(len(self.words))
        return number

    def rare_first(self) -> tuple[Ints, NDArray[np.int64]]:
        """``words`` renumbered from the rarest to the most common, each set in that order; and ``ends``."""
        words, ends = np.array(self.words, np.int32), np.array(self.ends, np.int64)
        rank = np.empty(len(self._numbers), np.int32)
        rank[np.argsort(np.bincount(words, minlength=len(rank)), kind="stable")] = np.arange(len(rank))
        words = rank[words]
        for start, end in zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True):
            words[start:end].sort()
        return words, ends


def _cluster_roots(sets: WordSets, threshold: float) -> list[int]:
    """For each set, the smallest number in its cluster."""
    words, ends = sets.rare_first()
    sizes = np.diff(ends)
    parent = list(range(len(sizes)))
    having: dict[int, array[int]] = defaultdict(lambda: array("i"))
    marked = np.zeros(int(words.max(initial=-1)) + 1, bool)

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    for i in np.argsort(sizes, kind="stable").tolist():  # so partners are never longer
        size = int(sizes[i])
        members = words[ends[i] : ends[i + 1]]
        least = math.ceil(threshold * size - 1e-9)  # words that a partner shares, and so has
        prefix = members[: size - least + _SHARED].tolist()
        lists = [having[word] for word in prefix if word in having]
        if lists:
            others = _in_several(lists, min(_SHARED, least))
            others = others[sizes[others] >= least]
            marked[members] = True
            shared = _count(marked, words, ends[others], sizes[others])
            marked[members] = False
            for j in others[shared >= threshold * (size + sizes[others] - shared) - 1e-9].tolist():
                a, b = root(i), root(j)
                parent[max(a, b)] = min(a, b)
        for word in prefix:
            having[word].append(i)
    return [root(i) for i in range(len(parent))]


def _in_several(lists: list[array[int]], least: int) -> Ints:
    """The numbers in at least ``least`` of the lists."""
    numbers: Ints = np.sort(np.concatenate([np.frombuffer(holders, np.int32) for holders in lists]))
    starts = np.flatnonzero(np.r_[True, numbers[1:] != numbers[:-1]])
    often: Ints = numbers[starts[np.diff(np.r_[starts, len(numbers)]) >= least]]
    return often


def _count(
    marked: NDArray[np.bool_], words: Ints, starts: NDArray[np.int64], sizes: NDArray[np.int64]
) -> NDArray[np.int64]:
    """The number of marked words in each set (``sizes`` words from ``starts`` on)."""
    if not len(starts):
        return np.zeros(0, np.int64)
    before = np.cumsum(sizes) - sizes
    where = np.arange(int(sizes.sum())) + np.repeat(starts - before, sizes)
    return np.add.reduceat(marked[words[where]].astype(np.int64), before)
