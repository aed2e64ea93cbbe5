"""Batch routing: rows go in, a JSONL file of calls grows in the same order, and a killed run goes on.

    {"id": 0, "call": {"model": "SXZ Pixel Bringer [ Style ]", …}, "n": 1, "notes": [], "reasons": […]}
    {"id": 1, "error": {"type": "BadPrompt", "message": "the prompt is empty: …"}}

Rows are appended in blocks, each synced to the disk. After a kill, a torn last line is cut off and the rows
before it are kept. ``OUT.run.json`` beside the file records input and options, so that others are refused.
Equal requests are computed once.
"""

from __future__ import annotations

import csv
import fcntl
import json
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Self, TextIO

from diffagent.data.errors import BadInput, DiffAgentError
from diffagent.data.records import T2ICall
from diffagent.serving.batch.rows import BatchRow, BatchSource

if TYPE_CHECKING:
    from diffagent.agent.agent import Agent
    from diffagent.agent.decision import Decision

Body = dict[str, Any]
"""``{"call": …, "n": …, "notes": […], "reasons": […]}`` or ``{"error": …}``."""
Answer = Callable[[Iterable[list[BatchRow]]], Iterator[list[Body]]]
"""Blocks of rows, all valid and different → blocks of their bodies, in the same order."""
Begin = Callable[[int], Callable[[int], object]]
"""The number of rows of an earlier run → a callback for the number of rows of each block."""
BODY = ("call", "n", "notes", "reasons", "error")
"""Keys of a row's line beside its id and the columns that are passed through."""
CLAIMED = -1


@dataclass
class BatchSummary:
    """Counts of rows in the file: ``computed`` in this run, ``copied`` from equal rows, ``kept`` from an
    earlier run."""

    rows: int = 0
    calls: int = 0
    errors: int = 0
    computed: int = 0
    copied: int = 0
    kept: int = 0

    def to_dict(self) -> dict[str, int]:
        return asdict(self)


def error_body(error: DiffAgentError) -> Body:
    """The body of an error."""
    return {"error": {"type": type(error).__name__, "message": error.line()}}


def row_bodies(agent: Agent, requests: Sequence[Mapping[str, Any]]) -> list[Body]:
    """The bodies of requests, given as options by name, in order; an invalid request gets its error."""
    return [body(decision) for decision in agent.decide_many(requests)]


def body(decision: Decision | DiffAgentError) -> Body:
    """The body of a decision or an error."""
    if isinstance(decision, DiffAgentError):
        return error_body(decision)
    beside = {"n": decision.n, "notes": list(decision.notes), "reasons": list(decision.reasons)}
    return {"call": decision.call.model_dump(), **beside}


def route(
    source: BatchSource,
    out: Path,
    answer: Answer,
    settings: Mapping[str, Any],
    block: int,
    begin: Begin = lambda start: lambda count: None,
) -> BatchSummary:
    """Append the rows that ``out`` lacks.

    Args:
        settings: the settings that the calls depend on, recorded in ``OUT.run.json``.
        block: rows between two syncs.

    Raises:
        BadInput: ``out`` belongs to another input, other settings or no run at all, or another process is
        writing it.
    """
    waiting: deque[list[BatchRow]] = deque()
    with Output(out, {"input": source.digest, "rows": source.count, **settings}) as output:
        rows = iter(source)
        output.resume(rows)
        advance = begin(output.summary.kept)

        def blocks() -> Iterator[list[BatchRow]]:
            while chunk := list(islice(rows, block)):
                waiting.append(chunk)
                yield [row for row in chunk if not row.fault and output.claim(row)]

        for bodies in answer(blocks()):
            chunk = waiting.popleft()
            output.append(chunk, bodies)
            advance(len(chunk))
        return output.summary


