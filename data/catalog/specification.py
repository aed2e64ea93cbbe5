"""Text specifications: what a catalog stores of a model's sample prompts.

In Pmi (CGI paper, Eq. 3–5) a model's specification is S = {Z, Q}: embeddings of images and of their prompts.
A text-only requirement is matched against Q alone. Each document (one sample prompt with its negative prompt)
has an embedding and hashed terms, because a sentence embedding blurs the artists, tags, weights and odd
spellings by which people recognise a model. The catalog holds embeddings and hashes, never the prompts.

    terms("(red:1.2) fox, snow")  -> hashes of "(red:1.2)", "fox", "(red:1.2) fox", …, the phrases
                                     "(red:1.2) fox" and "snow", and the bare words "red", "1", "2"
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from diffagent.data.encoders.text_encoder import Encoder
from diffagent.data.errors import BadCatalog
from diffagent.data.prompts import plain, strip_lora_tags, strip_trigger_words
from diffagent.data.records import Card, Sample

Terms = npt.NDArray[np.uint32]
Embeddings = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

TERM_BITS = 21
"""Terms hash into 2**21 buckets: about one in six rare terms shares its bucket."""
IDS = (1 << TERM_BITS) - 1
MATCHED, WORDS = 1 << 31, 1 << 30
"""Flags of a prompt's stored term: one of :func:`terms`, one of :func:`word_terms`."""
QUANTUM = 360.0
"""The int8 steps of embeddings per unit: a range of ±0.353, which unit 384-d vectors stay within."""
MAX_CHARACTERS = 20_000
"""The characters of a prompt that are matched; no sample prompt is longer."""
KIND = "text"
"""The kind of the catalog's feature blobs that :func:`specify` packs."""

_WORD = re.compile(r"\w+")
_TOKEN = re.compile(r"[^\s,]+")


@dataclass(frozen=True)
class Document:
    """One sample prompt: ``vector`` int8 [d] in steps of 1/360; ``prompt`` hashed terms, flagged by
    :data:`MATCHED` and :data:`WORDS`; ``negative`` hashed terms of the negative prompt."""

    vector: npt.NDArray[np.int8]
    prompt: Terms
    negative: Terms


def terms(text: str) -> Terms:
    """Hashes of a text's terms, sorted; uint32 [m].

    Terms are tokens as written (with emphasis and weights), adjacent pairs of them, whole phrases between
    commas, and bare words: people copy their own phrases from prompt to prompt, weights included.
    """
    lowered = text[:MAX_CHARACTERS].casefold()
    tokens = _TOKEN.findall(lowered)
    phrases = (" ".join(phrase.split()) for phrase in lowered.split(","))
    return _hash_terms(
        {*tokens, *_pairs(tokens), *(f"#{phrase}" for phrase in phrases if phrase), *_WORD.findall(lowered)}
    )


def word_terms(text: str) -> Terms:
    """Hashes of a text's bare words and adjacent pairs, sorted, for the plain TF-IDF baseline."""
    words = _WORD.findall(text[:MAX_CHARACTERS].casefold())
    return _hash_terms({*words, *_pairs(words)})


def documents(pairs: Sequence[tuple[str, str]], encoder: Encoder) -> list[Document]:
    """Returns a document per (prompt, negative prompt) of :func:`instructions`."""
    vectors = quantise(encoder.encode([plain(prompt) for prompt, _ in pairs])) if pairs else ()
    return [
        Document(vector, _flag(terms(prompt), word_terms(plain(prompt))), terms(negative))
        for vector, (prompt, negative) in zip(vectors, pairs, strict=True)
    ]


def instructions(card: Card, samples: Iterable[Sample]) -> list[tuple[str, str]]:
    """The distinct (prompt, negative prompt) of a model's samples.

    LoRA tags and the model's own trigger words are removed, as in queries: the trigger words are matched on
    the card.
    """
    pairs = dict.fromkeys(instruction(card, sample) for sample in samples)
    return [pair for pair in pairs if len(plain(pair[0])) > 2]


def instruction(card: Card, sample: Sample) -> tuple[str, str]:
    """One sample's (prompt, negative prompt) as an instruction for the model."""
    prompt = strip_trigger_words(strip_lora_tags(sample.prompt), card.all_words)
    return prompt, strip_lora_tags(sample.negative_prompt)


