"""Text matching: features of every model from one requirement against all its documents.

In: the packed specifications of :mod:`diffagent.data.catalog.specification` and the cards' words. Out: a
matrix of features [models, features] per prompt, by which :mod:`diffagent.agent.choosing.prefilter` ranks.
Three kernels between the requirement and a document are cosines: of sentence embeddings, of idf-weighted
hashed terms of the prompt, and of those of the negative prompt. A model's evidence is its best document, the
sum over documents under a sharp kernel (the kernel mean embedding of the CGI paper, Eq. 2, at the
requirement's point), the share of the prompt that one document covers, and the words of its card. Sentence
embeddings are compared
twice: plain and whitened (:class:`Whitening`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from diffagent.agent.choosing.gathering import CatalogTerms, gather
from diffagent.agent.choosing.term_lists import TermIndex
from diffagent.agent.choosing.whitening import BLOCK, WhitenedSpace
from diffagent.data.catalog.specification import (
    QUANTUM,
    WORDS,
    Embeddings,
    Floats,
    Ints,
    PackedSpecification,
    Terms,
    terms,
    word_terms,
)
from diffagent.data.encoders.text_encoder import Encoder
from diffagent.data.prompts import plain
from diffagent.data.records import Card

SHARPNESS = 12.0
"""Sharpness of the kernel sum, exp(12 × score): the best document dominates, others still count."""


@dataclass(frozen=True)
class Requirement:
    """A request in the matching space: embedding float32 [d] and hashed terms.

    ``words`` are the bare words and pairs for the TF-IDF baseline.
    """

    embedding: Embeddings
    prompt: Terms
    negative: Terms
    words: Terms

    @classmethod
    def of(cls, prompt: str, negative: str, encoder: Encoder) -> Requirement:
        """Builds from a prompt and negative prompt in A1111's syntax, without LoRA tags."""
        bare = plain(prompt)
        return cls(encoder.encode([bare])[0], terms(prompt), terms(negative), word_terms(bare))


USUAL_RATING = 4.7
"""The mean rating on Civitai, where ratings below 4 are rare."""

FEATURES = (
    "term", "sentence", "negative", "positive", "joint", "kernel_positive", "kernel_joint",
    "whitened", "mean_sentence", "coverage", "name", "name_share", "tags", "tags_share", "profile",
    "downloads", "rating", "documents", "is_lora",
    "gap_term", "gap_sentence", "gap_negative", "gap_joint", "gap_kernel_joint", "gap_kernel_positive",
    "gap_whitened", "gap_coverage",
    "has_negative", "query_length", "best_term", "best_sentence", "best_negative",
)  # fmt: skip
"""Columns of :meth:`Matcher.features`; the last five are of the query, the same for every model."""


