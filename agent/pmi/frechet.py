"""Fréchet distance between two sets of images in the space of an image encoder G.

    d² = ‖μ₁ − μ₂‖² + tr Σ₁ + tr Σ₂ − 2 tr (Σ₁ Σ₂)^½

The paper reports it as FID, with Inception's features (Heusel et al. 2017). With centred rows X₁, X₂ the last
trace is the sum of the singular values of X₁ X₂ᵀ / √((n₁ − 1)(n₂ − 1)).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from diffagent.data.errors import BadInput


def frechet(first: npt.ArrayLike, second: npt.ArrayLike) -> float:
    """Returns the distance d² of features [n₁, d] and [n₂, d], at least two rows each; at least 0."""
    x, y = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if min(len(x), len(y)) < 2 or x.shape[1:] != y.shape[1:]:
        raise BadInput(
            f"features of shapes {x.shape} and {y.shape} were given: give two or more rows of one length"
        )
    gap = x.mean(0) - y.mean(0)
    spread_one, spread_two = x - x.mean(0), y - y.mean(0)
    n, m = len(x) - 1, len(y) - 1
    # X₁ X₂ᵀ has the singular values of R₁ R₂ᵀ, which is no larger than d × d
    small = _triangle(spread_one) @ _triangle(spread_two).T
    shared = np.linalg.svd(small, compute_uv=False).sum() / np.sqrt(n * m)
    traces = np.square(spread_one).sum() / n + np.square(spread_two).sum() / m
    return float(max(gap @ gap + traces - 2 * shared, 0.0))


def _triangle(rows: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Returns R of rows = Q R."""
    return np.asarray(np.linalg.qr(rows, mode="r"), np.float64)  # numpy's types promise Q as well
