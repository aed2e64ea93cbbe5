"""Eq. 9 of the CGI paper, evaluated directly: computes all models' Gram matrices again for each task.

In: features float [M, N, d] of N prompts that all models share, and a :class:`Task`. Out: distances
float64 [M], small is near. This is the reference for :mod:`diffagent.agent.pmi.search`, in results and time.

    A(S_m, R) = 1/n Σ_i [ w_iᵀ K_m w_i / N² − 2/N Σ_j w_ij k(z_mj, z_i) + 1 ],   k(x, y) = exp(−γ ‖x − y‖²)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from diffagent.data.errors import BadInput

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

CHUNK = 16
"""Models per chunk, the fastest of 8 to 512: a chunk stays in the processor's cache."""


@dataclass(frozen=True)
class Task:
    """A user's example images: ``images`` float32 [n, d] in the matching space, and ``weights`` float32 [n,
    N] of every specification prompt for each image."""

    images: Floats
    weights: Floats

    def __post_init__(self) -> None:
        if self.images.ndim != 2 or self.weights.ndim != 2 or not 0 < len(self.images) == len(self.weights):
            raise BadInput(
                f"images {self.images.shape} with weights {self.weights.shape} were given: "
                "give one or more rows [n, d] with as many rows [n, prompts]"
            )
        if not (np.isfinite(self.images).all() and np.isfinite(self.weights).all()):
            raise BadInput("images or weights hold infinities or NaN: encode the images again")

    @classmethod
    def of(cls, images: Floats, descriptions: Floats | None, prompts: Floats) -> Task:
        """Weighs by cosines of ``descriptions`` [n, t] and ``prompts`` [N, t]; by 1 without descriptions."""
        if descriptions is None:
            return cls(images, np.ones((len(images), len(prompts)), np.float32))
        return cls(images, unit(descriptions) @ unit(prompts).T)


def unit(rows: Floats) -> Floats:
    """Normalises rows to length 1; a row of zeros stays unchanged."""
    norms = np.linalg.norm(rows, axis=-1, keepdims=True)
    scaled: Floats = (rows / np.where(norms > 0, norms, 1)).astype(np.float32, copy=False)
    return scaled


def distances(features: npt.NDArray[np.floating], task: Task, gamma: float) -> Doubles:
    """Returns Eq. 9 of every model, in chunks of :data:`CHUNK`: features [M, N, d] → float64 [M]."""
    all_distances = np.empty(len(features))
    for start in range(0, len(features), CHUNK):
        block = np.ascontiguousarray(features[start : start + CHUNK], np.float32)
        norms = squares(block)
        gram = block @ block.transpose(0, 2, 1)
        gram *= 2 * gamma
        gram -= gamma * norms[:, :, None]
        gram -= gamma * norms[:, None, :]
        np.exp(gram, out=gram)
        gram_terms = _quadratic(gram, task.weights)
        all_distances[start : start + CHUNK] = gram_terms - cross_terms(block, norms, task, gamma) + 1
    return all_distances


def cross_terms(block: Floats, norms: Floats, task: Task, gamma: float) -> Doubles:
    """Returns 2/(n N) Σ_i Σ_j w_ij k(z_mj, z_i) of models [b, N, d] with squared norms [b, N]: float64
    [b]."""
    b, prompts, d = block.shape
    exponents = (block.reshape(-1, d) @ task.images.T).reshape(b, prompts, -1)
    exponents *= 2 * gamma
    exponents -= gamma * (norms[:, :, None] + squares(task.images))
    kernel = np.exp(exponents, out=exponents).reshape(b, -1)
    sums: Doubles = (kernel @ task.weights.T.ravel()).astype(np.float64)
    return sums * (2 / task.weights.size)


def squares(rows: Floats) -> Floats:
    """Returns squared norms over the last axis."""
    norms: Floats = np.einsum("...d,...d->...", rows, rows)
    return norms


def _quadratic(gram: Floats, weights: Floats) -> Doubles:
    """Returns 1/(n N²) Σ_i w_iᵀ K w_i: [b, N, N], [n, N] → float64 [b]."""
    outer = weights.T @ weights
    sums: Doubles = (gram.reshape(len(gram), -1) @ outer.ravel()).astype(np.float64)
    sums /= weights.size * weights.shape[1]
    return sums
