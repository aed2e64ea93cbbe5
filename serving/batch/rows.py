"""Rows of a batch: a JSONL, CSV, TSV or text file or a Hugging Face dataset → :class:`BatchRow`.

Each line of a text file is a prompt. stdin is JSON lines if its first line is an object, else text.

A row is ``{"id"?, "prompt", …}`` with any field of :class:`~diffagent.agent.asking.request.Request`, or
DABench's ``{"instruction": {…}}``; its default id is its number, from 0. Any other row gets a ``fault``;
blank lines are skipped. Columns that are not fields of a request are passed through. In a CSV cell ``images``
is one path, or several as a JSON list; numbers and booleans are parsed from text.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from diffagent.agent.asking.request import Request, takes_text
from diffagent.data.errors import BadInput, MissingExtra
from diffagent.data.weights.wheel import sha256
from diffagent.serving.json_bounds import JsonBounds

PROMPT = "prompt"
KINDS = ("jsonl", "ndjson", "csv", "tsv", "txt")
"""Formats of a file, by its extension."""
_PLAIN = ("string", "bool", "int8", "int16", "int32", "int64", "float32", "float64", "large_string")
"""Types of the dataset columns that are passed through."""
COLUMNS = frozenset({"id", "instruction", *Request.model_fields}) - {"target_url"}
"""Columns of a row; the target's URL is an option of the command only."""
NOT_TEXT = frozenset(name for name in Request.model_fields if not takes_text(name)) - {"images"}
LONGEST_FAULT = 200
CSV_CELL = 1 << 24
"""The most characters of a cell."""
LINE = JsonBounds(string=CSV_CELL)
"""Bounds of a line of JSON."""

Reader = Callable[[], Iterator[tuple[Any, str]]]
"""Reads from the start: an object and an empty fault, or None and the reason why it cannot be read."""


@dataclass(frozen=True)
class BatchRow:
    """The request of one row. ``fault`` is the reason why it cannot be routed, else empty; ``passed`` are the
    columns that are passed through."""

    id: str | int
    options: Mapping[str, Any] = field(default_factory=dict)
    fault: str = ""
    passed: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def key(self) -> bytes:
        """A digest of the request: equal for equal requests."""
        text = json.dumps(self.options, sort_keys=True, default=str)
        return hashlib.blake2b(text.encode(), digest_size=16).digest()


@dataclass(frozen=True)
class BatchSource:
    """An input that can be read again. ``digest`` is the SHA-256 of its content, ``passed`` are the columns
    of the first row that are passed through, ``prompt`` is the name of the prompt's column."""

    digest: str
    count: int
    passed: tuple[str, ...]
    read: Reader
    prompt: str = PROMPT

    def __iter__(self) -> Iterator[BatchRow]:
        return (
            parse_row(record, fault, number, self.prompt)
            for number, (record, fault) in enumerate(self.read())
        )


def open_source(name: str, prompt: str = PROMPT, kind: str | None = None) -> BatchSource:
    """A file or dataset by path, or a dataset by ``NAME[:SPLIT]``.

    Args:
        name: the path or name.
        prompt: the column of the prompts.
        kind: one of :data:`KINDS`; None: by the file's extension.

    Raises:
        BadInput: there is no such file or dataset, or the file is of another kind. MissingExtra: a dataset
        needs the library ``datasets``.
    """
    path = Path(name)
    if not path.is_file():
        return _dataset(name, prompt)
    kind = kind or path.suffix.casefold().lstrip(".")
    if kind not in KINDS:
        raise BadInput(
            f"{path} is not a {', '.join('.' + suffix for suffix in KINDS)} file: name it after what it holds"
        )
    reader = {"csv": _table, "tsv": _table, "txt": _text_lines}.get(kind, _json_lines)
    return _source(sha256(path), lambda: reader(path, kind, prompt), prompt)


def kind_of(data: bytes) -> str:
    """The format of stdin: JSON lines or prompts."""
    return "jsonl" if data.lstrip()[:1] == b"{" else "txt"


def parse_row(record: Any, fault: str, number: int, prompt: str = PROMPT) -> BatchRow:
    """The row of an input record, the ``number``-th from 0; ``prompt`` is the name of the prompt's column."""
    if fault:
        return BatchRow(number, fault=fault)
    if not isinstance(record, Mapping):
        return BatchRow(number, fault=f"the row is {json.dumps(record)[:60]}, but it has to be an object")
    if prompt != PROMPT:
        record = {
            PROMPT: record.get(prompt),
            **{k: v for k, v in record.items() if k not in (PROMPT, prompt)},
        }
    name = record.get("id")
    row_id: str | int = name if isinstance(name, str | int) and not isinstance(name, bool) else number
    instruction = record.get("instruction")
    request = (
        {"id": name, **instruction} if isinstance(instruction, Mapping) and "prompt" not in record else record
    )
    options = {
        name: value for name, value in request.items() if name in COLUMNS - {"id"} and value is not None
    }
    passed = {str(name): value for name, value in record.items() if name not in COLUMNS}
    if not isinstance(options.get("prompt"), str):
        shown = json.dumps(options.get("prompt"), default=str)[:60]
        return BatchRow(
            row_id, fault=f"{prompt} is {shown}, but it has to be text: say what to draw", passed=passed
        )
    return BatchRow(row_id, options, passed=passed)