def quantise(embeddings: Embeddings) -> npt.NDArray[np.int8]:
    """Returns unit vectors as int8, in steps of 1/360."""
    steps: npt.NDArray[np.int8] = np.clip(np.rint(embeddings * QUANTUM), -127, 127).astype(np.int8)
    return steps


def specify(card: Card, docs: Sequence[Document]) -> bytes:
    """Packs the specification of one model: counts, then term hashes, then vectors; little-endian.

    The lists of terms are, in order: each prompt's, each negative prompt's, the name's with the
    trigger words', the tags', and the profile (the union over all prompts).
    """
    matched = [doc.prompt[doc.prompt & MATCHED > 0] & IDS for doc in docs]
    lists = [
        *(doc.prompt for doc in docs),
        *(doc.negative for doc in docs),
        terms(", ".join((card.name, *card.all_words))),
        terms(", ".join(card.tags)),
        np.unique(np.concatenate(matched)) if matched else np.zeros(0, np.uint32),
    ]
    size = len(docs[0].vector) if docs else 0
    header = struct.pack(f"<2I{2 * len(docs) + 3}I", len(docs), size, *(len(hashes) for hashes in lists))
    vectors = b"".join(doc.vector.tobytes() for doc in docs)
    return header + np.concatenate(lists).astype("<u4").tobytes() + vectors


def _hash_terms(grams: set[str]) -> Terms:
    hashed = {zlib.crc32(gram.encode("utf-8", "surrogatepass")) & IDS for gram in grams}
    return np.array(sorted(hashed), dtype=np.uint32)


def _pairs(words: Sequence[str]) -> Iterator[str]:
    return (f"{a} {b}" for a, b in pairwise(words))


def _flag(matched: Terms, words: Terms) -> Terms:
    """The union of two sets of hashes, each with the flags of its sets; uint32 [m]."""
    union = np.union1d(matched, words)
    in_matched = np.isin(union, matched).astype(np.uint32) * np.uint32(MATCHED)
    in_words = np.isin(union, words).astype(np.uint32) * np.uint32(WORDS)
    flagged: Terms = union | in_matched | in_words
    return flagged


@dataclass(frozen=True)
class PackedSpecification:
    """A specification as :func:`specify` packed it, not yet split: ``lengths`` uint32 [2n + 3] of the
    lists in ``hashed`` (prompts, negatives, name, tags, profile), ``embeddings`` int8 [n, d]."""

    lengths: Terms
    hashed: Terms
    embeddings: npt.NDArray[np.int8]

    @classmethod
    def read(cls, blob: bytes) -> PackedSpecification:
        """Unpacks the bytes of :func:`specify`.

        Raises:
            BadCatalog: the bytes are not a specification.
        """
        try:
            n, d = struct.unpack_from("<2I", blob)
            lengths = np.frombuffer(blob, "<u4", 2 * n + 3, 8)
            total = sum(lengths.tolist())
            at = 8 + 4 * (2 * n + 3)
            hashed = np.frombuffer(blob, "<u4", total, at)
            vectors = np.frombuffer(blob, np.int8, n * d, at + 4 * total).reshape(n, d)
            if len(blob) != at + 4 * total + n * d:
                raise ValueError(f"{at + 4 * total + n * d} bytes are expected")
        except (struct.error, ValueError) as error:
            raise BadCatalog(
                f"a text specification of {len(blob)} bytes is damaged ({error}): import the catalog again"
            ) from None
        return cls(lengths, hashed, vectors)

    def only(self, mask: npt.NDArray[np.bool_]) -> PackedSpecification:
        """With the ``mask`` of its n documents alone; the profile is the union over those."""
        n = len(self.embeddings)
        lists = np.split(self.hashed, np.cumsum(self.lengths.astype(np.int64))[:-1])
        prompts = [hashes for hashes, is_in in zip(lists[:n], mask, strict=True) if is_in]
        negatives = [hashes for hashes, is_in in zip(lists[n : 2 * n], mask, strict=True) if is_in]
        matched = [hashes[hashes & MATCHED > 0] & IDS for hashes in prompts]
        profile = np.unique(np.concatenate(matched)) if matched else np.zeros(0, np.uint32)
        remaining = [*prompts, *negatives, *lists[2 * n : 2 * n + 2], profile]
        lengths = np.array([len(hashes) for hashes in remaining], np.uint32)
        return PackedSpecification(
            lengths, np.concatenate(remaining).astype(np.uint32), self.embeddings[mask]
        )
