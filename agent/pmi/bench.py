"""``diffagent pmi bench``: the CGI paper's benchmark on a manifest of real models' images.

Specification images are those with prompt_id % 3 ≠ 2; test images are the others. Everything that is fitted
or chosen (spaces, kernels, temperatures) uses specification images only. The manifest's prompt is the
caption.

    read_bench(manifest, …) → Bench → learn_space → run → {"models", "tasks", "baseline", "rkme", "pmi", …}
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from diffagent.agent.pmi import kernel_matching as kernels
from diffagent.agent.pmi.frechet import frechet
from diffagent.agent.pmi.identifier import content_scale
from diffagent.agent.pmi.kernel_matching import KernelMatcher, Points, ReducedMatcher
from diffagent.agent.pmi.learning import LearntSpace, TrainingImages, learn, prompt_folds
from diffagent.agent.pmi.metrics import Tasks, confusions, measure, reliability, tasks
from diffagent.agent.pmi.space import Doubles, Floats, Ints
from diffagent.data.errors import BadInput

TEST_EVERY, TEST_REST = 3, 2

Prompts = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class Images:
    """n images: ``content`` [n, d], ``style`` [n, s], ``crops`` [n, c, s], ``text`` [n, t], ``models`` [n],
    ``prompts`` [n] keys."""

    content: Floats
    style: Floats
    crops: Floats
    text: Floats
    models: Ints
    prompts: Prompts

    def __len__(self) -> int:
        return len(self.models)

    def __getitem__(self, rows: Any) -> Images:
        return Images(*(column[rows] for column in vars(self).values()))


@dataclass(frozen=True)
class Bench:
    """Specification and test images of the models in ``names``."""

    names: list[str]
    specification: Images
    test: Images
    layers: tuple[int, ...] = ()
    """Lengths of the layers' parts of a style vector."""

    @classmethod
    def of(
        cls,
        names: Sequence[str],
        images: Images,
        prompt_ids: Sequence[int | None],
        layers: tuple[int, ...],
    ) -> Self:
        """Splits images by prompt.

        Raises:
            BadInput: a row has no prompt_id, or a model no test image or no specification image.
        """
        if any(prompt_id is None for prompt_id in prompt_ids):
            raise BadInput(
                "the manifest has rows without prompt_id, by which the benchmark splits: add it to each row"
            )
        test = np.array([int(prompt_id or 0) % TEST_EVERY == TEST_REST for prompt_id in prompt_ids], bool)
        for part, what in ((test, "test images (prompt_id % 3 == 2)"), (~test, "specification images")):
            lacking = set(range(len(names))) - set(images.models[part].tolist())
            if lacking:
                raise BadInput(
                    f"{names[min(lacking)]} has no {what}: give each model images of several prompts"
                )
        return cls(list(names), images[~test], images[test], layers)


def run(
    bench: Bench, learnt: LearntSpace, sizes: Sequence[int] = (1, 4), full: bool = False
) -> dict[str, Any]:
    """Runs all methods on all tasks: shares 0…1 and mean ranks, Fréchet distances, confusions, calibration.

    ``full`` adds the analogues of the paper's Tables 3 and 5: ``ablation`` and ``uncaptioned``.
    """
    gamma = tuned_gamma(bench.specification)
    methods = distances_of_images(bench, gamma)
    evidence = learnt.evidence(bench.test.style)
    report: dict[str, Any] = {"models": len(bench.names), "tasks": {}, "gamma": gamma}
    report["settings"] = [{**vars(view.setting), "temperature": view.temperature} for view in learnt.views]
    results: dict[str, dict[str, Any]] = {name: {} for name in ("baseline", "rkme", "pmi", "ours")}
    for size in sizes:
        queries = tasks(bench.test.models, size)
        report["tasks"][str(size)] = len(queries)
        for name in results:
            if name == "ours":
                of_tasks = -np.stack([learnt.log_probabilities(evidence[rows]) for rows in queries.images])
            else:
                of_tasks = methods[name](queries)
            results[name][str(size)] = _measure(bench, queries, of_tasks)
            if name == "ours":
                results[name][str(size)]["reliability"] = reliability(-of_tasks, queries.models)
                report.setdefault("confusions", {})[str(size)] = confusions(
                    of_tasks, queries.models, bench.names
                )
    if full:
        report["ablation"] = ablation(bench, learnt, gamma)
        report["uncaptioned"] = uncaptioned(bench, learnt, gamma)
    return {**report, **results}


def learn_space(bench: Bench) -> LearntSpace:
    """Learns a space from the specification images only."""
    images = bench.specification
    return learn(TrainingImages(images.style, images.crops, images.models, images.prompts, bench.layers))


def ablation(bench: Bench, learnt: LearntSpace, gamma: float) -> dict[str, dict[str, float]]:
    """Measures Table 3's analogue, one image: the gain of the matching space and of the prompts' weights."""
    queries = tasks(bench.test.models, 1)
    content = _scaled(bench, "content")
    style = _scaled(bench, "style")
    points = (learnt.project(bench.specification.style), learnt.project(bench.test.style))
    learnt_points = _rescaled(*(features.astype(np.float64) for features in points))
    rows: dict[str, Doubles] = {"RKME": _reduced(bench, content, gamma)}
    for name, space in (("content", content), ("style", style), ("learnt space", learnt_points)):
        rows[f"{name}, Eq. 9, uniform weights"] = _kernel(bench, space, gamma, weigh=False)
        rows[f"{name}, Eq. 9, weights of prompts"] = _kernel(bench, space, gamma, weigh=True)
    rows["learnt space, evidence"] = -learnt.evidence(bench.test.style)
    return {
        name: measure(distances[queries.images[:, 0]], queries.models) for name, distances in rows.items()
    }


