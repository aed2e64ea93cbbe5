"""The images of a benchmark's manifest, encoded once and split by prompt."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from diffagent.agent.pmi.bench import Bench, Images
from diffagent.agent.pmi.building import new_card
from diffagent.agent.pmi.feature_cache import EncoderPair, Progress, cached_features
from diffagent.agent.pmi.manifest import read_examples
from diffagent.data.errors import BadImage


def read_bench(manifest: Path, pair: EncoderPair, progress: Progress = iter) -> Bench:
    """Reads the benchmark of a manifest, with cached features where they exist.

    Raises:
        BadInput: the manifest does not have the benchmark's form. BadImage: an image cannot be decoded.
    """
    examples = read_examples(manifest)
    names = list(dict.fromkeys(example.model for example in examples))
    numbers = {name: n for n, name in enumerate(names)}
    file, faults = cached_features(
        examples, [new_card(example.model).air for example in examples], pair, progress
    )
    records = file.records
    if broken := np.flatnonzero(records["air"] == b"").tolist():
        reason = faults[0] if faults else f"{examples[broken[0]].file} could not be decoded"
        raise BadImage(f"{len(broken)} images of the benchmark cannot be used: {reason}")
    images = Images(
        content=records["content"].astype(np.float32),
        style=records["style"].astype(np.float32),
        crops=records["crops"].astype(np.float32),
        text=records["text"].astype(np.float32),
        models=np.array([numbers[example.model] for example in examples], np.int64),
        prompts=np.ascontiguousarray(records["prompt"]),
    )
    return Bench.of(names, images, [example.prompt_id for example in examples], file.encoders.layers)
