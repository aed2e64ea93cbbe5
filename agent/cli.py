"""``diffagent call``: one prompt, one T2I call as JSON on stdout; everything else goes to stderr."""

from __future__ import annotations

import json
from typing import Any

import click


@click.command()
@click.argument("prompt")
@click.option("--negative", "negative_prompt", default="", help="What to avoid; it also tells models apart.")
@click.option("--base-model", help='A base model ("SD 1.5", "SDXL 1.0") or a family (sd1, sdxl).')
@click.option("--type", "type_", type=click.Choice(["Checkpoint", "LoRA"], case_sensitive=False))
@click.option("--model", metavar="NAME-OR-AIR", help="Use this model: name, AIR, id, hash or file name.")
@click.option("--commercial", is_flag=True, help="Only models whose images may be sold.")
@click.option("-k", default=16, show_default=True, help="Candidates that the language model reads.")
@click.option("--seed", type=int, help="0 to 4294967295.")
@click.option(
    "--enhance", is_flag=True, help="Enrich a short prompt with medium, light, view and finish first."
)
@click.option("--catalog", metavar="PATH", help="A catalog file; default: the one that ships.")
@click.option("--engine", default="transformers", show_default=True, help="What runs the language model.")
@click.option(
    "--llm", metavar="PATH-OR-NAME", help="A LLaMA-architecture model; default: SmolLM2-135M-Instruct."
)
@click.option("--explain", is_flag=True, help="Add the candidates with their scores, and timings.")
def call(
    prompt: str,
    type_: str | None,
    catalog: str | None,
    engine: str,
    llm: str | None,
    explain: bool,
    **options: Any,
) -> None:
    """Turn PROMPT into one callable text-to-image API call."""
    from diffagent.agent.agent import Agent, check

    check(prompt, options["k"], options["seed"])
    agent = Agent.load(catalog, llm, engine)
    decision = agent.decide(prompt, type=type_, **options)
    if explain:
        click.echo(json.dumps(decision.to_dict(), ensure_ascii=False, indent=2))
    else:
        click.echo(decision.call.to_json())
