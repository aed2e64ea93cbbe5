"""Writes the tables of results into the pages under docs/: ``python docs/make/results.py``.

In: docs/results/NAME.json, a table by its name: the commands that measure it, who can rerun them, columns
with formats, rows. Out: each page, with the table NAME.TABLE between its two marks:

    <!-- results: NAME.TABLE -->
    <!-- end of results -->

Commands and remarks that a page has shown above are not repeated.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parents[1]
END = "<!-- end of results -->"
MARKED = re.compile(rf"^<!-- results: (\w+)\.(\w+) -->\n.*?^{END}$", re.M | re.S)


def tables() -> dict[str, dict[str, Any]]:
    """Every table by its name, such as ``speed.latency``."""
    return {
        f"{file.stem}.{name}": table
        for file in sorted((DOCS / "results").glob("*.json"))
        for name, table in json.loads(file.read_text("utf-8")).items()
    }


def filled(page: str) -> str:
    """The page with its tables as the JSON files have them.

    Raises:
        KeyError: the page asks for a table that there is not.
    """
    all_tables = tables()
    shown: set[str] = set()

    def block(match: re.Match[str]) -> str:
        name = f"{match[1]}.{match[2]}"
        parts = [f"<!-- results: {name} -->", *_block(all_tables[name], shown), END]
        return "\n".join(parts)

    return MARKED.sub(block, page)


def _block(table: dict[str, Any], shown: set[str]) -> Iterator[str]:
    commands, remark = "\n".join(table["commands"]), table["rerun"]
    if commands not in shown:
        yield f"```sh\n{commands}\n```\n"
    yield from rows(table["columns"], table["rows"])
    if remark not in shown:
        yield f"\n*{remark}*"
    shown |= {commands, remark}


def rows(columns: Sequence[dict[str, str]], values: Sequence[Sequence[Any]]) -> Iterator[str]:
    """A table in Markdown; a column's ``format`` is that of :meth:`str.format`."""
    yield "| " + " | ".join(column["name"] for column in columns) + " |"
    yield "|---" * len(columns) + "|"
    for row in values:
        cells = [_cell(value, column.get("format", "{}")) for value, column in zip(row, columns, strict=True)]
        yield "| " + " | ".join(cells) + " |"


def _cell(value: Any, style: str) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    text = style.format(*value) if isinstance(value, list) else style.format(value)
    return text.replace("-", "−")


def pages() -> list[Path]:
    """Every page under docs/ that asks for a table."""
    return [page for page in sorted(DOCS.rglob("*.md")) if MARKED.search(page.read_text("utf-8"))]


if __name__ == "__main__":
    for page in pages():
        page.write_text(filled(page.read_text("utf-8")), "utf-8")
