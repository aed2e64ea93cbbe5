"""``diffagent call``: one prompt, one T2I call as JSON on stdout; everything else goes to stderr."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from diffagent.serving.commands.request_options import request_options
from diffagent.serving.commands.shared_options import ENGINE, catalog_option, with_server_models

if TYPE_CHECKING:
    from diffagent.agent.decision import Decision
    from diffagent.agent.targets.fitting import Emitted


@click.command()
@click.argument("words", metavar="PROMPT", nargs=-1)
@click.option(
    "--captioner",
    metavar="NAME",
    help="Describes the images where no PROMPT does, such as a BLIP of the hub.",
)
@request_options()
@catalog_option()
@ENGINE
@click.option(
    "--explain",
    is_flag=True,
    help="Add why, candidates with scores, timings; on a terminal, as a short card.",
)
@click.pass_context
def call(
    ctx: click.Context,
    /,
    words: tuple[str, ...],
    captioner: str | None,
    catalog: str | None,
    engine: str,
    llm: str | None,
    explain: bool,
    **options: Any,
) -> None:
    """Turn PROMPT into one callable text-to-image API call, or into the request of an API; - is stdin."""
    from diffagent.agent.agent import Agent
    from diffagent.agent.asking.request import Request
    from diffagent.serving.commands.texts import prompt_of

    is_given = ctx.get_parameter_source("target_url") == click.core.ParameterSource.COMMANDLINE
    if options["target_url"] and not options["installed"] and is_given:
        raise click.UsageError("--target-url goes with --installed: the server says what it has")
    prompt = prompt_of(words)
    prompt = _description(options["images"], captioner) if prompt is None else prompt
    request = Request.parse({"prompt": prompt, **options})
    if request.images:
        _check_specifications(catalog)
    if request.installed:
        catalog = with_server_models(catalog, request.target, request.target_url)
    agent = Agent.load(catalog, llm, engine)
    answer = agent.answer(request)
    decision, emitted = answer.decision, answer.emitted
    if decision.identified is not None and decision.identified.unsure:
        click.echo(
            f"diffagent: unsure: {decision.identified.likely} models share 90 % of the images' probability",
            err=True,
        )
    report_notes(decision)
    report_not_carried(emitted)
    if explain and sys.stdout.isatty():
        from diffagent.serving.commands.explanation import explanation

        click.echo(explanation(decision, shutil.get_terminal_size().columns))
        return
    if explain:
        document = decision.to_dict()
        if request.target != "diffagent":
            document |= {"request": emitted.request, "not_carried": emitted.not_carried}
    elif request.target != "diffagent":
        document = emitted.request
    else:
        click.echo(decision.call.to_json())
        return
    click.echo(json.dumps(document, ensure_ascii=False, indent=2))


def _check_specifications(catalog: str | None) -> None:
    """Refuse example images for a catalog without image specifications, before weights are fetched."""
    from diffagent.agent.pmi.identifier import specification_file
    from diffagent.agent.pmi.requirement import missing
    from diffagent.data.catalog.catalog import default_catalog

    path = Path(catalog) if catalog else default_catalog()
    if path.is_file() and specification_file(path) is None:
        raise missing(path)


def _description(images: Sequence[str], captioner: str | None) -> str:
    """A description of the first example image, in place of a prompt."""
    if not images:
        raise click.UsageError("Missing argument 'PROMPT'.")
    if captioner is None:
        raise click.UsageError(
            "images choose the model and do not say what to draw: add a PROMPT, or --captioner MODEL to "
            "describe them; diffagent pmi identify only lists the models"
        )
    from diffagent.data.encoders.captioner import Captioner
    from diffagent.data.encoders.image_loading import load_images

    return Captioner.load(captioner).describe(load_images(images[:1]))[0]


def report_notes(decision: Decision, *, with_count: bool = True) -> None:
    """Print a line on stderr for each note of a decision, and for the number of pictures."""
    for note in decision.notes:
        click.echo(f"diffagent: note: {note}", err=True)
    if decision.n > 1 and with_count:
        click.echo(
            f"diffagent: note: {decision.n} pictures were asked for: a call makes one picture a seed",
            err=True,
        )


def report_not_carried(
    emitted: Emitted, echo: Callable[[str], None] = lambda line: click.echo(line, err=True)
) -> None:
    """Print a line on stderr for each field that a request lacks or replaces."""
    for name, reason in emitted.reasons.items():
        echo(f"diffagent: not_carried: {name}: {reason}")
