"""``diffagent train rrhf``, ``diffagent eval community``, ``eval suitability`` and ``eval images``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from diffagent.serving.commands.output import progress, say, show
from diffagent.serving.commands.shared_options import (
    FILE,
    FOLDER,
    JSON,
    REQUESTS,
    SEED,
    SHIPPED_CATALOG,
    TRAINING_RUN,
    sample_of,
    together,
)  # fmt: skip

_TARGET = together(
    click.option("--target", default="diffusers", show_default=True, help="What makes the images."),
    click.option("--target-url", metavar="URL", help="Where its server is."),
    click.option(
        "--baseline", metavar="MODEL", help="The default call's checkpoint; default: the most used one."
    ),
)
_WEIGHTS = click.option(
    "--weights", type=FILE, metavar="SUITABILITY.npz", help="The reward of suitability; default: what ships."
)


@click.command()
@click.argument("dabench", type=FOLDER, required=False)
@click.option("--llm", metavar="PATH-OR-NAME", help="A folder of train sft; default: the adapter that ships.")
@click.option("--recipe", default="smollm2-135m", show_default=True, metavar="NAME")
@click.option(
    "--reward",
    type=click.Choice(["community", "suitability", "images"]),
    default="community",
    show_default=True,
    help="suitability: on plain requests in place of DABENCH.",
)
@REQUESTS
@_WEIGHTS
@click.option("--raw", type=FOLDER, help="The crawl that DABENCH was built from (--reward community).")
@click.option("--images", type=FOLDER, help="Where images of calls are kept (--reward images).")
@_TARGET
@click.option("--limit", type=click.IntRange(1), help="At most so many prompts.")
@TRAINING_RUN
@SHIPPED_CATALOG
def rrhf(dabench: Path | None, out: Path, llm: str | None, recipe: str, **options: Any) -> None:
    """Align a fine-tuned model with a reward (the paper's RRHF stage), on the align part of DABENCH or on
    plain requests.

    \b
    diffagent train rrhf DABENCH --raw RAW --reward community --llm SFT_FOLDER -o OUT
    diffagent train rrhf --reward suitability --llm SFT_FOLDER -o OUT
    """
    import time

    from diffagent.agent.agent import Agent
    from diffagent.data.errors import BadInput
    from diffagent.training.rrhf.align import align
    from diffagent.training.rrhf.collecting import AlignmentTask
    from diffagent.training.rrhf.config import read_config
    from diffagent.training.rrhf.queries import default_card
    from diffagent.training.sft.limits import Limits
    from diffagent.training.sft.sft import check_extra
    from diffagent.training.sft.tuned_model import TunedModel

    began = time.monotonic()
    check_extra()
    if dabench is None and options["reward"] != "suitability":
        raise BadInput(f"--reward {options['reward']} aligns on pairs: give DABENCH, a folder of data build")
    config, tuned = read_config(recipe), TunedModel.find(llm)
    agent = Agent.of(options["catalog"], tuned.engine())
    default = default_card(agent, options["baseline"])
    queries, reward, source = _queries_and_reward(dabench, agent, config, default, options)
    limits = Limits(options["max_steps"], options["max_minutes"] or config.minutes, began)
    task = AlignmentTask(config, tuned, queries, default, reward, source)
    done = align(task, agent, out, resume=options["resume"], limits=limits, progress=progress, say=say)
    if done:
        click.echo(json.dumps(done))


@click.command()
@click.argument("pairs", type=FILE)
@click.option("--raw", required=True, type=FOLDER, help="The crawl that PAIRS come from.")
@click.option(
    "--system", "systems", multiple=True, required=True, metavar="NAME=LLM[,FUSION.json]",
    help="A model to compare, repeatable: a folder of train sft or train rrhf, weights, or shipped.",
)  # fmt: skip
@click.option(
    "--unconstrained", "free", default=100, show_default=True, help="Prompts answered without a grammar."
)
@sample_of("pairs")
@SHIPPED_CATALOG
@JSON
def community(
    pairs: Path,
    raw: Path,
    systems: tuple[str, ...],
    limit: int | None,
    free: int,
    seed: int,
    catalog: str | None,
    as_json: bool,
) -> None:
    """Compare systems on selection, hallucination and what the community says of their choices.

    \b
    diffagent eval community DABENCH/test.jsonl --raw RAW --system sft=SFT,FUSION.json
        --system rrhf=RRHF,FUSION.json
    """
    from diffagent.agent.agent import Agent
    from diffagent.agent.choosing.fusion import Fusion
    from diffagent.training.corpora.held_out_pairs import read_pairs, sample
    from diffagent.training.evaluation.compare import answers, parse_system, table
    from diffagent.training.sft.tuned_model import TunedModel

    chosen = sample(list(read_pairs(pairs)), limit, seed)
    parsed = [parse_system(text) for text in systems]
    shared: Any = None
    results: dict[str, Any] = {}
    for name, llm, fusion in parsed:
        agent = Agent.of(catalog, TunedModel.find(llm).engine(), Fusion.load(fusion))
        shared = shared or community_of(raw, agent, [pair.prompt for pair in chosen], "report")
        results[name] = answers(agent, chosen, shared, free, progress)
    rows = table(results, seed)
    show(rows, as_json)


@click.command()
@click.argument("prompts", type=FILE)
@click.option("--sft", required=True, metavar="LLM", help="A folder of train sft, or weights.")
@click.option("--rrhf", "aligned", required=True, metavar="LLM", help="A folder of train rrhf, or weights.")
@click.option("-o", "out", required=True, type=FOLDER, metavar="OUT", help="Images and contact sheets.")
@click.option(
    "--free", type=click.Choice(["candidates", "memory"]), help="Without the grammar, as in the paper."
)
@click.option("-n", "count", default=3, show_default=True, help="Images a call.")
@click.option("--side", type=int, help="Width and height of every image; default: the base model's.")
@_TARGET
@click.option("--clip", metavar="PATH-OR-NAME", help="CLIP ViT-B.")
@click.option("--image-reward", metavar="FILE", help="ImageReward's checkpoint.")
@click.option("--hps", metavar="FILE", help="HPS v2's checkpoint.")
@sample_of("prompts")
@SHIPPED_CATALOG
@JSON
def images(prompts: Path, sft: str, aligned: str, out: Path, **options: Any) -> None:
    """Table 2 of the paper: five systems' images of PROMPTS, scored by CLIP, ImageReward and HPS v2.

    \b
    diffagent eval images coco.txt --limit 1000 --sft SFT --rrhf RRHF -o OUT
    """
    from diffagent.agent.agent import Agent
    from diffagent.data.base_models import side_of
    from diffagent.training.evaluation.hallucination import read_prompts
    from diffagent.training.evaluation.image_table import (
        constrained_caller,
        default_call,
        five_calls,
        free_caller,
        measure,
        table,
    )
    from diffagent.training.evaluation.sheets import blind_page, sheets
    from diffagent.training.rewards.published import load_scorers
    from diffagent.training.rewards.studio import Studio
    from diffagent.training.rewards.unified import ImageMetrics
    from diffagent.training.rrhf.queries import default_card
    from diffagent.training.sft.tuned_model import TunedModel

    texts = read_prompts(prompts, options["limit"], options["seed"])
    calls: list[list[Any]] = []
    for name in (sft, aligned):
        agent = Agent.of(options["catalog"], TunedModel.find(name).engine())
        default = default_card(agent, options["baseline"])
        ask = free_caller(agent, options["free"], default) if options["free"] else constrained_caller(agent)
        calls.append([ask(text) for text in progress(texts, f"calls of {name}")])
    sets = [
        five_calls(text, default_call(agent, default, text), first, second)
        for text, first, second in zip(texts, *calls, strict=True)
    ]
    side = options["side"] or side_of(default.base_model)
    studio = Studio(
        out / "images", agent.catalog, options["target"], options["target_url"], size=(side, side)
    )
    scorers = load_scorers(options["clip"], options["image_reward"], options["hps"])
    metrics = ImageMetrics(studio, scorers, range(options["count"]))
    rows = table(sets, measure(sets, metrics, progress), options["seed"])
    sheets(sets, studio, metrics.seeds, out)
    blind_page(sets, studio, out / "blind.html", seeds=metrics.seeds)
    rows["generated"] = studio.generated
    show(rows, options["as_json"])


@click.command()
@REQUESTS
@click.option(
    "--system", "systems", multiple=True, required=True, metavar="NAME=LLM",
    help="A model to compare, repeatable: a folder of train sft or train rrhf, or weights.",
)  # fmt: skip
@click.option(
    "--form",
    type=click.Choice(["choice", "candidates", "memory"]),
    default="choice",
    show_default=True,
    help="What the model is asked: choice, as the agent does on plain requests.",
)
@_WEIGHTS
@click.option("--limit", type=click.IntRange(1), help="At most this many requests.")
@SEED
@SHIPPED_CATALOG
@JSON
def suitability(
    requests: Path | None,
    systems: tuple[str, ...],
    form: Any,
    weights: Path | None,
    limit: int | None,
    seed: int,
    catalog: str | None,
    as_json: bool,
) -> None:
    """Compare language models' own choices on held-out plain requests: suitability, grades, popularity.

    \b
    diffagent eval suitability --system sft=shipped --system rrhf=RRHF
    """
    from diffagent.agent.agent import Agent
    from diffagent.agent.answering.answer import LABELS
    from diffagent.agent.answering.choice import SHOWN
    from diffagent.training.corpora.plain_requests import read_graded
    from diffagent.training.evaluation.compare import parse_system
    from diffagent.training.evaluation.suited_table import choices, offers, table
    from diffagent.training.sft.tuned_model import TunedModel

    graded = read_graded(requests)
    held_out = [request for request in graded if request.split == "test"][:limit]
    parsed = [parse_system(text) for text in systems]
    offered: Any = None
    results: dict[str, Any] = {}
    facts: Any = None
    for name, llm, _ in parsed:
        agent = Agent.of(catalog, TunedModel.find(llm).engine())
        if offered is None:
            reward = suited_of(agent, graded, weights)
            most = SHOWN if form == "choice" else len(LABELS)
            offered, facts = offers(agent, held_out, reward, progress, most), reward.report()
        results[name] = choices(agent.engine, offered, form, progress)
    rows = table(results, offered, seed) | facts
    show(rows, as_json)


def _queries_and_reward(
    dabench: Path | None, agent: Any, config: Any, default: Any, options: dict[str, Any]
) -> tuple[list[Any], Any, Path]:
    """The queries, the reward that ranks their responses, and the source of the queries."""
    from diffagent.training.corpora.plain_requests import read_graded, shipped
    from diffagent.training.rrhf.queries import read_queries, request_queries

    if dabench is None or options["reward"] == "suitability":
        source = options["requests"] or shipped()
        graded = read_graded(source)
        queries = request_queries(graded, agent, config.form, config.k, default, config.seed)
        return queries[: options["limit"]], suited_of(agent, graded, options["weights"]), source
    queries = read_queries(dabench / "align.jsonl", agent, config.form, config.k, default, config.seed)
    queries = queries[: options["limit"]]
    if options["reward"] == "images":
        return queries, _image_reward(options, agent, config), dabench
    prompts = [query.wishes.prompt for query in queries]
    return queries, community_of(options["raw"], agent, prompts, "reward"), dabench


def suited_of(agent: Any, requests: list[Any], weights: Path | None) -> Any:
    """The reward of suitability, with its agreement on held-out grades."""
    from diffagent.agent.choosing.suitability import Suitability
    from diffagent.training.rewards.suited import SuitabilityReward

    return SuitabilityReward.from_requests(agent.prefilter, Suitability.load(weights), requests, progress)


def community_of(raw: Path | None, agent: Any, prompts: list[str], side: Any) -> Any:
    """The reward over all sample prompts of a crawl.

    Raises:
        BadInput: no crawl was given.
    """
    from diffagent.data.catalog.corpus import read_entries
    from diffagent.data.catalog.filters import Scope
    from diffagent.data.encoders.vector_cache import VectorCache
    from diffagent.data.errors import BadInput
    from diffagent.data.hubs.raw import RawFolder
    from diffagent.training.rewards.community import Community

    if raw is None:
        raise BadInput("the community's reward reads sample prompts and statistics: pass --raw RAW")
    entries = read_entries(RawFolder(raw), Scope(), "none")
    return Community.from_entries(entries, VectorCache(agent.prefilter.encoder), prompts, progress, side)


def _image_reward(options: dict[str, Any], agent: Any, config: Any) -> Any:
    from diffagent.data.errors import BadInput
    from diffagent.training.rewards.published import load_scorers
    from diffagent.training.rewards.studio import Studio
    from diffagent.training.rewards.unified import ImageMetrics

    if options["images"] is None:
        raise BadInput("the reward of images keeps them: pass --images FOLDER")
    studio = Studio(options["images"], agent.catalog, options["target"], options["target_url"])
    return ImageMetrics(studio, load_scorers(), range(config.images))
