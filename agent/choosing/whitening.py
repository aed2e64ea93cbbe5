"""Whitening of sentence embeddings: without what the prompts of a hub have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from diffagent.data.catalog.specification import QUANTUM, Embeddings, Floats

BLOCK = 1024
"""Documents per block: their embeddings as float32 take 1.5 MB."""
FITTED = 1 << 16
"""The most documents that a whitening is fitted on; more hardly change it."""


@dataclass(frozen=True)
class Whitening:
    """A linear map of embeddings: ``center`` [d], ``matrix`` [d, d].

    Half-way ZCA: along each principal axis of variance v, differences shrink by (v + v̄)^(1/4), v̄ the mean
    variance. Directions that all portraits share tell little about the model.
    """

    center: Floats
    matrix: Floats

    @classmethod
    def of(cls, vectors: Embeddings) -> Whitening:
        """Fits to a hub's embeddings float32 [D, d]; the identity where they do not differ."""
        size = vectors.shape[1]
        if len(vectors) < 2:
            return cls(np.zeros(size, np.float32), np.eye(size, dtype=np.float32))
        center = vectors.mean(0)
        spread = vectors - center
        variance, axes = np.linalg.eigh(spread.T @ spread / np.float32(len(vectors)))
        usual = variance.mean()
        if usual <= 1e-9:
            return cls(np.zeros(size, np.float32), np.eye(size, dtype=np.float32))
        shrunk = (axes * (np.maximum(variance, 0) + usual) ** -0.25) @ axes.T
        return cls(center, shrunk.astype(np.float32))

    def __call__(self, vectors: Embeddings) -> Embeddings:
        """Returns whitened unit vectors, float32 of the same shape."""
        moved = self._moved(vectors)
        moved /= _lengths(moved)[..., None]
        return moved

    def lengths(self, vectors: Embeddings) -> Floats:
        """Returns the lengths of whitened vectors, float32 [D]; never 0."""
        return _lengths(self._moved(vectors))

    def direction(self, vector: Embeddings) -> Embeddings:
        """Returns the direction for whitened cosines with ``vector``, ``(x - center) @ direction / length of
        whitened x``, so that x itself need not be whitened: float32 [d]."""
        direction: Embeddings = np.matmul(self.matrix, self(vector), dtype=np.float32)
        return direction

    def _moved(self, vectors: Embeddings) -> Embeddings:
        moved: Embeddings = np.matmul(vectors - self.center, self.matrix, dtype=np.float32)
        return moved


@dataclass(frozen=True)
class WhitenedSpace:
    """A hub's own whitening, and the ``lengths`` of its D whitened documents: float32 [D]."""

    whitening: Whitening
    lengths: Floats

    @classmethod
    def of(cls, steps: npt.NDArray[np.int8]) -> Self:
        """Fits to embeddings int8 [D, d] in steps of 1/360; to an even sample where there are very many."""
        quantum = np.float32(QUANTUM)
        chosen = steps[:: -(-len(steps) // FITTED) or 1]
        whitening = Whitening.of(chosen.astype(np.float32) / quantum)
        lengths = np.empty(len(steps), np.float32)
        for at in range(0, len(steps), BLOCK):
            part = slice(at, at + BLOCK)
            lengths[part] = whitening.lengths(steps[part].astype(np.float32) / quantum)
        return cls(whitening, lengths)


def _lengths(vectors: Embeddings) -> Floats:
    squares: Floats = np.einsum("...d,...d->...", vectors, vectors)
    return np.maximum(np.sqrt(squares), np.float32(1e-9))
