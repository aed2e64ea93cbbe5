"""Matching of the CGI paper (Eq. 9): a requirement against the specifications of M models, exactly.

    A(S_m, R) = 1/N_R Σ_i ‖ 1/N_m Σ_j w_ij k(z_j, ·) − k(z_i, ·) ‖²,   w_ij = cos(q_j, q_i)
              = 1/N_R Σ_i [ w_iᵀ K_m w_i / N_m² − 2 w_iᵀ k_m(z_i) / N_m + 1 ]

with the RBF kernel k(x, y) = exp(−γ ‖x − y‖²), so k(z, z) = 1. The Gram matrices K_m do not depend on the
requirement and are computed once. Small is near. The module also has the paper's two comparisons: the most
downloaded model, and RKME with a reduced set of size 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from diffagent.data.errors import BadInput

Doubles = npt.NDArray[np.float64]
GAMMA = 0.02
"""The paper's choice for CLIP features of unit variance; :mod:`diffagent.agent.pmi.bench` tunes it."""
GAMMAS = (0.005, 0.006, 0.007, 0.008, 0.009, 0.01, 0.02, 0.03, 0.04, 0.05)
"""The paper's grid (section 5.2)."""
REDUCED_STEPS = 50


@dataclass(frozen=True)
class Points:
    """Images in the matching space: ``images`` Z [n, d]; ``prompts`` Q [n, t], or None where there are
    none."""

    images: Doubles
    prompts: Doubles | None = None

    def __post_init__(self) -> None:
        if self.images.ndim != 2 or not len(self.images):
            raise BadInput(f"images of shape {self.images.shape} were given: give at least one row")
        if self.prompts is not None and len(self.prompts) != len(self.images):
            raise BadInput(
                f"{len(self.images)} images came with {len(self.prompts)} prompts: give one for each, or none"
            )


def rbf(x: Doubles, y: Doubles, gamma: float) -> Doubles:
    """Returns k(x, y) = exp(−γ ‖x − y‖²) for all rows: [n, d], [m, d] → [n, m]."""
    squares = (x**2).sum(1)[:, None] + (y**2).sum(1)[None] - 2 * x @ y.T
    kernel: Doubles = np.exp(-gamma * np.maximum(squares, 0.0))
    return kernel


def prompt_weights(requirement: Points, specification: Points) -> Doubles:
    """Returns w_ij = cos(q_j, q_i): [N_R, N_m]; ones where either side has no prompts."""
    if requirement.prompts is None or specification.prompts is None:
        return np.ones((len(requirement.images), len(specification.images)))
    return _unit(requirement.prompts) @ _unit(specification.prompts).T


class KernelMatcher:
    """The specifications of M models with their Gram matrices, ready to match."""

    def __init__(self, specifications: Sequence[Points], gamma: float = GAMMA) -> None:
        self.specifications = list(specifications)
        self.gamma = gamma
        self._grams = [
            rbf(specification.images, specification.images, gamma) for specification in self.specifications
        ]

    def distances(self, requirement: Points) -> Doubles:
        """Returns Eq. 9 of every model: [M], at least 0."""
        distances: Doubles = self.of_each(requirement).mean(0)
        return distances

    def of_each(self, requirement: Points) -> Doubles:
        """Returns each example image's summand of Eq. 9, which is their mean: [N_R, M]."""
        pairs = zip(self.specifications, self._grams, strict=True)
        return np.stack(
            [self._summands(requirement, specification, gram) for specification, gram in pairs], 1
        )

    def _summands(self, requirement: Points, specification: Points, gram: Doubles) -> Doubles:
        weights = prompt_weights(requirement, specification) / len(specification.images)
        cross = rbf(requirement.images, specification.images, self.gamma)
        of_model = ((weights @ gram) * weights).sum(1)
        of_both = (weights * cross).sum(1)
        # rounding can leave −1e-16 where the distance is 0
        summands: Doubles = np.maximum(of_model - 2 * of_both + 1.0, 0.0)
        return summands


@dataclass(frozen=True)
class ReducedSet:
    """RKME's reduced set of size 1: β k(z, ·) in place of 1/N Σ k(z_j, ·); ``point`` [d]."""

    point: Doubles
    weight: float

    @classmethod
    def of(cls, images: Doubles, gamma: float, steps: int = REDUCED_STEPS) -> ReducedSet:
        """Finds the point that maximises the mean kernel, by mean shift from the mean, and its best weight.

        For one point the error ‖β k(z, ·) − μ‖² is least at β = μ(z), where it is ‖μ‖² − μ(z)².
        """
        point = images.mean(0)
        for _ in range(steps):
            near = rbf(point[None], images, gamma)[0]
            if near.sum() < 1e-300:  # too far from every image: the kernel is flat
                break
            moved = near @ images / near.sum()
            if np.allclose(moved, point, rtol=0, atol=1e-10):
                break
            point = moved
        return cls(point, float(rbf(point[None], images, gamma).mean()))


class ReducedMatcher:
    """RKME: one weighted point per model, without prompts."""

    def __init__(self, specifications: Sequence[Points], gamma: float = GAMMA) -> None:
        self.gamma = gamma
        sets = [ReducedSet.of(specification.images, gamma) for specification in specifications]
        self._points = np.stack([point_set.point for point_set in sets])
        self._weights = np.array([point_set.weight for point_set in sets])

    def distances(self, requirement: Points) -> Doubles:
        """Returns ‖β_m k(z_m, ·) − 1/N_R Σ_i k(z_i, ·)‖² of every model: [M]."""
        cross = rbf(self._points, requirement.images, self.gamma).mean(1)
        requirement_norm = rbf(requirement.images, requirement.images, self.gamma).mean()
        distances: Doubles = np.maximum(self._weights**2 - 2 * self._weights * cross + requirement_norm, 0.0)
        return distances


def most_downloaded(downloads: Sequence[int]) -> Doubles:
    """Returns the paper's baseline as a distance [M], the same for every requirement."""
    return -np.asarray(downloads, dtype=np.float64)


def ranks(distances: Doubles) -> npt.NDArray[np.int64]:
    """Returns r_m = 1 + |{i: A_i < A_m}| (section 5.1): equal models tie; [..., M] → [..., M]."""
    below = distances[..., None, :] < distances[..., :, None]
    counted: npt.NDArray[np.int64] = 1 + below.sum(-1)
    return counted


def _unit(rows: Doubles) -> Doubles:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    units: Doubles = rows / np.where(lengths > 0, lengths, 1.0)
    return units
