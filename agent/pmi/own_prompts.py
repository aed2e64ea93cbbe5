"""Tables 1, 2 and 4 of the CGI paper in its own setting: each model has its own specification prompts.

Each model keeps the specification images of a random half of its prompts, drawn per model, so that the
weights of Eq. 9 matter: how much a model's image tells about the request. The common set (Table 5) is
reported beside it. Test images, tasks and captions are those of the benchmark. Everything is fitted again for
each of several seeds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from diffagent.agent.pmi.bench import Bench, distances_of_images, learn_space, quality, tuned_gamma
from diffagent.agent.pmi.feature_cache import Progress
from diffagent.agent.pmi.learning import LearntSpace, TrainingImages
from diffagent.agent.pmi.metrics import measure, tasks
from diffagent.agent.pmi.prompted import PromptedSpace
from diffagent.agent.pmi.space import Doubles

METHODS = ("baseline", "rkme", "pmi", "ours", "prompted")
SEEDS = 5


def halved(bench: Bench, seed: int) -> Bench:
    """Returns the benchmark with a random half (rounded up) of each model's specification prompts."""
    rng, images = np.random.default_rng(seed), bench.specification
    chosen_rows = np.zeros(len(images), bool)
    for model in range(len(bench.names)):
        of_model = images.models == model
        prompts = np.unique(images.prompts[of_model])
        chosen = rng.permutation(prompts)[: -(-len(prompts) // 2)]
        chosen_rows |= of_model & np.isin(images.prompts, chosen)
    return replace(bench, specification=images[chosen_rows])


def settings(
    bench: Bench, sizes: Sequence[int] = (1, 4), seeds: int = SEEDS, progress: Progress = iter
) -> dict[str, Any]:
    """Returns ``{"common": …, "own": …}``: method → number of images → means over seeds, with ``top1_sd``,
    the standard deviation of the accuracy over seeds."""
    progress_seeds: Iterable[int] = progress(range(seeds))
    runs = [of_methods(halved(bench, seed), sizes) for seed in progress_seeds]
    return {"seeds": seeds, "common": of_methods(bench, sizes), "own": mean(runs)}


def of_methods(bench: Bench, sizes: Sequence[int]) -> dict[str, Any]:
    """Returns method → number of images → measures; ``sharpness``: β of :class:`PromptedSpace`."""
    gamma, images = tuned_gamma(bench.specification), bench.specification
    learnt = learn_space(bench)
    training = TrainingImages(images.style, images.crops, images.models, images.prompts, bench.layers)
    prompted = PromptedSpace.fit(learnt, training, images.text)
    papers = distances_of_images(bench, gamma)
    evidence: dict[str, tuple[LearntSpace | PromptedSpace, Doubles]] = {
        "ours": (learnt, learnt.evidence(bench.test.style)),
        "prompted": (prompted, prompted.evidence(bench.test.style, bench.test.text)),
    }
    report: dict[str, Any] = {name: {} for name in METHODS}
    for size in sizes:
        queries = tasks(bench.test.models, size)
        for name in METHODS:
            if name in papers:
                distances = papers[name](queries)
            else:
                space, of_images = evidence[name]
                distances = -np.stack([space.log_probabilities(of_images[rows]) for rows in queries.images])
            scores = measure(distances, queries.models)
            report[name][str(size)] = {**scores, "frechet": quality(bench, queries, distances)}
    return {**report, "gamma": gamma, "sharpness": prompted.sharpness}


def mean(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Returns the means of several runs' measures, and the deviation of their accuracy."""
    means: dict[str, Any] = {"gamma": [run["gamma"] for run in runs]}
    means["sharpness"] = [run["sharpness"] for run in runs]
    for name in METHODS:
        means[name] = {}
        for size in runs[0][name]:
            rows = [run[name][size] for run in runs]
            scores = {
                key: None
                if any(row[key] is None for row in rows)
                else float(np.mean([row[key] for row in rows]))
                for key in rows[0]
            }
            scores["top1_sd"] = float(np.std([row["top1"] for row in rows], ddof=min(1, len(rows) - 1)))
            means[name][size] = scores
    return means
