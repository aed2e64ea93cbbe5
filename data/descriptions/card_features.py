"""Features of a card for a linear classifier of its attributes.

    sources (card, uploader's text, prompts) → vectors of the sentence encoder, hashed words, numbers, media

Words are hashed (CRC-32) with a letter for their place: name, tag, trigger word, uploader's text or prompt.
Media are marked by the places that name them.
"""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from diffagent.data.attributes import MEDIA
from diffagent.data.descriptions.sources import Source
from diffagent.data.encoders.text_encoder import Encoder
from diffagent.data.media import named_media
from diffagent.data.prompts import is_sfw, plain

Floats = npt.NDArray[np.float32]
Hashes = npt.NDArray[np.uint32]

TEXTS = 3
"""Encoded texts per card: its own words, the uploader's text, a prompt."""
PROMPTS = 6
"""Prompts per card whose words are hashed."""
CHARACTERS = 1_500
"""Characters of the uploader's text that are hashed."""
PLACES = 4
"""Places of a medium: name, tags and trigger words, the uploader's text, prompts."""

_WORD = re.compile(r"[^\W_]+")


@dataclass(frozen=True)
class CardFeatures:
    """The features of n cards: ``dense`` [n, D] (vectors, then numbers); ``words``, a pair of arrays per card
    with distinct hashes and weights; ``media`` [n, media, :data:`PLACES`], 1 where a place names a medium."""

    dense: Floats
    words: tuple[tuple[Hashes, Floats], ...]
    media: Floats

    @classmethod
    def of(cls, sources: Sequence[Source], encoder: Encoder) -> CardFeatures:
        """Computes the features of sources; encodes three texts per card."""
        texts = [text for source in sources for text in _texts(source)]
        distinct = list(dict.fromkeys(texts))
        places = {text: place for place, text in enumerate(distinct)}
        vectors = encoder.encode(distinct)[[places[text] for text in texts]]
        vectors = vectors.reshape(len(sources), -1)
        numbers = np.array([_numbers(source) for source in sources], np.float32)
        return cls(
            np.concatenate([vectors, numbers.reshape(len(sources), -1)], 1).astype(np.float32),
            tuple(_words(source) for source in sources),
            np.stack([_media(source) for source in sources]),
        )

    def only(self, places: npt.NDArray[np.int64]) -> CardFeatures:
        """The features of the cards at these places."""
        return CardFeatures(self.dense[places], tuple(self.words[n] for n in places), self.media[places])


def own_words(source: Source) -> str:
    """The card's name, tags and trigger words on one line."""
    card = source.card
    return ", ".join((card.name, *card.tags[:12], *card.all_words[:6]))[:400]


def _texts(source: Source) -> tuple[str, ...]:
    prompt = plain(source.prompts[len(source.prompts) // 2])[:300] if source.prompts else ""
    return own_words(source), source.about[:400], prompt


def _numbers(source: Source) -> list[float]:
    card, stats = source.card, source.card.stats
    return [
        math.log10(1 + stats.downloads) / 4,
        math.log10(1 + stats.favorites) / 4,
        math.log10(1 + stats.ratings) / 2,
        stats.rating / 5,
        min(len(card.all_words), 12) / 12,
        min(len(source.prompts), 20) / 20,
        math.log10(1 + len(source.about)) / 4,
        float(is_sfw(own_words(source))),
    ]


def _words(source: Source) -> tuple[Hashes, Floats]:
    """Hashes and weights of the words; each block of words has length 1."""
    card = source.card
    name, about = _split(card.name), _split(source.about[:CHARACTERS])
    triggers = [word for text in card.all_words[:10] for word in _split(text)]
    prompts = [word for text in source.prompts[:PROMPTS] for word in _split(plain(text)[:800])]
    checkpoints = list(card.usage.checkpoints)[:4]
    blocks = (
        [f"n {word}" for word in (*name, *(f"{a} {b}" for a, b in pairwise(name)))],
        [f"g {tag.casefold()}" for tag in card.tags] + [f"h {word}" for t in card.tags for word in _split(t)],
        [f"w {word}" for word in triggers],
        [f"a {word}" for word in about],
        [f"p {word}" for word in prompts],
        [
            f"t {card.type}",
            f"b {card.base_model}",
            f"s {card.source}",
            *(f"c {checkpoint}" for checkpoint in checkpoints),
        ],
        [f"{card.type} {word}" for word in (*name, *(tag.casefold() for tag in card.tags))],
    )
    weights: dict[int, float] = {}
    for block in blocks:
        distinct = set(block)
        for word in distinct:
            weights[zlib.crc32(word.encode("utf-8", "replace"))] = 1 / math.sqrt(len(distinct))
    hashes = sorted(weights)
    return np.array(hashes, np.uint32), np.array([weights[digest] for digest in hashes], np.float32)


def _split(text: str) -> list[str]:
    return [word.casefold() for word in _WORD.findall(text)]


def _media(source: Source) -> Floats:
    card = source.card
    places: tuple[Iterable[str], ...] = (
        (card.name,),
        (*card.tags, *card.all_words[:10]),
        (source.about[:600],),
        (text[:400] for text in source.prompts[:3]),
    )
    marks = np.zeros((len(MEDIA), PLACES), np.float32)
    for place, texts in enumerate(places):
        for mention in named_media(" | ".join(texts)):
            marks[MEDIA.index(mention.medium), place] = 1
    return marks
