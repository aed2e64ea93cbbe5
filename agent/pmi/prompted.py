"""The learnt space with the request's prompt: a model is known by its images of prompts like it.

In: a :class:`~diffagent.agent.pmi.learning.LearntSpace`, the images that it was learnt from with their
prompts, example images with theirs. Out: log-evidence of every model, as of the space alone, but with each
model's mean taken with the weights

    w_j ∝ exp(β cos(q_j, q̂)),   and 1 / Σ w_j² images in place of all of them

which is the task-specific matching of the CGI paper (Eq. 8) inside the learnt space; with β = 0 it is the
space alone. β and the temperatures are those under which left-out images are most probable.
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
    Training,
    log_softmax,
    prompt_folds,
    sets,
    temperature,
)
from diffagent.agent.pmi.space import Doubles, Floats, Ints, Space

SHARPNESSES = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0)
"""The grid of β."""


@dataclass(frozen=True)
class Prompted:
    """``images`` with ``text`` [n, t] are what ``learnt`` was learnt from; ``sharpness`` is β."""

    learnt: LearntSpace
    images: Training
    text: Floats
    sharpness: float
    factors: tuple[float, ...]
    temperatures: tuple[float, ...]

    @classmethod
    def fit(
        cls,
        learnt: LearntSpace,
        images: Training,
        text: Floats,
        sharpnesses: Sequence[float] = SHARPNESSES,
    ) -> Self:
        """β by cross-validation over prompts, with the settings that the space has."""
        folds, models = prompt_folds(images.models, images.prompts), images.models
        count = int(models.max()) + 1
        tried = np.zeros((len(sharpnesses), len(learnt.views), len(models), count))
        for n, view in enumerate(learnt.views):
            seen = images.view(slice(view.start, view.stop))
            for fold in np.unique(folds):
                out = folds == fold
                kept = seen[~out]
                space = Space.fit(kept.style, kept.crops, kept.models, view.setting)
                known = Known(space.project(kept.style), kept.models, text[~out], count)
                points = space.project(seen.style[out])
                for b, sharpness in enumerate(sharpnesses):
                    tried[b, n, out] = known.evidence(space, points, text[out], sharpness)
        single = sets(models, 1)
        found = []
        for of_views in tried:
            factors = [temperature(one, models, single)[0] for one in of_views]
            pairs = zip(factors, of_views, strict=True)
            summed: Doubles = np.sum([log_softmax(factor * one) for factor, one in pairs], 0)
            fits = [temperature(summed, models, sets(models, n)) for n in range(1, MOST_IMAGES + 1)]
            found.append((fits[0][1], tuple(factors), tuple(factor for factor, _ in fits)))
        best = int(np.argmin([loss for loss, _, _ in found]))
        return cls(learnt, images, text, float(sharpnesses[best]), *found[best][1:])

    def evidence(self, style: Floats, text: Floats) -> Doubles:
        """Of each example image, style [N, D] with text [N, t], for each model: [N, M]."""
        count = int(self.images.models.max()) + 1
        found = np.zeros((len(style), count))
        for view, factor in zip(self.learnt.views, self.factors, strict=True):
            points = view.project(self.images.style)
            known = Known(points, self.images.models, self.text, count)
            given = known.evidence(view.space, view.project(style), text, self.sharpness)
            found += log_softmax(factor * given)
        return found

    def log_probabilities(self, evidence: Doubles) -> Doubles:
        """log p(model | images) from the :meth:`evidence` of N images: [N, M] → [M]."""
        factor = self.temperatures[min(len(evidence), len(self.temperatures)) - 1]
        return log_softmax(factor * evidence.sum(0))


@dataclass(frozen=True)
class Known:
    """Images in a space: ``points`` [n, q], ``models`` [n] of ``count``, ``text`` [n, t]."""

    points: Floats
    models: Ints
    text: Floats
    count: int

    def evidence(self, space: Space, points: Floats, text: Floats, sharpness: float) -> Doubles:
        """log p(image | model, prompt) up to what all models share: points [N, q], text [N, t] → [N, M]."""
        within, between = space.within.astype(np.float64), space.between.astype(np.float64)
        wide, own = points.astype(np.float64), self.points.astype(np.float64)
        likeness = np.exp(sharpness * (unit(text) @ unit(self.text).T).astype(np.float64))
        found = np.full((len(points), self.count), -np.inf)
        for model in range(self.count):
            rows = self.models == model
            weights = likeness[:, rows]
            if not weights.shape[1]:
                found[:, model] = -0.5 * (wide**2 / (between + within) + np.log(between + within)).sum(1)
                continue
            weights = weights / weights.sum(1, keepdims=True)
            known = between / np.square(weights).sum(1)[:, None]
            centers = known / (known + within) * (weights @ own[rows])
            variance = between * within / (known + within) + within
            found[:, model] = -0.5 * (np.square(wide - centers) / variance + np.log(variance)).sum(1)
        return found
