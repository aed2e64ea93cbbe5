"""``diffagent generate``: executes a call on a target; the files' paths on stdout, progress on stderr."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from diffagent.agent.catalog_option import catalog_option
from diffagent.agent.targets import TABLE


@click.command()
@click.argument("call", metavar="CALL.json", type=click.Path(dir_okay=False, allow_dash=True))
@click.option(
    "-o", "--output", metavar="DIR", required=True, type=click.Path(file_okay=False), help="Where to."
)
@click.option("--target", type=click.Choice(list(TABLE)), default="diffusers", show_default=True)
@click.option("--target-url", metavar="URL", help="The server; default: where the target usually is.")
@click.option("-n", default=1, show_default=True, help="Images, on seeds one after another.")
@click.option("--seed", "seeds", type=int, multiple=True, help="This seed; repeat for several images.")
@click.option("--nearest", is_flag=True, help="Replace what the target lacks by the nearest that it has.")
@click.option(
    "--max-price", type=float, help="The most one image may cost: Buzz on Civitai, kudos on AI Horde."
)
@catalog_option()
def generate(
    call: str, output: str, target: str, target_url: str | None, catalog: str | None, **options: Any
) -> None:
    """Make the images of CALL.json (- is stdin), a call that diffagent call printed."""
    from diffagent.agent import generation
    from diffagent.data.catalog import Catalog
    from diffagent.data.records import T2ICall

    parsed = T2ICall.parse(_text(call))
    with Catalog.open(catalog) as opened, Progress() as progress:
        paths = generation.generate(
            parsed, output, target, opened, url=target_url, report=progress, **options
        )
    for path in paths:
        click.echo(path)


class Progress:
    """A progress bar on stderr; a line where what is done is not known, and in a log."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._last = ""

    def __enter__(self) -> Progress:
        from tqdm import tqdm

        if sys.stderr.isatty():
            self._bar = tqdm(total=100, bar_format="{desc} {bar:30} {percentage:3.0f} %", leave=False)
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def __call__(self, what: str, done: float | None = None) -> None:
        if self._bar is not None:
            self._bar.set_description_str(what, refresh=False)
            self._bar.n = round(100 * (done or 0.0))
            self._bar.refresh()
            return
        kind = what.rstrip("0123456789 ")
        if kind != self._last and (done is None or done in (0.0, 1.0)):
            click.echo(f"diffagent: {what}", err=True)
            self._last = kind


def _text(path: str) -> str:
    from diffagent.data.errors import BadCall

    if path == "-":
        return sys.stdin.read()
    try:
        return Path(path).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadCall(f"{path} cannot be read ({error}): give the file that diffagent call printed") from None
