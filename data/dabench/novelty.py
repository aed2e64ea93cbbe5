"""Novel prompts: those without a similar training prompt, by the cosine of their MiniLM embeddings.

In: prompts, and the training prompts as a stream. Out: a flag per prompt. Exact up to rounding: every
distinct training prompt is encoded once and compared with all prompts, in blocks, so memory does not grow
with the training set.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice

import numpy as np

from diffagent.data.encoders.text_encoder import Encoder
from diffagent.data.prompts import plain

NOVEL_BELOW = 0.8
"""The least cosine of a similar training prompt."""
BLOCK = 1024
"""Training prompts per batch: enough of each length to encode them without padding."""


def novel(
    prompts: Sequence[str],
    training: Iterable[str],
    encoder: Encoder,
    below: float = NOVEL_BELOW,
    progress: Callable[[int], None] = lambda done: None,
) -> list[bool]:
    """Returns for each prompt whether all training prompts have a cosine under ``below``.

    ``progress`` receives the number of training prompts compared.
    """
    texts = [plain(prompt) for prompt in prompts]
    rows = {text: row for row, text in enumerate(dict.fromkeys(texts))}
    if not rows:
        return []
    vectors = encoder.encode(list(rows))
    nearest = np.full(len(rows), -1, np.float32)
    count = 0

    def counted() -> Iterator[str]:
        nonlocal count
        for prompt in training:
            count += 1
            yield plain(prompt)

    stream = _distinct(counted())
    while block := list(islice(stream, BLOCK)):
        np.maximum(nearest, (vectors @ encoder.encode(block).T).max(1), out=nearest)
        progress(count)
    return [bool(nearest[rows[text]] < below) for text in texts]


def _distinct(texts: Iterable[str]) -> Iterator[str]:
    digests: set[bytes] = set()
    for text in texts:
        digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
        if digest not in digests:
            digests.add(digest)
            yield text
