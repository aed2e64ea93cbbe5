"""``diffagent data describe``: a language model rewrites what each model of a crawl is for."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from diffagent.serving.commands.shared_options import FILE, PATH

if TYPE_CHECKING:
    from diffagent.data.descriptions.describe import DescribeJob, DescribeSummary


@click.command()
@click.argument("raw", type=PATH)
@click.option("-o", "out", required=True, metavar="DESCRIPTIONS", type=FILE)
@click.option("--llm", metavar="URL-OR-PATH", help="An OpenAI-compatible server, or a local model.")
@click.option("--llm-model", metavar="NAME", help="The server's model.")
@click.option(
    "--hold-out",
    "rule",
    default="both",
    show_default=True,
    type=click.Choice(["none", "image", "cluster", "both"]),
    help="Sample prompts of held-out images stay unread.",
)
@click.option("--limit", type=click.IntRange(1), metavar="N", help="Only the next N entries.")
@click.option(
    "--concurrency", type=click.IntRange(1, 256), default=8, show_default=True, help="Requests at once."
)
@click.option("--price-in", type=click.FloatRange(0), metavar="X", help="Of a million tokens of questions.")
@click.option("--price-out", type=click.FloatRange(0), metavar="X", help="Of a million tokens of answers.")
@click.option("--dry-run", is_flag=True, help="Only estimate tokens and cost.")
def describe(
    raw: Path,
    out: Path,
    llm: str | None,
    llm_model: str | None,
    rule: Any,
    limit: int | None,
    concurrency: int,
    price_in: float | None,
    price_out: float | None,
    dry_run: bool,
) -> None:
    """Describe every model of RAW with a language model. Run again, it goes on or describes new models.

    The local model fills in forms. A server (--llm URL --llm-model NAME) writes freely; its key is read from
    OPENAI_API_KEY and not stored.

    \b
    diffagent data describe RAW -o descriptions.jsonl
    diffagent data describe RAW -o descriptions.jsonl --llm https://HOST/v1 --llm-model NAME --dry-run
    """
    from diffagent.agent.engines.chat_endpoint import Estimate
    from diffagent.data.catalog.filters import Scope
    from diffagent.data.descriptions.describe import describe as run
    from diffagent.data.descriptions.describe import plan
    from diffagent.data.descriptions.descriptions import DescriptionsFile
    from diffagent.data.descriptions.sources import read_sources
    from diffagent.data.hubs.raw import RawFolder

    folder, scope = RawFolder(raw), Scope()
    job = job_of(llm, llm_model, rule, concurrency)
    with DescriptionsFile(out) as file:
        workload = plan(read_sources(folder, scope, rule), job, file)
        prompts = min(workload.prompts, limit or workload.prompts)
        share = prompts / max(1, workload.prompts)
        estimate = Estimate.of(prompts, round(workload.characters * share), price_in, price_out)
        click.echo(f"{workload.entries:,} entries, for {job.name}: {estimate}", err=True)
        if dry_run:
            return click.echo(json.dumps(vars(estimate)))
        summary = _with_bar(
            prompts,
            lambda progress: run(read_sources(folder, scope, rule), job, file, limit, progress=progress),
        )
    click.echo(json.dumps({"descriptions": str(out), **summary.to_json()}))


def job_of(llm: str | None, llm_model: str | None, rule: Any, concurrency: int) -> DescribeJob:
    """The writer and its task: a server answers a question, a local model fills in a form."""
    import os

    from diffagent.data.descriptions.describe import DescribeJob

    if llm is not None and llm.startswith(("http://", "https://")):
        from diffagent.agent.engines.chat_endpoint import ChatEndpoint
        from diffagent.data.descriptions.questions import question

        if llm_model is None:
            raise click.UsageError("--llm URL needs --llm-model NAME, the server's name of a model")
        key = os.environ.get("OPENAI_API_KEY", "").strip() or None
        return DescribeJob(ChatEndpoint(llm, llm_model, key, concurrency), question, llm_model, rule)
    if llm_model is not None:
        raise click.UsageError("--llm-model names a server's model: give the server with --llm URL")
    from diffagent.agent.engines.writers import LocalWriter
    from diffagent.data.descriptions.forms import filling
    from diffagent.data.weights.weights import DEFAULT_LLM

    return DescribeJob(LocalWriter(llm), filling, llm or DEFAULT_LLM, rule)


def _with_bar(total: int, run: Callable[[Callable[[int], None]], DescribeSummary]) -> DescribeSummary:
    import logging

    from tqdm import tqdm

    logging.getLogger("stamina").addHandler(logging.NullHandler())  # retries are not printed
    with tqdm(desc="descriptions", total=total, unit="", dynamic_ncols=True) as bar:
        return run(lambda done: _advance(bar, done))


def _advance(bar: Any, done: int) -> None:
    bar.update(done - bar.n)
