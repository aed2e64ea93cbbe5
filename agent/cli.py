"""``diffagent call``: one prompt, one T2I call as JSON on stdout; everything else goes to stderr."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from diffagent.agent.agent import Agent
    from diffagent.agent.installed_models import Installed
    from diffagent.agent.targets.fitting import Emitted

TARGET_NAMES = ("diffagent", "a1111", "comfyui", "horde", "civitai", "openai", "diffusers")


@click.command()
@click.argument("prompt", required=False)
@click.option("--negative", "negative_prompt", default="", help="What to avoid; it also tells models apart.")
@click.option(
    "--image",
    "images",
    multiple=True,
    metavar="FILE",
    help="An example image, 1 to 6 times: models that make such images.",
)
@click.option(
    "--captioner",
    metavar="NAME",
    help="Describes the images where no PROMPT does, such as a BLIP of the hub.",
)
@click.option("--base-model", help='A base model ("SD 1.5", "SDXL 1.0") or a family (sd1, sdxl).')
@click.option("--type", "type_", type=click.Choice(["Checkpoint", "LoRA"], case_sensitive=False))
@click.option("--model", metavar="NAME-OR-AIR", help="Use this model: name, AIR, id, hash or file name.")
@click.option("--commercial", is_flag=True, help="Only models whose images may be sold.")
@click.option("-k", default=16, show_default=True, help="Candidates that the language model reads.")
@click.option("--seed", type=int, help="0 to 4294967295.")
@click.option(
    "--enhance", is_flag=True, help="Enrich a short prompt with medium, light, view and finish first."
)
@click.option(
    "--for",
    "target",
    type=click.Choice(TARGET_NAMES),
    default="diffagent",
    help="Print the request that this API takes, and choose among what it can run.",
)
@click.option("--nearest", is_flag=True, help="Replace what the API lacks by the nearest that it has.")
@click.option(
    "--installed", is_flag=True, help="Choose among the models that the server at --target-url has."
)
@click.option("--target-url", metavar="URL", help="An A1111, Forge or ComfyUI server, or AI Horde.")
@click.option("--catalog", metavar="PATH", help="A catalog file; default: the one that ships.")
@click.option(
    "--engine",
    default="transformers",
    show_default=True,
    help="transformers, vllm or the URL of a vllm serve.",
)
@click.option(
    "--llm", metavar="PATH-OR-NAME", help="A LLaMA-architecture model; default: SmolLM2-135M-Instruct."
)
@click.option("--explain", is_flag=True, help="Add the candidates with their scores, and timings.")
def call(
    prompt: str | None,
    captioner: str | None,
    type_: str | None,
    target: str,
    nearest: bool,
    installed: bool,
    target_url: str | None,
    catalog: str | None,
    engine: str,
    llm: str | None,
    explain: bool,
    **options: Any,
) -> None:
    """Turn PROMPT into one callable text-to-image API call, or into the request of an API."""
    from diffagent.agent.agent import Agent
    from diffagent.agent.request import check
    from diffagent.agent.targets.emitting import emit

    if installed != (target_url is not None):
        raise click.UsageError("--installed and --target-url URL go together: the server says what it has")
    prompt = _described(options["images"], captioner) if prompt is None else prompt
    check(prompt, options["k"], options["seed"], options["images"])
    if options["images"]:
        _check_specifications(catalog)
    agent = Agent.load(catalog, llm, engine)
    there = _installed(agent, target, target_url)
    decision = agent.decide(prompt, type=type_, target=target, installed=there, **options)
    if decision.identified is not None and decision.identified.unsure:
        click.echo(
            f"diffagent: unsure: {decision.identified.likely} models share 90 % of the images' probability",
            err=True,
        )
    names, samplers = (there.names, there.samplers) if there else (None, None)
    emitted = emit(
        decision.call, target, agent.catalog, nearest=nearest, names=names, known_samplers=samplers
    )
    report_not_carried(emitted)
    if explain:
        shown = decision.to_dict()
        if target != "diffagent":
            shown |= {"request": emitted.request, "not_carried": emitted.not_carried}
    elif target != "diffagent":
        shown = emitted.request
    else:
        click.echo(decision.call.to_json())
        return
    click.echo(json.dumps(shown, ensure_ascii=False, indent=2))


def _check_specifications(catalog: str | None) -> None:
    """Refuse example images for a catalog that has nothing to match them with, before weights are fetched."""
    from diffagent.agent.pmi.identifier import specification_file
    from diffagent.agent.pmi.requirement import missing
    from diffagent.data.catalog import default_catalog

    path = Path(catalog) if catalog else default_catalog()
    if path.is_file() and specification_file(path) is None:
        raise missing(path)


def _described(images: Sequence[str], captioner: str | None) -> str:
    """What the first example image shows, where there is no prompt."""
    if not images:
        raise click.UsageError("Missing argument 'PROMPT'.")
    if captioner is None:
        raise click.UsageError(
            "images say which model, and not what to draw: add a PROMPT, or --captioner MODEL that describes "
            "them; diffagent pmi identify lists the models alone"
        )
    from diffagent.data.captioner import Captioner
    from diffagent.data.image_loading import load_images

    return Captioner.load(captioner).describe(load_images(images[:1]))[0]


def report_not_carried(
    emitted: Emitted, echo: Callable[[str], None] = lambda line: click.echo(line, err=True)
) -> None:
    """A line on stderr for each field that a request lacks or replaces."""
    for name, reason in emitted.reasons.items():
        echo(f"diffagent: not_carried: {name}: {reason}")


def _installed(agent: Agent, target: str, url: str | None) -> Installed | None:
    if url is None:
        return None
    from diffagent.agent.installed_models import read_installed

    return read_installed(target, url, agent.catalog)
