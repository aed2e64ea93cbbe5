"""A discriminative matching space, learnt from a hub's own specifications to tell its models apart.

In: style statistics of images [n, D] and of their crops, and the model of each. Out: axes on which images of
one model are close and models are apart, and the log-evidence of every model for an image. The method is
probabilistic linear discriminant analysis (Ioffe 2006; Prince & Elder 2007 for faces):

    x = c_m + e,   c_m ~ N(0, B) the model's style,   e ~ N(0, W) the spread of a model's images

A hub's images show few prompts, often the same ones, so their spread covers few subjects, and a new subject
would count as style. Crops of an image differ by subject as well, within one model: their spread is mixed
into W, which is then shrunk towards a sphere and whitened. A model with few images has an uncertain c_m, so
it competes fairly with one of many. Evidence of several example images adds up.
"""

from __future__ import annotations

from collections.abc import Sequence
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
"""Standard deviations at which a statistic is clipped, so that one odd image does not decide alone."""
CHUNK = 4096
"""Images whose crops are read at once."""


@dataclass(frozen=True)
class SpaceSetting:
    """``crops``: the share of the crops' spread in W; ``shrinkage`` of W towards a sphere; both 0…1."""

    crops: float = 0.5
    shrinkage: float = 0.1


@dataclass(frozen=True)
class Space:
    """``mean``, ``scale`` [D]: of each statistic; ``axes`` [D, q]: the projection; ``between``, ``within``
    [q]: variances of B and W on the axes; ``means`` [M, q], ``counts`` [M]: the models."""

    mean: Floats
    scale: Floats
    axes: Floats
    between: Floats
    within: Floats
    means: Floats
    counts: Floats

    @classmethod
    def fit(cls, style: Floats, crops: Floats, models: Ints, setting: SpaceSetting) -> Self:
        """Fits to style [n, D], crops [n, c, D] and the index 0…M−1 of each image's model.

        Raises:
            BadInput: there are fewer than two models, or none with two images.
        """
        return cls.fit_all(style, crops, models, [setting])[0]

    @classmethod
    def fit_all(
        cls, style: Floats, crops: Floats, models: Ints, settings: Sequence[SpaceSetting]
    ) -> list[Self]:
        """Fits a space for each setting; those that differ only in shrinkage share the work."""
        sizes = np.bincount(models, minlength=1)
        if (sizes > 0).sum() < 2 or sizes.max() < 2:
            raise BadInput(
                f"{len(models)} images of {(sizes > 0).sum()} models were given: a matching space is "
                "learnt from at least two models and a few images of each"
            )
        mean, scale = style.mean(0), style.std(0) + np.float32(LEAST_SPREAD)
        points = _standard(style, mean, scale).astype(np.float64)
        centers = _means(points, models, sizes)
        errors = points - centers[models]
        covariance = errors.T @ errors / max(len(points) - int((sizes > 0).sum()), 1)
        of_crops = _crop_covariance(crops, scale)
        of_crops *= np.trace(covariance) / max(np.trace(of_crops), LEAST_SPREAD)
        spectra = {}
        for share in {setting.crops for setting in settings}:
            mixed = (1 - share) * covariance + share * of_crops
            spectra[share] = np.linalg.eigh(mixed)
        return [
            cls._of(points, models, sizes, mean, scale, *spectra[setting.crops], setting)
            for setting in settings
        ]

    @classmethod
    def _of(
        cls,
        points: Doubles,
        models: Ints,
        sizes: Ints,
        mean: Floats,
        scale: Floats,
        values: Doubles,
        vectors: Doubles,
        setting: SpaceSetting,
    ) -> Self:
        """Fits with W's eigenvalues and eigenvectors; shrinking towards a sphere keeps the latter."""
        shrunk = (1 - setting.shrinkage) * values + setting.shrinkage * values.mean()
        white = vectors / np.sqrt(np.maximum(shrunk, LEAST_SPREAD))
        centers = _means(points @ white, models, sizes)
        weighted = centers * np.sqrt(sizes / sizes.sum())[:, None]
        _, _, directions = np.linalg.svd(weighted, full_matrices=False)
        axes = white @ directions[: int((sizes > 0).sum()) - 1].T
        on_axes = points @ axes
        means = _means(on_axes, models, sizes)
        freedom = max(len(models) - int((sizes > 0).sum()), 1)
        within = np.square(on_axes - means[models]).sum(0) / freedom + LEAST_SPREAD
        variance = (np.square(means) * sizes[:, None]).sum(0) / sizes.sum()
        between = np.maximum(variance - within / sizes[sizes > 0].mean(), 1e-3 * within)
        return cls(
            mean, scale, *(array.astype(np.float32) for array in (axes, between, within, means, sizes))
        )

    def project(self, style: Floats) -> Floats:
        """Projects into the space: [n, D] → [n, q]."""
        projected: Floats = _standard(style, self.mean, self.scale) @ self.axes
        return projected

    def evidence(self, points: Floats) -> Doubles:
        """Returns log p(image | model) of each image, up to a constant: points [N, q] → [N, M].

        With n images of a model, c_m has mean g x̄_m and variance B W / (n B + W), g = n B / (n B + W).
        """
        within, between = self.within.astype(np.float64), self.between.astype(np.float64)
        spread_of_means = self.counts[:, None] * between
        centers = spread_of_means / (spread_of_means + within) * self.means
        precision = 1 / (between * within / (spread_of_means + within) + within)
        # ‖x − c‖² expanded, to avoid an array [N, M, q]
        wide = points.astype(np.float64)
        squares = wide**2 @ precision.T - 2 * wide @ (centers * precision).T + (centers**2 * precision).sum(1)
        evidence: Doubles = -0.5 * (squares - np.log(precision).sum(1))
        return evidence


def _standard(style: Floats, mean: Floats, scale: Floats) -> Floats:
    standard: Floats = np.clip((style - mean) / scale, -CLIP, CLIP)
    return standard


def _crop_covariance(crops: Floats, scale: Floats) -> Doubles:
    """Returns the covariance of crops around their image's mean, in standardised units: [D, D]."""
    count, size = crops.shape[1], len(scale)
    scatter = np.zeros((size, size))
    for at in range(0, len(crops), CHUNK):
        part = crops[at : at + CHUNK].astype(np.float32)
        gaps = ((part - part.mean(1, keepdims=True)) / scale).clip(-CLIP, CLIP).reshape(-1, size)
        scatter += gaps.T @ gaps
    covariance: Doubles = scatter / max(len(crops) * (count - 1), 1)
    return covariance


def _means(points: Doubles, models: Ints, sizes: Ints) -> Doubles:
    """Returns the mean of each model's points: [M, k]; zeros where it has none."""
    sums = np.zeros((len(sizes), points.shape[1]))
    np.add.at(sums, models, points)
    means: Doubles = sums / np.maximum(sizes, 1)[:, None]
    return means
