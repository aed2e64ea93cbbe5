"""Specifications on disk: one memory-mapped file per pair of encoders, one record per image.

    header (4,096 bytes)   JSON: format, both encoders with digests and sizes, number of records
    records                air, prompt key, Z (content, style, style of crops), Q: fixed size, float16

A model's specification S = {Z, Q} (Eq. 5) consists of its records, anywhere in the file: adding a model
appends. The header's count is written last, so that the remains of a crash are not read. Vectors of different
encoders cannot be compared: opening with others is an error. Prompts themselves are not stored; the
``prompt`` key (a hash) only tells which images share one.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from diffagent.data.errors import BadInput, BadSpecifications

FORMAT = "diffagent pmi 1"
HEADER = 4096
AIR_BYTES = 200
Records = npt.NDArray[Any]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Encoders:
    """The pair of encoders of a file, and the lengths of their vectors."""

    image: str
    image_digest: str
    content: int
    layers: tuple[int, ...]
    """Lengths of the parts of a style vector."""
    crops: int
    text: str
    text_digest: str
    prompt: int

    @property
    def style(self) -> int:
        """Length of a style vector."""
        return sum(self.layers)

    @property
    def digest(self) -> str:
        """The pair's digest, 12 hexadecimal digits."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:12]

    @property
    def lengths(self) -> tuple[int, ...]:
        """Lengths of an image's vectors: content, each layer's style, number of crops, prompt."""
        return self.content, *self.layers, self.crops, self.prompt

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shapes of an image's content, style, crops and prompt."""
        return (self.content,), (self.style,), (self.crops, self.style), (self.prompt,)

    def record(self) -> np.dtype[Any]:
        """Returns the type of an image's record: its model's AIR, the prompt's key, Z and Q."""
        return np.dtype(
            [
                ("air", f"S{AIR_BYTES}"),
                ("prompt", "<u8"),
                ("content", "<f2", (self.content,)),
                ("style", "<f2", (self.style,)),
                ("crops", "<f2", (self.crops, self.style)),
                ("text", "<f2", (self.prompt,)),
            ]
        )


@dataclass(frozen=True)
class Specification:
    """S = {Z, Q} of one model: ``content`` float32 [n, d], ``style`` [n, s], ``crops`` [n, c, s], ``text``
    [n, t] (zeros where an image has no prompt), ``prompts`` uint64 [n] (0 where it has none)."""

    air: str
    content: Floats
    style: Floats
    crops: Floats
    text: Floats
    prompts: npt.NDArray[np.uint64]

    def __len__(self) -> int:
        return len(self.content)


def prompt_key(prompt: str) -> int:
    """Returns a prompt's key: 64 bits of its hash, ignoring spaces and case; 0 for no prompt."""
    words = " ".join(prompt.casefold().split())
    if not words:
        return 0
    return int.from_bytes(hashlib.blake2b(words.encode("utf-8", "replace"), digest_size=8).digest(), "little")


