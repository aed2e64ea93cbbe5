"""A contact sheet of the benchmark: one query's example images with the five models that are found for it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from diffagent.agent.pmi.bench import Bench
from diffagent.agent.pmi.learning import LearntSpace
from diffagent.agent.pmi.manifest import read_examples
from diffagent.agent.pmi.metrics import tasks
from diffagent.agent.pmi.plots import contact_sheet

IMAGES, MODELS = 4, 5


def draw_sheet(manifest: Path, bench: Bench, learnt: LearntSpace, path: Path, seed: int = 0) -> None:
    """Of a task drawn with ``seed``: its images on top, below them the same prompts by the models found."""
    asked = tasks(bench.test.models, min(IMAGES, int(np.bincount(bench.test.models).max())))
    task = int(np.random.default_rng(seed).integers(len(asked)))
    rows = asked.images[task]
    found = learnt.log_probabilities(learnt.evidence(bench.test.style[rows]))
    files = _test_files(manifest, bench)
    made = {
        (model, key): file
        for model, key, file in zip(
            bench.test.models.tolist(), bench.test.prompts.tolist(), files, strict=True
        )
    }
    keys = bench.test.prompts[rows].tolist()
    answers = []
    for model in np.argsort(-found)[:MODELS].tolist():
        own = [made[model, key] for key in keys if (model, key) in made]
        answers.append((bench.names[model], float(np.exp(found[model])), own))
    contact_sheet([files[row] for row in rows], answers, path)


def _test_files(manifest: Path, bench: Bench) -> list[Path]:
    from diffagent.agent.pmi.bench import TEST_EVERY, TEST_REST

    found = [one.file for one in read_examples(manifest) if int(one.prompt_id or 0) % TEST_EVERY == TEST_REST]
    assert len(found) == len(bench.test)
    return found
