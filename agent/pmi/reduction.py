"""Reduced vectors of a store's models for the first scan, and bounds of their error.

With one set of N prompts the weights of Eq. 9 are the same for all models, and Eq. 9 is nearly linear in a
few moments of a model. Write C [N, d] for the mean features of some models, K̄ for their mean Gram matrix,
and a = Bᵀ w for weights w in an orthonormal basis B of the prompts, whose first R axes carry most of the
weights: uniform weights, then the principal axes of the prompts' own cosines. For a model with features Z the
vector x holds the R rows of Bᵀ(Z − C), and the entries (r, s), r ≤ s, r < R of Bᵀ(K − K̄)B.

A task is a vector q of the same length: with the kernel's exponential replaced by its tangent at the centre,

    k(z_j, z) = e^{t_j} (1 + 2γ (z_j − c_j)·z + rest),   t_j = 2γ c_j·z − γ (1 + ‖z‖²),

A = base − q·x − error, and the error is at most q̄·s + slack, where s holds four numbers per model:
  - ‖B⊥ᵀ(Z − C)‖, the largest singular value of the rows that x omits;
  - ‖Z − C‖², which bounds the rest of the exponential, Σ_j rest_j ≤ (2γ)²/2 e^{2γr} ‖(Z − C) z‖²;
  - ‖B⊥ᵀ(K − K̄)B⊥‖, the part of the Gram matrix that x omits;
  - the rounding of x to float16.
s follows x in the same row, so an inner product with (q, 0) estimates −A, and one with (q, q̄) bounds it from
above: no model whose bound is worse than the k-th exact distance can be among the nearest k.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from diffagent.agent.pmi.exact import Doubles, Floats, Task, squares, unit
from diffagent.data.errors import BadInput

Halves = npt.NDArray[np.float16]

SLACKS = 4
ALIGNED = 16
"""Row lengths are multiples of this, so that the scan uses whole registers."""
POWER = 4
"""Squarings in the bound of the largest eigenvalue: for size 61 at most 61**(1/16) too large, usually 15
%."""


@dataclass(frozen=True)
class Probe:
    """A task as a row of the index: the estimate of A is ``base − estimate·row``, and A is at least
    ``base − bound·row − slack``; both float32 [width]."""

    estimate: Floats
    bound: Floats
    base: float
    slack: float


@dataclass(frozen=True)
class Reduction:
    """``basis`` B float32 [N, N] with ``rows`` used columns; ``center`` C float32 [N, d];
    ``gram`` K̄ float32 [N, N]; the kernel's ``gamma``; over all models, ``radius``, the largest ‖z_j − c_j‖,
    and ``norm_gap``, the largest |‖z_j‖² − 1|."""

    basis: Floats
    center: Floats
    gram: Floats
    rows: int
    gamma: float
    radius: float
    norm_gap: float

    @classmethod
    def fit(cls, features: Floats, prompts: Floats, gamma: float, rows: int) -> Reduction:
        """Fits to some models' features [m, N, d]; ``prompts`` are the N prompts' embeddings [N, t]."""
        count = len(prompts)
        if features.shape[1] != count or not 1 <= rows <= count:
            raise BadInput(
                f"{rows} rows of {count} prompts, with features of shape {features.shape}, were given: "
                f"the features' second axis has to be the prompts, and rows 1 to {count}"
            )
        gram = kernel(features, gamma).mean(0, dtype=np.float64).astype(np.float32)
        return cls(prompt_basis(prompts), features.mean(0), gram, rows, gamma, 0.0, 0.0)

    @cached_property
    def _upper(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """The entries (r, s) of a symmetric matrix with r ≤ s and r < rows."""
        r, s = np.triu_indices(len(self.basis))
        in_row = r < self.rows
        return r[in_row], s[in_row]

    @property
    def used(self) -> int:
        """The number of a row's entries without padding."""
        return int(self.rows * self.center.shape[1] + len(self._upper[0]) + SLACKS)

    @property
    def width(self) -> int:
        return -(-self.used // ALIGNED) * ALIGNED

    def reduce(self, features: Floats, grams: Floats) -> Halves:
        """Returns index rows: features [b, N, d] and their Gram matrices [b, N, N] → float16 [b, width]."""
        b, rest = len(features), self.basis[:, self.rows :]
        apart = features - self.center
        turned = self.basis.T @ (grams - self.gram) @ self.basis
        projected = (self.basis[:, : self.rows].T @ apart).reshape(b, -1)
        exact = np.concatenate([projected, turned[:, *self._upper]], 1)
        rounded = exact.astype(np.float16)
        scatter = apart @ apart.transpose(0, 2, 1)
        slacks = np.stack(
            [
                np.sqrt(largest(rest.T @ scatter @ rest)),
                largest(scatter),
                largest(turned[:, self.rows :, self.rows :]),
                np.linalg.norm(exact - rounded, axis=1),
            ],
            1,
        )
        out = np.zeros((b, self.width), np.float16)
        out[:, : exact.shape[1]] = rounded
        out[:, exact.shape[1] : self.used] = upwards(slacks)
        if not np.isfinite(out).all():
            raise BadInput("the features hold values too large for float16: normalise them to unit length")
        return out

    def probe(self, task: Task) -> Probe:
        """Returns the task's row, and the constants of the estimate and the bound."""
        images, weights = task.images.astype(np.float64), task.weights.astype(np.float64)
        n, count = weights.shape
        gamma, lengths = self.gamma, np.sqrt((images**2).sum(1))
        tangent = np.exp(2 * gamma * images @ self.center.T - gamma * (1 + lengths[:, None] ** 2))
        leaning = weights * tangent
        a, c = weights @ self.basis, leaning @ self.basis
        r, s = self._upper
        gram_scale = 1 / (n * count**2)
        cross = 2 / (n * count)
        quadratic = gram_scale * np.einsum("ir,is->rs", a, a)[r, s] * np.where(r == s, 1, 2)
        linear = 2 * gamma * cross * c[:, : self.rows].T @ images
        vector = np.concatenate([linear.ravel(), -quadratic])
        beyond = np.exp(2 * gamma * self.radius * lengths)
        rest = leaning.max(1).clip(0) * beyond * lengths**2
        slopes = [
            2 * gamma * cross * (np.linalg.norm(c[:, self.rows :], axis=1) * lengths).sum(),
            cross * 2 * gamma**2 * rest.sum(),
            gram_scale * (a[:, self.rows :] ** 2).sum(),
            np.linalg.norm(vector),
        ]
        scale = np.abs(leaning).sum(1) * beyond
        slack = cross * scale.sum() * np.expm1(gamma * self.norm_gap) + self._rounding(vector)
        base = 1 + gram_scale * np.einsum("ij,jk,ik->", weights, self.gram, weights) - cross * leaning.sum()
        return Probe(self._row(vector), self._row(vector, slopes), float(base), float(slack))

    def _row(self, vector: Doubles, slopes: list[float] | None = None) -> Floats:
        out = np.zeros(self.width, np.float32)
        out[: len(vector)] = vector
        if slopes is not None:
            out[len(vector) : self.used] = np.nextafter(np.array(slopes, np.float32), np.float32(np.inf))
        return out

    def _rounding(self, vector: Doubles) -> float:
        """Returns the rounding error of float32 sums over a row in eight lanes; |x| is at most radius ×
        √N."""
        eps = float(np.finfo(np.float32).eps)
        size = max(self.radius, 1.0) * math.sqrt(len(self.basis))
        return eps * (self.width / 8 + 8) * float(np.linalg.norm(vector)) * size + 4 * eps


def prompt_basis(prompts: Floats) -> Floats:
    """Returns orthonormal columns [N, N]: uniform weights, then the principal axes of the prompts'
    cosines."""
    rows = unit(prompts).astype(np.float64)
    count = len(rows)
    even = np.full((count, 1), count**-0.5)
    apart = np.eye(count) - even @ even.T
    _, axes = np.linalg.eigh(apart @ rows @ rows.T @ apart + 1e3 * even @ even.T)
    basis: Floats = axes[:, ::-1].astype(np.float32)
    return basis


def kernel(features: Floats, gamma: float) -> Floats:
    """Returns Gram matrices of the RBF kernel: [b, N, d] → float32 [b, N, N]."""
    norms = squares(features)
    gram = features @ features.transpose(0, 2, 1)
    gram *= 2 * gamma
    gram -= gamma * (norms[:, :, None] + norms[:, None, :])
    kernels: Floats = np.exp(gram, out=gram)
    return kernels


def largest(symmetric: Floats) -> Floats:
    """Returns a bound of the largest |eigenvalue| of symmetric matrices [b, n, n]: (tr X^16)^(1/16), [b]."""
    if not symmetric.shape[-1]:
        return np.zeros(len(symmetric), np.float32)
    size = np.sqrt(squares(symmetric.reshape(len(symmetric), -1)))
    scale = np.where(size > 0, size, 1)[:, None, None]
    power: Floats = (symmetric / scale).astype(np.float32, copy=False)
    for _ in range(POWER - 1):
        power = power @ power
    trace = squares(power.reshape(len(power), -1))
    bound: Floats = size * trace ** np.float32(0.5**POWER) * np.float32(1.0001)
    return bound


def upwards(values: Floats) -> Halves:
    """Rounds up to float16."""
    halves = values.astype(np.float16)
    return np.where(halves < values, np.nextafter(halves, np.float16(np.inf)), halves)
