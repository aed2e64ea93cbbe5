"""Rows of JSON lines, and what is wrong with a row, in one line."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from diffagent.data.errors import BadInput

Row = TypeVar("Row")


def fault(error: ValidationError, subject: str) -> str:
    """The first fault, as ``place: reason (given: value)``; ``subject`` is the place of the whole row."""
    first = error.errors(include_url=False)[0]
    place = " ".join(".".join(map(str, first["loc"])).split()) or subject
    given = repr(first.get("input"))
    given = given if len(given) <= 60 else given[:57] + "..."
    is_unknown = first["type"] == "unexpected_keyword_argument"  # the message for models, for dataclasses too
    reason = "Extra inputs are not permitted" if is_unknown else first["msg"]
    return f"{place}: {reason}" + ("" if first["type"] == "missing" else f" (given: {given})")


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