class Output:
    """The growing file of one run, locked while it is open."""

    def __init__(self, path: Path, run: Mapping[str, Any]) -> None:
        self.path = path
        self.run = dict(run)
        self.summary = BatchSummary()
        self._places: dict[bytes, int] = {}  # offset of the first row of each request, or CLAIMED

    def __enter__(self) -> Self:
        sidecar = self.path.with_name(self.path.name + ".run.json")
        if self.path.exists() or sidecar.exists():
            self._check(sidecar)
        self._file: BinaryIO = self.path.open("a+b")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._file.close()
            raise BadInput(f"another process is writing {self.path}: wait for it") from None
        if not sidecar.exists():
            fresh = sidecar.with_name(sidecar.name + ".part")
            fresh.write_text(json.dumps(self.run, indent=2) + "\n", encoding="utf-8")
            fresh.replace(sidecar)
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def _check(self, sidecar: Path) -> None:
        try:
            stored = json.loads(sidecar.read_text("utf-8"))
        except (OSError, ValueError):
            if self.path.exists() and self.path.stat().st_size:
                raise BadInput(
                    f"{self.path} exists, but no run of this command made it ({sidecar.name} is missing)",
                    "give another -o",
                ) from None
            return
        differ = sorted(name for name in self.run | stored if self.run.get(name) != stored.get(name))
        if differ:
            raise BadInput(
                f"{self.path} was begun with another {', '.join(differ)}",
                f"give another -o, or delete it and {sidecar.name}",
            )

    def resume(self, rows: Iterator[BatchRow]) -> None:
        """Keep the rows that are there, without a torn last line.

        Raises:
            BadInput: a line does not belong to this input.
        """
        self._file.seek(0)
        end = 0
        for line in self._file:
            body = _parse_line(line)
            if body is None:
                break
            row = next(rows, None)
            if row is None or body.get("id") != row.id:
                raise BadInput(
                    f"line {self.summary.kept + 1} of {self.path} does not belong to this input",
                    "give another -o",
                )
            if not row.fault:
                self._places.setdefault(row.key, end)
            end += len(line)
            self.summary.kept += 1
            self._count(body)
        self._file.truncate(end)
        self._end = end

    def claim(self, row: BatchRow) -> bool:
        """Whether this row is the first of its request."""
        if row.key in self._places:
            return False
        self._places[row.key] = CLAIMED
        return True

    def append(self, rows: Sequence[BatchRow], bodies: Sequence[Body]) -> None:
        """Write a block: ``found`` are the bodies of those of its rows that were claimed, in order."""
        computed, lines = iter(bodies), bytearray()
        for row in rows:
            place = self._places.get(row.key, CLAIMED)
            if row.fault:
                body: Body = {"error": {"type": "BadInput", "message": row.fault}}
            elif place == CLAIMED:
                body = next(computed)
                self._places[row.key] = self._end + len(lines)
                self.summary.computed += 1
            else:
                body = self._copy(place, lines)
                self.summary.copied += 1
            self._count(body)
            line = {"id": row.id, **_renamed_columns(row.passed), **body}
            lines += json.dumps(line, ensure_ascii=False, default=str).encode("utf-8", "replace") + b"\n"
        self._file.write(lines)
        self._file.flush()
        os.fsync(self._file.fileno())
        self._end += len(lines)

    def _copy(self, place: int, lines: bytearray) -> Body:
        """The body at offset ``place``, in the file or in the lines behind its end."""
        if place >= self._end:
            line = bytes(lines[place - self._end :]).partition(b"\n")[0]
        else:
            self._file.seek(place)
            line = self._file.readline()
        body: Body = json.loads(line)
        return {name: value for name, value in body.items() if name in BODY}

    def _count(self, body: Body) -> None:
        self.summary.rows += 1
        self.summary.calls += "call" in body
        self.summary.errors += "error" in body


def _renamed_columns(columns: Mapping[str, Any]) -> dict[str, Any]:
    """The columns that are passed through; a column with a name of ours gets the prefix ``in_``."""
    return {f"in_{name}" if name in ("id", *BODY) else name: value for name, value in columns.items()}


def as_csv(rows: Path, out: TextIO) -> None:
    """Write the lines of a run as a table: id, the columns that are passed through, the call's fields."""
    names: dict[str, None] = {}
    with rows.open("rb") as file:
        for line in file:
            names |= dict.fromkeys(name for name in json.loads(line) if name not in ("id", *BODY))
    fields = [f"call_{name}" for name in T2ICall.model_fields]
    table = csv.DictWriter(
        out, ["id", *names, *fields, "n", "notes", "reasons", "error"], lineterminator="\n"
    )
    table.writeheader()
    with rows.open("rb") as file:
        for line in file:
            record = json.loads(line)
            call = {f"call_{name}": value for name, value in (record.pop("call", None) or {}).items()}
            error = (record.pop("error", None) or {}).get("message")
            table.writerow(
                {name: _cell(value) for name, value in ({**record, **call, "error": error}).items()}
            )


def _cell(value: Any) -> Any:
    """A value as a cell: a list of texts line by line, other lists and objects as JSON."""
    if isinstance(value, list) and value and all(isinstance(text, str) for text in value):
        return "\n".join(value)
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False) if value else ""
    return value


def _parse_line(line: bytes) -> Body | None:
    """The object of a line, or None where the line is torn."""
    try:
        body = json.loads(line) if line.endswith(b"\n") else None
    except ValueError:
        return None
    return body if isinstance(body, dict) else None