def uncaptioned(bench: Bench, learnt: LearntSpace, gamma: float) -> dict[str, dict[str, float]]:
    """Measures Table 5's analogue, one image: one prompt set for all models, and queries without captions."""
    space, true = _scaled(bench, "content"), bench.test.models
    rows = {
        "baseline": _fixed_order(len(true), len(bench.names)),
        "rkme": _reduced(bench, space, gamma),
        "pmi": _kernel(bench, space, gamma, weigh=False),
        "ours": -learnt.evidence(bench.test.style),
    }
    return {name: measure(distances, true) for name, distances in rows.items()}


def distances_of_images(bench: Bench, gamma: float) -> dict[str, Callable[[Tasks], Doubles]]:
    """Returns the paper's methods, tasks → distances [t, M]; each image is matched once, as Eq. 9 is a
    mean."""
    space = _scaled(bench, "content")
    of_pmi = _kernel(bench, space, gamma, weigh=True)
    reduced = _matcher(ReducedMatcher, bench, space, gamma)
    count = len(bench.names)

    def rkme(queries: Tasks) -> Doubles:
        return np.stack([reduced.distances(Points(space[1][rows])) for rows in queries.images])

    return {
        "baseline": lambda queries: _fixed_order(len(queries), count),
        "rkme": rkme,
        "pmi": lambda queries: of_pmi[queries.images].mean(1),
    }


def tuned_gamma(images: Images, gammas: Sequence[float] = kernels.GAMMAS) -> float:
    """Returns γ of the paper's grid, by the true model's rank on specification images of left-out prompts."""
    folds = prompt_folds(images.models, images.prompts)
    best = []
    for gamma in gammas:
        ranks = []
        for fold in np.unique(folds):
            part = Bench([""] * (int(images.models.max()) + 1), images[folds != fold], images[folds == fold])
            distances = _kernel(part, _scaled(part, "content"), gamma, weigh=True)
            ranks.append(measure(distances, part.test.models)["rank"])
        best.append(float(np.mean(ranks)))
    return float(gammas[int(np.argmin(best))])


def _fixed_order(rows: int, models: int) -> Doubles:
    """Returns the baseline's distances; a manifest has no downloads, so they follow its order."""
    return np.tile(np.arange(models, dtype=np.float64), (rows, 1))


def _kernel(bench: Bench, space: tuple[Doubles, Doubles], gamma: float, weigh: bool) -> Doubles:
    """Returns Eq. 9 of each test image: [n, M]."""
    text = bench.test.text.astype(np.float64) if weigh else None
    distances: Doubles = _matcher(KernelMatcher, bench, space, gamma, weigh).of_each(Points(space[1], text))
    return distances


def _reduced(bench: Bench, space: tuple[Doubles, Doubles], gamma: float) -> Doubles:
    matcher = _matcher(ReducedMatcher, bench, space, gamma)
    return np.stack([matcher.distances(Points(image[None])) for image in space[1]])


def _matcher(
    kind: type[KernelMatcher] | type[ReducedMatcher],
    bench: Bench,
    space: tuple[Doubles, Doubles],
    gamma: float,
    weigh: bool = False,
) -> Any:
    text = bench.specification.text.astype(np.float64)
    rows = [np.flatnonzero(bench.specification.models == model) for model in range(len(bench.names))]
    return kind([Points(space[0][members], text[members] if weigh else None) for members in rows], gamma)


def _scaled(bench: Bench, what: str) -> tuple[Doubles, Doubles]:
    """Returns features of both parts, standardised by the specification images and scaled for the paper's
    γ."""
    specification, test = (
        getattr(part, what).astype(np.float64) for part in (bench.specification, bench.test)
    )
    mean, spread = specification.mean(0), specification.std(0) + 1e-6
    if what == "content":  # the encoder's own metric
        return _rescaled(specification, test)
    return _rescaled((specification - mean) / spread, (test - mean) / spread)


def _rescaled(specification: Doubles, test: Doubles) -> tuple[Doubles, Doubles]:
    """Scales features so that the mean squared distance of two specification images is 100."""
    factor = content_scale(specification)
    return specification * factor, test * factor


def _measure(bench: Bench, queries: Tasks, distances: Doubles) -> dict[str, Any]:
    return {**measure(distances, queries.models), "frechet": quality(bench, queries, distances)}


def quality(bench: Bench, queries: Tasks, distances: Doubles) -> float | None:
    """Returns the paper's FID, in G's space: query images against the identified models' images of their
    prompts.

    None where no identified model has images of these prompts.
    """
    test = bench.test
    at = {
        (model, key): row
        for row, (model, key) in enumerate(zip(test.models, test.prompts.tolist(), strict=True))
    }
    query_rows, answer_rows = [], []
    for rows, model in zip(queries.images, distances.argmin(1), strict=True):
        for row in rows:
            answer = at.get((model, int(test.prompts[row])))
            if answer is not None:
                query_rows.append(row)
                answer_rows.append(answer)
    if len(query_rows) < 2:
        return None
    return round(_weighted_frechet(test.content, query_rows, answer_rows), 4)


def _weighted_frechet(
    content: Floats, queries: Sequence[int], answers: Sequence[int], most: int = 1000
) -> float:
    """Returns the distance of at most ``most`` pairs, evenly spaced; the time is quadratic in the rows."""
    step = max(len(queries) // most, 1)
    return frechet(content[list(queries)[::step]], content[list(answers)[::step]])
