"""``diffagent data``: crawl model hubs into a RAW folder, build DABench from it, and count the contents of
both."""

from __future__ import annotations

import asyncio
import json
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from diffagent.serving.commands.describe import describe
from diffagent.serving.commands.shared_options import FILE, JSON, PATH

if TYPE_CHECKING:
    from diffagent.data.dabench.listed import ListedPairs
    from diffagent.data.hubs.crawl import CrawlOptions
    from diffagent.data.hubs.installed import InstalledModel


@click.group()
def data() -> None:
    """Crawl model hubs, build DABench, and count its contents."""


data.add_command(describe)


@data.command()
@click.option("--url", metavar="BASE", help="The API's base URL (default: Civitai's); a folder for horde.")
@click.option("-o", "raw", required=True, metavar="RAW", type=PATH, help="Folder to fill.")
@click.option("--source", type=click.Choice(["civitai", "horde"]), default="civitai", show_default=True)
@click.option("--installed", metavar="DIR", help="Only the models in this A1111, Forge or ComfyUI folder.")
@click.option("--types", multiple=True, metavar="TYPE", help="Model types, repeated or comma separated "
              "(default: Checkpoint, LORA, LoCon, DoRA).")  # fmt: skip
@click.option("--since", metavar="DATE", help="Models added or changed since; known pages are listed too.")
@click.option("--limit", type=click.IntRange(1), metavar="N", help="The newest N models.")
@click.option(
    "--rate", type=click.FloatRange(0), default=4.0, show_default=True, help="Requests a second; 0: all."
)
@click.option(
    "--concurrency", type=click.IntRange(1, 64), default=4, show_default=True, help="Requests at once."
)
def crawl(
    url: str | None,
    raw: Path,
    source: str,
    installed: str | None,
    types: tuple[str, ...],
    since: str | None,
    limit: int | None,
    rate: float,
    concurrency: int,
) -> None:
    """Crawl an API into the folder RAW. Run again, it goes on or fetches new models.

    An API key is read from CIVITAI_API_KEY and not stored. Models that only changed are listed back to
    --since.

    \b
    diffagent data crawl -o RAW --limit 500
    diffagent data crawl --source horde --url DIR -o RAW
    """
    if source == "horde":
        if installed or types or since or limit:
            raise click.UsageError("--source horde takes --url DIR and -o RAW only")
        return _print(_crawl_horde(url, raw))
    from diffagent.data.hubs.crawl import CrawlOptions

    options = CrawlOptions(_types(types), since, limit) if types else CrawlOptions(since=since, limit=limit)
    _print(asyncio.run(_crawl_civitai(url, raw, options, installed, rate, concurrency)))


@data.command()
@click.argument("raw", type=PATH)
@click.option("-o", "out", required=True, type=PATH, metavar="DABENCH")
@click.option("--drop-by-downloads", "downloads", type=float, default=0.5, show_default=True, metavar="SHARE",
              help="Of each type and base model, drop so many by downloads; 0: none.")  # fmt: skip
@click.option("--drop-by-rating", "rating", type=float, default=0.25, show_default=True, metavar="SHARE",
              help="Of each type and base model, drop so many by Bayesian rating; 0: none.")  # fmt: skip
@click.option("--descriptions", "descriptions_file", metavar="FILE", type=PATH,
              help="The output of data describe, in place of composed descriptions.")  # fmt: skip
@click.option("--no-novel", is_flag=True, help="Leave test_novel out: no prompt is embedded.")
@click.option("--lists", metavar="LISTS", type=click.Path(exists=True, file_okay=False, path_type=Path),
              help="A folder of lists with example prompts of newer models: adds listed.jsonl.")  # fmt: skip
def build(
    raw: Path,
    out: Path,
    downloads: float,
    rating: float,
    descriptions_file: Path | None,
    no_novel: bool,
    lists: Path | None,
) -> None:
    """Build instruction–API pairs from RAW: filtered, split, with statistics and a dataset card.

    Near-duplicate prompts stay on one side of every split. A plot needs the extra "plot". LISTS holds
    flux_loras.json and hosted_t2i.jsonl: their prompts are others' work, of which nothing ships.

    \b
    diffagent data build RAW -o DABENCH
    diffagent data build RAW -o DABENCH --lists LISTS
    """
    from diffagent.data.catalog.quality import Quality
    from diffagent.data.dabench.dabench import build as run
    from diffagent.data.dabench.funnel_plot import has_matplotlib, plot
    from diffagent.data.descriptions.descriptions import read_descriptions
    from diffagent.data.encoders.text_encoder import TextEncoder
    from diffagent.data.encoders.vector_cache import VectorCache
    from diffagent.data.hubs.raw import RawFolder

    quality, folder = Quality(downloads, rating), RawFolder(raw)
    descriptions = read_descriptions(descriptions_file, "cluster") if descriptions_file is not None else {}
    plotter = plot if has_matplotlib() else None
    if plotter is None:
        click.echo("no funnel.png: a plot needs pip install 'diffagent[plot]'", err=True)
    with Bar() as bar:
        encoder = None if no_novel else VectorCache(TextEncoder.load())
        listed = _read_lists(lists) if lists is not None else None
        stats = run(folder, out, quality, encoder, plotter, bar, descriptions, listed)
    counts = {name: file["rows"] for name, file in stats["files"].items()}
    _print(
        {"digest": stats["digest"], **counts, **({"lists": stats["listed"]} if listed is not None else {})}
    )


