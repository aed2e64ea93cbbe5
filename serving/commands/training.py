"""``diffagent train`` and ``diffagent eval``: fit on the train and align parts, measure on held-out ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from diffagent.serving.commands.hallucination import hallucination
from diffagent.serving.commands.output import progress, say, show
from diffagent.serving.commands.rrhf import community, images, rrhf
from diffagent.serving.commands.rrhf import suitability as suits
from diffagent.serving.commands.shared_options import (
    AGENT,
    FILE,
    FOLDER,
    JSON,
    PATH,
    REQUESTS,
    SEED,
    SHIPPED_CATALOG,
    TRAINING_RUN,
    fitted_to,
    sample_of,
)
from diffagent.serving.commands.story import story

_UNTUNED = click.option(
    "--untuned",
    metavar="PATH-OR-NAME",
    help="A language model to measure beside; default: ours without its adapter, if it has one.",
)


@click.group()
def train() -> None:
    """Fit the small models and train the language model."""


@train.command()
@click.argument("raw", type=PATH)
@fitted_to("RANKER.npz")
def prefilter(raw: Path, out: Path) -> None:
    """Fit the prefilter's ranker on the train part of the crawl RAW (about 15 minutes on two cores)."""
    from diffagent.data.catalog.corpus import read_entries
    from diffagent.data.catalog.filters import Scope
    from diffagent.data.encoders.text_encoder import TextEncoder
    from diffagent.data.encoders.vector_cache import VectorCache
    from diffagent.data.hubs.raw import RawFolder
    from diffagent.training.corpora.train_samples import gather
    from diffagent.training.fitting.ranker import FitConfig, fit, queries

    encoder, config = VectorCache(TextEncoder.load()), FitConfig()
    corpus = gather(read_entries(RawFolder(raw), Scope(), "both"), encoder, config.folds)
    data = queries(corpus, encoder, config, progress)
    ranker, history = fit(data, config, progress)
    ranker.save(out)
    click.echo(json.dumps({"queries": len(data.kind), **history[-1]}))


@train.command()
@REQUESTS
@click.option(
    "--orders", type=FILE, help="Requests with their candidates in order; default: those that ship."
)
@fitted_to("SUITABILITY.npz")
@click.option(
    "--no-llm", is_flag=True, help="Fit to the rules' readings, for the system without a language model."
)
@click.option("--weight", default=5.0, show_default=True, help="Weight of the language model's reading.")
@AGENT
def suitability(
    requests: Path | None,
    orders: Path | None,
    out: Path,
    no_llm: bool,
    weight: float,
    catalog: str | None,
    engine: str,
    llm: str | None,
) -> None:
    """Fit how well models suit plain requests on graded candidates and on orders of them (ten minutes).

    Writes beside it preferences.json, which models readers like among those that suit alike, and media.npz,
    the likely media of a request. With --no-llm those that ship are kept.
    """
    from diffagent.agent.choosing import likely_media
    from diffagent.agent.choosing.choosing import CardShelf
    from diffagent.agent.choosing.preferences import FILE as PREFERENCES
    from diffagent.agent.choosing.prefilter import Prefilter
    from diffagent.agent.engines.loading import load_engine
    from diffagent.data.catalog.catalog import Catalog, default_catalog
    from diffagent.data.encoders.text_encoder import TextEncoder
    from diffagent.training.corpora.plain_requests import read_graded, shipped_orders
    from diffagent.training.fitting import media
    from diffagent.training.fitting.suiting import (
        fit,
        fit_preferences,
        gather,
        measure,
        model_reader,
        rule_reader,
    )

    opened = Catalog.open(Path(catalog) if catalog else default_catalog())
    encoder = TextEncoder.load()
    ranked = Prefilter.of(opened, encoder)
    shelf = CardShelf(ranked.cards)
    reader = rule_reader(shelf) if no_llm else model_reader(load_engine(engine, llm), weight, shelf)
    graded = [*read_graded(requests), *read_graded(orders or shipped_orders())]
    likely, by_prompt = media.fit(graded, encoder)
    rows = gather(ranked, graded, progress, reader, by_prompt)
    if not no_llm:
        likely.save(out.with_name(likely_media.FILE))
        known = fit_preferences([row for row in rows if row.split == "train"])
        rows = [row.with_preferences(known) for row in rows]
        rounded = {air: round(value, 3) for air, value in known.items()}
        out.with_name(PREFERENCES).write_text(json.dumps(rounded, indent=0) + "\n", encoding="utf-8")
    fitted = fit([row for row in rows if row.split == "train"])
    fitted.save(out)
    held_out = [row for row in rows if row.split == "test"]
    served = [row for row in held_out if not row.is_strong]
    parts = {
        "given": [row for row in held_out if row.is_strong and row.places is None],
        "served": [row for row in served if row.places is None],
        "in order": [row for row in served if row.places is not None],
    }
    click.echo(json.dumps({name: measure(fitted, part) for name, part in parts.items() if part}))


