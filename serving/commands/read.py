"""``diffagent read``: the call that made a picture, as JSON on stdout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from diffagent.serving.commands.catalog_option import catalog_option


@click.command()
@click.argument("image", metavar="IMAGE")
@catalog_option()
@click.option("--told", is_flag=True, help="Print what the metadata says, without looking models up.")
def read(image: str, catalog: str | None, told: bool) -> None:
    """Print the call that made IMAGE (- is stdin), by the metadata of any usual program.

    A1111, Forge, SD.Next, ComfyUI, SwarmUI, Civitai and diffagent itself are read; what the call does not
    hold as it was is said on stderr. diffagent generate IMAGE makes it again.
    """
    import json
    from dataclasses import asdict

    from diffagent.agent.answering.call_forms import Given, from_picture, own_call
    from diffagent.data.catalog.catalog import Catalog
    from diffagent.data.errors import BadImage, UnknownModel
    from diffagent.data.metadata import picture
    from diffagent.serving.commands.texts import read_stdin

    source: Any = Path(image)
    if image == "-":
        source = read_stdin()
        if isinstance(source, str):
            raise BadImage("stdin holds text, and no picture: pipe a picture's file into it")
    elif not source.is_file():
        raise BadImage(f"{image} is not a file: give a picture")
    if told:
        click.echo(json.dumps(asdict(picture.read(source)), ensure_ascii=False, indent=2))
        return
    with Catalog.open(catalog) as opened:
        try:
            found = from_picture(source, opened)
        except UnknownModel as error:
            own = own_call(source)
            if own is None:
                raise
            found = Given(own, notes=(f"the call in the picture is printed as it is: {error.line()}",))
    for note in found.notes:
        click.echo(f"diffagent: note: {note}", err=True)
    click.echo(found.call.to_json())
