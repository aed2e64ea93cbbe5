"""The train samples of a crawl as documents of their models, in folds.

A query that is made from a sample is matched against a catalog without its own image, by the rule that
separates test from train: the images and the clusters of near-duplicates of its fold are left out.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from diffagent.agent.choosing.matching import Matcher, Requirement
from diffagent.data.catalog.cards import Entry
from diffagent.data.catalog.specification import (
    IDS,
    MATCHED,
    QUANTUM,
    Document,
    PackedSpecification,
    documents,
    instruction,
    specify,
)
from diffagent.data.catalog.splits import cluster_prompts
from diffagent.data.encoders.text_encoder import Encoder
from diffagent.data.prompts import plain
from diffagent.data.records import Card


@dataclass(frozen=True)
class Corpus:
    """The train samples as documents; ``model`` and the folds of image and cluster are int64 [D]."""

    cards: Sequence[Card]
    texts: Sequence[tuple[str, str]]
    docs: Sequence[Document]
    model: npt.NDArray[np.int64]
    image_fold: npt.NDArray[np.int64]
    cluster_fold: npt.NDArray[np.int64]


def gather(entries: Iterable[Entry], encoder: Encoder, folds: int) -> Corpus:
    """The corpus of a crawl's entries, encoded once; samples must be from the train part."""
    cards: list[Card] = []
    rows: dict[tuple[int, str, str], int] = {}
    for entry in entries:
        for sample in entry.samples:
            prompt, negative = instruction(entry.card, sample)
            if len(plain(prompt)) > 2:
                key = (len(cards), prompt, negative)
                rows[key] = min(sample.image_id, rows.get(key, sample.image_id))
        cards.append(entry.card)
    keys, ids = list(rows), np.array(list(rows.values()))
    labels = cluster_prompts([prompt for _, prompt, _ in keys])
    smallest: dict[int, int] = {}
    for image, label in zip(ids.tolist(), labels.tolist(), strict=True):
        smallest[label] = min(image, smallest.get(label, image))
    texts = [(prompt, negative) for _, prompt, negative in keys]
    return Corpus(
        cards=cards,
        texts=texts,
        docs=documents(texts, encoder),
        model=np.array([model for model, _, _ in keys]),
        image_fold=np.array([_fold(image, folds) for image in ids.tolist()]),
        cluster_fold=np.array([_fold(smallest[label], folds) for label in labels.tolist()]),
    )


def seen_by(corpus: Corpus, fold: int | None) -> Matcher:
    """The matcher for a fold's queries, without the fold's images and clusters of near-duplicates; the whole
    corpus for None."""
    return _matcher(corpus, (corpus.image_fold != fold) & (corpus.cluster_fold != fold))


def requirement_of(doc: Document, *, with_negative: bool) -> Requirement:
    """A document of the corpus as a query, with its stored embedding."""
    return Requirement(
        embedding=doc.vector.astype(np.float32) / np.float32(QUANTUM),
        prompt=doc.prompt[doc.prompt & MATCHED > 0] & np.uint32(IDS),
        negative=doc.negative if with_negative else doc.negative[:0],
        words=doc.prompt[:0],
    )


def shorten(prompt: str, card: Card, rng: np.random.Generator) -> str:
    """One to four phrases of a prompt, often with a word that people use for the model."""
    phrases = [phrase.strip() for phrase in plain(prompt).split(",") if len(phrase.strip()) > 1] or [prompt]
    chosen = sorted(rng.choice(len(phrases), min(int(rng.integers(1, 5)), len(phrases)), replace=False))
    text = (" " if rng.random() < 0.3 else ", ").join(phrases[i] for i in chosen)[:300]
    draw = rng.random()
    words: Sequence[str] = ()
    if draw < 0.45:
        words = card.tags
    elif draw < 0.6:
        words = re.findall(r"\w{3,}", card.name)
    elif draw < 0.7:
        words = card.all_words
    if not words:
        return text
    word = words[int(rng.integers(len(words)))]
    return (f"{text}, {word}", f"{word} {text}", f"{text} in {word} style")[int(rng.integers(3))]


def _fold(image_id: int, folds: int) -> int:
    """The fold of an image by a hash other than the one that separates test from train."""
    return int(hashlib.sha256(f"ranker {image_id}".encode()).hexdigest(), 16) % folds


def _matcher(corpus: Corpus, mask: npt.NDArray[np.bool_]) -> Matcher:
    by_model: list[list[Document]] = [[] for _ in corpus.cards]
    for at in np.flatnonzero(mask).tolist():
        by_model[corpus.model[at]].append(corpus.docs[at])
    packed = [specify(card, docs) for card, docs in zip(corpus.cards, by_model, strict=True)]
    return Matcher.of(corpus.cards, [PackedSpecification.read(specification) for specification in packed])