@train.command()
@click.option("--chats", type=FILE, help="Messages with labelled pieces; default: those that ship.")
@fitted_to("PIECES.npz")
def talk(chats: Path | None, out: Path) -> None:
    """Fit the tagger of the picture's words in a chat message (40 minutes of a core).

    Prints the shares on a held-out quarter of the messages; OUT is fitted to all of them. The plain requests
    that ship are part of the fit.
    """
    from diffagent.training.fitting.talking import fit, measure, read_chats, read_pictures

    chats_read = list(read_chats(chats))
    held_out = [chat for chat in chats_read if chat.is_held_out]
    lessons = [*chats_read, *read_pictures()]
    shares = measure(held_out, fit([chat for chat in lessons if not chat.is_held_out], progress=progress))
    fit(lessons, progress=progress).save(out)
    click.echo(json.dumps({"messages": len(chats_read), "held_out": len(held_out), **shares}))


@train.command("weights")
@REQUESTS
@fitted_to("FUSION.json")
@AGENT
def weights(requests: Path | None, out: Path, **options: Any) -> None:
    """Fit the language model's weights in reading and choice on requests of the align part."""
    from diffagent.agent.agent import Agent
    from diffagent.training.corpora.plain_requests import read_graded
    from diffagent.training.fitting.asking_weights import fit
    from diffagent.training.fitting.fusion import save

    agent = Agent.load(**options)
    align = [request for request in read_graded(requests) if request.split == "align"]
    fusion, trials = fit(agent, align, progress)
    save(fusion, out)
    click.echo(json.dumps({"read": fusion.reading_weight, "asked": fusion.choice_weight, **trials}))


@train.command()
@click.argument("raw", type=PATH)
@fitted_to("READER.npz")
@click.option(
    "--rebuilt",
    type=FILE,
    metavar="CATALOG",
    help="Write a copy of the catalog with estimated attributes only, fitted without the uploader's models.",
)
@SHIPPED_CATALOG
def attributes(raw: Path, out: Path, rebuilt: Path | None, catalog: str | None) -> None:
    """Fit the reader that estimates attributes of other models, on the catalog's models and the crawl RAW.

    Prints the agreement with the read ones, by cross-fitting over uploaders, beside two baselines.
    """
    from contextlib import closing

    from diffagent.data.catalog.catalog import Catalog
    from diffagent.data.encoders.text_encoder import TextEncoder
    from diffagent.data.encoders.vector_cache import VectorCache
    from diffagent.data.hubs.raw import RawFolder
    from diffagent.training.evaluation.plain_agreement import Lesson, agreement, learn, rebuild

    with closing(Catalog.open(catalog)) as opened:
        lesson = Lesson.from_crawl(RawFolder(raw), opened)
        reader, estimated = learn(lesson, VectorCache(TextEncoder.load()))
        reader.save(out)
        if rebuilt is not None:
            rebuild(lesson, estimated, opened, rebuilt)
    figures = {"models": len(lesson.attributes), "bytes": out.stat().st_size}
    click.echo(json.dumps({**figures, "agreement": agreement(lesson, estimated)}))