class SpecificationFile:
    """An open file; :attr:`records` is memory-mapped, read-only."""

    def __init__(self, path: Path, encoders: Encoders, count: int) -> None:
        self.path = path
        self.encoders = encoders
        self._count = count

    @classmethod
    def open(cls, path: str | Path) -> Self:
        """Opens the file at ``path``.

        Raises:
            BadSpecifications: the file is missing, damaged or has another format.
        """
        path = Path(path)
        try:
            with path.open("rb") as stream:
                header = json.loads(stream.read(HEADER))
            if header["format"] != FORMAT:
                raise ValueError(f"its format is {header['format']!r}, not {FORMAT!r}")
            facts = header["encoders"]
            encoders = Encoders(**{**facts, "layers": tuple(map(int, facts["layers"]))})
            count = int(header["count"])
            needed = HEADER + count * encoders.record().itemsize
            if path.stat().st_size < needed:
                raise ValueError(f"it has {path.stat().st_size:,} bytes instead of {needed:,}")
        except FileNotFoundError:
            raise BadSpecifications(
                f"{path} does not exist", "build image specifications with diffagent pmi build"
            ) from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BadSpecifications(
                f"{path} is not a file of image specifications, or is damaged ({error})",
                "make it again with diffagent pmi build",
            ) from None
        return cls(path, encoders, count)

    @classmethod
    def create(cls, path: str | Path, encoders: Encoders) -> Self:
        """Creates a file without records, and replaces any at ``path``."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(path.name + ".part")
        part.write_bytes(_header(encoders, 0))
        part.replace(path)
        return cls(path, encoders, 0)

    def __len__(self) -> int:
        return self._count

    @property
    def records(self) -> Records:
        """All records, memory-mapped: [count]."""
        record = self.encoders.record()
        if not self._count:
            return np.zeros(0, record)
        return np.memmap(self.path, record, "r", HEADER, (self._count,))

    @property
    def airs(self) -> list[str]:
        """The models, in the order in which they were added."""
        return list(dict.fromkeys(_texts(self.records["air"])))

    def specifications(self) -> list[Specification]:
        """Returns every model's specification, in the order of :attr:`airs`."""
        records = self.records
        rows: dict[str, list[int]] = {}
        for row, air in enumerate(_texts(records["air"])):
            rows.setdefault(air, []).append(row)
        return [_specification(air, records[where]) for air, where in rows.items()]

    def append(self, specifications: Iterable[Specification]) -> None:
        """Adds models; replaces the records of models that the file already has.

        Raises:
            BadInput: vectors differ in length from the encoders', or an AIR exceeds 200 bytes.
        """
        added = list(specifications)
        again = {specification.air for specification in added}.intersection(self.airs)
        records = [_records(specification, self.encoders) for specification in added]
        if again:
            self._rewrite_without(again)
        self._write(records)

    def extend(self, specifications: Iterable[Specification]) -> None:
        """Adds images, also to existing models; see :meth:`append`."""
        self._write([_records(specification, self.encoders) for specification in specifications])

    def _write(self, records: Sequence[Records]) -> None:
        with self.path.open("r+b") as stream:
            stream.seek(HEADER + self._count * self.encoders.record().itemsize)
            for block in records:
                stream.write(block.tobytes())
            stream.truncate()
            stream.flush()
            os.fsync(stream.fileno())
            count = self._count + sum(map(len, records))
            stream.seek(0)
            stream.write(_header(self.encoders, count))
        self._count = count

    def _rewrite_without(self, airs: set[str]) -> None:
        records = self.records
        rest = records[[air not in airs for air in _texts(records["air"])]]
        part = self.path.with_name(self.path.name + ".part")
        part.write_bytes(_header(self.encoders, len(rest)) + rest.tobytes())
        part.replace(self.path)
        self._count = len(rest)

    def check(self, encoders: Encoders) -> None:
        """Raises:
        BadSpecifications: the file comes from other encoders, or its vectors differ in length.
        """
        self.check_image_encoder(encoders.image, encoders.image_digest)
        file_encoders = self.encoders
        self._check(
            "text encoder",
            (file_encoders.text, file_encoders.text_digest),
            (encoders.text, encoders.text_digest),
        )
        if file_encoders.lengths != encoders.lengths:
            raise BadSpecifications(
                f"{self.path} has vectors of lengths {file_encoders.lengths}, this version's encoders make "
                f"{encoders.lengths}",
                "make the file again with diffagent pmi build",
            )

    def check_image_encoder(self, name: str, digest: str) -> None:
        """Raises:
        BadSpecifications: the file comes from another image encoder, or from other weights.
        """
        self._check("image encoder", (self.encoders.image, self.encoders.image_digest), (name, digest))

    def _check(self, what: str, stored: tuple[str, str], loaded: tuple[str, str]) -> None:
        if stored[1] != loaded[1]:
            raise BadSpecifications(
                f"{self.path} was made with the {what} {stored[0]} ({stored[1][:12]}), but {loaded[0]} "
                f"({loaded[1][:12]}) is loaded, and their vectors cannot be compared",
                "load the one that made it, or make the file again with diffagent pmi build",
            )


def _header(encoders: Encoders, count: int) -> bytes:
    text = json.dumps({"format": FORMAT, "encoders": asdict(encoders), "count": count})
    assert len(text) < HEADER
    return text.encode().ljust(HEADER)


def _texts(column: Records) -> list[str]:
    return [bytes(value).decode("utf-8") for value in column]


def _specification(air: str, records: Records) -> Specification:
    return Specification(
        air,
        records["content"].astype(np.float32),
        records["style"].astype(np.float32),
        records["crops"].astype(np.float32),
        records["text"].astype(np.float32),
        np.ascontiguousarray(records["prompt"]),
    )


def _records(specification: Specification, encoders: Encoders) -> Records:
    name = specification.air.encode("utf-8")
    if len(name) > AIR_BYTES:
        raise BadInput(
            f"the AIR {specification.air[:60]}… has {len(name)} bytes, but at most {AIR_BYTES} are stored"
        )
    shapes = tuple(
        part.shape[1:]
        for part in (specification.content, specification.style, specification.crops, specification.text)
    )
    if shapes != encoders.shapes:
        raise BadInput(
            f"{specification.air} has vectors of shapes {shapes}, but the file's encoders make "
            f"{encoders.shapes}: build it with the same encoders"
        )
    records = np.zeros(len(specification), encoders.record())
    records["air"], records["prompt"] = name, specification.prompts
    limit = np.finfo(np.float16).max
    for field in ("content", "style", "crops", "text"):
        records[field] = np.clip(getattr(specification, field), -limit, limit)
    return records
