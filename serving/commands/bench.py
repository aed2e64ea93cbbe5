"""``diffagent bench``: speed, each figure beside its baseline in one run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from diffagent.serving.commands.output import show
from diffagent.serving.commands.shared_options import AGENT, FOLDER, JSON, SHIPPED_CATALOG, engine_options


@click.group()
def bench() -> None:
    """Measure speed, each figure beside its baseline."""


@bench.command()
@click.option("--rounds", default=24, show_default=True, type=click.IntRange(2), help="Calls measured.")
@click.option(
    "--plain-rounds", default=8, show_default=True, type=click.IntRange(2), help="Plain generations."
)
@AGENT
@click.option("--busy", is_flag=True, help="Also beside one busy process a core.")
@JSON
def latency(rounds: int, plain_rounds: int, busy: bool, as_json: bool, **options: Any) -> None:
    """One warm call, beside plain greedy generate(); and a cold command, with its peak memory."""
    from tqdm import tqdm

    from diffagent.agent.agent import Agent
    from diffagent.training.evaluation.bench import beside_busy
    from diffagent.training.evaluation.bench import latency as measure

    agent = Agent.load(**options)
    figures = measure(agent, rounds, plain_rounds, tqdm)
    show(figures | (beside_busy(agent, rounds, tqdm) if busy else {}), as_json)


@bench.command()
@click.option("--rows", default=48, show_default=True, type=click.IntRange(2, 96), help="Prompts.")
@SHIPPED_CATALOG
@engine_options("vllm")
@JSON
def throughput(rows: int, catalog: str | None, engine: str, llm: str | None, as_json: bool) -> None:
    """Calls a second in a batch, beside the same engine one by one and the transformers engine."""
    from tqdm import tqdm

    from diffagent.agent.agent import Agent
    from diffagent.agent.engines.loading import load_engine
    from diffagent.training.evaluation.throughput import prompts
    from diffagent.training.evaluation.throughput import throughput as measure

    agent = Agent.load(catalog, llm, engine)
    plain = None
    if engine != "transformers":
        plain = Agent(agent.catalog, agent.prefilter, load_engine("transformers", llm), agent.fusion)
    figures = measure(agent, prompts(rows), plain, tqdm)
    show(figures, as_json)


@bench.command()
@click.option(
    "--models", default=75_000, show_default=True, type=click.IntRange(16), help="Models of the hub."
)
@click.option("--tasks", default=200, show_default=True, type=click.IntRange(1), help="Searches measured.")
@click.option(
    "--plain-tasks", default=3, show_default=True, type=click.IntRange(1), help="Direct evaluations of Eq. 9."
)
@click.option("--images", default=1, show_default=True, type=click.IntRange(1), help="Images of each task.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0), help="Of the invented hub.")
@click.option("--store", type=FOLDER, help="A folder that keeps the store; default: a temporary one.")
@JSON
def match(
    models: int, tasks: int, plain_tasks: int, images: int, seed: int, store: Path | None, as_json: bool
) -> None:
    """Pmi in a large hub: reduced and exact search, beside Eq. 9 evaluated directly."""
    from tqdm import tqdm

    from diffagent.agent.pmi.synthetic import Hub
    from diffagent.training.evaluation.match_bench import match as measure

    figures = measure(Hub(models, seed), tasks, min(tasks, plain_tasks), images, store, tqdm)
    show(figures, as_json)
