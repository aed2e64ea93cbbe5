"""The documentation against the code: what it shows is parsed or run, what is generated is up to date."""

from __future__ import annotations

import ast
import importlib
import json
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path

import cli_page
import click
import pytest
import request_picture
import results
import yaml
from click.testing import CliRunner
from target_calls import carried_table, invented_catalog, lacking_samplers

from diffagent.agent.agent import Agent
from diffagent.agent.targets import TARGETS
from diffagent.agent.targets.emitting import emit
from diffagent.data.catalog.card_json import card_to_json
from diffagent.data.catalog.catalog import Catalog
from diffagent.data.records import T2ICall
from diffagent.serving.cli import root
from diffagent.serving.commands.registry import COMMANDS

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
EXAMPLES = ROOT / "examples"
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted(DOCS.rglob("*.md")),
    *sorted(EXAMPLES.rglob("*.md")),
]
FLOORS = ("data", "agent", "training", "serving")
RUN = ("list", "search", "show", "stats")
"""Subcommands of ``diffagent catalog`` whose examples are run, not only parsed."""


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def read(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.M | re.S)


def shown() -> list[list[str]]:
    """The arguments of each ``diffagent …`` in the pages' shell blocks, each once."""
    lines = [
        line
        for page in PAGES
        for block in blocks(page.read_text("utf-8"), "sh")
        for line in block.splitlines()
    ]
    words = [shlex.split(line, comments=True) for line in lines]
    commands = [command[1:] for line in words for command in simple(line) if command[:1] == ["diffagent"]]
    return list(map(list, dict.fromkeys(map(tuple, commands))))


def simple(words: list[str]) -> Iterator[list[str]]:
    """The commands of a line, without their redirections."""
    command: list[str] = []
    for word in [*words, "&&"]:
        if word in ("&&", "|", ">"):
            yield command
            command = []
        else:
            command.append(word)


def leaf(args: list[str]) -> tuple[str, click.Command, list[str]]:
    """The command that the arguments reach, its name in words, and the rest of the arguments."""
    command: click.Command = root
    context = click.Context(root, info_name="diffagent")
    path: list[str] = []
    if args and args[0] not in COMMANDS:
        args = ["call", *args]
    while isinstance(command, click.Group) and (args or not command.invoke_without_command):
        name, below, args = command.resolve_command(context, args)
        assert below, f"there is no command {name}"
        command, context = below, click.Context(below, context, info_name=name)
        path.append(str(name))
    return " ".join(path), command, args


def slugs(text: str) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S), re.M)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


def test_the_readme_is_short_and_begins_with_the_two_commands() -> None:
    readme = read("README.md")
    assert len(readme.splitlines()) <= 150
    assert blocks(readme, "sh")[0].splitlines() == [
        'pip install . && diffagent "A cute happy corgi, pixel art"',
        "pip install '.[test]' && pytest",
    ]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_install_commands_work_in_a_clone(page: Path) -> None:
    assert not re.search(r"pip install '?diffagent", page.read_text("utf-8")), "the package is not published"
    extras = tomllib.loads(read("pyproject.toml"))["project"]["optional-dependencies"]
    for names in re.findall(r"pip install '\.\[(.*?)\]'", page.read_text("utf-8")):
        assert set(names.split(",")) <= set(extras)


@pytest.mark.parametrize("args", shown(), ids=" ".join)
def test_shown_commands_are_what_the_command_line_takes(
    args: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path, command, rest = leaf(args)
    for word in rest:
        if re.fullmatch(r"[\w/-]+\.\w+", word) and not word.startswith("/"):
            (tmp_path / word).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / word).touch()
    command.make_context(path, rest)
    if path.startswith("catalog") and path.split()[1] in RUN and "--catalog" not in rest:
        result = CliRunner().invoke(root, args)
        assert result.exit_code == 0
        assert result.stdout.strip()


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_shown_scripts_exist(page: Path) -> None:
    for script in re.findall(r"\bpython ((?:tests|docs|examples)/\S+\.py)", page.read_text("utf-8")):
        assert (ROOT / script).is_file(), script


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_python_blocks_import_what_exists(page: Path) -> None:
    for block in blocks(page.read_text("utf-8"), "python"):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom):
                module = importlib.import_module(str(node.module))
                assert all(hasattr(module, alias.name) for alias in node.names)


def test_the_python_example_runs(
    real_agent: Agent, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Agent, "load", lambda: real_agent)
    exec(blocks(read("docs/python.md"), "python")[0], {})
    call = json.loads(request_picture.RECORD.read_text("utf-8"))["call"]
    assert capsys.readouterr().out.startswith(f"{call['model']} {call['air']} {{")


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]*))?\)", page.read_text("utf-8")):
        file = (page.parent / target).resolve() if target else page
        assert file.exists(), target
        assert not anchor or anchor in slugs(file.read_text("utf-8")), f"{target}#{anchor}"


