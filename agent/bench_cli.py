"""``diffagent bench``: speed, each figure beside its baseline in one run."""

from __future__ import annotations

import json

import click


@click.group()
def bench() -> None:
    """Measure speed, each figure beside its baseline."""


@bench.command()
@click.option("--rounds", default=24, show_default=True, type=click.IntRange(2), help="Calls measured.")
@click.option(
    "--plain-rounds", default=8, show_default=True, type=click.IntRange(2), help="Plain generations."
)
@click.option("--catalog", metavar="PATH", help="A catalog file; default: the one that ships.")
@click.option("--engine", default="transformers", show_default=True)
@click.option("--llm", metavar="PATH-OR-NAME", help="A LLaMA-architecture model.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def latency(
    rounds: int, plain_rounds: int, catalog: str | None, engine: str, llm: str | None, as_json: bool
) -> None:
    """One warm call, beside plain greedy generate(); and a cold command, with its peak memory."""
    from tqdm import tqdm

    from diffagent.agent.agent import Agent
    from diffagent.agent.bench import latency as measure

    found = measure(Agent.load(catalog, llm, engine), rounds, plain_rounds, tqdm)
    if as_json:
        click.echo(json.dumps(found))
    else:
        for name, value in found.items():
            click.echo(f"{name:14} {value}")


@bench.command()
@click.option("--rows", default=48, show_default=True, type=click.IntRange(2, 96), help="Prompts.")
@click.option("--catalog", metavar="PATH", help="A catalog file; default: the one that ships.")
@click.option("--engine", default="vllm", show_default=True, help="transformers, vllm or a server's URL.")
@click.option("--llm", metavar="PATH-OR-NAME", help="A LLaMA-architecture model.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def throughput(rows: int, catalog: str | None, engine: str, llm: str | None, as_json: bool) -> None:
    """Calls a second in a batch, beside the same engine one by one and the transformers engine."""
    from tqdm import tqdm

    from diffagent.agent.agent import Agent
    from diffagent.agent.engines import load_engine
    from diffagent.agent.throughput import prompts
    from diffagent.agent.throughput import throughput as measure

    agent = Agent.load(catalog, llm, engine)
    plain = None
    if engine != "transformers":
        plain = Agent(agent.catalog, agent.prefilter, load_engine("transformers", llm), agent.fusion)
    found = measure(agent, prompts(rows), plain, tqdm)
    if as_json:
        click.echo(json.dumps(found))
    else:
        for name, value in found.items():
            click.echo(f"{name:18} {value}")
