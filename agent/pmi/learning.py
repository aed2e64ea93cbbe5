"""Learning and calibrating a matching space, by cross-validation over the prompts of the specifications.

In: a hub's own images, with the model and the prompt of each. Out: a :class:`LearntSpace` with calibrated
probabilities. A fold leaves out whole prompts, because a query's prompt is new as well. A few neighbouring
layers of the encoder form a view with its own space, and the views' log-probabilities are added: one space of
all layers would need more images than a hub has.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import numpy.typing as npt

from diffagent.agent.pmi.space import Doubles, Floats, Ints, Space, SpaceSetting

Keys = npt.NDArray[np.uint64]

FOLDS = 5
SETTINGS = tuple(SpaceSetting(c, s) for c, s in product((0.3, 0.5, 0.7), (0.03, 0.1, 0.2, 0.4)))
WINDOW = 3
"""Neighbouring layers per view."""
TEMPERATURES = np.geomspace(0.02, 2.0, 41)
MOST_IMAGES = 6
TASKS = 20
"""Sets of example images per model and size, for calibration."""


@dataclass(frozen=True)
class TrainingImages:
    """n images: ``style`` [n, D], ``crops`` [n, c, D], ``models`` [n] as 0…M−1, ``prompts`` [n] keys, 0
    for none; ``layers``: lengths of the layers' parts of D."""

    style: Floats
    crops: Floats
    models: Ints
    prompts: Keys
    layers: tuple[int, ...]

    def __getitem__(self, rows: npt.NDArray[np.bool_]) -> TrainingImages:
        return replace(
            self,
            style=self.style[rows],
            crops=self.crops[rows],
            models=self.models[rows],
            prompts=self.prompts[rows],
        )

    def view(self, columns: slice) -> TrainingImages:
        """Returns the images with some of the statistics."""
        return replace(self, style=self.style[:, columns], crops=self.crops[:, :, columns])


@dataclass(frozen=True)
class View:
    """A space of the statistics ``start`` … ``stop``, and the factor that turns its evidence into a
    log-probability."""

    start: int
    stop: int
    setting: SpaceSetting
    temperature: float
    space: Space

    def project(self, style: Floats) -> Floats:
        """Projects into the view's space: [N, D] → [N, q]."""
        return self.space.project(style[:, self.start : self.stop])

    def log_probabilities(self, style: Floats) -> Doubles:
        """Returns log p(model | image) by this view alone: [N, D] → [N, M]."""
        return log_softmax(self.temperature * self.space.evidence(self.project(style)))


@dataclass(frozen=True)
class LearntSpace:
    """Several views, and for 1…6 images the factor that turns their sum into a log-probability."""

    views: tuple[View, ...]
    temperatures: tuple[float, ...]

    def project(self, style: Floats) -> Floats:
        """Projects into all views' spaces, side by side: [N, D] → [N, Σ q]."""
        return np.concatenate([view.project(style) for view in self.views], 1)

    def evidence(self, style: Floats) -> Doubles:
        """Returns log-evidence of each image for each model: style [N, D] → [N, M]."""
        evidence: Doubles = np.sum([view.log_probabilities(style) for view in self.views], 0)
        return evidence

    def log_probabilities(self, evidence: Doubles) -> Doubles:
        """Returns log p(model | images) from the :meth:`evidence` of N images: [N, M] → [M]."""
        factor = self.temperatures[min(len(evidence), len(self.temperatures)) - 1]
        return log_softmax(factor * evidence.sum(0))


def learn(images: TrainingImages, settings: Sequence[SpaceSetting] = SETTINGS) -> LearntSpace:
    """Learns views with the settings that make left-out images most probable, fitted to all images."""
    folds, models = prompt_folds(images.models, images.prompts), images.models
    learnt = [_learn_view(images, columns, folds, settings) for columns in windows(images.layers)]
    summed: Doubles = np.sum([log_probabilities for _, log_probabilities in learnt], 0)
    factors = [temperature(summed, models, sets(models, n))[0] for n in range(1, MOST_IMAGES + 1)]
    return LearntSpace(tuple(view for view, _ in learnt), tuple(factors))


def _learn_view(
    images: TrainingImages, columns: slice, folds: Ints, settings: Sequence[SpaceSetting]
) -> tuple[View, Doubles]:
    """Returns a view with the best setting, and its log-probabilities of left-out images."""
    view_images = images.view(columns)
    tried = left_out(view_images, folds, settings)
    fits = [temperature(evidence, view_images.models, sets(view_images.models, 1)) for evidence in tried]
    best = int(np.argmin([loss for _, loss in fits]))
    factor = fits[best][0]
    space = Space.fit(view_images.style, view_images.crops, view_images.models, settings[best])
    view = View(columns.start, columns.stop, settings[best], factor, space)
    return view, log_softmax(factor * tried[best])


def windows(layers: Sequence[int], size: int = WINDOW) -> list[slice]:
    """Returns the columns of each ``size`` neighbouring layers; of all where there are fewer."""
    edges = np.concatenate([[0], np.cumsum(layers)]).tolist()
    count = max(len(layers) - size + 1, 1)
    return [slice(edges[n], edges[min(n + size, len(layers))]) for n in range(count)]


def left_out(images: TrainingImages, folds: Ints, settings: Sequence[SpaceSetting]) -> list[Doubles]:
    """Returns for each setting the evidence of each image in a space learnt without its fold: [n, M]."""
    all_evidence = [np.zeros((len(images.models), int(images.models.max()) + 1)) for _ in settings]
    for fold in np.unique(folds):
        out = folds == fold
        rest = images[~out]
        spaces = Space.fit_all(rest.style, rest.crops, rest.models, settings)
        for of_setting, space in zip(all_evidence, spaces, strict=True):
            evidence = space.evidence(space.project(images.style[out]))
            of_setting[out, : evidence.shape[1]] = evidence
    return all_evidence


def prompt_folds(models: Ints, prompts: Keys, folds: int = FOLDS, seed: int = 0) -> Ints:
    """Returns each image's fold: [n]. Images of one prompt share a fold; those without a prompt are dealt out
    model by model."""
    rng = np.random.default_rng(seed)
    keys, which = np.unique(prompts, return_inverse=True)
    fold_of: Ints = (rng.permutation(len(keys)) % folds)[which].astype(np.int64)
    bare = np.flatnonzero(prompts == 0)
    order = bare[np.argsort(models[bare], kind="stable")]
    fold_of[order] = np.arange(len(order)) % folds
    return fold_of


def sets(models: Ints, size: int, tasks: int = TASKS, seed: int = 0) -> Ints:
    """Draws sets of ``size`` images of one model, for each model that has as many: [tasks, size]."""
    if size == 1:
        return np.arange(len(models))[:, None]
    rng = np.random.default_rng(seed)
    drawn = []
    for model in np.unique(models):
        members = np.flatnonzero(models == model)
        if len(members) >= size:
            drawn += [rng.choice(members, size, replace=False) for _ in range(tasks)]
    return np.array(drawn, np.int64).reshape(-1, size)


def temperature(evidence: Doubles, models: Ints, tasks: Ints) -> tuple[float, float]:
    """Returns the factor that makes each task's true model most probable, and the mean −log p.

    ``evidence`` [n, M] of single images, ``tasks`` [t, size] rows of it; without tasks the least factor.
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
    """Returns log-probabilities over the last axis."""
    shifted = scores - scores.max(-1, keepdims=True)
    log_probabilities: Doubles = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
    return log_probabilities
