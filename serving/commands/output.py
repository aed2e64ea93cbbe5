"""The output of commands: figures on stdout, bars and lines on stderr."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import click

from diffagent.serving.commands.tables import facts


def show(figures: Mapping[str, Any], as_json: bool) -> None:
    """Prints figures as one JSON object, or one a line."""
    if as_json:
        click.echo(json.dumps(figures, ensure_ascii=False))
        return
    texts = {
        name: json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else str(value)
        for name, value in figures.items()
    }
    click.echo(facts(texts.items()))


def progress(items: Iterable[Any], label: str) -> Iterable[Any]:
    """Yields the items beside a labelled bar."""
    from tqdm import tqdm

    return tqdm(items, desc=label, dynamic_ncols=True)


def say(line: str) -> None:
    """Prints a line to stderr."""
    click.echo(line, err=True)
