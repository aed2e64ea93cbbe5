"""The README against the code: its commands parse, every command stands in it, and its tree is the tree."""

from __future__ import annotations

import ast
import importlib
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import cli_page
import click
import pytest
from click.testing import CliRunner
from target_calls import carried_table, invented_catalog, lacking_samplers

from diffagent.agent.targets import TARGETS
from diffagent.agent.targets.emitting import emit
from diffagent.data.catalog import Catalog
from diffagent.data.records import T2ICall
from diffagent.serving.cli import COMMANDS, root

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text("utf-8")
FLOORS = ("data", "agent", "training", "serving")
SHARED = {"--catalog", "--engine", "--llm", "--json"}
"""Options that one sentence of the README explains for all commands that take them."""
RUN = ("list", "search", "show", "stats")
"""Subcommands of ``diffagent catalog`` that the README's examples are really run with."""


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.M | re.S)


def shown() -> list[list[str]]:
    """The arguments of each ``diffagent …`` in the README's shell blocks."""
    parts = (part for block in blocks("sh") for line in block.splitlines() for part in line.split("&&"))
    words = (shlex.split(part.split(" > ")[0], comments=True) for part in parts)
    return [found[1:] for found in words if found[:1] == ["diffagent"]]


def leaf(args: list[str]) -> tuple[str, click.Command, list[str]]:
    """The command that the arguments reach, its name in words, and what is left of them."""
    command: click.Command = root
    context = click.Context(root, info_name="diffagent")
    path: list[str] = []
    if args and args[0] not in COMMANDS:
        args = ["call", *args]
    while isinstance(command, click.Group):
        name, found, args = command.resolve_command(context, args)
        assert found, f"there is no command {name}"
        command, context = found, click.Context(found, context, info_name=name)
        path.append(str(name))
    return " ".join(path), command, args


def leaves(command: click.Command = root, path: str = "") -> Iterator[tuple[str, click.Command]]:
    if not isinstance(command, click.Group):
        yield path, command
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        below = command.get_command(context, name)
        assert below, f"{path} {name} is listed but cannot be loaded"
        yield from leaves(below, f"{path} {name}".strip())


def options(command: click.Command) -> set[str]:
    found = [one for one in command.params if isinstance(one, click.Option)]
    return {name for one in found for name in (*one.opts, *one.secondary_opts)}


def rows() -> dict[str, str]:
    """The README's command table: the command in words → its row."""
    found = re.findall(r"^\| (`diffagent ([a-z -]+?)(?: [A-Z\"-].*?)?`.*)\|$", README, re.M)
    return {path: row for row, path in found}


def test_the_two_commands_stand_first():
    assert blocks("sh")[0].splitlines() == [
        'pip install . && diffagent "A cute happy corgi, pixel art"',
        "pip install '.[test]' && pytest",
    ]


@pytest.mark.parametrize("args", shown(), ids=" ".join)
def test_shown_commands_are_what_the_command_line_takes(args, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path, command, rest = leaf(args)
    for word in rest:
        if re.fullmatch(r"[\w-]+\.\w+", word):
            Path(word).touch()
    command.make_context(path, rest)
    if path.startswith("catalog") and path.split()[1] in RUN and "--catalog" not in rest:
        result = CliRunner().invoke(root, args)
        assert result.exit_code == 0
        assert result.stdout.strip()


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_stands_in_the_table_with_all_its_options(name):
    found = dict(leaves(root.get_command(click.Context(root), name), name))
    assert set(found) <= set(rows()), "the README's command table lacks a command"
    for path, command in found.items():
        stated = set(re.findall(r"(?<![\w-])--?[a-z][\w-]*", rows()[path]))
        assert stated == options(command) - SHARED, path


def test_the_table_has_no_command_that_does_not_exist():
    for path in rows():
        assert leaf(path.split())[0] == path


def test_the_command_reference_is_up_to_date():
    assert cli_page.PAGE.read_text("utf-8") == cli_page.markdown(), "run python docs/make/cli_page.py"


@pytest.mark.parametrize(("path", "command"), list(leaves()))
def test_help_has_no_control_characters(path, command):
    help = command.get_help(click.Context(command, info_name=path))
    assert help.replace("\n", "").isprintable()


def test_the_shown_call_is_callable():
    call = T2ICall.parse(blocks("json")[0])
    with Catalog.open() as catalog:
        card = catalog.by_air(call.air)
    assert card is not None
    assert (card.name, card.type, card.base_model) == (call.model, call.type, call.base_model)
    assert list(json.loads(blocks("json")[0])) == list(T2ICall.model_fields)


def test_the_stated_counts_are_those_of_the_catalog_that_ships():
    with Catalog.open() as catalog:
        stats = catalog.stats()
    sold = sum(stats["commercial"].get(terms, 0) for terms in ("Image", "Rent", "Sell"))
    assert f"catalog of {stats['entries']:,} models" in README
    assert f"({sold:,} of\n{stats['entries']:,})" in README
    assert f"the {stats['base_model']['SDXL 1.0']} checkpoints that AI Horde lists" in README


def test_the_tables_of_targets_are_what_the_code_does(tmp_path):
    with invented_catalog(tmp_path / "invented.sqlite") as catalog:
        assert carried_table(catalog) in README, "run PYTHONPATH=tests python tests/target_calls.py"
        assert lacking_samplers(catalog) in README


def test_the_call_shown_for_all_targets_is_what_is_emitted():
    shown, *emitted = map(json.loads, blocks("jsonl")[0].splitlines())
    call = T2ICall.parse(shown["call"])
    with Catalog.open() as catalog:
        for target, line in zip(TARGETS[1:], emitted, strict=True):
            found = emit(call, target, catalog)
            assert line == {target: found.request, "not_carried": found.not_carried}


def test_python_blocks_import_what_exists():
    for block in blocks("python"):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom):
                module = importlib.import_module(str(node.module))
                assert all(hasattr(module, one.name) for one in node.names)


def test_the_tree_is_the_tree():
    listed = set(tree())
    modules = {
        file.relative_to(ROOT).as_posix()
        for floor in FLOORS
        for file in (ROOT / floor).rglob("*.py")
        if file.name != "__init__.py"
    }
    folders = {str(Path(module).parent) + "/" for module in modules}
    assert {path for path in listed if path.endswith(".py")} == modules
    assert folders <= listed
    assert all((ROOT / path).exists() for path in listed if not path.startswith("."))


def tree() -> Iterator[str]:
    """The paths of the README's tree; a folder ends in a slash and stands for its ``__init__.py``."""
    above: list[str] = []
    for line in blocks("text")[-1].splitlines():
        found = re.fullmatch(r" *(\S+)  +\S.*", line)
        assert found, f"no path and phrase: {line!r}"
        entry = found[1]
        depth = (len(line) - len(line.lstrip())) // 2
        above = above[:depth]
        yield "".join(above) + entry
        if entry.endswith("/"):
            above.append(entry)


def test_links_lead_somewhere():
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target
