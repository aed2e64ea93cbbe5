"""The held-out rule: which images belong to ``test``, ``align`` and ``train``.

Uploaders reuse prompts, within a model and across models, so near-duplicate prompts form a cluster that
stays on one side: SHA-256 of the cluster's smallest image id, modulo 10, is 0 test, 1 align, else train.

Two prompts are near-duplicates where their word sets (no tags, weights, case) have Jaccard similarity of
at least 0.7, and clusters are what such pairs connect. So a reordered prompt joins, one word of six
changed (5/7 = 0.71), two of twelve, or a third added. Read on the snapshot's 28,000 distinct prompts:
at 0.6 pairs chain through boilerplate ("masterpiece, best quality, 1girl, …") to a cluster of 1,222, at 0.7
the largest has 338; shingles of three words miss reordered tags and one word changed in ten.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from diffagent.data.prompts import plain
from diffagent.data.records import Sample

Split = Literal["test", "align", "train"]
NEAR = 0.7
"""Jaccard similarity of two word sets from which on their prompts are near-duplicates."""

_WORD = re.compile(r"[^\W_]+")
_SHARED = 2  # words that two prefixes must share: 1 compares five times as many pairs, 3 gains nothing


def split_of(image_id: int) -> Split:
    """The split of an image by its own id: SHA-256 of the decimal digits, modulo 10."""
    tenth = int(hashlib.sha256(str(image_id).encode("ascii")).hexdigest(), 16) % 10
    return "test" if tenth == 0 else "align" if tenth == 1 else "train"


def assign(samples: Iterable[Sample], threshold: float = NEAR) -> dict[int, Split]:
    """Image id → split, each cluster of near-duplicate prompts on one side."""
    ids, prompts = [], []
    for sample in samples:
        ids.append(sample.image_id)
        prompts.append(sample.prompt)
    labels = cluster_prompts(prompts, threshold)
    smallest: dict[int, int] = {}
    for image_id, label in zip(ids, labels.tolist(), strict=True):
        smallest[label] = min(image_id, smallest.get(label, image_id))
    return {image_id: split_of(smallest[label]) for image_id, label in zip(ids, labels.tolist(), strict=True)}


def cluster_prompts(prompts: Sequence[str], threshold: float = NEAR) -> NDArray[np.int64]:
    """A label per prompt: the index of its cluster's first prompt.

    Exact, not sampled: every pair of at least ``threshold`` is found, by prefix filtering (Chaudhuri,
    Ganti, Kaushik 2006): with words ordered rare to common, similar sets share two of their first few.
    """
    if not 0 < threshold <= 1:
        raise ValueError(f"threshold is {threshold}: a Jaccard similarity lies in 0 < threshold <= 1")
    first_with: dict[frozenset[str], int] = {}
    first = np.array([first_with.setdefault(word_set(p), i) for i, p in enumerate(prompts)], np.int64)
    distinct, indices = list(first_with), list(first_with.values())
    parent = _connected(distinct, threshold)
    label = {index: indices[root] for index, root in zip(indices, parent, strict=True)}
    return np.array([label[index] for index in first.tolist()], np.int64)


def word_set(prompt: str) -> frozenset[str]:
    """The words of a prompt; the text itself where it has none (emoji, punctuation)."""
    text = plain(prompt).casefold()
    return frozenset(_WORD.findall(text)) or frozenset((text,))


def _connected(sets: Sequence[frozenset[str]], threshold: float) -> list[int]:
    """For each set the smallest index that pairs of at least the threshold connect it with."""
    parent = list(range(len(sets)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    commonness = Counter(word for words in sets for word in words)
    having: dict[str, list[int]] = defaultdict(list)
    for i in sorted(range(len(sets)), key=lambda i: (len(sets[i]), i)):  # so partners are never longer
        words, size = sets[i], len(sets[i])
        least = math.ceil(threshold * size - 1e-9)  # words that a partner shares, and so has
        prefix = sorted(words, key=lambda word: (commonness[word], word))[: size - least + _SHARED]
        shared: Counter[int] = Counter()
        for word in prefix:
            shared.update(having[word])
            having[word].append(i)
        for j, count in shared.items():
            if count < min(_SHARED, least) or len(sets[j]) < least:
                continue
            a, b = root(i), root(j)
            if a != b and len(words & sets[j]) >= threshold * len(words | sets[j]) - 1e-9:
                parent[max(a, b)] = min(a, b)
    return [root(i) for i in range(len(sets))]
