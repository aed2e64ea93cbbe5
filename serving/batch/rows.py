"""Rows of a batch: a JSONL, CSV, TSV or text file or a Hugging Face dataset comes in; :class:`Row` come out.

A line of a text file is a prompt; stdin is JSON lines where its first line is an object, else such lines.

A row is ``{"id"?, "prompt", …}`` with any field of :class:`~diffagent.agent.asking.request.Request`, or
DABench's ``{"instruction": {…}}``; without an id its number, from 0, is its id. A row that is none of these
becomes a row with a ``fault``; blank lines are no rows. Columns that no request has are passed through. In a
CSV cell ``images`` is one path, or several as a JSON list, and numbers and true or false are read from text.
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
"""What a file may hold, as its name ends."""
_PLAIN = ("string", "bool", "int8", "int16", "int32", "int64", "float32", "float64", "large_string")
"""Of a dataset's columns those that are passed through."""
READ = frozenset({"id", "instruction", *Request.model_fields}) - {"target_url"}
"""Columns of a row; where a server stands is the command's to say."""
NOT_TEXT = frozenset(name for name in Request.model_fields if not takes_text(name)) - {"images"}
LONGEST_FAULT = 200
CSV_CELL = 1 << 24
"""Characters of the longest cell that is read."""
LINE = JsonBounds(string=CSV_CELL)
"""What a line of JSON may hold."""

Reader = Callable[[], Iterator[tuple[Any, str]]]
"""Reads from the start: an object and no fault, or None and why it could not be read."""


@dataclass(frozen=True)
class Row:
    """What one row asks; ``fault`` says why it cannot be routed, empty where it can; ``passed`` are its
    columns that no request has."""

    id: str | int
    options: Mapping[str, Any] = field(default_factory=dict)
    fault: str = ""
    passed: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def key(self) -> bytes:
        """Equal for rows that ask the same."""
        text = json.dumps(self.options, sort_keys=True, default=str)
        return hashlib.blake2b(text.encode(), digest_size=16).digest()


@dataclass(frozen=True)
class Source:
    """An input that can be read again: ``digest`` is the SHA-256 of its content, ``passed`` are columns of
    the first row that no request has, ``prompt`` is the name of the prompts' column."""

    digest: str
    count: int
    passed: tuple[str, ...]
    read: Reader
    prompt: str = PROMPT

    def __iter__(self) -> Iterator[Row]:
        return (row(found, fault, number, self.prompt) for number, (found, fault) in enumerate(self.read()))


def open_source(given: str, prompt: str = PROMPT, kind: str | None = None) -> Source:
    """A file or dataset by path, or a dataset by ``NAME[:SPLIT]``.

    Args:
        given: what to read.
        prompt: the column that holds the prompts.
        kind: one of :data:`KINDS`; None: by the file's name.

    Raises:
        BadInput: neither, or a file of another kind. MissingExtra: a dataset, without ``datasets``.
    """
    path = Path(given)
    if not path.is_file():
        return _dataset(given, prompt)
    kind = kind or path.suffix.casefold().lstrip(".")
    if kind not in KINDS:
        raise BadInput(
            f"{path} is no {', '.join('.' + one for one in KINDS)} file: name it after what it holds"
        )
    read = {"csv": _table, "tsv": _table, "txt": _text_lines}.get(kind, _json_lines)
    return _source(sha256(path), lambda: read(path, kind, prompt), prompt)


def kind_of(data: bytes) -> str:
    """What stdin holds: JSON lines or prompts."""
    return "jsonl" if data.lstrip()[:1] == b"{" else "txt"


def row(found: Any, fault: str, number: int, prompt: str = PROMPT) -> Row:
    """A row of the input, the ``number``-th from 0; ``prompt`` is the name of the prompt's column."""
    if fault:
        return Row(number, fault=fault)
    if not isinstance(found, Mapping):
        return Row(number, fault=f"the row is {json.dumps(found)[:60]}, but it has to be an object")
    if prompt != PROMPT:
        found = {PROMPT: found.get(prompt), **{k: v for k, v in found.items() if k not in (PROMPT, prompt)}}
    name = found.get("id")
    known: str | int = name if isinstance(name, str | int) and not isinstance(name, bool) else number
    inner = found.get("instruction")
    asked = {"id": name, **inner} if isinstance(inner, Mapping) and "prompt" not in found else found
    options = {name: value for name, value in asked.items() if name in READ - {"id"} and value is not None}
    passed = {str(name): value for name, value in found.items() if name not in READ}
    if not isinstance(options.get("prompt"), str):
        given = json.dumps(options.get("prompt"), default=str)[:60]
        return Row(
            known, fault=f"{prompt} is {given}, but it has to be text: say what to draw", passed=passed
        )
    return Row(known, options, passed=passed)