@dataclass(frozen=True)
class Matcher:
    """Documents and cards of M models, sorted by model.

    ``vectors`` int8 [D, d] in steps of 1/360; ``model`` int64 [D], ascending; ``prompts``, ``negatives``: the
    documents' terms; ``names``, ``tags``, ``profiles``: terms of each model's name and trigger words, of its
    tags, and the union over its documents; ``facts`` float32 [M, 4]: log downloads, Bayesian rating, log
    documents, is LoRA; ``space`` whitens the embeddings; ``words`` reads the documents' bare words, which
    only the baseline uses.
    """

    vectors: npt.NDArray[np.int8]
    prompts: TermIndex
    negatives: TermIndex
    model: Ints
    names: TermIndex
    tags: TermIndex
    profiles: TermIndex
    facts: Floats
    space: WhitenedSpace
    words: Callable[[], TermIndex]

    @classmethod
    def of(cls, cards: Sequence[Card], specifications: Sequence[PackedSpecification]) -> Matcher:
        """Builds from M cards and their packed specifications, in the same order."""
        gathered = gather(specifications)
        return cls.from_terms(
            cards, gathered, WhitenedSpace.of(gathered.vectors), lambda: gather(specifications, WORDS).prompts
        )

    @classmethod
    def from_terms(
        cls,
        cards: Sequence[Card],
        gathered: CatalogTerms,
        space: WhitenedSpace,
        words: Callable[[], TermIndex],
    ) -> Matcher:
        """Builds from M cards and their gathered specifications."""
        return cls(
            vectors=gathered.vectors,
            prompts=gathered.prompts,
            negatives=gathered.negatives,
            model=np.repeat(np.arange(len(cards)), gathered.count),
            names=gathered.names,
            tags=gathered.tags,
            profiles=gathered.profiles,
            facts=_facts(cards, gathered.count),
            space=space,
            words=words,
        )

    def __len__(self) -> int:
        return len(self.facts)

    @cached_property
    def _segments(self) -> tuple[Ints, Ints]:
        """The starts of the models with documents, and these models' indices."""
        models, begins = np.unique(self.model, return_index=True)
        return begins, models

    def _per_model(self, reduce: np.ufunc, values: Floats, empty: float) -> Floats:
        out = np.full(len(self), empty, np.float32)
        begins, models = self._segments
        if len(begins):
            out[models] = reduce.reduceat(values, begins)
        return out

    def best(self, values: Floats) -> Floats:
        """Returns the maximum of a value [D] over each model's documents; 0 where it has none: float32
        [M]."""
        return self._per_model(np.maximum, values, 0.0)

    def kernel(self, scores: Floats) -> Floats:
        """Returns log Σ exp(12 s) / 12 over each model's documents; 0 where it has none: float32 [M]."""
        sums = self._per_model(np.add, np.exp(SHARPNESS * scores, dtype=np.float32), 1.0)
        logs: Floats = np.log(sums)
        return logs / np.float32(SHARPNESS)

    def _toward(self, directions: Embeddings) -> Floats:
        """Returns the embeddings [D, d] times directions [d, n]: float32 [D, n]."""
        products = np.empty((len(self.vectors), directions.shape[1]), np.float32)
        steps = np.ascontiguousarray(directions) / np.float32(QUANTUM)
        for at in range(0, len(products), BLOCK):
            part = slice(at, at + BLOCK)
            np.matmul(self.vectors[part].astype(np.float32), steps, out=products[part])
        return products

    def sentences(self, requirement: Requirement) -> Floats:
        """Returns the cosine of sentence embeddings between requirement and document: float32 [D]."""
        if not len(self.vectors):
            return np.zeros(0, np.float32)
        return self._toward(requirement.embedding[:, None])[:, 0]

    def warm(self) -> None:
        """Computes cached properties, so that the first request does not wait for them."""
        for lists in (self.prompts, self.negatives, self.names, self.tags, self.profiles):
            _ = lists.idf

    def cosines(self, requirement: Requirement) -> tuple[Floats, Floats]:
        """Returns cosines of sentence embeddings between requirement and document, plain and whitened, in one
        pass over the documents: float32 [D] each."""
        if not len(self.vectors):
            return np.zeros(0, np.float32), np.zeros(0, np.float32)
        toward = self.space.whitening.direction(requirement.embedding)
        both = self._toward(np.stack([requirement.embedding, toward], 1))
        center = np.float32(self.space.whitening.center @ toward)
        whitened: Floats = (both[:, 1] - center) / self.space.lengths
        return both[:, 0], whitened

    @cached_property
    def _words(self) -> TermIndex:
        return self.words()

    def baseline(self, requirement: Requirement) -> Floats:
        """Returns the baseline's scores: float32 [M].

        A score is the sum of a model's best TF-IDF cosine (bare words and pairs) and best sentence cosine.
        """
        query = self._words.common_terms(requirement.words)  # as scikit-learn's vocabulary
        term = self._words.cosine(query, self._words.overlap(query))
        return self.best(term) + self.best(self.sentences(requirement))

    def features(self, requirement: Requirement) -> Floats:
        """Returns each model's features: float32 [M, len(FEATURES)]."""
        query = requirement.prompt
        matched = self.prompts.overlap(query)
        term = self.prompts.cosine(query, matched)
        query_terms = self.prompts.common_terms(query)
        coverage = self.best(matched / np.float32(np.square(self.prompts.idf[query_terms]).sum() or 1.0))
        sentence, whitened = self.cosines(requirement)
        positive = term + sentence
        best, kernel = self.best(positive), self.kernel(positive)
        alike = [np.zeros(len(self), np.float32), best, best]
        kernels = kernel, kernel
        if len(requirement.negative):  # otherwise the negative and joint kernels are trivial
            shared = self.negatives.overlap(requirement.negative)
            negative = self.negatives.cosine(requirement.negative, shared)
            joint = positive + negative
            alike = [self.best(negative), best, self.best(joint)]
            kernels = kernel, self.kernel(joint)
        mean = self._per_model(np.add, sentence, 0.0) / np.maximum(np.expm1(self.facts[:, 2]), 1)
        bests = [self.best(term), self.best(sentence), *alike]
        words = []
        for lists in (self.names, self.tags):
            shared = lists.overlap(query)
            words += [lists.cosine(query, shared), shared / lists.norms**2]
        profile = self.profiles.overlap(query) / np.float32(np.square(self.profiles.idf[query]).sum() or 1.0)
        white = self.best(whitened)
        relative = (*bests[:3], bests[4], kernels[1], kernels[0], white, coverage)
        gaps = [column - column.max(initial=0) for column in relative]
        of_query = [
            float(len(requirement.negative) > 0),
            np.log1p(len(query)),
            *(b.max(initial=0) for b in bests[:3]),
        ]
        columns = [*bests, *kernels, white, mean, coverage, *words, profile, *self.facts.T, *gaps]
        table = np.empty((len(FEATURES), len(self)), np.float32)
        for row, column in zip(table, [*columns, *of_query], strict=True):
            row[:] = column
        return table.T


def _is_counted(card: Card) -> bool:
    return not card.stats.hidden and (card.source != "horde" or card.stats.downloads > 0)


def _facts(cards: Sequence[Card], documents: Ints) -> Floats:
    """Returns each model's facts: float32 [M, 4], see :class:`Matcher`.

    The rating is shrunk towards 4.7 by ten ratings; a source without statistics (AI Horde), or a creator who
    hides them, counts as the median model: an unrated or uncounted model is unknown, not bad.
    """
    counted = [card.stats.downloads for card in cards if card.source != "horde" and not card.stats.hidden]
    usual = float(np.median(counted)) if counted else 0.0
    rows = [
        (
            np.log1p(card.stats.downloads if _is_counted(card) else usual),
            (card.stats.rating * card.stats.ratings + USUAL_RATING * 10) / (card.stats.ratings + 10),
            np.log1p(n),
            float(card.type == "LoRA"),
        )
        for card, n in zip(cards, documents.tolist(), strict=True)
    ]
    return np.array(rows, np.float32).reshape(len(cards), 4)