def test_every_page_is_listed() -> None:
    links = set(re.findall(r"\]\(([\w/.-]+\.md)", read("docs/README.md") + read("docs/results/README.md")))
    pages = {page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md") if page.name != "README.md"}
    assert {page.removeprefix("results/") for page in pages} <= {
        link.removeprefix("results/") for link in links
    }


def test_every_example_is_listed_and_shown() -> None:
    listed = set(re.findall(r"\]\(([\w/.-]+/README\.md)", read("examples/README.md")))
    assert {f"{folder.name}/README.md" for folder in EXAMPLES.iterdir() if folder.is_dir()} <= listed
    for script in EXAMPLES.rglob("*.py"):
        assert f"python {name_of(script)}" in (script.parent / "README.md").read_text("utf-8")


def test_the_command_reference_is_up_to_date() -> None:
    assert cli_page.PAGE.read_text("utf-8") == cli_page.markdown(), "run python docs/make/cli_page.py"


@pytest.mark.parametrize(("path", "command"), list(cli_page.leaves()))
def test_help_has_no_control_characters(path: str, command: click.Command) -> None:
    help = command.get_help(click.Context(command, info_name=path))
    assert help.replace("\n", "").isprintable()


@pytest.mark.parametrize("page", results.pages(), ids=name_of)
def test_the_tables_of_results_are_up_to_date(page: Path) -> None:
    assert page.read_text("utf-8") == results.filled(page.read_text("utf-8")), (
        "run python docs/make/results.py"
    )


def test_every_result_is_on_a_page_and_says_how_to_rerun_it() -> None:
    marks = {
        f"{file}.{table}"
        for page in results.pages()
        for file, table in results.MARKED.findall(page.read_text("utf-8"))
    }
    assert marks == set(results.tables())
    for name, table in results.tables().items():
        assert table["commands"], name
        assert table["rerun"].endswith("."), name


def test_a_result_is_shown_in_its_format() -> None:
    columns = [
        {"name": "system"},
        {"name": "good", "format": "{:.1f} %"},
        {"name": "gain", "format": "{:+.1f} ({:+.1f})"},
    ]
    assert list(results.rows(columns, [["agent", 72.6, [-5.0, 0.25]], ["rule", None, None]])) == [
        "| system | good | gain |",
        "|---|---|---|",
        "| agent | 72.6 % | −5.0 (+0.2) |",
        "| rule |  |  |",
    ]


def test_the_picture_shows_what_the_agent_answers(real_agent: Agent) -> None:
    record = json.loads(request_picture.RECORD.read_text("utf-8"))
    assert request_picture.PICTURE.read_text("utf-8") == request_picture.svg(record)
    assert real_agent.call(record["prompt"]).model_dump() == record["call"], (
        "run docs/make/request_picture.py --ask"
    )
    card = real_agent.catalog.by_air(record["call"]["air"])
    assert card is not None
    assert json.loads(json.dumps(card_to_json(card))) == record["card"]


def test_the_call_in_the_python_page_is_the_one_in_the_picture() -> None:
    call = blocks(read("docs/python.md"), "json")[0]
    assert json.loads(call) == json.loads(request_picture.RECORD.read_text("utf-8"))["call"]
    assert list(json.loads(call)) == list(T2ICall.model_fields)


def test_the_stated_counts_are_those_of_the_catalog_that_ships() -> None:
    with Catalog.open() as catalog:
        stats = catalog.stats()
    sold = sum(stats["commercial"].get(terms, 0) for terms in ("Image", "Rent", "Sell"))
    entries, bases = stats["entries"], stats["base_model"]
    classic = bases["SD 1.4"] + bases["SD 1.5"]
    newer = entries - classic - bases["SDXL 1.0"]
    readme, page = read("README.md"), read("docs/catalog.md")
    assert f"catalog of {entries:,} models" in readme
    assert f"{entries:,} models" in request_picture.PICTURE.read_text("utf-8")
    assert f"the {sold:,} models whose images may be sold" in readme
    assert f"| {classic:,} checkpoints and LoRAs" in readme
    assert f"| {bases['SDXL 1.0']} checkpoints |" in readme
    assert f"| {newer} checkpoints and LoRAs |" in readme
    assert f"The catalog has {entries:,} models" in page
    assert f"({sold:,} of {entries:,})" in page
    assert f"| {classic:,} |" in page


def test_the_tables_of_targets_are_what_the_code_does(tmp_path: Path) -> None:
    page = read("docs/targets.md")
    with invented_catalog(tmp_path / "invented.sqlite") as catalog:
        assert carried_table(catalog) in page, "run PYTHONPATH=tests python tests/target_calls.py"
        assert lacking_samplers(catalog) in page


def test_the_call_shown_for_all_targets_is_what_is_emitted() -> None:
    example, *requests = map(json.loads, blocks(read("docs/targets.md"), "jsonl")[0].splitlines())
    call = T2ICall.parse(example["call"])
    with Catalog.open() as catalog:
        for target, line in zip(TARGETS[1:], requests, strict=True):
            result = emit(call, target, catalog)
            assert line == {target: result.request, "not_carried": result.not_carried}


def test_the_folders_are_those_of_the_architecture() -> None:
    folders = set(re.findall(r"^\| `([\w./-]+)/` \| \S", read("docs/architecture.md"), re.M))
    modules = {
        path.parent.relative_to(ROOT).as_posix()
        for floor in FLOORS
        for path in (ROOT / floor).rglob("*.py")
        if path.parent.name != "__pycache__"
    }
    assert modules <= folders, "docs/architecture.md lacks a folder"
    assert all((ROOT / folder).is_dir() for folder in folders if folder != ".dev")


def test_the_hosted_checks_run_what_has_to_pass() -> None:
    jobs = yaml.safe_load(read(".github/workflows/ci.yml"))["jobs"]
    assert any(step.get("run") == ".ci/run" for job in jobs.values() for step in job["steps"])
