"""The images of a benchmark's manifest, encoded once and kept: a manifest in, a :class:`Bench` out.

Features are kept in the cache as a specification file, named by what they were made from (rows, files'
sizes and times, encoders), in the order of the manifest.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from diffagent.agent.pmi.bench import Bench, images_of
from diffagent.agent.pmi.building import Progress, encoders_of, new_card, specification
from diffagent.agent.pmi.manifest import Example, read_examples
from diffagent.agent.pmi.specification_file import Encoders, SpecificationFile
from diffagent.data.errors import BadImage, BadSpecifications
from diffagent.data.image_encoder import ImageEncoder
from diffagent.data.image_loading import load_image
from diffagent.data.text_encoder import Encoder
from diffagent.data.weights import home

BATCH = 25
"""Images that are encoded between two writes: what a run that is cut off may lose."""


def read_bench(
    manifest: Path,
    image_encoder: ImageEncoder,
    text_encoder: Encoder,
    text_name: str,
    text_digest: str,
    progress: Progress = iter,
) -> Bench:
    """The benchmark of a manifest, from kept features where they are.

    Raises:
        BadInput: no manifest of the benchmark's form. BadImage: an image cannot be decoded.
    """
    examples = read_examples(manifest)
    size = text_encoder.encode([" "]).shape[1]
    encoders = encoders_of(image_encoder, text_name, text_digest, size)
    file = _kept(examples, encoders)
    left = [examples[at : at + BATCH] for at in range(len(file), len(examples), BATCH)]
    for batch in progress(left):
        _append(file, batch, image_encoder, text_encoder, size)
    records = file.records
    names = list(dict.fromkeys(one.model for one in examples))
    numbers = {name: n for n, name in enumerate(names)}
    images = images_of(
        *(records[part].astype(np.float32) for part in ("content", "style", "crops", "text")),
        [numbers[one.model] for one in examples],
        [one.prompt for one in examples],
    )
    return Bench.of(names, images, [one.prompt_id for one in examples])


def _kept(examples: Sequence[Example], encoders: Encoders) -> SpecificationFile:
    path = home() / "pmi" / f"{_digest(examples, encoders)}.pmi"
    try:
        file = SpecificationFile.open(path)
        if len(file) <= len(examples):
            return file
    except BadSpecifications:
        pass  # none yet, or a damaged one
    return SpecificationFile.create(path, encoders)


def _append(
    file: SpecificationFile, batch: Sequence[Example], image: ImageEncoder, text: Encoder, size: int
) -> None:
    features = image.encode([load_image(one.file) for one in batch])
    file.extend(
        specification(new_card(batch[own[0]].model).air, [batch[n] for n in own], features[own], text, size)
        for own in _runs([one.model for one in batch])
    )


def _runs(models: Iterable[str]) -> list[list[int]]:
    """Rows in a row of one model: the file keeps the manifest's order."""
    found: list[list[int]] = []
    last: Any = None
    for row, model in enumerate(models):
        if model != last:
            found.append([])
        found[-1].append(row)
        last = model
    return found


def _digest(examples: Sequence[Example], encoders: Encoders) -> str:
    digest = hashlib.blake2b(encoders.digest.encode(), digest_size=16)
    for one in examples:
        try:
            stat = one.file.stat()
        except OSError as error:
            raise BadImage(
                f"the manifest names {one.file}, which cannot be read ({error.strerror}): give the "
                f"folder as it was"
            ) from None
        digest.update(
            f"{one.file.resolve()}|{stat.st_size}|{stat.st_mtime_ns}|{one.model}|{one.prompt}\n".encode()
        )
    return digest.hexdigest()
