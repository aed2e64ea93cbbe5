"""Sentence embeddings less what the prompts of a hub have in common."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from diffagent.agent.specification import Embeddings, Floats


@dataclass(frozen=True)
class Whitening:
    """A linear map of embeddings: ``center`` [d], ``matrix`` [d, d].

    Half-way ZCA: along each principal axis of variance v, differences shrink by (v + v̄)^(1/4), v̄ the mean
    variance. Directions that every portrait shares say little about which model made it.
    """

    center: Floats
    matrix: Floats

    @classmethod
    def of(cls, vectors: Embeddings) -> Whitening:
        """Of a hub's embeddings float32 [D, d]; where they do not differ, nothing is changed."""
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
        """Whitened unit vectors, float32 of the same shape."""
        moved = self._moved(vectors)
        moved /= _lengths(moved)[..., None]
        return moved

    def lengths(self, vectors: Embeddings) -> Floats:
        """Lengths of whitened vectors, float32 [D]; never 0."""
        return _lengths(self._moved(vectors))

    def direction(self, vector: Embeddings) -> Embeddings:
        """The whitened cosine of ``vector`` and x is ``(x - center) @ direction / length of whitened x``, so
        that x itself need not be whitened: float32 [d]."""
        found: Embeddings = np.matmul(self.matrix, self(vector), dtype=np.float32)
        return found

    def _moved(self, vectors: Embeddings) -> Embeddings:
        moved: Embeddings = np.matmul(vectors - self.center, self.matrix, dtype=np.float32)
        return moved


def _lengths(vectors: Embeddings) -> Floats:
    squares: Floats = np.einsum("...d,...d->...", vectors, vectors)
    return np.maximum(np.sqrt(squares), np.float32(1e-9))
