"""Defaults of the command line's options: a TOML file, and variables of the environment.

    target = "comfyui"                 # of every command that has such an option
    [generate]
    output = "pictures"                # of one command

    DIFFAGENT_TARGET=comfyui           DIFFAGENT_GENERATE_OUTPUT=pictures

The precedence is: command line, the command's variable, the general variable, the file's table, the file's
general line. An option goes by any of its spellings, with ``_`` for ``-``: ``steps`` is ``sampling_steps``.
General lines apply to the commands that choose models (:data:`SHARED_BY`). For ``call`` and ``route`` the
target is set on the command line or in their own tables: a general ``target`` does not turn calls into
requests.
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
from diffagent.serving.commands.registry import COMMANDS

VARIABLE = "DIFFAGENT"
FILE = "DIFFAGENT_CONFIG"
"""The variable that names another file."""
SHARED = ("catalog", "engine", "llm", "target_url", "max_price", "target", "installed", "nearest")
"""Options that a general line sets, beside those of a request."""
SHARED_BY = ("call", "generate", "route", "serve", "mcp", "read")
"""The commands that general lines apply to; ``catalog`` takes the catalog only."""
_ONE_PICTURE = ("images", "seed", "n")
"""Options of a request that a general line does not set."""
NOT_SHARED: Mapping[str, tuple[str, ...]] = {
    "call": ("target", "target_url", "installed"),
    "route": ("target", "target_url", "installed"),
}
"""Options that only a command's own table or variable sets."""

Settings = Mapping[str, Any]


class Default(NamedTuple):
    """A default: ``option`` is the parameter's name, ``source`` the place where it is set."""

    option: str
    value: Any
    source: str


def config_path() -> Path:
    """The file: ``DIFFAGENT_CONFIG``, or ``config.toml`` in the platform's folder of settings
    (``~/.config/diffagent``, ``~/Library/Application Support/diffagent``, ``%APPDATA%\\diffagent``)."""
    path = os.environ.get(FILE)
    return Path(path).expanduser() if path else Path(click.get_app_dir("diffagent")) / "config.toml"


def read(path: Path | None = None) -> dict[str, Any]:
    """The settings of the file; empty if there is no file.

    Raises:
        BadInput: the file is not TOML, or sets an unknown option.
    """
    path = path or config_path()
    try:
        settings = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadInput(
            f"the settings in {path} cannot be read ({error}): correct or delete the file"
        ) from None
    for name, value in settings.items():
        if not (isinstance(value, dict) and name in COMMANDS) and name not in general():
            raise BadInput(
                f"{path} sets {name!r}, which is not an option of all commands: "
                f"{nearest_names(name, general())}"
            )
    return settings


@cache
def general() -> tuple[str, ...]:
    """The spellings of the options that a general line may set."""
    from diffagent.agent.asking.request import Request
    from diffagent.serving.commands.request_options import FLAGS

    names = dict.fromkeys(SHARED)
    for field in Request.model_fields:
        if field not in ("prompt", *_ONE_PICTURE):
            names |= dict.fromkeys([field, *(_spelling(flag) for flag in FLAGS.get(field, ()))])
    return tuple(names)


def defaults(path: tuple[str, ...], command: click.Command, settings: Settings) -> dict[str, Any]:
    """click's default map of a command and its subcommands; ``path`` are the command's words.

    Raises:
        BadInput: a table sets an unknown option, or a value that the option does not take.
    """
    values: dict[str, Any] = {
        default.option: default.value for default in set_defaults(path, command, settings)
    }
    if isinstance(command, click.Group):
        values |= {
            name: defaults((*path, name), default, settings) for name, default in command.commands.items()
        }
    return values


def set_defaults(path: tuple[str, ...], command: click.Command, settings: Settings) -> Iterator[Default]:
    """The defaults of a command's own options, each from its first place by precedence.

    Raises:
        BadInput: as :func:`defaults`.
    """
    table = _table(path, settings)
    options = [param for param in command.params if isinstance(param, click.Option)]
    names = {name for option in options for name in spellings(option)}
    below = command.commands if isinstance(command, click.Group) else {}
    for name, value in table.items():
        if name not in names and not (isinstance(value, dict) and name in below):
            raise BadInput(
                f"[{'.'.join(path)}] in {config_path()} sets {name!r}, which is not an option of "
                f"diffagent {' '.join(path)}: {nearest_names(name, names)}"
            )
    for option in options:
        default = _default(path, option, table, settings)
        if default is not None:
            yield default


def spellings(option: click.Option) -> tuple[str, ...]:
    """The names of an option: the parameter's and each flag's, but for negative flags."""
    return tuple(dict.fromkeys([str(option.name), *map(_spelling, option.opts)]))


def convert(option: click.Option, value: Any, source: str) -> Any:
    """A value converted to the option's type.

    Raises:
        BadInput: the option does not take it; the message lists the choices.
    """
    values = value if isinstance(value, list) else [value]
    try:
        converted_values = [option.type.convert(text, option, None) for text in values]
    except click.BadParameter as error:
        raise BadInput(f"{source} sets {option.opts[-1]} to {value!r}: {error.message}") from None
    return converted_values if option.multiple else converted_values[0]


def nearest_names(name: str, names: Iterator[str] | Any) -> str:
    """The nearest of the names, or all if none is near, in words."""
    ordered = sorted(names)
    close = get_close_matches(name, ordered, 3, 0.5)
    return f"the nearest are {', '.join(close)}" if close else f"there are {', '.join(ordered)}"


def _default(
    path: tuple[str, ...], option: click.Option, table: Settings, settings: Settings
) -> Default | None:
    names = spellings(option)
    shared = set(general()) if path[0] in SHARED_BY else {"catalog"} if path[0] == "catalog" else set()
    is_shared = bool(set(names) & shared) and option.name not in NOT_SHARED.get(path[0], ())
    prefix = "_".join(path).upper().replace("-", "_")
    variables = [f"{VARIABLE}_{prefix}_{name.upper()}" for name in names]
    variables += [f"{VARIABLE}_{name.upper()}" for name in names] if is_shared else []
    for variable in variables:
        text = os.environ.get(variable)
        if text:
            value = list(option.type.split_envvar_value(text)) if option.multiple else text
            return Default(str(option.name), convert(option, value, variable), variable)
    file = str(config_path())
    for section, place in ((table, f"{file} [{'.'.join(path)}]"), (settings if is_shared else {}, file)):
        for name in names:
            if name in section:
                return Default(str(option.name), convert(option, section[name], place), place)
    return None


def _table(path: tuple[str, ...], settings: Settings) -> Settings:
    section: Any = settings
    for word in path:
        section = section.get(word) if isinstance(section, Mapping) else None
    return section if isinstance(section, Mapping) else {}


def _spelling(flag: str) -> str:
    return flag.split("/")[0].lstrip("-").replace("-", "_")
