"""``diffagent pmi bench``: the CGI paper's benchmark on a manifest of real models' images.

Specification images are those with prompt_id % 3 ≠ 2; test images the others. Everything that is fitted or
chosen (spaces, kernels, temperatures) sees specification images alone. The manifest's prompt is the caption.

    read_bench(manifest, …) → Bench → learn_known → run → {"models", "tasks", "baseline", "rkme", "pmi", …}
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
from diffagent.agent.pmi.learning import LearntSpace, Training, learn, prompt_folds
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
        return Images(*(one[rows] for one in vars(self).values()))


@dataclass(frozen=True)
class Bench:
    """Specification and test images of the models in ``names``."""

    names: list[str]
    known: Images
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
        """Split by prompt.

        Raises:
            BadInput: a row without prompt_id, or no test image or specification image of a model.
        """
        if any(one is None for one in prompt_ids):
            raise BadInput("the manifest has rows without prompt_id: the benchmark splits by it")
        test = np.array([int(one or 0) % TEST_EVERY == TEST_REST for one in prompt_ids], bool)
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
    """All methods on all tasks: shares 0…1 and mean ranks, Fréchet distances, confusions, calibration.

    ``full`` adds what Tables 3 and 5 of the paper show: ``ablation`` and ``uncaptioned``.
    """
    gamma = tuned_gamma(bench.known)
    methods = distances_of_images(bench, gamma)
    evidence = learnt.evidence(bench.test.style)
    found: dict[str, Any] = {"models": len(bench.names), "tasks": {}, "gamma": gamma}
    found["settings"] = [{**vars(view.setting), "temperature": view.temperature} for view in learnt.views]
    results: dict[str, dict[str, Any]] = {name: {} for name in ("baseline", "rkme", "pmi", "ours")}
    for size in sizes:
        asked = tasks(bench.test.models, size)
        found["tasks"][str(size)] = len(asked)
        for name in results:
            if name == "ours":
                of_tasks = -np.stack([learnt.log_probabilities(evidence[rows]) for rows in asked.images])
            else:
                of_tasks = methods[name](asked)
            results[name][str(size)] = _measured(bench, asked, of_tasks)
            if name == "ours":
                results[name][str(size)]["reliability"] = reliability(-of_tasks, asked.models)
                found.setdefault("confusions", {})[str(size)] = confusions(
                    of_tasks, asked.models, bench.names
                )
    if full:
        found["ablation"] = ablation(bench, learnt, gamma)
        found["uncaptioned"] = uncaptioned(bench, learnt, gamma)
    return {**found, **results}


def learn_known(bench: Bench) -> LearntSpace:
    """A space from the specification images alone."""
    known = bench.known
    return learn(Training(known.style, known.crops, known.models, known.prompts, bench.layers))


def ablation(bench: Bench, learnt: LearntSpace, gamma: float) -> dict[str, dict[str, float]]:
    """Table 3's analogue, one image: what the matching space and the prompts' weights each bring."""
    asked = tasks(bench.test.models, 1)
    content = _scaled(bench, "content")
    style = _scaled(bench, "style")
    points = (learnt.project(bench.known.style), learnt.project(bench.test.style))
    learnt_points = _rescaled(*(one.astype(np.float64) for one in points))
    rows: dict[str, Doubles] = {"RKME": _reduced(bench, content, gamma)}
    for name, space in (("content", content), ("style", style), ("learnt space", learnt_points)):
        rows[f"{name}, Eq. 9, uniform weights"] = _kernel(bench, space, gamma, weigh=False)
        rows[f"{name}, Eq. 9, weights of prompts"] = _kernel(bench, space, gamma, weigh=True)
    rows["learnt space, evidence"] = -learnt.evidence(bench.test.style)
    return {name: measure(found[asked.images[:, 0]], asked.models) for name, found in rows.items()}


def uncaptioned(bench: Bench, learnt: LearntSpace, gamma: float) -> dict[str, dict[str, float]]:
    """Table 5's analogue, one image: one prompt set for all models, and queries without captions."""
    space, true = _scaled(bench, "content"), bench.test.models
    rows = {
        "baseline": _fixed_order(len(true), len(bench.names)),
        "rkme": _reduced(bench, space, gamma),
        "pmi": _kernel(bench, space, gamma, weigh=False),
        "ours": -learnt.evidence(bench.test.style),
    }
    return {name: measure(found, true) for name, found in rows.items()}