def _source(digest: str, reader: Reader, prompt: str) -> BatchSource:
    count, columns = 0, set[str]()
    for count, (record, _) in enumerate(reader(), 1):
        if count == 1 and isinstance(record, Mapping):
            columns = set(map(str, record)) - COLUMNS - {prompt}
    return BatchSource(digest, count, tuple(sorted(columns)), reader, prompt)


def _text_lines(path: Path, kind: str, prompt: str) -> Iterator[tuple[Any, str]]:
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        for line in file:
            if line.strip():
                yield {prompt: line.strip()}, ""


def _json_lines(path: Path, kind: str, prompt: str) -> Iterator[tuple[Any, str]]:
    with path.open("rb") as file:
        for line in file:
            if line.strip():
                try:
                    LINE.check(line, "the line")
                    yield json.loads(line), ""
                except BadInput as error:
                    yield None, str(error)
                except (ValueError, RecursionError) as error:
                    yield None, f"the line is not JSON: {error}"[:LONGEST_FAULT]


def _table(path: Path, kind: str, prompt: str) -> Iterator[tuple[Any, str]]:
    csv.field_size_limit(CSV_CELL)
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        rows = csv.DictReader(file, delimiter="\t" if kind == "tsv" else ",")
        if prompt not in (rows.fieldnames or ()):
            raise BadInput(
                f"{path} has no column {prompt!r} in its first line ({', '.join(rows.fieldnames or ())})",
                "name the columns, or name the prompt's with --prompt-column",
            )
        while True:
            try:
                cells = next(rows)
            except StopIteration:
                return
            except csv.Error as error:
                yield None, f"the line is not CSV: {error}"[:LONGEST_FAULT]
                continue
            if None in cells or None in cells.values():
                yield (
                    None,
                    f"the line does not have the {len(rows.fieldnames or ())} columns of the first one",
                )
            else:
                yield _table_row(cells, prompt), ""


def _table_row(cells: Mapping[str, str], prompt: str = PROMPT) -> dict[str, Any]:
    """The record of a table's row; empty cells are left out, except the prompt's."""
    record: dict[str, Any] = {
        name: _cell(name, cell) for name, cell in cells.items() if cell or name == prompt
    }
    images = record.get("images")
    if images is not None:
        try:
            record["images"] = json.loads(images) if images.startswith("[") else [images]
        except ValueError:
            record["images"] = [images]
    return record


def _cell(name: str, cell: str) -> Any:
    """A number or boolean, as JSON spells it, where the option takes one; else the text."""
    if name in NOT_TEXT:
        try:
            return json.loads(cell.lower())
        except ValueError:
            return cell  # refused by the request's own check, which says why
    return cell


def _dataset(location: str, prompt: str) -> BatchSource:
    try:
        import datasets
    except ImportError:
        raise MissingExtra(
            f"{location} is not a file, and a dataset needs the library datasets: pip install datasets"
        ) from None
    name, _, split = location.rpartition(":") if ":" in location else (location, "", "")
    datasets.disable_progress_bars()
    try:
        dataset = _load(datasets, name, split)
    except (OSError, ValueError, KeyError, datasets.exceptions.DatasetsError) as error:
        reason = " ".join(str(error).split())[:LONGEST_FAULT]
        raise BadInput(
            f"{location} is neither a file nor a readable dataset ({reason}): give a .jsonl or .csv file, a "
            "dataset's folder or NAME[:SPLIT]"
        ) from None
    columns = set(dataset.column_names)
    if prompt not in columns and "instruction" not in columns:
        raise BadInput(
            f"{location} has the columns {', '.join(dataset.column_names)}, but no {prompt!r}",
            "name the prompt's with --prompt-column",
        )
    plain = [name for name, kind in dataset.features.items() if getattr(kind, "dtype", None) in _PLAIN]
    selected = dataset.select_columns(sorted((COLUMNS | {prompt} | {*plain}) & columns))
    digest = hashlib.sha256()
    for record in selected:
        digest.update(json.dumps(record, default=str).encode() + b"\n")
    passed = tuple(sorted(set(selected.column_names) - COLUMNS - {prompt}))
    return BatchSource(
        digest.hexdigest(), len(dataset), passed, lambda: ((record, "") for record in selected), prompt
    )


def _load(datasets: Any, name: str, split: str) -> Any:
    """One split of a saved dataset, of a folder of data files or of a dataset on the hub."""
    folder = Path(name)
    is_saved = any((folder / file).is_file() for file in ("dataset_dict.json", "state.json"))
    dataset = datasets.load_from_disk(name) if is_saved else datasets.load_dataset(name, split=split or None)
    if isinstance(dataset, dict):
        names = list(dataset)
        if not split and len(names) > 1:
            raise ValueError(f"it has the splits {', '.join(names)}: give one, such as {name}:{names[0]}")
        dataset = dataset[split or names[0]]
    return dataset
