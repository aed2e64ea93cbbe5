"""``diffagent pmi``: specifications from example images, identification by example images, and the
benchmark."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from diffagent.serving.commands.output import show
from diffagent.serving.commands.shared_options import FILE, JSON, PATH

if TYPE_CHECKING:
    from diffagent.agent.pmi.feature_cache import EncoderPair
    from diffagent.agent.pmi.identifier import Identification, Identifier
    from diffagent.data.catalog.catalog import Catalog

DEFAULT_ENCODER = "efficientnet-lite0"
_ENCODER = click.option(
    "--image-encoder",
    default=DEFAULT_ENCODER,
    show_default=True,
    metavar="NAME",
    help="Or a CLIP of the hub or in a folder.",
)


@click.group()
def pmi() -> None:
    """Identify models by example images."""


@pmi.command()
@click.argument("source", required=False, type=PATH)
@click.option("-o", "--output", "out", required=True, metavar="CATALOG", type=FILE)
@click.option(
    "--generate", "models", multiple=True, metavar="MODEL", help="Make images of this catalog model first."
)
@click.option(
    "--prompts",
    metavar="FILE",
    type=click.Path(exists=True, path_type=Path),
    help="A prompt a line; default: ours.",
)
@click.option(
    "--images",
    "folder",
    metavar="DIR",
    type=PATH,
    help="Where made or fetched images are kept.",
)
@click.option(
    "--target", default="diffusers", show_default=True, help="What makes them; see diffagent generate."
)
@click.option("--target-url", metavar="URL")
@_ENCODER
@JSON
def build(
    source: Path | None,
    out: Path,
    models: tuple[str, ...],
    prompts: Path | None,
    folder: Path | None,
    target: str,
    target_url: str | None,
    image_encoder: str,
    as_json: bool,
) -> None:
    """Specifications of the models in SOURCE: a manifest, a folder of folders, or a crawl.

    A manifest is JSON lines of file, model, prompt. The specifications lie beside CATALOG; models that it
    lacks are added, and a new catalog is made where there is none.
    """
    from diffagent.agent.pmi.building import build as make
    from diffagent.agent.pmi.crawled import crawled_examples, is_crawl
    from diffagent.agent.pmi.manifest import read_examples
    from diffagent.data.hubs.raw import RawFolder

    if (source is None) == (not models):
        raise click.UsageError("give a SOURCE of images, or models to make images with: --generate MODEL")
    if source is None:
        from diffagent.agent.pmi.generating import generate_examples

        examples = generate_examples(
            models, out, prompts, folder or Path("pmi-images"), target, target_url, _say
        )
    elif is_crawl(source):
        examples = crawled_examples(RawFolder(source), folder or Path("pmi-images"), _say)
    else:
        examples = read_examples(source)
    built = make(examples, out, _pair(image_encoder), _progress, _say)
    facts = {
        "catalog": str(out),
        "specifications": str(built.file.path),
        "models": built.models,
        "images": built.images,
        "added": built.added,
        "failed": built.failed,
    }
    show(facts, as_json)


@pmi.command()
@click.argument("images", nargs=-1, required=True)
@click.option("--catalog", metavar="PATH", help="A catalog with image specifications.")
@click.option("-k", default=5, show_default=True, type=click.IntRange(1), help="Models printed.")
@click.option("--paper", is_flag=True, help="By the distance of the CGI paper (Eq. 9).")
@click.option("--prompt", default="", help="With --paper: what the images show.")
@click.option("--captioner", metavar="NAME", help="With --paper: describes them, such as a BLIP of the hub.")
@JSON
def identify(
    images: tuple[str, ...],
    catalog: str | None,
    k: int,
    paper: bool,
    prompt: str,
    captioner: str | None,
    as_json: bool,
) -> None:
    """The models that make images like IMAGES (1 to 6 files), with probabilities."""
    from diffagent.agent.pmi.identifier import Identifier
    from diffagent.agent.pmi.requirement import check_count, missing
    from diffagent.data.catalog.catalog import Catalog

    check_count(images)
    with Catalog.open(catalog) as opened:
        identifier = Identifier.beside(opened.path)
        if identifier is None:
            raise missing(opened.path)
        if paper:
            ranking = _by_paper(identifier, images, prompt, captioner, opened, k)
        else:
            ranking = ranking_of(identifier.identify(images), opened, k)
    if as_json:
        click.echo(json.dumps(ranking, ensure_ascii=False))
        return
    from diffagent.serving.commands.tables import table

    rows = [(row["model"], _score(row), row["air"]) for row in ranking["models"]]
    click.echo(table(("MODEL", "DISTANCE" if paper else "PROBABILITY", "AIR"), rows, right=(1,)))
    if ranking.get("unsure"):
        click.echo(
            f"unsure: {ranking['likely']} models share 90 % of the probability; more images tell more",
            err=True,
        )


def _score(row: dict[str, Any]) -> str:
    return f"{row['probability']:.1%}" if "probability" in row else f"{row['distance']:.4f}"


def _by_paper(
    identifier: Identifier,
    images: tuple[str, ...],
    prompt: str,
    captioner: str | None,
    catalog: Catalog,
    k: int,
) -> dict[str, Any]:
    """The k models that are nearest by Eq. 9."""
    from diffagent.agent.pmi.requirement import ImageRequirement
    from diffagent.data.encoders.captioner import Captioner
    from diffagent.data.encoders.text_encoder import load_text_encoder

    describe = Captioner.load(captioner) if captioner else None
    text = load_text_encoder(identifier.file.encoders.image)[0] if prompt or describe else None
    requirement = ImageRequirement.of(images, identifier.encoder, text, prompt, describe)
    distances = identifier.distances(requirement)
    order = distances.argsort(kind="stable")[:k].tolist()
    return {
        "models": [
            {
                "model": card.name if (card := catalog.by_air(identifier.airs[n])) else identifier.airs[n],
                "air": identifier.airs[n],
                "distance": round(float(distances[n]), 6),
            }
            for n in order
        ]
    }


@pmi.command()
@click.argument("manifest", type=PATH)
@click.option("--images", default="1,4", show_default=True, help="Numbers of example images, 1 to 6.")
@click.option("--tables", is_flag=True, help="Also Tables 3 and 5; print Markdown.")
@click.option("--own", is_flag=True, help="Also models specified by prompts of their own, five seeds.")
@click.option("--plot", metavar="PNG", type=FILE, help="Accuracy by images.")
@click.option("-o", "--sheet", metavar="PNG", type=FILE, help="A contact sheet.")
@_ENCODER
@JSON
def bench(
    manifest: Path,
    images: str,
    tables: bool,
    own: bool,
    plot: Path | None,
    sheet: Path | None,
    image_encoder: str,
    as_json: bool,
) -> None:
    """Measure identification on MANIFEST: JSON lines of file, model, prompt, prompt_id.

    Prompts with prompt_id % 3 == 2 are the test; nothing is fitted or chosen on them.
    """
    from diffagent.agent.pmi import bench as benchmark
    from diffagent.agent.pmi.bench_images import read_bench
    from diffagent.agent.pmi.report import of_settings, report

    sizes = _sizes(images)
    bench_images = read_bench(manifest, _pair(image_encoder), _progress)
    learnt = benchmark.learn_space(bench_images)
    results = benchmark.run(bench_images, learnt, sizes, full=tables)
    if own:
        from diffagent.agent.pmi.own_prompts import settings

        results["settings_of_prompts"] = settings(bench_images, sizes, progress=_progress)
    if plot is not None:
        from diffagent.agent.pmi.plots import plot_accuracy

        plot_accuracy(results, plot)
    if sheet is not None:
        from diffagent.agent.pmi.sheet import draw_sheet

        draw_sheet(manifest, bench_images, learnt, sheet)
    if as_json:
        click.echo(json.dumps(results, ensure_ascii=False))
        return
    if tables:
        click.echo(report(results))
    else:
        _print_bench(results)
    if own:
        click.echo(of_settings(results["settings_of_prompts"]))


def _sizes(text: str) -> list[int]:
    from diffagent.agent.pmi.requirement import MOST_IMAGES

    try:
        sizes = sorted({int(part) for part in text.split(",")})
    except ValueError:
        sizes = []
    if not sizes or not 1 <= sizes[0] <= sizes[-1] <= MOST_IMAGES:
        raise click.UsageError(f"--images {text!r}: give numbers from 1 to {MOST_IMAGES}, such as 1,4")
    return sizes


def _print_bench(results: dict[str, Any]) -> None:
    from diffagent.agent.pmi.report import distance
    from diffagent.serving.commands.tables import table

    rows = [
        (
            method,
            size,
            f"{figures['top1']:.1%}",
            f"{figures['top5']:.1%}",
            f"{figures['rank']:.1f}",
            distance(figures["frechet"]),
        )
        for size in results["tasks"]
        for method, figures in ((name, results[name][size]) for name in ("baseline", "rkme", "pmi", "ours"))
    ]
    click.echo(table(("METHOD", "IMAGES", "TOP 1", "TOP 5", "RANK", "FRECHET"), rows, right=(1, 2, 3, 4, 5)))


def ranking_of(identification: Identification, catalog: Catalog, k: int) -> dict[str, Any]:
    """An identification as it is printed: the best k models and whether one stands out."""
    models = []
    for air, probability in identification.best(k):
        card = catalog.by_air(air)
        name = card.name if card else air
        models.append({"model": name, "air": air, "probability": round(probability, 4)})
    return {"models": models, "unsure": identification.unsure, "likely": identification.likely}


def _pair(image_encoder: str) -> EncoderPair:
    """The image encoder of that name, and the text encoder that belongs to it."""
    from diffagent.agent.pmi.feature_cache import EncoderPair
    from diffagent.data.encoders.image_encoder import load_image_encoder
    from diffagent.data.encoders.text_encoder import load_text_encoder

    text, name = load_text_encoder(image_encoder)
    return EncoderPair(load_image_encoder(image_encoder), text, name, text.digest)


def _progress(items: Any) -> Any:
    from tqdm import tqdm

    return tqdm(items, unit=" batches", disable=None)


def _say(line: str) -> None:
    click.echo(f"diffagent: {line}", err=True)
