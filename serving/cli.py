"""The ``diffagent`` command; subcommands load lazily, so that ``diffagent --help`` does not import torch.

A first word that is not a command begins a prompt: ``diffagent "A cute happy corgi"`` is
``diffagent call "A cute happy corgi"``.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from typing import Any

import click

from diffagent.data.errors import DiffAgentError
from diffagent.serving.commands.registry import COMMANDS, load_command


class LazyRoot(click.Group):
    """A group that imports a subcommand's module when the subcommand is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return load_command(cmd_name) if cmd_name in COMMANDS else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS:
            args = ["call", *args]
        name, command, rest = super().resolve_command(ctx, args)
        if name is not None and command is not None and name != "config":
            from diffagent.serving.commands import defaults

            ctx.default_map = {name: defaults.defaults((name,), command, defaults.read())}
        return name, command, rest

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        flags = {"--help", "-h", "--version", "--debug"}
        if args and args[0].startswith("-") and args[0] not in flags:
            args = ["call", *args]  # diffagent --base-model sdxl "a corgi"
        return super().parse_args(ctx, args)


def _version(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        from importlib.metadata import version

        click.echo(f"diffagent {version('diffagent')}")
        ctx.exit()


@click.group(
    cls=LazyRoot,
    no_args_is_help=False,
    invoke_without_command=True,
    context_settings={"help_option_names": ["--help", "-h"]},
)
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_version)
@click.pass_context
def root(ctx: click.Context, /, debug: bool) -> None:
    """Turn a chat prompt into one callable text-to-image API call.

    \b
    diffagent a cute happy corgi, pixel art
    diffagent generate "a fox in the snow" --target comfyui --installed -o out

    A first word that is not a command begins a prompt.
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line; every error becomes one line on stderr and an exit status.

    Exit status 0: done; 2: wrong usage; 1: anything else.
    """
    args = list(sys.argv[1:] if argv is None else argv)
    logging.getLogger("stamina").addHandler(logging.NullHandler())  # retries are not printed
    try:
        status: Any = root.main(args=args, prog_name="diffagent", standalone_mode=False)
    except click.UsageError as error:
        _fail(_usage(error), 2)
    except click.ClickException as error:
        _fail(error.format_message(), 1)
    except (click.Abort, KeyboardInterrupt):
        _fail("interrupted", 1)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)
    except Exception as error:
        if "--debug" in args:
            raise
        if isinstance(error, DiffAgentError):
            _fail(error.line(), 1)
        _fail(f"unexpected {type(error).__name__}: {error} (--debug shows where)", 1)
    else:
        sys.exit(status if isinstance(status, int) else 0)


def _usage(error: click.UsageError) -> str:
    """The error's message; one line where click would print the whole help, without any words."""
    if error.ctx is not None and isinstance(error, getattr(click.exceptions, "NoArgsIsHelpError", ())):
        path = error.ctx.command_path
        return f"{path} needs arguments: see {path} --help"
    return error.format_message()


def _fail(message: str, status: int) -> None:
    click.echo("diffagent: " + " ".join(message.split()), err=True)
    sys.exit(status)