def distances_of_images(bench: Bench, gamma: float) -> dict[str, Callable[[Tasks], Doubles]]:
    """Of the paper's methods: tasks → distances [t, M]. Eq. 9 is a mean over images: each is matched once."""
    space = _scaled(bench, "content")
    of_pmi = _kernel(bench, space, gamma, weigh=True)
    reduced = _matcher(ReducedMatcher, bench, space, gamma)
    count = len(bench.names)

    def rkme(asked: Tasks) -> Doubles:
        return np.stack([reduced.distances(Points(space[1][rows])) for rows in asked.images])

    return {
        "baseline": lambda asked: _fixed_order(len(asked), count),
        "rkme": rkme,
        "pmi": lambda asked: of_pmi[asked.images].mean(1),
    }


def tuned_gamma(known: Images, gammas: Sequence[float] = kernels.GAMMAS) -> float:
    """The paper's grid, by the rank of the true model of specification images whose prompt is left out."""
    folds = prompt_folds(known.models, known.prompts)
    best = []
    for gamma in gammas:
        ranks = []
        for fold in np.unique(folds):
            part = Bench([""] * (int(known.models.max()) + 1), known[folds != fold], known[folds == fold])
            found = _kernel(part, _scaled(part, "content"), gamma, weigh=True)
            ranks.append(measure(found, part.test.models)["rank"])
        best.append(float(np.mean(ranks)))
    return float(gammas[int(np.argmin(best))])


def _fixed_order(rows: int, models: int) -> Doubles:
    """The most downloaded model first, whatever the images; a manifest has no downloads, so in its order."""
    return np.tile(np.arange(models, dtype=np.float64), (rows, 1))


def _kernel(bench: Bench, space: tuple[Doubles, Doubles], gamma: float, weigh: bool) -> Doubles:
    """Eq. 9 of each test image: [n, M]."""
    text = bench.test.text.astype(np.float64) if weigh else None
    found: Doubles = _matcher(KernelMatcher, bench, space, gamma, weigh).of_each(Points(space[1], text))
    return found


def _reduced(bench: Bench, space: tuple[Doubles, Doubles], gamma: float) -> Doubles:
    matcher = _matcher(ReducedMatcher, bench, space, gamma)
    return np.stack([matcher.distances(Points(one[None])) for one in space[1]])


def _matcher(
    kind: type[KernelMatcher] | type[ReducedMatcher],
    bench: Bench,
    space: tuple[Doubles, Doubles],
    gamma: float,
    weigh: bool = False,
) -> Any:
    text = bench.known.text.astype(np.float64)
    rows = [np.flatnonzero(bench.known.models == model) for model in range(len(bench.names))]
    return kind([Points(space[0][own], text[own] if weigh else None) for own in rows], gamma)


def _scaled(bench: Bench, what: str) -> tuple[Doubles, Doubles]:
    """Features of both parts, standardised by the specification images and scaled for the paper's γ."""
    known, test = (getattr(part, what).astype(np.float64) for part in (bench.known, bench.test))
    mean, spread = known.mean(0), known.std(0) + 1e-6
    if what == "content":  # the encoder's own metric
        return _rescaled(known, test)
    return _rescaled((known - mean) / spread, (test - mean) / spread)


def _rescaled(known: Doubles, test: Doubles) -> tuple[Doubles, Doubles]:
    """Scaled so that the mean squared distance of two specification images is 100."""
    factor = content_scale(known)
    return known * factor, test * factor


def _measured(bench: Bench, asked: Tasks, distances: Doubles) -> dict[str, Any]:
    return {**measure(distances, asked.models), "frechet": quality(bench, asked, distances)}


def quality(bench: Bench, asked: Tasks, distances: Doubles) -> float | None:
    """The paper's FID, in G's space: query images against what the identified models made of their prompts.

    None where no identified model has images of these prompts.
    """
    test = bench.test
    at = {
        (model, key): row
        for row, (model, key) in enumerate(zip(test.models, test.prompts.tolist(), strict=True))
    }
    queries, answers = [], []
    for rows, model in zip(asked.images, distances.argmin(1), strict=True):
        for row in rows:
            found = at.get((model, int(test.prompts[row])))
            if found is not None:
                queries.append(row)
                answers.append(found)
    if len(queries) < 2:
        return None
    return round(_weighted_frechet(test.content, queries, answers), 4)


def _weighted_frechet(
    content: Floats, queries: Sequence[int], answers: Sequence[int], most: int = 1000
) -> float:
    """Of at most ``most`` pairs, drawn evenly: the square of the numbers of rows decides the time."""
    step = max(len(queries) // most, 1)
    return frechet(content[list(queries)[::step]], content[list(answers)[::step]])
