"""Tables 1, 2 and 4 of the CGI paper in its own setting: each model specified by prompts of its own.

Each model keeps the specification images of a random half of its prompts, another half for each model, so
that the weights of Eq. 9 say something: how much a model's image tells of the request. Beside it stands the
common set (Table 5). Test images, tasks and captions are those of the benchmark. Everything is repeated for
several seeds, and fitted anew for each.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from diffagent.agent.pmi.bench import Bench, distances_of_images, learn_known, quality, tuned_gamma
from diffagent.agent.pmi.feature_cache import Progress
from diffagent.agent.pmi.learning import LearntSpace, Training
from diffagent.agent.pmi.metrics import measure, tasks
from diffagent.agent.pmi.prompted import Prompted
from diffagent.agent.pmi.space import Doubles

METHODS = ("baseline", "rkme", "pmi", "ours", "prompted")
SEEDS = 5


def halved(bench: Bench, seed: int) -> Bench:
    """The benchmark with a random half (rounded up) of each model's specification prompts."""
    rng, known = np.random.default_rng(seed), bench.known
    kept = np.zeros(len(known), bool)
    for model in range(len(bench.names)):
        own = known.models == model
        prompts = np.unique(known.prompts[own])
        chosen = rng.permutation(prompts)[: -(-len(prompts) // 2)]
        kept |= own & np.isin(known.prompts, chosen)
    return replace(bench, known=known[kept])


def settings(
    bench: Bench, sizes: Sequence[int] = (1, 4), seeds: int = SEEDS, progress: Progress = iter
) -> dict[str, Any]:
    """``{"common": …, "own": …}``: method → number of images → means over seeds, with ``top1_sd``, the
    standard deviation of the accuracy over them."""
    own: Iterable[int] = progress(range(seeds))
    runs = [of_methods(halved(bench, seed), sizes) for seed in own]
    return {"seeds": seeds, "common": of_methods(bench, sizes), "own": mean(runs)}


def of_methods(bench: Bench, sizes: Sequence[int]) -> dict[str, Any]:
    """Method → number of images → what is measured; ``sharpness``: the prompted matcher's β."""
    gamma, known = tuned_gamma(bench.known), bench.known
    learnt = learn_known(bench)
    training = Training(known.style, known.crops, known.models, known.prompts, bench.layers)
    prompted = Prompted.fit(learnt, training, known.text)
    papers = distances_of_images(bench, gamma)
    evidence: dict[str, tuple[LearntSpace | Prompted, Doubles]] = {
        "ours": (learnt, learnt.evidence(bench.test.style)),
        "prompted": (prompted, prompted.evidence(bench.test.style, bench.test.text)),
    }
    found: dict[str, Any] = {name: {} for name in METHODS}
    for size in sizes:
        asked = tasks(bench.test.models, size)
        for name in METHODS:
            if name in papers:
                distances = papers[name](asked)
            else:
                space, of_images = evidence[name]
                distances = -np.stack([space.log_probabilities(of_images[rows]) for rows in asked.images])
            told = measure(distances, asked.models)
            found[name][str(size)] = {**told, "frechet": quality(bench, asked, distances)}
    return {**found, "gamma": gamma, "sharpness": prompted.sharpness}


def mean(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The means of what several runs measured, and the deviation of their accuracy."""
    found: dict[str, Any] = {"gamma": [run["gamma"] for run in runs]}
    found["sharpness"] = [run["sharpness"] for run in runs]
    for name in METHODS:
        found[name] = {}
        for size in runs[0][name]:
            rows = [run[name][size] for run in runs]
            told = {
                key: None
                if any(row[key] is None for row in rows)
                else float(np.mean([row[key] for row in rows]))
                for key in rows[0]
            }
            told["top1_sd"] = float(np.std([row["top1"] for row in rows], ddof=min(1, len(rows) - 1)))
            found[name][size] = told
    return found