def _source(digest: str, read: Reader, prompt: str) -> Source:
    count, columns = 0, set[str]()
    for count, (found, _) in enumerate(read(), 1):
        if count == 1 and isinstance(found, Mapping):
            columns = set(map(str, found)) - READ - {prompt}
    return Source(digest, count, tuple(sorted(columns)), read, prompt)


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
                    yield None, f"the line is no JSON: {error}"[:LONGEST_FAULT]


def _table(path: Path, kind: str, prompt: str) -> Iterator[tuple[Any, str]]:
    csv.field_size_limit(CSV_CELL)
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        rows = csv.DictReader(file, delimiter="\t" if kind == "tsv" else ",")
        if prompt not in (rows.fieldnames or ()):
            raise BadInput(
                f"{path} has no column {prompt!r} in its first line ({', '.join(rows.fieldnames or ())})",
                "give the columns names, or say which one with --prompt-column",
            )
        while True:
            try:
                cells = next(rows)
            except StopIteration:
                return
            except csv.Error as error:
                yield None, f"the line is no CSV: {error}"[:LONGEST_FAULT]
                continue
            if None in cells or None in cells.values():
                yield None, f"the line has not the {len(rows.fieldnames or ())} columns of the first one"
            else:
                yield _cells(cells, prompt), ""


def _cells(cells: Mapping[str, str], prompt: str = PROMPT) -> dict[str, Any]:
    """A table's row: an empty cell is an absent value, but for the prompt's."""
    found: dict[str, Any] = {
        name: _value(name, cell) for name, cell in cells.items() if cell or name == prompt
    }
    images = found.get("images")
    if images is not None:
        try:
            found["images"] = json.loads(images) if images.startswith("[") else [images]
        except ValueError:
            found["images"] = [images]
    return found


def _value(name: str, cell: str) -> Any:
    """A number, true or false where the option is one, as JSON spells it; else the text."""
    if name in NOT_TEXT:
        try:
            return json.loads(cell.lower())
        except ValueError:
            return cell  # refused by the request's own check, which says why
    return cell


def _dataset(given: str, prompt: str) -> Source:
    try:
        import datasets
    except ImportError:
        raise MissingExtra(
            f"{given} is no file, and datasets are read with the datasets library: pip install datasets"
        ) from None
    name, _, split = given.rpartition(":") if ":" in given else (given, "", "")
    datasets.disable_progress_bars()
    try:
        loaded = _load(datasets, name, split)
    except (OSError, ValueError, KeyError, datasets.exceptions.DatasetsError) as error:
        reason = " ".join(str(error).split())[:LONGEST_FAULT]
        raise BadInput(
            f"{given} is no file and no dataset that can be read ({reason}): give a .jsonl or .csv file, a "
            "dataset's folder or NAME[:SPLIT]"
        ) from None
    columns = set(loaded.column_names)
    if prompt not in columns and "instruction" not in columns:
        raise BadInput(
            f"{given} has the columns {', '.join(loaded.column_names)}, but no {prompt!r}",
            "say which one with --prompt-column",
        )
    plain = [name for name, kind in loaded.features.items() if getattr(kind, "dtype", None) in _PLAIN]
    shown = loaded.select_columns(sorted((READ | {prompt} | {*plain}) & columns))
    digest = hashlib.sha256()
    for one in shown:
        digest.update(json.dumps(one, default=str).encode() + b"\n")
    passed = tuple(sorted(set(shown.column_names) - READ - {prompt}))
    return Source(digest.hexdigest(), len(loaded), passed, lambda: ((one, "") for one in shown), prompt)


def _load(datasets: Any, name: str, split: str) -> Any:
    """One split of a saved dataset, of a folder with data files or of a dataset of the hub."""
    folder = Path(name)
    saved = any((folder / file).is_file() for file in ("dataset_dict.json", "state.json"))
    loaded = datasets.load_from_disk(name) if saved else datasets.load_dataset(name, split=split or None)
    if isinstance(loaded, dict):
        names = list(loaded)
        if not split and len(names) > 1:
            raise ValueError(f"it has the splits {', '.join(names)}: give one, such as {name}:{names[0]}")
        loaded = loaded[split or names[0]]
    return loaded
