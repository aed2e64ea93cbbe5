"""The option ``--catalog`` of the commands that choose: a file, the user's library, or what ships.

Without it, the user's library is the catalog if there is one, and a line on stderr says so.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

SHIPPED = "shipped"
"""The value of ``--catalog`` for the catalog that ships."""


def catalog_option(name: str = "catalog") -> Callable[..., Any]:
    """The option as a decorator; the command gets a path, or None for the catalog that ships."""
    return click.option(
        "--catalog",
        name,
        metavar="PATH",
        callback=_catalog_path,
        help=f"A catalog file, or {SHIPPED}; default: your library, else the one that ships.",
    )


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
