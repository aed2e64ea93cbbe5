"""``diffagent eval hallucination``: among candidates, and from memory (Table 1 of the paper)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import click

from diffagent.serving.commands.output import progress, show
from diffagent.serving.commands.shared_options import FILE, JSON, SHIPPED_CATALOG, engine_options, sample_of


@click.command()
@click.argument("prompts", nargs=-1, required=True, type=FILE)
@click.option("--form", type=click.Choice(["candidates", "memory"]), default="candidates", show_default=True)
@click.option(
    "--system", "systems", multiple=True, metavar="NAME=LLM",
    help="From memory, repeatable: a folder of train sft or train rrhf, or weights.",
)  # fmt: skip
@click.option(
    "--unconstrained", "free", default=100, show_default=True,
    help="Among candidates: prompts answered without a grammar.",
)  # fmt: skip
@click.option(
    "--enhance",
    is_flag=True,
    help="Enrich the prompts, as the paper does with captions; from memory: measure both.",
)
@sample_of("prompts of a file")
@SHIPPED_CATALOG
@engine_options(llm="The model that is measured; from memory: that enriches the prompts.")
@JSON
def hallucination(
    prompts: tuple[Path, ...], form: str, systems: tuple[str, ...], as_json: bool, **options: Any
) -> None:
    """Share of answers to PROMPTS that are not callable.

    Among candidates: the agent's calls, and the language model's without the grammar. From memory (Table 1 of
    the paper): what each system names without a grammar, fine-tuned beside aligned.

    \b
    diffagent eval hallucination prompts.txt
    diffagent eval hallucination dabench/test.jsonl coco.txt parti.tsv --form memory --limit 500 --enhance \\
        --system sft=tuned --system rrhf=aligned
    """
    from diffagent.data.errors import BadInput

    if form == "memory":
        if not systems:
            raise BadInput("from memory systems are compared: pass --system NAME=LLM, such as sft=tuned")
        from diffagent.training.evaluation.memory_table import lines

        rows = _from_memory(prompts, systems, options)
        click.echo(json.dumps(rows) if as_json else lines(rows))
        return
    if len(prompts) > 1 or systems:
        raise BadInput(
            "among candidates --llm is measured on one file of prompts: leave --system and others out"
        )
    figures = _among_candidates(prompts[0], options)
    show(figures, as_json)


def _among_candidates(path: Path, options: dict[str, Any]) -> dict[str, Any]:
    from diffagent.agent.agent import Agent
    from diffagent.agent.asking.enhance import enhance
    from diffagent.training.evaluation.hallucination import measure, read_prompts

    texts = read_prompts(path, options["limit"], options["seed"])
    agent = Agent.load(options["catalog"], options["llm"], options["engine"])
    if options["enhance"]:
        texts = [enhance(text, agent.engine) for text in progress(texts, "enhance")]
    return measure(agent, texts, options["free"], progress) | {"enhanced": options["enhance"]}


def _from_memory(paths: Sequence[Path], systems: Sequence[str], options: dict[str, Any]) -> dict[str, Any]:
    from diffagent.agent.engines.loading import load_engine
    from diffagent.data.catalog.catalog import Catalog
    from diffagent.training.evaluation.compare import parse_system
    from diffagent.training.evaluation.memory_table import answers, enhance_set, read_prompt_set, table
    from diffagent.training.sft.tuned_model import TunedModel

    parsed = [parse_system(text) for text in systems]
    with closing(Catalog.open(options["catalog"])) as catalog:
        prompt_sets = [read_prompt_set(path, catalog, options["limit"], options["seed"]) for path in paths]
        if options["enhance"]:
            engine = load_engine(options["engine"], options["llm"])
            prompt_sets += [enhance_set(prompts, engine, progress) for prompts in prompt_sets]
        outcomes: dict[str, dict[str, Any]] = {prompts.name: {} for prompts in prompt_sets}
        for name, llm, _ in parsed:
            tuned = TunedModel.find(llm).engine()
            for prompts in prompt_sets:
                outcomes[prompts.name][name] = answers(tuned, catalog, prompts, progress)
            tuned.close()
    return table(outcomes, prompt_sets, options["seed"])
