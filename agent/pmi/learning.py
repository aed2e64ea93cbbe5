"""Learning a matching space and calibrating it, by cross-validation over the prompts of the specifications.

In: a hub's own images, which model made each, and which prompt. Out: a :class:`LearntSpace`, whose
probabilities mean what they say. A fold leaves out whole prompts, because a query's prompt is new as well.
Each few neighbouring layers of the encoder are a view with a space of its own, and their log-probabilities
are added: one space of all layers would need more images than a hub has.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import numpy.typing as npt

from diffagent.agent.pmi.space import Doubles, Floats, Ints, Setting, Space

Keys = npt.NDArray[np.uint64]

FOLDS = 5
SETTINGS = tuple(Setting(c, s) for c, s in product((0.3, 0.5, 0.7), (0.03, 0.1, 0.2, 0.4)))
WINDOW = 3
"""Neighbouring layers in a view."""
TEMPERATURES = np.geomspace(0.02, 2.0, 41)
MOST_IMAGES = 6
TASKS = 20
"""Sets of example images drawn for each model and size, for calibration."""


@dataclass(frozen=True)
class Training:
    """n images: ``style`` [n, D], ``crops`` [n, c, D], ``models`` [n] as 0…M−1, ``prompts`` [n] keys, 0
    for none; ``layers``: lengths of the layers' parts of D."""

    style: Floats
    crops: Floats
    models: Ints
    prompts: Keys
    layers: tuple[int, ...]

    def __getitem__(self, rows: npt.NDArray[np.bool_]) -> Training:
        return replace(
            self,
            style=self.style[rows],
            crops=self.crops[rows],
            models=self.models[rows],
            prompts=self.prompts[rows],
        )

    def view(self, columns: slice) -> Training:
        """With some statistics alone."""
        return replace(self, style=self.style[:, columns], crops=self.crops[:, :, columns])


@dataclass(frozen=True)
class View:
    """A space of the statistics ``start`` … ``stop``, and the factor that makes its evidence a
    probability."""

    start: int
    stop: int
    setting: Setting
    temperature: float
    space: Space

    def project(self, style: Floats) -> Floats:
        """Into its space: [N, D] → [N, q]."""
        return self.space.project(style[:, self.start : self.stop])

    def log_probabilities(self, style: Floats) -> Doubles:
        """log p(model | image) by this view alone: [N, D] → [N, M]."""
        return log_softmax(self.temperature * self.space.evidence(self.project(style)))


@dataclass(frozen=True)
class LearntSpace:
    """Several views, and for 1…6 images the factor by which their sum becomes log-probability."""

    views: tuple[View, ...]
    temperatures: tuple[float, ...]

    def project(self, style: Floats) -> Floats:
        """Into all views' spaces, side by side: [N, D] → [N, Σ q]."""
        return np.concatenate([view.project(style) for view in self.views], 1)

    def evidence(self, style: Floats) -> Doubles:
        """Log-evidence of each image for each model: style [N, D] → [N, M]."""
        found: Doubles = np.sum([view.log_probabilities(style) for view in self.views], 0)
        return found

    def log_probabilities(self, evidence: Doubles) -> Doubles:
        """log p(model | images) from the :meth:`evidence` of N images: [N, M] → [M]."""
        factor = self.temperatures[min(len(evidence), len(self.temperatures)) - 1]
        return log_softmax(factor * evidence.sum(0))


def learn(images: Training, settings: Sequence[Setting] = SETTINGS) -> LearntSpace:
    """Views under whose settings left-out images are most probable, fitted to all images."""
    folds, models = prompt_folds(images.models, images.prompts), images.models
    learnt = [_learn_view(images, columns, folds, settings) for columns in windows(images.layers)]
    summed: Doubles = np.sum([found for _, found in learnt], 0)
    factors = [temperature(summed, models, sets(models, n))[0] for n in range(1, MOST_IMAGES + 1)]
    return LearntSpace(tuple(view for view, _ in learnt), tuple(factors))


def _learn_view(
    images: Training, columns: slice, folds: Ints, settings: Sequence[Setting]
) -> tuple[View, Doubles]:
    """A view of the best setting, and the log-probabilities that it gives left-out images."""
    seen = images.view(columns)
    tried = left_out(seen, folds, settings)
    fits = [temperature(found, seen.models, sets(seen.models, 1)) for found in tried]
    best = int(np.argmin([loss for _, loss in fits]))
    factor = fits[best][0]
    space = Space.fit(seen.style, seen.crops, seen.models, settings[best])
    view = View(columns.start, columns.stop, settings[best], factor, space)
    return view, log_softmax(factor * tried[best])


def windows(layers: Sequence[int], size: int = WINDOW) -> list[slice]:
    """The columns of each ``size`` neighbouring layers; of all where there are fewer."""
    edges = np.concatenate([[0], np.cumsum(layers)]).tolist()
    count = max(len(layers) - size + 1, 1)
    return [slice(edges[n], edges[min(n + size, len(layers))]) for n in range(count)]


def left_out(images: Training, folds: Ints, settings: Sequence[Setting]) -> list[Doubles]:
    """For each setting the evidence of each image in a space that was learnt without its fold: [n, M]."""
    found = [np.zeros((len(images.models), int(images.models.max()) + 1)) for _ in settings]
    for fold in np.unique(folds):
        out = folds == fold
        kept = images[~out]
        spaces = Space.fit_all(kept.style, kept.crops, kept.models, settings)
        for one, space in zip(found, spaces, strict=True):
            evidence = space.evidence(space.project(images.style[out]))
            one[out, : evidence.shape[1]] = evidence
    return found


def prompt_folds(models: Ints, prompts: Keys, folds: int = FOLDS, seed: int = 0) -> Ints:
    """Which fold each image is left out with: [n]. Images of one prompt go together; those without a
    prompt are dealt out model by model."""
    rng = np.random.default_rng(seed)
    keys, which = np.unique(prompts, return_inverse=True)
    found: Ints = (rng.permutation(len(keys)) % folds)[which].astype(np.int64)
    bare = np.flatnonzero(prompts == 0)
    order = bare[np.argsort(models[bare], kind="stable")]
    found[order] = np.arange(len(order)) % folds
    return found


def sets(models: Ints, size: int, tasks: int = TASKS, seed: int = 0) -> Ints:
    """Sets of ``size`` images of one model, drawn for each model that has as many: [tasks, size]."""
    if size == 1:
        return np.arange(len(models))[:, None]
    rng = np.random.default_rng(seed)
    found = []
    for model in np.unique(models):
        own = np.flatnonzero(models == model)
        if len(own) >= size:
            found += [rng.choice(own, size, replace=False) for _ in range(tasks)]
    return np.array(found, np.int64).reshape(-1, size)


def temperature(evidence: Doubles, models: Ints, tasks: Ints) -> tuple[float, float]:
    """The factor under which the true model of each task is most probable, and its mean −log p.

    ``evidence`` [n, M] of single images, ``tasks`` [t, size] rows of it; the least factor where there are
    none.
    """
    if not len(tasks):
        return float(TEMPERATURES[0]), np.inf
    summed, true = evidence[tasks].sum(1), models[tasks[:, 0]]
    losses = [
        -log_softmax(factor * summed)[np.arange(len(true)), true].mean() for factor in TEMPERATURES.tolist()
    ]
    best = int(np.argmin(losses))
    return float(TEMPERATURES[best]), float(losses[best])


def log_softmax(scores: Doubles) -> Doubles:
    """Log-probabilities over the last axis."""
    shifted = scores - scores.max(-1, keepdims=True)
    found: Doubles = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
    return found
