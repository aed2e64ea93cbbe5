"""The learnt space with the request's prompt: a model counts by its images of similar prompts.

In: a :class:`~diffagent.agent.pmi.learning.LearntSpace`, its training images with their prompts, example
images with theirs. Out: log-evidence of every model, as in the space alone, but with each model's mean under
the weights

    w_j ∝ exp(β cos(q_j, q̂)),   and 1 / Σ w_j² images in place of all of them

which is the task-specific matching of the CGI paper (Eq. 8) inside the learnt space; β = 0 is the space
alone. β and the temperatures maximise the probability of left-out images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from diffagent.agent.pmi.exact import unit
from diffagent.agent.pmi.learning import (
    MOST_IMAGES,
    LearntSpace,
    TrainingImages,
    log_softmax,
    prompt_folds,
    sets,
    temperature,
)
from diffagent.agent.pmi.space import Doubles, Floats, Ints, Space

SHARPNESSES = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0)
"""The grid of β."""


@dataclass(frozen=True)
class PromptedSpace:
    """``images`` with ``text`` [n, t]: the training images of ``learnt``; ``sharpness``: β."""

    learnt: LearntSpace
    images: TrainingImages
    text: Floats
    sharpness: float
    factors: tuple[float, ...]
    temperatures: tuple[float, ...]

    @classmethod
    def fit(
        cls,
        learnt: LearntSpace,
        images: TrainingImages,
        text: Floats,
        sharpnesses: Sequence[float] = SHARPNESSES,
    ) -> Self:
        """Fits β by cross-validation over prompts, with the settings of the space."""
        folds, models = prompt_folds(images.models, images.prompts), images.models
        count = int(models.max()) + 1
        tried = np.zeros((len(sharpnesses), len(learnt.views), len(models), count))
        for n, view in enumerate(learnt.views):
            view_images = images.view(slice(view.start, view.stop))
            for fold in np.unique(folds):
                out = folds == fold
                rest = view_images[~out]
                space = Space.fit(rest.style, rest.crops, rest.models, view.setting)
                space_images = SpaceImages(space.project(rest.style), rest.models, text[~out], count)
                points = space.project(view_images.style[out])
                for b, sharpness in enumerate(sharpnesses):
                    tried[b, n, out] = space_images.evidence(space, points, text[out], sharpness)
        single = sets(models, 1)
        sharpness_fits = []
        for of_views in tried:
            factors = [temperature(evidence, models, single)[0] for evidence in of_views]
            pairs = zip(factors, of_views, strict=True)
            summed: Doubles = np.sum([log_softmax(factor * evidence) for factor, evidence in pairs], 0)
            fits = [temperature(summed, models, sets(models, n)) for n in range(1, MOST_IMAGES + 1)]
            sharpness_fits.append((fits[0][1], tuple(factors), tuple(factor for factor, _ in fits)))
        best = int(np.argmin([loss for loss, _, _ in sharpness_fits]))
        return cls(learnt, images, text, float(sharpnesses[best]), *sharpness_fits[best][1:])

    def evidence(self, style: Floats, text: Floats) -> Doubles:
        """Returns log-evidence of each example image, style [N, D] with text [N, t], for each model: [N,
        M]."""
        count = int(self.images.models.max()) + 1
        log_evidence = np.zeros((len(style), count))
        for view, factor in zip(self.learnt.views, self.factors, strict=True):
            points = view.project(self.images.style)
            space_images = SpaceImages(points, self.images.models, self.text, count)
            evidence = space_images.evidence(view.space, view.project(style), text, self.sharpness)
            log_evidence += log_softmax(factor * evidence)
        return log_evidence

    def log_probabilities(self, evidence: Doubles) -> Doubles:
        """Returns log p(model | images) from the :meth:`evidence` of N images: [N, M] → [M]."""
        factor = self.temperatures[min(len(evidence), len(self.temperatures)) - 1]
        return log_softmax(factor * evidence.sum(0))


@dataclass(frozen=True)
class SpaceImages:
    """Images in a space: ``points`` [n, q], ``models`` [n] of ``count``, ``text`` [n, t]."""

    points: Floats
    models: Ints
    text: Floats
    count: int

    def evidence(self, space: Space, points: Floats, text: Floats, sharpness: float) -> Doubles:
        """Returns log p(image | model, prompt) up to a constant: points [N, q], text [N, t] → [N, M]."""
        within, between = space.within.astype(np.float64), space.between.astype(np.float64)
        wide, of_models = points.astype(np.float64), self.points.astype(np.float64)
        likeness = np.exp(sharpness * (unit(text) @ unit(self.text).T).astype(np.float64))
        log_evidence = np.full((len(points), self.count), -np.inf)
        for model in range(self.count):
            rows = self.models == model
            weights = likeness[:, rows]
            if not weights.shape[1]:
                log_evidence[:, model] = -0.5 * (wide**2 / (between + within) + np.log(between + within)).sum(
                    1
                )
                continue
            weights = weights / weights.sum(1, keepdims=True)
            variance_ratio = between / np.square(weights).sum(1)[:, None]
            centers = variance_ratio / (variance_ratio + within) * (weights @ of_models[rows])
            variance = between * within / (variance_ratio + within) + within
            log_evidence[:, model] = -0.5 * (np.square(wide - centers) / variance + np.log(variance)).sum(1)
        return log_evidence
