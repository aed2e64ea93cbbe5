"""Defaults of the command line's options: a TOML file, and variables of the environment.

    target = "comfyui"                 # of every command that has such an option
    [generate]
    output = "pictures"                # of one command

    DIFFAGENT_TARGET=comfyui           DIFFAGENT_GENERATE_OUTPUT=pictures

The command line goes first, then a command's own variable, the general one, the file's table, the file's
general line. An option goes by any of its spellings, with ``_`` for ``-``: ``steps`` is ``sampling_steps``.
General lines are for the commands that choose models (:data:`SHARED_BY`). What a call is printed for is
said on each command line, or in a table of its own: a general ``target`` does not turn calls into requests.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import click

from diffagent.data.errors import BadInput

VARIABLE = "DIFFAGENT"
FILE = "DIFFAGENT_CONFIG"
"""The variable that names another file."""
SHARED = ("catalog", "engine", "llm", "target_url", "max_price", "target", "installed", "nearest")
"""Options beside a request's that a general line sets."""
SHARED_BY = ("call", "generate", "route", "serve", "mcp", "read")
"""The commands that general lines are for; ``catalog`` takes the catalog alone."""
_ONE_PICTURE = ("images", "seed", "n")
"""Options of a request that are no defaults of all commands."""
NOT_SHARED: Mapping[str, tuple[str, ...]] = {
    "call": ("target", "target_url", "installed"),
    "route": ("target", "target_url", "installed"),
}
"""What only a command's own table or variable sets."""

Settings = Mapping[str, Any]


class Setting(NamedTuple):
    """A default: ``option`` is the parameter's name, ``source`` where it was set."""

    option: str
    value: Any
    source: str


def config_path() -> Path:
    """The file: ``DIFFAGENT_CONFIG``, or ``config.toml`` in the platform's folder of settings
    (``~/.config/diffagent``, ``~/Library/Application Support/diffagent``, ``%APPDATA%\\diffagent``)."""
    given = os.environ.get(FILE)
    return Path(given).expanduser() if given else Path(click.get_app_dir("diffagent")) / "config.toml"


def read(path: Path | None = None) -> dict[str, Any]:
    """The settings of the file; none where there is no file.

    Raises:
        BadInput: it is no TOML, or sets what is no option.
    """
    path = path or config_path()
    try:
        found = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadInput(
            f"the settings in {path} cannot be read ({error}): correct or delete the file"
        ) from None
    from diffagent.serving.cli import COMMANDS

    for name, value in found.items():
        if not (isinstance(value, dict) and name in COMMANDS) and name not in general():
            raise BadInput(
                f"{path} sets {name!r}, which is no option of all commands: {nearest(name, general())}"
            )
    return found


@cache
def general() -> tuple[str, ...]:
    """The spellings of options that a general line may set."""
    from diffagent.agent.asking.request import Request
    from diffagent.serving.commands.request_options import FLAGS

    names = dict.fromkeys(SHARED)
    for field in Request.model_fields:
        if field not in ("prompt", *_ONE_PICTURE):
            names |= dict.fromkeys([field, *(_spelled(flag) for flag in FLAGS.get(field, ()))])
    return tuple(names)


def defaults(path: tuple[str, ...], command: click.Command, settings: Settings) -> dict[str, Any]:
    """The default map of a command (click's) and of the commands below it; ``path`` is its words.

    Raises:
        BadInput: a table sets what is no option of its command, or a value is none that the option takes.
    """
    found: dict[str, Any] = {one.option: one.value for one in chosen(path, command, settings)}
    if isinstance(command, click.Group):
        found |= {name: defaults((*path, name), one, settings) for name, one in command.commands.items()}
    return found


def chosen(path: tuple[str, ...], command: click.Command, settings: Settings) -> Iterator[Setting]:
    """The defaults of a command's own options, each from where it is set first.

    Raises:
        BadInput: as :func:`defaults`.
    """
    table = _table(path, settings)
    options = [one for one in command.params if isinstance(one, click.Option)]
    known = {name for option in options for name in spellings(option)}
    below = command.commands if isinstance(command, click.Group) else {}
    for name, value in table.items():
        if name not in known and not (isinstance(value, dict) and name in below):
            raise BadInput(
                f"[{'.'.join(path)}] in {config_path()} sets {name!r}, which is no option of "
                f"diffagent {' '.join(path)}: {nearest(name, known)}"
            )
    for option in options:
        setting = _setting(path, option, table, settings)
        if setting is not None:
            yield setting


def spellings(option: click.Option) -> tuple[str, ...]:
    """The names that an option goes by: the parameter's, and each flag's but the negative ones."""
    return tuple(dict.fromkeys([str(option.name), *map(_spelled, option.opts)]))


def converted(option: click.Option, value: Any, source: str) -> Any:
    """A value as the option takes it.

    Raises:
        BadInput: it does not take it; says which there are.
    """
    values = value if isinstance(value, list) else [value]
    try:
        made = [option.type.convert(one, option, None) for one in values]
    except click.BadParameter as error:
        raise BadInput(f"{source} sets {option.opts[-1]} to {value!r}: {error.message}") from None
    return made if option.multiple else made[0]


def nearest(name: str, known: Iterator[str] | Any) -> str:
    """The names that there are, the nearest first."""
    names = sorted(known)
    near = get_close_matches(name, names, 3, 0.5)
    return f"the nearest are {', '.join(near)}" if near else f"there are {', '.join(names)}"


def _setting(
    path: tuple[str, ...], option: click.Option, table: Settings, settings: Settings
) -> Setting | None:
    names = spellings(option)
    shared = set(general()) if path[0] in SHARED_BY else {"catalog"} if path[0] == "catalog" else set()
    is_shared = bool(set(names) & shared) and option.name not in NOT_SHARED.get(path[0], ())
    own = "_".join(path).upper().replace("-", "_")
    variables = [f"{VARIABLE}_{own}_{name.upper()}" for name in names]
    variables += [f"{VARIABLE}_{name.upper()}" for name in names] if is_shared else []
    for variable in variables:
        text = os.environ.get(variable)
        if text:
            value = list(option.type.split_envvar_value(text)) if option.multiple else text
            return Setting(str(option.name), converted(option, value, variable), variable)
    file = str(config_path())
    for found, where in ((table, f"{file} [{'.'.join(path)}]"), (settings if is_shared else {}, file)):
        for name in names:
            if name in found:
                return Setting(str(option.name), converted(option, found[name], where), where)
    return None


def _table(path: tuple[str, ...], settings: Settings) -> Settings:
    found: Any = settings
    for word in path:
        found = found.get(word) if isinstance(found, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def _spelled(flag: str) -> str:
    return flag.split("/")[0].lstrip("-").replace("-", "_")
