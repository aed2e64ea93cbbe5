"""``diffagent train story``."""

from __future__ import annotations

import json
from pathlib import Path

import click

from diffagent.serving.commands.output import progress, say
from diffagent.serving.commands.shared_options import FILE, FOLDER


@click.command()
@click.argument("out", type=FOLDER)
@click.option("--llm", default="smollm2-135m-instruct", show_default=True, metavar="PATH-OR-NAME")
@click.option(
    "--scale",
    default=1.0,
    show_default=True,
    help="Multiplies all steps and counts; below 0.2 SFT learns little.",
)
@click.option("--until", metavar="STAGE", help="Stop after this stage.")
@click.option("--hub", type=FILE, help="A packed hub, whose models and scorers are taken instead of trained.")
@click.option("--seed", default=0, show_default=True, help="Draws the pairs and both stages of training.")
def story(out: Path, llm: str, scale: float, until: str | None, hub: Path | None, seed: int) -> None:
    """Run all of SFTA on a small hub with images: about two hours on two cores. Run again, it goes on.

    \b
    diffagent train story OUT
    diffagent train story OUT --hub tests/assets/smallhub.safetensors   # models and scorers as they ship
    """
    from diffagent.training.smallhub.story import Story, tell

    summary = tell(Story(out, llm, scale, hub, seed), until, progress, say)
    click.echo(json.dumps(summary))