def _read_lists(folder: Path) -> ListedPairs:
    from diffagent.data.catalog.catalog import Catalog, default_catalog
    from diffagent.data.dabench.listed import read_listed

    with Catalog.open(default_catalog()) as catalog:
        return read_listed(folder, catalog.cards())


@data.command()
@click.argument("folder", type=PATH)
@click.option("-o", "out", required=True, metavar="CARDS", type=PATH)
@click.option("--notes", metavar="DIR", type=PATH,
              help="A folder with left_out.tsv (models to leave out) and files.tsv (files).")  # fmt: skip
def references(folder: Path, out: Path, notes: Path | None) -> None:
    """Turn the lists of models in FOLDER into CARDS, JSON lines that catalog add reads.

    They are SD.Next's reference models, the hub's default versions, LoRAs of Flux.1 D and Pony, and items of
    the hub's listing. Prints the number of entries, and why the other models are left out.

    \b
    diffagent data references LISTS -o cards.jsonl
    diffagent catalog add cards.jsonl --catalog mine.sqlite --only-asked
    """
    from diffagent.data.catalog.card_json import card_to_json
    from diffagent.data.catalog.references import Notes, read_references

    listing = read_references(folder, None if notes is None else Notes.read(notes))
    with out.open("w", encoding="utf-8") as lines:
        for entry in listing.entries:
            lines.write(json.dumps(card_to_json(entry.card), ensure_ascii=False) + "\n")
    _print(listing.to_json())


@data.command()
@click.argument("folder", metavar="RAW-or-DABENCH", type=PATH)
@JSON
@click.option("--plot", "picture", metavar="FILE.png", type=FILE,
              help="Draw the funnel too; needs the extra plot.")  # fmt: skip
def stats(folder: Path, as_json: bool, picture: Path | None) -> None:
    """Show the funnel of a crawl or of a built DABench: the drops and their reasons.

    \b
    diffagent data stats DABENCH --plot funnel.png
    """
    from diffagent.data.dabench.dabench import STATS, count_pairs, read_statistics
    from diffagent.data.dabench.funnel import render
    from diffagent.data.dabench.funnel_plot import plot
    from diffagent.data.hubs.raw import RawFolder

    if (folder / STATS).exists():
        statistics = read_statistics(folder)
    else:
        with Bar() as bar:
            statistics = count_pairs(RawFolder(folder), bar)
    if picture is not None:
        plot(statistics, picture)
    if as_json:
        return _print(statistics)
    click.echo(
        render(
            statistics["funnel"], {name: file["rows"] for name, file in statistics.get("files", {}).items()}
        )
    )


async def _crawl_civitai(
    url: str | None, raw: Path, options: CrawlOptions, folder: str | None, rate: float, concurrency: int
) -> dict[str, Any]:
    import logging
    import os

    from diffagent.data.hubs.civitai import DEFAULT_URL, CivitaiClient
    from diffagent.data.hubs.crawl import crawl as run
    from diffagent.data.hubs.installed import identify, read_installed
    from diffagent.data.hubs.raw import publish
    from diffagent.data.weights.weights import home

    logging.getLogger("stamina").addHandler(logging.NullHandler())  # retries are not printed
    key = os.environ.get("CIVITAI_API_KEY", "").strip() or None
    client = CivitaiClient(url or DEFAULT_URL, rate=rate, concurrency=concurrency, key=key)
    installed_models: list[InstalledModel] | None = None
    with Bar() as bar:
        async with client:
            if folder is not None:
                installed_models = read_installed(folder, home(), lambda done, of: bar("files", done, of))
                installed_models = await identify(installed_models, client)
            summary = await run(
                client, raw, options, installed=installed_models, concurrency=concurrency, progress=bar
            )
        if installed_models is not None:
            facts = {
                "files": len(installed_models),
                "identified": sum(model.model_id is not None for model in installed_models),
            }
            publish(raw, "installed", map(asdict, installed_models), facts)
            return {**asdict(summary), **facts}
    return asdict(summary)


def _crawl_horde(url: str | None, raw: Path) -> dict[str, Any]:
    from diffagent.data.hubs.horde import read_horde
    from diffagent.data.hubs.raw import publish

    if url is None:
        raise click.UsageError("--source horde needs --url DIR, a folder with models.jsonl and styles.json")
    models = list(read_horde(url))
    raw.mkdir(parents=True, exist_ok=True)
    facts = {"url": url, "models": len(models), "styles": sum(len(model.styles) for model in models)}
    return publish(raw, "horde", map(asdict, models), facts)


class Bar:
    """Progress on stderr: one bar a stage, with counts and the time left."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._stage = ""
        self._bar: Any = None

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def __call__(self, stage: str, done: int, total: int | None) -> None:
        from tqdm import tqdm

        if stage != self._stage:
            self._stack.close()
            self._stage = stage
            self._bar = self._stack.enter_context(tqdm(desc=stage, unit="", dynamic_ncols=True))
        self._bar.total = None if total is None else max(total, done)
        self._bar.update(done - self._bar.n)


def _types(texts: tuple[str, ...]) -> tuple[str, ...]:
    """The types in the API's spelling; an unknown type is passed on to the API."""
    from diffagent.data.hubs.civitai import MODEL_TYPES

    spellings = {name.casefold(): name for name in MODEL_TYPES}
    names = [part.strip() for text in texts for part in text.split(",") if part.strip()]
    return tuple(sorted({spellings.get(name.casefold(), name) for name in names}))


def _print(facts: dict[str, Any]) -> None:
    click.echo(json.dumps(facts))
