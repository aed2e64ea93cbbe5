"""Writes docs/cli.md, the command reference, from the commands themselves: ``python docs/make/cli_page.py``.

In: the click commands. Out: Markdown with a section a command: its help, its usage, its options.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path

import click

from diffagent.serving.cli import root
from diffagent.serving.commands.registry import COMMANDS

PAGE = Path(__file__).resolve().parents[1] / "cli.md"
HEAD = """# Command reference

Generated from the commands by `python docs/make/cli_page.py`; a test compares the two.

`diffagent PROMPT` is `diffagent call PROMPT`. A prompt that begins with the name of a command needs
`diffagent call`. stdout carries the result only; progress and hints go to stderr. The exit status is 0 after
success, 2 after wrong usage and 1 after any other error. `diffagent --debug COMMAND …` prints the traceback
of an error.

The default of any option can be changed: see [defaults](install.md#defaults).

```sh
diffagent "portrait of an old fisherman, oil painting" --type Checkpoint --explain
diffagent "a castle by the sea, SDXL, 1216x832"            # explicit values in the prompt are kept
diffagent "neon city at night" --model "urn:air:sd1:lora:civitai:35886@42085" --seed 7
diffagent "watercolor of a lighthouse" --negative "photo, text" --commercial
```
"""


def markdown() -> str:
    """The whole page."""
    return "\n".join([HEAD, *_contents(), *(line for name in COMMANDS for line in _sections(name))])


def leaves(command: click.Command = root, path: str = "") -> Iterator[tuple[str, click.Command]]:
    """Each command that is no group, with its path in words (``catalog list``)."""
    if not isinstance(command, click.Group):
        yield path, command
        return
    for name, below in _subcommands(command):
        yield from leaves(below, f"{path} {name}".strip())


def _subcommands(group: click.Group) -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command, f"{name} is listed but cannot be loaded"
        yield name, command


def _contents() -> Iterator[str]:
    yield "| command | purpose |"
    yield "|---|---|"
    for name, (_, summary) in COMMANDS.items():
        yield f"| [`diffagent {name}`](#diffagent-{name}) | {summary} |"
    yield ""


def _sections(name: str) -> Iterator[str]:
    command = root.get_command(click.Context(root), name)
    assert command
    yield from _section(f"diffagent {name}", command, "##")
    if isinstance(command, click.Group):
        for path, below in leaves(command):
            yield from _section(f"diffagent {name} {path}", below, "###")


def _section(path: str, command: click.Command, level: str) -> Iterator[str]:
    context = click.Context(command, info_name=path)
    yield f"{level} {path}\n"
    yield "```text"
    yield " ".join([path, *command.collect_usage_pieces(context)])
    yield "```\n"
    yield from _help(command)
    records = [record for param in command.params if (record := _record(param, context))]
    if records:
        yield from (f"- `{names}`" + (f": {text}" if text else "") for names, text in records)
        yield ""


def _record(param: click.Parameter, context: click.Context) -> tuple[str, str] | None:
    record = param.get_help_record(context)
    if record is None or isinstance(param, click.Argument):
        return None
    return record[0], " ".join(record[1].split())


def _help(command: click.Command) -> Iterator[str]:
    """The paragraphs of a command's help; those that click does not wrap become code."""
    for paragraph in inspect.cleandoc(command.help or "").split("\n\n"):
        unwrapped = paragraph.removeprefix("\b\n")
        if unwrapped != paragraph:
            yield f"```text\n{unwrapped}\n```\n"
        elif paragraph:
            yield " ".join(paragraph.split()) + "\n"


if __name__ == "__main__":
    PAGE.write_text(markdown(), "utf-8")