@train.command()
@click.argument("align", type=FILE)
@fitted_to("FUSION.json")
@click.option("--limit", default=150, show_default=True, help="At most this many pairs, drawn at random.")
@SEED
@AGENT
def fusion(align: Path, out: Path, limit: int, seed: int, **options: Any) -> None:
    """Fit the language model's weight in the parameters on pairs of the align part."""
    from dataclasses import replace

    from diffagent.agent.agent import Agent
    from diffagent.training.corpora.held_out_pairs import read_pairs, sample
    from diffagent.training.fitting.fusion import fit_write, save

    agent = Agent.load(**options)
    weight, trials = fit_write(agent, sample(list(read_pairs(align)), limit, seed), progress)
    save(replace(agent.fusion, parameter_weight=weight), out)
    click.echo(json.dumps({"write": weight, "tried": trials}))


@train.command()
@click.argument("dabench", type=FOLDER)
@click.option("--recipe", required=True, metavar="NAME", help="A recipe that ships, or a .yaml file.")
@click.option("--raw", type=FOLDER, help="The crawl that DABENCH was built from: candidates are found there.")
@TRAINING_RUN
@click.option("--llm", metavar="PATH-OR-NAME", help="A LLaMA-architecture model; default: the recipe's.")
def sft(
    dabench: Path,
    recipe: str,
    out: Path,
    raw: Path | None,
    resume: bool,
    max_steps: int | None,
    max_minutes: float | None,
    llm: str | None,
) -> None:
    """Fine-tune a language model on the dialogues of DABENCH (the paper's SFT stage).

    \b
    diffagent train sft DABENCH --raw RAW --recipe smollm2-135m -o OUT
    """
    import time
    from dataclasses import replace

    from diffagent.training.sft.limits import Limits
    from diffagent.training.sft.recipe import read_recipe
    from diffagent.training.sft.sft import check_extra
    from diffagent.training.sft.sft import train as run

    began = time.monotonic()
    check_extra()
    sft_recipe = read_recipe(recipe)
    sft_recipe = replace(sft_recipe, model=llm) if llm else sft_recipe
    limits = Limits(max_steps, max_minutes or sft_recipe.minutes, began)
    summary = run(sft_recipe, dabench, out, raw=raw, resume=resume, limits=limits, progress=progress, say=say)
    if summary:
        click.echo(json.dumps(summary))


@click.group("eval")
def evaluate() -> None:
    """Measure accuracy on held-out data."""


