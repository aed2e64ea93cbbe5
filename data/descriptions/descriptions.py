"""The file of descriptions: JSON lines, one per entry, by AIR.

    {"air": "urn:air:sd1:lora:civitai:7@8", "description": "An SD 1.5 LoRA of …", "status": "written",
     "attributes": {"role": "style", "media": ["ink"], …}, "faults": [], "writer": "smollm2-135m-instruct",
     "held_out": "both", "key": "9f0c…"}

``status`` is "written", or "composed" where three answers of the writer were refused for the ``faults``.
``key`` is a digest of the writer and its question, which is never asked twice. The file grows batch by batch,
so a killed run loses one batch at most.
"""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import IO, Literal, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from diffagent.data.attributes import Attributes
from diffagent.data.catalog.cards import Entry
from diffagent.data.catalog.holdout import Rule
from diffagent.data.errors import BadInput
from diffagent.data.json_rows import fault

_HIDDEN: Mapping[str, frozenset[str]] = {
    "none": frozenset(),
    "image": frozenset({"image"}),
    "cluster": frozenset({"cluster"}),
    "both": frozenset({"image", "cluster"}),
}


class Description(BaseModel):
    """One line of the file; unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    air: str
    description: str
    status: Literal["written", "composed"]
    attributes: Attributes | None = None
    """What the model is for, where the writer answered it."""
    faults: tuple[str, ...] = ()
    writer: str
    held_out: Rule
    key: str


def read_descriptions(path: Path, rule: Rule = "none") -> dict[str, Description]:
    """AIR → description of a file, or of a gzip file (.gz); the last one of an AIR holds.

    Raises:
        BadInput: the file is missing, a line is not a description, or one was written from prompts that
            ``rule`` holds out.
    """
    if not path.is_file():
        raise BadInput(f"there is no file {path}", f"make it with diffagent data describe RAW -o {path}")
    descriptions = {description.air: description for description in _lines(path)}
    leak = next(
        (
            description
            for description in descriptions.values()
            if not _HIDDEN[rule] <= _HIDDEN[description.held_out]
        ),
        None,
    )
    if leak is not None:
        raise BadInput(
            f"{path} was written with {leak.held_out!r} held out, so its descriptions tell of images that "
            f"{rule!r} holds out",
            f"describe again with --hold-out {rule}",
        )
    return descriptions


def with_descriptions(entries: Iterable[Entry], descriptions: Mapping[str, Description]) -> Iterator[Entry]:
    """Yields the entries with their attributes and written descriptions; composed ones stay otherwise."""
    for entry in entries:
        description = descriptions.get(entry.card.air)
        if description is not None:
            text = description.description if description.status == "written" else entry.card.description
            card = replace(entry.card, description=text, attributes=description.attributes)
            entry = entry._replace(card=card)
        yield entry


class DescriptionsFile:
    """A growing file of descriptions; ``known`` has those of earlier runs by key.

    A truncated last line is dropped.

    Raises:
        BadInput: a line is not a description, or the file cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.known: dict[str, Description] = {}
        self._file: IO[bytes]

    def __enter__(self) -> Self:
        if self.path.suffix == ".gz":
            raise BadInput(
                f"{self.path} cannot be appended to: give a name without .gz, and compress the finished file"
            )
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.touch()
            self.known = {row.key: row for row in _lines(self.path)}
            self._file = self.path.open("rb+")
        except OSError as error:
            raise BadInput(f"cannot write to {self.path}: {error}") from None
        self._file.truncate(self.path.read_bytes().rfind(b"\n") + 1)
        self._file.seek(0, os.SEEK_END)
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, rows: Iterable[Description]) -> None:
        """Appends a batch and syncs it to disk."""
        for row in rows:
            self.known[row.key] = row
            self._file.write(row.model_dump_json().encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def finish(self, rows: Iterable[Description]) -> None:
        """Replaces the file by these rows, without those of older crawls or writers."""
        part = self.path.with_name(self.path.name + ".part")
        with part.open("wb") as stream:
            stream.writelines(row.model_dump_json().encode() + b"\n" for row in rows)
        part.replace(self.path)


def _lines(path: Path) -> Iterator[Description]:
    text = path.read_bytes()
    if path.suffix == ".gz":
        try:
            text = gzip.decompress(text)
        except (OSError, EOFError, zlib.error) as error:
            raise BadInput(f"{path} is not a gzip file of descriptions ({error}): fetch it again") from None
    complete_lines = text[: text.rfind(b"\n") + 1]
    for number, line in enumerate(complete_lines.splitlines(), 1):
        try:
            yield Description.model_validate_json(line)
        except ValidationError as error:
            raise BadInput(
                f"{path}:{number}: not a description: {fault(error, 'the line')}; "
                "delete the line or give another file"
            ) from None
