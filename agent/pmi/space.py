"""A discriminative matching space, learnt from a hub's own specifications: which model made which image.

In: style statistics of images [n, D] and the model of each. Out: axes on which images of one model lie close
and models lie apart, and for a requirement the log-evidence of every model. It is probabilistic linear
discriminant analysis (Ioffe 2006; as in speaker recognition, Prince & Elder 2007):

    x = c_m + e,   c_m ~ N(0, B) the model's style,   e ~ N(0, W) what images of one model differ by

W, shrunk towards a sphere because there are more statistics than images, is whitened; B is diagonal in what is
left. A model known by few images has an uncertain c_m, so it competes fairly with one known by many. The
log-evidence of several example images adds up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from diffagent.data.errors import BadInput

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
LEAST_SPREAD = 1e-6
CLIP = 8.0
"""Standard deviations at which a statistic stops counting: one odd image must not decide alone."""


@dataclass(frozen=True)
class Setting:
    """``components``: principal components kept; ``shrinkage`` of W towards a sphere, 0…1."""

    components: int = 400
    shrinkage: float = 0.2


@dataclass(frozen=True)
class Space:
    """``mean``, ``scale`` [D]: of each statistic; ``offset`` [q], ``axes`` [D, q]: the projection;
    ``between``, ``within`` [q]: variances of B and W on the axes; ``means`` [M, q], ``counts`` [M]: the models."""

    mean: Floats
    scale: Floats
    offset: Floats
    axes: Floats
    between: Floats
    within: Floats
    means: Floats
    counts: Floats

    @classmethod
    def fit(cls, statistics: Floats, models: Ints, setting: Setting) -> Self:
        """From statistics [n, D] of images and the index 0…M−1 of the model that made each.

        Raises:
            BadInput: fewer than two models, or none with two images: nothing tells models apart.
        """
        count = int(models.max(initial=-1)) + 1
        sizes = np.bincount(models, minlength=count)
        if count < 2 or sizes.max() < 2:
            raise BadInput(
                f"{len(models)} images of {count} models were given: a matching space is learnt from at least "
                "two models and a few images of each"
            )
        mean = statistics.mean(0)
        scale = statistics.std(0) + np.float32(LEAST_SPREAD)
        standard = _standard(statistics, mean, scale)
        components = _principal(standard, setting.components)
        points = (standard @ components).astype(np.float64)
        white = _whitener(points, models, sizes, setting.shrinkage)
        points = points @ white
        present = sizes > 0
        centers = _means(points, models, sizes)
        variance, directions = _between(centers[present], sizes[present])
        kept = max(min(int(present.sum()) - 1, len(variance)), 1)
        axes = (components @ white @ directions[:, :kept]).astype(np.float32)
        on_axes = points @ directions[:, :kept]
        means = _means(on_axes, models, sizes)
        freedom = max(len(models) - int(present.sum()), 1)
        within = np.square(on_axes - means[models]).sum(0) / freedom + LEAST_SPREAD
        between = np.maximum(variance[:kept] - within / sizes[present].mean(), 1e-3 * within)
        return cls(
            mean,
            scale,
            np.zeros(kept, np.float32),
            axes,
            *(one.astype(np.float32) for one in (between, within, means, sizes)),
        )

    def project(self, statistics: Floats) -> Floats:
        """Into the space: [n, D] → [n, q]."""
        standard = _standard(statistics, self.mean, self.scale)
        projected: Floats = standard @ self.axes - self.offset
        return projected

    def evidence(self, points: Floats) -> Doubles:
        """log p(image | model) of each image, up to what all models share: points [N, q] → [N, M].

        With n images of a model, c_m has mean g x̄_m and variance B W / (n B + W), g = n B / (n B + W).
        """
        within, between = self.within.astype(np.float64), self.between.astype(np.float64)
        known = self.counts[:, None] * between
        centers = known / (known + within) * self.means
        precision = 1 / (between * within / (known + within) + within)
        # ‖x − c‖² expanded, so that no [N, M, q] is made
        wide = points.astype(np.float64)
        squares = wide**2 @ precision.T - 2 * wide @ (centers * precision).T + (centers**2 * precision).sum(1)
        found: Doubles = -0.5 * (squares - np.log(precision).sum(1))
        return found


def _standard(statistics: Floats, mean: Floats, scale: Floats) -> Floats:
    standard: Floats = np.clip((statistics - mean) / scale, -CLIP, CLIP)
    return standard


def _principal(standard: Floats, components: int) -> Doubles:
    """The directions of greatest variance: [D, k], by the smaller of the two Gram matrices."""
    n, d = standard.shape
    small = n < d
    gram = (standard @ standard.T if small else standard.T @ standard).astype(np.float64)
    values, vectors = np.linalg.eigh(gram)
    kept = np.flatnonzero(values > 1e-6 * max(values[-1], 1e-12))[::-1][:components]
    if not small:
        found: Doubles = vectors[:, kept]
        return found
    return (standard.T.astype(np.float64) @ vectors[:, kept]) / np.sqrt(values[kept])


def _whitener(points: Doubles, models: Ints, sizes: Ints, shrinkage: float) -> Doubles:
    """W^(−1/2) of the shrunk within-model covariance: [k, k]."""
    errors = points - _means(points, models, sizes)[models]
    covariance = errors.T @ errors / max(len(points) - int((sizes > 0).sum()), 1)
    sphere = np.trace(covariance) / len(covariance) * np.eye(len(covariance))
    values, vectors = np.linalg.eigh((1 - shrinkage) * covariance + shrinkage * sphere)
    white: Doubles = vectors / np.sqrt(np.maximum(values, LEAST_SPREAD))
    return white


def _between(centers: Doubles, sizes: Ints) -> tuple[Doubles, Doubles]:
    """Variances between the models' means, greatest first, and their directions."""
    covariance = (centers.T * sizes) @ centers / sizes.sum()
    values, vectors = np.linalg.eigh(covariance)
    return values[::-1], vectors[:, ::-1]


def _means(points: Doubles, models: Ints, sizes: Ints) -> Doubles:
    """The mean of each model's points: [M, k]; zeros where it has none."""
    sums = np.zeros((len(sizes), points.shape[1]))
    np.add.at(sums, models, points)
    found: Doubles = sums / np.maximum(sizes, 1)[:, None]
    return found
