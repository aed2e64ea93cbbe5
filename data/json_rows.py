"""Rows of JSON lines, and what pydantic finds wrong with a row, a call or a request, in one line."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from diffagent.data.errors import BadInput

BRIEF = 60
"""Characters shown of a value."""
Row = TypeVar("Row")


def fault(error: ValidationError, subject: str) -> str:
    """The first of an error's faults, as a :func:`sentence`."""
    return sentence(error.errors(include_url=False)[0], subject)


def sentence(fault: Mapping[str, Any], subject: str) -> str:
    """One of pydantic's faults in words: ``seed: input should be greater than or equal to 0 (given: -1)``.

    ``subject`` stands for the place where the fault has none. Only values that are text, numbers or null are
    shown.
    """
    place = " ".join(".".join(map(str, fault["loc"])).split()) or subject
    is_unknown = fault["type"] == "unexpected_keyword_argument"  # the message for models, for dataclasses too
    reason = "extra inputs are not permitted" if is_unknown else fault["msg"].removeprefix("Value error, ")
    given = fault.get("input", ...)
    shown = f" (given: {brief(given)})" if isinstance(given, str | int | float | None) else ""
    return f"{place}: {reason[:1].lower()}{reason[1:]}{shown}"


def brief(value: object) -> str:
    """The value's ``repr``, cut to 60 characters."""
    try:
        shown = repr(value[:BRIEF] if isinstance(value, str) else value)
    except ValueError:  # an integer of more digits than Python prints
        shown = "a number of very many digits"
    return shown if len(shown) <= BRIEF else shown[: BRIEF - 3] + "…"


def read_rows(path: Path, parse: Callable[[Any], Row], what: str, remedy: str) -> Iterator[Row]:
    """Yields the rows of a file, packed (.gz) or not, each by ``parse`` of its JSON.

    Raises:
        BadInput: the file is missing, or a line is not ``what``; names the line.
    """
    if not path.is_file():
        raise BadInput(f"{path} is not a file", remedy)
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            try:
                row = parse(json.loads(line))
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise BadInput(
                    f"{path}, line {number} is not {what} ({type(error).__name__}: {error})", remedy
                ) from None
            yield row
