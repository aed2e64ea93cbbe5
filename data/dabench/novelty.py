"""Novel prompts: those that no training prompt comes near, by the cosine of their MiniLM embeddings.

In: the prompts asked about, and the training prompts, streamed. Out: a flag each. Exact up to rounding:
every distinct training prompt is encoded once and compared with everything that is asked about, in blocks,
so memory does not grow with the training part.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice

import numpy as np

from diffagent.data.encoders.text_encoder import Encoder
from diffagent.data.prompts import plain

NOVEL_BELOW = 0.8
"""Cosine from which a training prompt counts as near."""
BLOCK = 1024
"""Training prompts encoded together: enough of each length to batch them without padding."""


def novel(
    prompts: Sequence[str],
    training: Iterable[str],
    encoder: Encoder,
    below: float = NOVEL_BELOW,
    progress: Callable[[int], None] = lambda done: None,
) -> list[bool]:
    """Whether each prompt has no training prompt at a cosine of ``below`` or more.

    ``progress`` is called with the number of training prompts compared so far.
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
