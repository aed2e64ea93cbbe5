"""Imports: no module needs itself, by whatever way, before it is loaded."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

REPO = Path(__file__).parents[1]
FLOORS = ("data", "agent", "training", "serving")


def modules() -> dict[str, Path]:
    """Each module's file by its dotted name."""
    paths = (path for floor in FLOORS for path in (REPO / floor).rglob("*.py"))
    return {
        ".".join(("diffagent", *path.relative_to(REPO).with_suffix("").parts)).removesuffix(".__init__"): path
        for path in paths
    }


def imported(body: list[ast.stmt], names: dict[str, Path]) -> Iterator[str]:
    """The modules of the project that statements import when run, not within functions or for types alone."""
    for statement in body:
        if isinstance(statement, ast.If) and "TYPE_CHECKING" not in ast.unparse(statement.test):
            yield from imported(statement.body + statement.orelse, names)
        elif isinstance(statement, ast.Try):
            yield from imported(statement.body, names)
        elif isinstance(statement, ast.Import):
            yield from (alias.name for alias in statement.names if alias.name in names)
        elif isinstance(statement, ast.ImportFrom) and statement.module:
            for alias in statement.names:
                inner = f"{statement.module}.{alias.name}"
                if inner in names or statement.module in names:
                    yield inner if inner in names else statement.module


def graph(names: dict[str, Path]) -> dict[str, set[str]]:
    trees = {name: ast.parse(path.read_text("utf-8")) for name, path in names.items()}
    return {name: set(imported(tree.body, names)) - {name} for name, tree in trees.items()}


def test_no_imports_run_in_a_circle() -> None:
    edges = graph(modules())
    assert len(edges) > 300
    assert "diffagent.data.records" in edges["diffagent.agent.agent"]
    list(TopologicalSorter(edges).static_order())  # raises where there is a circle


def test_a_circle_would_be_seen() -> None:
    with pytest.raises(CycleError):
        list(TopologicalSorter({"a": {"b"}, "b": {"c"}, "c": {"a"}}).static_order())
