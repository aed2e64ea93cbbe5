"""``diffagent config``: the defaults of options, shown and set in a TOML file."""

from __future__ import annotations

import json
import os
import tomllib
from pathlib import Path
from typing import Any

import click

from diffagent.data.errors import BadInput
from diffagent.serving.commands import defaults
from diffagent.serving.commands.registry import COMMANDS, load_command
from diffagent.serving.commands.shared_options import JSON


@click.group(invoke_without_command=True)
@JSON
@click.pass_context
def config(ctx: click.Context, /, as_json: bool) -> None:
    """Show the defaults and where they are set; set defaults of options.

    \b
    diffagent config set target comfyui            of every command
    diffagent config set generate.output pictures  of one command
    diffagent config unset target
    """
    if ctx.invoked_subcommand is not None:
        return
    entries = list(_all_defaults(defaults.read()))
    path = defaults.config_path()
    if as_json:
        click.echo(
            json.dumps(
                {
                    "file": str(path),
                    "settings": [{"command": command, **default._asdict()} for command, default in entries],
                }
            )
        )
        return
    from diffagent.serving.commands.tables import table

    click.echo(
        f"diffagent: settings are in {path}{'' if path.exists() else ', which is not there yet'}", err=True
    )
    if entries:
        rows = [
            (command, default.option, _as_json(default.value), default.source) for command, default in entries
        ]
        click.echo(table(("COMMAND", "OPTION", "VALUE", "SET BY"), rows))
    else:
        click.echo("diffagent: no default is set: diffagent config set NAME VALUE", err=True)


@config.command("set")
@click.argument("name")
@click.argument("values", metavar="VALUE...", nargs=-1, required=True)
def set_(name: str, values: tuple[str, ...]) -> None:
    """Set the default of an option: NAME is OPTION, or COMMAND.OPTION."""
    table, option = _find(name)
    if len(values) > 1 and not option.multiple:
        raise click.UsageError(f"{name} takes one value: quote it where it has blanks")
    value = defaults.convert(option, list(values) if option.multiple else values[0], "this")
    key = name.rpartition(".")[2].replace("-", "_")
    path = defaults.config_path()
    _write(path, table, key, value)
    click.echo(f"diffagent: {name} = {_as_json(value)} in {path}", err=True)


@config.command()
@click.argument("name")
def unset(name: str) -> None:
    """Forget the default of an option."""
    path = defaults.config_path()
    *table, key = name.replace("-", "_").split(".")
    section: Any = defaults.read(path)
    for word in table:
        section = section.get(word, {})
    if key not in section:
        raise BadInput(f"{path} does not set {name}: see diffagent config")
    _write(path, tuple(table), key, None)


@config.command("path")
def path_() -> None:
    """Print where the file is."""
    click.echo(defaults.config_path())


def _all_defaults(settings: defaults.Settings) -> list[tuple[str, defaults.Default]]:
    """Every default that is set, with its command; a general line once, with the command "all"."""
    entries: dict[tuple[str, str], tuple[str, defaults.Default]] = {}

    def walk(path: tuple[str, ...], command: click.Command) -> None:
        for default in defaults.set_defaults(path, command, settings):
            is_own = default.source.endswith("]") or f"_{'_'.join(path).upper()}_" in default.source
            scope = " ".join(path) if is_own else "all"
            entries.setdefault((scope, default.option), (scope, default))
        if isinstance(command, click.Group):
            for name, below in command.commands.items():
                walk((*path, name), below)

    for name in COMMANDS:
        if name != "config":
            walk((name,), load_command(name))
    return sorted(entries.values(), key=lambda pair: (pair[0] != "all", pair[0], pair[1].option))


def _find(name: str) -> tuple[tuple[str, ...], click.Option]:
    """The table and the option of a name such as ``target`` or ``generate.output``.

    Raises:
        BadInput: there is no such command or option.
    """
    *words, key = name.split(".")
    key = key.replace("-", "_")
    if not words:
        if key not in defaults.general():
            raise BadInput(
                f"{name!r} is not an option of all commands: "
                f"{defaults.nearest_names(key, defaults.general())}; of one command: COMMAND.OPTION"
            )
        words_of_any = ("generate", "serve", "call")
        return (), next(param for word in words_of_any if (param := _option(load_command(word), key)))
    if words[0] not in COMMANDS or words[0] == "config":
        raise BadInput(f"there is no command {words[0]!r}: {defaults.nearest_names(words[0], COMMANDS)}")
    command = load_command(words[0])
    for word in words[1:]:
        below = command.commands if isinstance(command, click.Group) else {}
        if word not in below:
            raise BadInput(f"{words[0]} has no command {word!r}: {defaults.nearest_names(word, below)}")
        command = below[word]
    option = _option(command, key)
    if option is None:
        names = [
            n
            for param in command.params
            if isinstance(param, click.Option)
            for n in defaults.spellings(param)
        ]
        raise BadInput(
            f"diffagent {' '.join(words)} has no option {key!r}: {defaults.nearest_names(key, names)}"
        )
    return tuple(words), option


def _option(command: click.Command, key: str) -> click.Option | None:
    options = (param for param in command.params if isinstance(param, click.Option))
    return next((param for param in options if key in defaults.spellings(param)), None)


def _as_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _write(path: Path, table: tuple[str, ...], key: str, value: Any) -> None:
    """Set one line of the file, or remove it (None); other lines and comments stay."""
    text = path.read_text("utf-8") if path.exists() else ""
    lines = text.splitlines()
    header = f"[{'.'.join(table)}]" if table else None
    start = 0
    if header is not None:
        start = next((n + 1 for n, line in enumerate(lines) if line.strip() == header), -1)
    if start < 0:
        lines += ([""] if lines else []) + [str(header)]
        start = len(lines)
    end = next((n for n in range(start, len(lines)) if lines[n].lstrip().startswith("[")), len(lines))
    at = next((n for n in range(start, end) if lines[n].partition("=")[0].strip() == key), None)
    line = [] if value is None else [f"{key} = {_as_json(value)}"]
    if at is not None:
        lines[at : at + 1] = line
    else:
        while end > start and not lines[end - 1].strip():
            end -= 1
        lines[end:end] = line
    changed = "\n".join(lines) + "\n"
    try:
        tomllib.loads(changed)
    except tomllib.TOMLDecodeError as error:
        raise BadInput(f"{path} cannot be changed by this command ({error}): edit the file") from None
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_text(changed, encoding="utf-8")
    os.replace(part, path)
