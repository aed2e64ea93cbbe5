"""``diffagent read``: the call that made a picture, as JSON on stdout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from diffagent.serving.commands.shared_options import catalog_option


@click.command()
@click.argument("image", metavar="IMAGE")
@catalog_option()
@click.option("--metadata", is_flag=True, help="Print the metadata, without looking models up.")
def read(image: str, catalog: str | None, metadata: bool) -> None:
    """Print the call that made IMAGE (- is stdin), by the metadata of the usual programs.

    A1111, Forge, SD.Next, ComfyUI, SwarmUI, Civitai and diffagent itself are read; differences between the
    metadata and the call go to stderr. diffagent generate IMAGE makes the picture again.
    """
    import json
    from dataclasses import asdict

    from diffagent.agent.answering.call_forms import CallInput, from_picture, own_call
    from diffagent.data.catalog.catalog import Catalog
    from diffagent.data.errors import BadImage, UnknownModel
    from diffagent.data.metadata import picture
    from diffagent.serving.commands.texts import read_stdin

    source: Any = Path(image)
    if image == "-":
        source = read_stdin()
        if isinstance(source, str):
            raise BadImage("stdin is text, not a picture: pipe a picture's file into it")
    elif not source.is_file():
        raise BadImage(f"{image} is not a file: give a picture")
    if metadata:
        click.echo(json.dumps(asdict(picture.read(source)), ensure_ascii=False, indent=2))
        return
    with Catalog.open(catalog) as opened:
        try:
            recovered = from_picture(source, opened)
        except UnknownModel as error:
            stored_call = own_call(source)
            if stored_call is None:
                raise
            recovered = CallInput(
                stored_call, notes=(f"the call in the picture is printed as it is: {error.line()}",)
            )
    for note in recovered.notes:
        click.echo(f"diffagent: note: {note}", err=True)
    click.echo(recovered.call.to_json())
