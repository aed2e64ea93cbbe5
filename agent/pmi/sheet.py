"""A contact sheet of the benchmark: one query's example images with the five most probable models."""

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
    """Draws a task chosen with ``seed``: its images on top, below them the found models' for the same
    prompts."""
    queries = tasks(bench.test.models, min(IMAGES, int(np.bincount(bench.test.models).max())))
    task = int(np.random.default_rng(seed).integers(len(queries)))
    rows = queries.images[task]
    log_probabilities = learnt.log_probabilities(learnt.evidence(bench.test.style[rows]))
    files = _test_files(manifest, bench)
    file_of = {
        (model, key): file
        for model, key, file in zip(
            bench.test.models.tolist(), bench.test.prompts.tolist(), files, strict=True
        )
    }
    keys = bench.test.prompts[rows].tolist()
    answers = []
    for model in np.argsort(-log_probabilities)[:MODELS].tolist():
        images = [file_of[model, key] for key in keys if (model, key) in file_of]
        answers.append((bench.names[model], float(np.exp(log_probabilities[model])), images))
    contact_sheet([files[row] for row in rows], answers, path)


def _test_files(manifest: Path, bench: Bench) -> list[Path]:
    from diffagent.agent.pmi.bench import TEST_EVERY, TEST_REST

    test_files = [
        example.file
        for example in read_examples(manifest)
        if int(example.prompt_id or 0) % TEST_EVERY == TEST_REST
    ]
    assert len(test_files) == len(bench.test)
    return test_files
