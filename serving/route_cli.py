"""``diffagent route``: a file or dataset of prompts, a JSONL file of calls."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from diffagent.agent.catalog_option import catalog_option
from diffagent.agent.request_options import request_options

if TYPE_CHECKING:
    from diffagent.serving.route import Answer, Body
    from diffagent.serving.rows import Row

BLOCK, BATCH = 8, 64
"""Rows between two syncs, where the engine answers one by one and where it answers many together."""


@click.command()
@click.argument("source", metavar="IN")
@click.option("-o", "--output", required=True, metavar="OUT.jsonl", type=click.Path(path_type=Path))
@request_options("images")
@click.option(
    "--ray", "address", metavar="ADDRESS", help='A Ray cluster ("auto", "ray://HOST:10001", "local").'
)
@click.option(
    "--workers", default=1, show_default=True, type=click.IntRange(1), help="Engines on the cluster."
)
@catalog_option()
@click.option(
    "--engine", default="transformers", show_default=True, help="transformers, vllm or a server's URL."
)
@click.option("--llm", metavar="PATH-OR-NAME", help="A LLaMA-architecture model.")
def route(
    source: str,
    output: Path,
    address: str | None,
    workers: int,
    catalog: str | None,
    engine: str,
    llm: str | None,
    **options: Any,
) -> None:
    """Route every row of IN (JSONL, CSV or a Hugging Face dataset); run again to go on.

    A row is {"id"?, "prompt", …} with any option of a request by its Python name ("negative_prompt",
    "base_model", "width"), which goes before the command's. It becomes {"id", "call", "n", "notes",
    "reasons"} or {"id", "error"}.
    """
    from tqdm import tqdm

    from diffagent.agent.request import Request
    from diffagent.serving import route as batch
    from diffagent.serving.rows import open_source

    Request.parse({"prompt": "any", **options})
    opened = open_source(source)
    if opened.unread:
        click.echo(f"diffagent: columns that are not read: {', '.join(opened.unread)}", err=True)
    load = (catalog, llm, engine)
    if address:
        from diffagent.serving.ray_route import on_ray

        answer = on_ray(address, workers, load, options)
    else:
        answer = here(load, options)
    block = BLOCK if engine == "transformers" else BATCH
    settings = {"catalog": _digest(catalog), "engine": engine, "llm": llm, **options}
    with ExitStack() as stack:
        stack.enter_context(redirect_stdout(sys.stderr))  # Ray and vLLM print; stdout is for the summary

        def begin(kept: int) -> Callable[[int], object]:
            bar = tqdm(total=opened.count, initial=kept, unit="row", smoothing=0.1)
            return stack.enter_context(bar).update

        summary = batch.route(opened, output, answer, settings, block, begin)
    click.echo(json.dumps(summary.to_dict()))


def here(load: tuple[str | None, str | None, str], options: dict[str, Any]) -> Answer:
    """Answers from an agent in this process, loaded for the first row that needs one."""

    def answer(blocks: Iterable[list[Row]]) -> Iterator[list[Body]]:
        from diffagent.agent.agent import Agent
        from diffagent.serving.route import answered

        agent: Agent | None = None
        for rows in blocks:
            agent = (agent or Agent.load(*load)) if rows else agent
            yield answered(agent, [{**options, **row.options} for row in rows]) if agent else []

    return answer


def _digest(catalog: str | None) -> str | None:
    """SHA-256 of a catalog of one's own; the one that ships has a version."""
    from importlib.metadata import version

    from diffagent.data.wheel import sha256

    path = Path(catalog) if catalog else None
    return sha256(path) if path and path.is_file() else version("diffagent")
