"""Aligned text for terminals: tables and lists of facts, wide (East Asian) characters counted as two."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence

_GAP = "  "


def table(
    head: Sequence[str], rows: Iterable[Sequence[str]], right: Iterable[int] = (), widest: int = 48
) -> str:
    """Rows under a head; columns in ``right`` are right-aligned, cells beyond ``widest`` are cut."""
    cells = [list(head), *([cut(cell, widest) for cell in row] for row in rows)]
    widths = [max(map(width, column)) for column in zip(*cells, strict=True)]
    to_right = set(right)
    return "\n".join(
        _GAP.join(pad(cell, widths[i], i in to_right) for i, cell in enumerate(row)).rstrip() for row in cells
    )


def facts(pairs: Iterable[tuple[str, str]]) -> str:
    """One fact a line, ``name  value``; facts without a value are left out."""
    rows = [(name, value) for name, value in pairs if value]
    widest = max((width(name) for name, _ in rows), default=0)
    return "\n".join(f"{pad(name, widest)}{_GAP}{value}" for name, value in rows)


def width(text: str) -> int:
    """Columns that the text takes in a terminal."""
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else not unicodedata.combining(c) for c in text)


def pad(text: str, columns: int, right: bool = False) -> str:
    """Returns the text filled up with blanks to a width in columns of a terminal."""
    space = " " * (columns - width(text))
    return space + text if right else text + space


def cut(text: str, columns: int) -> str:
    """The text, or as much of it as fits with an ellipsis."""
    if width(text) <= columns:
        return text
    while width(text) >= columns:
        text = text[:-1]
    return text + "…"