@evaluate.command()
@click.argument("pairs", type=FILE)
@sample_of("pairs")
@click.option("--no-negative", is_flag=True, help="Leave out the negative prompts.")
@click.option("--no-llm", is_flag=True, help="Leave the language model out.")
@click.option("--no-parameters", is_flag=True, help="Leave out sampler, size, steps and CFG scale.")
@_UNTUNED
@click.option(
    "--leave-out",
    type=click.FloatRange(0, 1),
    metavar="COSINE",
    help="Hide the catalog's documents that come so near to a query (for models whose images it has).",
)
@AGENT
@JSON
def select(
    pairs: Path,
    limit: int | None,
    seed: int,
    no_negative: bool,
    no_llm: bool,
    no_parameters: bool,
    untuned: str | None,
    leave_out: float | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Recall of the true model over held-out PAIRS: prefilter, baseline, agent with and without the model."""
    from dataclasses import replace

    from diffagent.agent.agent import Agent
    from diffagent.training.corpora.held_out_pairs import read_pairs, sample
    from diffagent.training.evaluation.selection import SelectionOptions, measure, summarise

    chosen = sample(list(read_pairs(pairs)), limit, seed)
    if no_negative:
        chosen = [replace(pair, negative_prompt="") for pair in chosen]
    agent = Agent.load(**options)
    task = SelectionOptions(
        llm=not no_llm,
        untuned=None if no_llm else _untuned(untuned, options),
        parameters=not no_parameters,
        leave_out=leave_out,
    )
    rows = list(measure(agent, progress(chosen, "select"), task))
    show(summarise(rows, seed), as_json)


@evaluate.command()
@click.argument("requests", type=FILE)
@click.option("--judged", required=True, type=FILE, metavar="GRADES", help="Graded calls, JSON lines.")
@click.option(
    "--wishes",
    type=FILE,
    metavar="WISHES",
    help="The explicit wishes of the requests. Default: REQUESTS-wishes.jsonl beside them, if any.",
)
@click.option(
    "--system",
    type=click.Choice(["agent", "constant", "rule"]),
    default="agent",
    show_default=True,
    help="The system that chooses: the agent; always one model; keywords and names.",
)
@click.option(
    "--constant",
    default="Deliberate",
    show_default=True,
    metavar="MODEL",
    help="The model of --system constant.",
)
@click.option(
    "-o", "out", type=FILE, metavar="CALLS", help="Write the calls, a row a request, as route does."
)
@AGENT
@JSON
def ask(
    requests: Path,
    judged: Path,
    wishes: Path | None,
    system: Any,
    constant: str,
    out: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Plain REQUESTS beside graded choices: the share that is good, acceptable and wrong.

    A grade counts for its checkpoint, its LoRAs and the prompt that was sent. With WISHES: how many of them
    the calls keep, which they break, and which values lie outside the base model's table.
    """
    from diffagent.agent.agent import Agent
    from diffagent.training.evaluation.asking import Grades, read_requests, rows, summarise, table
    from diffagent.training.evaluation.systems import answers
    from diffagent.training.evaluation.wish_check import check, lines, read_wishes, wishes_file

    plain, grades = read_requests(requests), Grades.read(judged)
    wish_rows = (
        read_wishes(wishes or wishes_file(requests)) if wishes or wishes_file(requests).is_file() else []
    )
    decisions, errors = answers(Agent.load(**options), plain, system, constant, progress)
    calls = {key: decision.call for key, decision in decisions.items()}
    if out is not None:
        out.write_text("".join(rows(plain, calls, errors)), encoding="utf-8")
    counts = {key: decision.n for key, decision in decisions.items()}
    figures = {
        "system": system,
        **summarise(plain, calls, grades),
        "wishes": check(wish_rows, calls, counts, errors) if wish_rows else None,
    }
    words = [table(figures), *([lines(figures["wishes"])] if wish_rows else [])]
    click.echo(json.dumps(figures) if as_json else "\n".join(words))


@evaluate.command()
@REQUESTS
@click.option(
    "--split",
    type=click.Choice(["train", "align", "test"]),
    default="test",
    show_default=True,
    help="The part of the requests to measure on.",
)
@click.option(
    "--without",
    type=FILE,
    metavar="SUITABILITY.npz",
    help="Measure the system without a language model too, by what train suitability --no-llm fitted.",
)
@_UNTUNED
@AGENT
@JSON
def ablation(
    requests: Path | None,
    split: str,
    without: Path | None,
    untuned: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Measure what the language model's reading and choice add on graded requests: the agent without each."""
    from diffagent.agent.agent import Agent
    from diffagent.agent.choosing.suitability import Suitability
    from diffagent.training.corpora.plain_requests import read_graded
    from diffagent.training.evaluation.ablation import summarise, systems, text

    graded = [request for request in read_graded(requests) if request.split == split]
    refitted = Suitability.load(without) if without is not None else None
    agent = Agent.load(**options)
    answers = systems(agent, graded, progress, without=refitted, untuned=_untuned(untuned, options))
    weights = {"read": agent.fusion.reading_weight, "asked": agent.fusion.choice_weight}
    figures = {"split": split, "weights": weights, **summarise(answers)}
    click.echo(json.dumps(figures) if as_json else text(figures))


@evaluate.command()
@click.argument("results", nargs=-1, required=True, type=FILE)
@click.option("-o", "out", required=True, type=FILE, metavar="PLOT.png")
def plot(results: tuple[Path, ...], out: Path) -> None:
    """Draw RESULTS of eval select --json, a group of bars each, into a PNG file."""
    from diffagent.training.evaluation.results_plot import draw, read_results

    draw(read_results(results), out)
    click.echo(json.dumps({"plot": str(out), "results": len(results)}))


for command in (rrhf, story):
    train.add_command(command)
for command in (community, hallucination, images, suits):
    evaluate.add_command(command)


def _untuned(name: str | None, options: dict[str, Any]) -> Any:
    """The engine to measure beside: the one that is named, or the default model without its adapter."""
    from diffagent.agent.engines.adapter import shipped
    from diffagent.agent.engines.loading import load_engine
    from diffagent.data.weights.weights import DEFAULT_LLM

    name = name or (DEFAULT_LLM if options["llm"] is None and shipped() is not None else None)
    return load_engine(options["engine"], name) if name else None
