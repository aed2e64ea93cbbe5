"""A cache of encoded images: from examples to a specification file in their order.

The file's name is a digest of its input (rows, files' sizes and times, encoders). It grows by batches, so
that an interrupted run continues, and ``pmi build`` and ``pmi bench`` of one manifest share it. An image that
cannot be decoded is a record without AIR.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from diffagent.agent.pmi.manifest import Example
from diffagent.agent.pmi.specification_file import (
    Encoders,
    Specification,
    SpecificationFile,
    prompt_key,
)
from diffagent.data.encoders.image_encoder import ImageEncoder
from diffagent.data.encoders.image_loading import load_image
from diffagent.data.encoders.text_encoder import Encoder
from diffagent.data.errors import BadImage, BadSpecifications
from diffagent.data.weights.weights import home

BATCH = 25
"""Images between two writes, the most that an interrupted run loses."""

Progress = Callable[[Iterable[Any]], Iterable[Any]]


@dataclass(frozen=True)
class EncoderPair:
    """The image encoder G and the text encoder T, with the latter's name and digest."""

    image: ImageEncoder
    text: Encoder
    text_name: str
    text_digest: str

    @property
    def encoders(self) -> Encoders:
        """The pair in the form of a file's header."""
        return Encoders(
            self.image.name,
            self.image.digest,
            self.image.content_size,
            self.image.style_sizes,
            self.image.crops,
            self.text_name,
            self.text_digest,
            self.text.encode([" "]).shape[1],
        )


def cached_features(
    examples: Sequence[Example], airs: Sequence[str], pair: EncoderPair, progress: Progress = iter
) -> tuple[SpecificationFile, list[str]]:
    """Returns a record for each example, under its model's AIR of ``airs``, and the reasons of failed images.

    The reasons are those of this run: failures of earlier runs are only records without AIR.
    """
    encoders, faults = pair.encoders, list[str]()
    file = _cached_file(examples, airs, encoders)
    for at in progress(range(len(file), len(examples), BATCH)):
        batch = slice(at, at + BATCH)
        rows = [
            _encode(*row, pair, encoders, faults) for row in zip(examples[batch], airs[batch], strict=True)
        ]
        file.extend(rows)
    return file, faults


def _encode(
    example: Example, air: str, pair: EncoderPair, encoders: Encoders, faults: list[str]
) -> Specification:
    try:
        features = pair.image.encode([load_image(example.file)])
    except BadImage as error:
        faults.append(str(error))
        content, style, crops, text = (np.zeros((1, *shape), np.float32) for shape in encoders.shapes)
        return Specification("", content, style, crops, text, np.zeros(1, np.uint64))
    prompt = example.prompt.strip()
    text = pair.text.encode([prompt]) if prompt else np.zeros((1, encoders.prompt), np.float32)
    key = np.array([prompt_key(prompt)], np.uint64)
    return Specification(air, features.content, features.style, features.crops, text, key)


def _cached_file(examples: Sequence[Example], airs: Sequence[str], encoders: Encoders) -> SpecificationFile:
    path = home() / "pmi" / f"{_digest(examples, airs, encoders)}.pmi"
    try:
        file = SpecificationFile.open(path)
        if len(file) <= len(examples):
            return file
    except BadSpecifications:
        pass  # missing or damaged
    return SpecificationFile.create(path, encoders)


def _digest(examples: Sequence[Example], airs: Sequence[str], encoders: Encoders) -> str:
    digest = hashlib.blake2b(encoders.digest.encode(), digest_size=16)
    for example, air in zip(examples, airs, strict=True):
        try:
            stat = example.file.stat()
            state = f"{stat.st_size}|{stat.st_mtime_ns}"
        except OSError:
            state = "missing"
        digest.update(
            f"{example.file.absolute()}|{state}|{air}|{example.prompt}\n".encode("utf-8", "replace")
        )
    return digest.hexdigest()
