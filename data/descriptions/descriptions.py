"""The file of descriptions: JSON lines, one an entry, found by AIR.

    {"air": "urn:air:sd1:lora:civitai:7@8", "description": "An SD 1.5 LoRA of …", "status": "written",
     "attributes": {"role": "style", "media": ["ink"], …}, "faults": [], "writer": "smollm2-135m-instruct",
     "held_out": "both", "key": "9f0c…"}

``status`` is "written", or "composed" where three answers of the writer were refused; ``faults`` says why.
``key`` is a digest of the writer and of all that it was told: the same question is never asked twice. The
file is appended to batch by batch, so a kill costs no more than the batch at hand.
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
    """What the model is for, where the writer says it."""
    faults: tuple[str, ...] = ()
    writer: str
    held_out: Rule
    key: str


def read_descriptions(path: Path, rule: Rule = "none") -> dict[str, Description]:
    """AIR → description of a file, packed where its name ends in .gz; of several for one AIR the last.

    Raises:
        BadInput: no such file; a line is no description; or one was written from prompts that ``rule``
            keeps back.
    """
    if not path.is_file():
        raise BadInput(f"there is no file {path}", f"make it with diffagent data describe RAW -o {path}")
    found = {one.air: one for one in _lines(path)}
    seen = next((one for one in found.values() if not _HIDDEN[rule] <= _HIDDEN[one.held_out]), None)
    if seen is not None:
        raise BadInput(
            f"{path} was written with {seen.held_out!r} held out, so its descriptions tell of images that "
            f"{rule!r} holds out",
            f"describe again with --hold-out {rule}",
        )
    return found


def with_descriptions(entries: Iterable[Entry], found: Mapping[str, Description]) -> Iterator[Entry]:
    """The entries with their attributes and written descriptions; composed ones stay where there is none."""
    for entry in entries:
        one = found.get(entry.card.air)
        if one is not None:
            text = one.description if one.status == "written" else entry.card.description
            card = replace(entry.card, description=text, attributes=one.attributes)
            entry = entry._replace(card=card)
        yield entry


class DescriptionsFile:
    """A file of descriptions that grows; what an earlier run left is in ``known``, by key.

    A line that a kill cut short is dropped.

    Raises:
        BadInput: a line is no description, or the file cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.known: dict[str, Description] = {}
        self._file: IO[bytes]

    def __enter__(self) -> Self:
        if self.path.suffix == ".gz":
            raise BadInput(f"{self.path} cannot grow: give a name without .gz, and pack it when it is done")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.touch()
            self.known = {one.key: one for one in _lines(self.path)}
            self._file = self.path.open("rb+")
        except OSError as error:
            raise BadInput(f"cannot write to {self.path}: {error}") from None
        self._file.truncate(self.path.read_bytes().rfind(b"\n") + 1)
        self._file.seek(0, os.SEEK_END)
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, rows: Iterable[Description]) -> None:
        """Keeps a batch, on disk when this returns."""
        for row in rows:
            self.known[row.key] = row
            self._file.write(row.model_dump_json().encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def finish(self, rows: Iterable[Description]) -> None:
        """Replaces the file by these rows alone: what older crawls or writers left goes."""
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
            raise BadInput(f"{path} is no packed file of descriptions ({error}): fetch it again") from None
    whole = text[: text.rfind(b"\n") + 1]
    for number, line in enumerate(whole.splitlines(), 1):
        try:
            yield Description.model_validate_json(line)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "the line"
            raise BadInput(
                f"{path}:{number}: no description: {where}: {first['msg']}; "
                "delete the line or give another file"
            ) from None
