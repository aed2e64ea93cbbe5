"""The options that several commands share, each a decorator, and the kinds of paths that they take.

    @click.command()
    @click.argument("align", type=FILE)
    @AGENT                                       # --catalog, --engine and --llm: Agent.load(**options)
    def fusion(align: Path, **options: Any): …

The catalog of the commands that choose (:func:`catalog_option`) is a file, the user's library, or what ships.
Without the option, it is the library if there is one, and a line on stderr says so.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

Decorator = Callable[[Any], Any]

PATH = click.Path(path_type=Path)
FILE = click.Path(dir_okay=False, path_type=Path)
FOLDER = click.Path(file_okay=False, path_type=Path)
SHIPPED = "shipped"
"""The value of ``--catalog`` for the catalog that ships."""


def together(*options: Decorator) -> Decorator:
    """Several options as one decorator, in this order in the help text."""

    def decorated(command: Any) -> Any:
        for option in reversed(options):
            command = option(command)
        return command

    return decorated


def engine_options(
    engine: str = "transformers", llm: str = "A LLaMA-architecture model, or the name of a server's."
) -> Decorator:
    """``--engine``, with its default, and ``--llm``, with its help text."""
    return together(
        click.option(
            "--engine",
            default=engine,
            show_default=True,
            help="transformers, vllm or the URL of a vllm serve or of any chat completions.",
        ),
        click.option("--llm", metavar="PATH-OR-NAME", help=f"{llm} Default: SmolLM2-135M-Instruct."),
    )


JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
SHIPPED_CATALOG = click.option(
    "--catalog", metavar="PATH", help="A catalog file; default: the one that ships."
)
ENGINE = engine_options()
AGENT = together(SHIPPED_CATALOG, ENGINE)
SEED = click.option("--seed", default=0, show_default=True)
REQUESTS = click.option("--requests", type=FILE, help="Graded requests; default: those that ship.")
TRAINING_RUN = together(
    click.option("-o", "out", required=True, type=FOLDER, metavar="OUT"),
    click.option("--resume", is_flag=True, help="Go on from the last checkpoint in OUT."),
    click.option("--max-steps", type=click.IntRange(1), help="At most so many steps."),
    click.option(
        "--max-minutes",
        type=click.FloatRange(0, min_open=True),
        help="Of wall time; default: the recipe's.",
    ),
)
"""The options of a run of fine-tuning."""


def fitted_to(metavar: str) -> Decorator:
    """``-o``, the file of what is fitted."""
    return click.option("-o", "out", required=True, type=FILE, metavar=metavar)


def sample_of(what: str) -> Decorator:
    """``--limit`` and ``--seed`` of a sample."""
    limit = click.option(
        "--limit", type=click.IntRange(1), help=f"At most this many {what}, drawn at random."
    )
    return together(limit, SEED)


def catalog_option(name: str = "catalog") -> Decorator:
    """The option as a decorator; the command gets a path, or None for the catalog that ships."""
    return click.option(
        "--catalog",
        name,
        metavar="PATH",
        callback=_catalog_path,
        help=f"A catalog file, or {SHIPPED}; default: your library, else the one that ships.",
    )


def with_server_models(catalog: str | None, target: str, url: str | None) -> str:
    """The catalog with the models of a target's server; prints which are new and which are left out."""
    from diffagent.agent.targets import load
    from diffagent.agent.targets.server_catalog import with_server_models

    server_catalog = with_server_models(catalog, target, url)
    for line in server_catalog.lines(url or load(target).usual_url or target):
        click.echo(f"diffagent: {line}", err=True)
    return str(server_catalog.path)


def _catalog_path(_ctx: click.Context, _param: click.Parameter, value: str | None) -> str | None:
    if value is not None:
        return None if value == SHIPPED and not Path(value).exists() else value
    from diffagent.data.library.state import library_catalog

    library = library_catalog()
    if library is None:
        return None
    click.echo(
        f"diffagent: choosing among your library ({library}); --catalog {SHIPPED}: the one that ships, "
        "diffagent library forget: for good",
        err=True,
    )
    return str(library)
