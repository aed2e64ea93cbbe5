"""``diffagent catalog``: list, search, show, add and import models, and count them.

stdout carries the result (a table, or JSON with ``--json``); everything else goes to stderr. The catalog that
ships with the package is read-only.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from diffagent.data.attributes import MEDIA, ROLES
from diffagent.data.base_models import examples
from diffagent.serving.commands.shared_options import FILE, JSON, PATH, catalog_option, together

if TYPE_CHECKING:
    from diffagent.data.catalog.catalog import Catalog, Filter
    from diffagent.data.catalog.filters import Funnel
    from diffagent.data.hubs.raw import RawFolder
    from diffagent.data.records import Card

_CATALOG = catalog_option("path")
_DESCRIPTIONS = click.option(
    "--descriptions",
    "descriptions_file",
    metavar="FILE",
    type=PATH,
    help="The output of diffagent data describe.",
)
_FILTERS = together(
    click.option("--type", "type_", type=click.Choice(["Checkpoint", "LoRA"], case_sensitive=False)),
    click.option("--base-model", metavar="NAME", help=f"A {examples()}."),
    click.option("--commercial", is_flag=True, help="Only models whose images may be sold."),
    click.option("--role", type=click.Choice(ROLES), help="The role of a model."),
    click.option("--medium", type=click.Choice(MEDIA), metavar="MEDIUM", help="The medium of its images."),
    click.option("--limit", default=20, show_default=True, type=click.IntRange(0), help="Entries; 0: all."),
)


@click.group()
def catalog() -> None:
    """List, search, show, add and import models."""


@catalog.command("list")
@_FILTERS
@_CATALOG
@JSON
def list_(path: str | None, as_json: bool, limit: int, **filters: Any) -> None:
    """List models, most downloaded first."""
    with closing(_open(path)) as opened:
        filter_ = _filter(**filters)
        cards = opened.cards(filter_, limit or -1)
        _print_cards(cards, as_json)
        total = len(opened.rows(filter_)) if not as_json and len(cards) == limit else 0
    if total > len(cards):
        click.echo(f"{len(cards)} of {total:,}; --limit 0 lists all", err=True)


@catalog.command()
@click.argument("words", nargs=-1, required=True)
@_FILTERS
@_CATALOG
@JSON
def search(words: tuple[str, ...], path: str | None, as_json: bool, limit: int, **filters: Any) -> None:
    """Search names, tags, trigger words and descriptions for WORDS, best match first."""
    query = " ".join(words)
    with closing(_open(path)) as opened:
        cards = opened.search(query, limit or -1, _filter(**filters))
    _print_cards(cards, as_json)
    if not cards:
        click.echo(f"nothing matches {query[:60]!r}: try fewer or other words", err=True)


@catalog.command()
@click.argument("model")
@_CATALOG
@JSON
def show(model: str, path: str | None, as_json: bool) -> None:
    """Show one MODEL: a name, AIR, Civitai model or version id, hash, or file name."""
    from diffagent.serving.commands.tables import facts

    with closing(_open(path)) as opened:
        card = opened.find(model)
    click.echo(_json(card) if as_json else facts(_facts(card)))


@catalog.command()
@_CATALOG
@JSON
def stats(path: str | None, as_json: bool) -> None:
    """Count the entries by type, base model, source and licence."""
    from diffagent.serving.commands.tables import facts

    with closing(_open(path)) as opened:
        counts = {**opened.stats(), "held_out": opened.get_meta("held_out")}
    if as_json:
        click.echo(json.dumps(counts, ensure_ascii=False))
        return
    labels = {"commercial": "images may be sold", "base_model": "base model", "held_out": "held out"}
    click.echo(facts((labels.get(name, name), _counts(value)) for name, value in counts.items()))


@catalog.command("base-models")
@click.option("--markdown", "as_page", is_flag=True, help="Print the page of the documentation.")
@JSON
def base_models(as_page: bool, as_json: bool) -> None:
    """List the base models: names, families, settings."""
    from dataclasses import asdict

    from diffagent.data.base_model_page import markdown, short_rows
    from diffagent.data.base_models import TABLE
    from diffagent.serving.commands.tables import table

    if as_page:
        click.echo(markdown(), nl=False)
    elif as_json:
        for row in TABLE:
            click.echo(json.dumps(asdict(row), ensure_ascii=False))
    else:
        head = ("base model", "grade", "family", "AIR", "steps", "guidance")
        click.echo(table(head, short_rows()))


@catalog.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--catalog", "path", metavar="PATH", help="The catalog to add to (the one that ships is read-only)."
)
@_DESCRIPTIONS
@click.option(
    "--only-asked",
    is_flag=True,
    help="Models of base models new to the catalog answer only requests for that base model.",
)
@JSON
def add(
    file: Path, path: str | None, descriptions_file: Path | None, only_asked: bool, as_json: bool
) -> None:
    """Add the models of FILE: JSON or JSON lines, Civitai's model items or cards (see catalog show --json).

    A bad row is reported and the others are added; the exit status is then 1.
    """
    from diffagent.data.catalog.additions import read_additions
    from diffagent.data.catalog.catalog import Catalog
    from diffagent.data.catalog.importing import add_entries
    from diffagent.data.descriptions.descriptions import read_descriptions, with_descriptions
    from diffagent.data.descriptions.plain_attributes import with_plain_attributes
    from diffagent.data.encoders.text_encoder import TextEncoder
    from diffagent.data.errors import BadInput

    if path is None:
        raise click.UsageError(
            "the catalog that ships is read-only: give a copy of it, or another catalog, with --catalog PATH"
        )
    descriptions = read_descriptions(descriptions_file) if descriptions_file is not None else {}
    with closing(Catalog.open(path, writable=True)) as opened:
        if only_asked and not opened.unasked:
            opened.set_unasked(opened.stats()["base_model"])
        additions = read_additions(file, opened)
        for message in additions.errors:
            click.echo(message, err=True)
        ids = []
        if additions.entries:
            encoder = TextEncoder.load()
            entries = with_descriptions(additions.entries, descriptions)
            ids = add_entries(opened, with_plain_attributes(entries, encoder), encoder)
    failed = len(additions.errors)
    report = {"added": len(ids), "failed": failed}
    click.echo(json.dumps(report) if as_json else f"added {len(ids)}, failed {failed}")
    if failed:
        raise BadInput(f"{failed} of the rows of {file} were not added: correct the rows named above")


@catalog.command("import")
@click.argument("raw", type=PATH)
@click.option("-o", "out", required=True, metavar="CATALOG", type=FILE)
@click.option(
    "--horde", metavar="DIR", help="AI Horde's models.jsonl and styles.json, if RAW has no crawl of them."
)
@click.option(
    "--hold-out",
    "rule",
    default="none",
    show_default=True,
    type=click.Choice(["none", "image", "cluster", "both"]),
    help="Leave held-out images unseen: by image, by cluster of near-duplicate prompts, or by both.",
)
@click.option(
    "--base-model", "bases", multiple=True, metavar="NAME", help="Only these base models or families."
)
@_DESCRIPTIONS
@JSON
def import_(
    raw: Path,
    out: Path,
    horde: str | None,
    rule: Any,
    bases: tuple[str, ...],
    descriptions_file: Path | None,
    as_json: bool,
) -> None:
    """Make a CATALOG with text specifications of the crawl in the folder RAW.

    What a model is for is estimated where --descriptions does not say it.
    """
    from diffagent.data.catalog.corpus import read_entries
    from diffagent.data.catalog.filters import Funnel, Scope
    from diffagent.data.catalog.importing import import_catalog
    from diffagent.data.descriptions.descriptions import read_descriptions, with_descriptions
    from diffagent.data.descriptions.plain_attributes import with_plain_attributes
    from diffagent.data.encoders.text_encoder import TextEncoder
    from diffagent.data.encoders.vector_cache import VectorCache

    funnel, encoder = Funnel(), VectorCache(TextEncoder.load())
    folder = _raw(raw, horde)
    descriptions = read_descriptions(descriptions_file, rule) if descriptions_file is not None else {}
    entries = with_descriptions(read_entries(folder, Scope.of(bases), rule, funnel), descriptions)
    count = import_catalog(with_plain_attributes(entries, encoder), out, encoder, _progress, rule)
    _report(funnel, count, out, as_json)


def _open(path: str | None) -> Catalog:
    from diffagent.data.catalog.catalog import Catalog

    return Catalog.open(path)


def _filter(
    type_: Any, base_model: str | None, commercial: bool, role: str | None, medium: str | None
) -> Filter:
    from diffagent.data.catalog.catalog import Filter

    return Filter(type_, base_model, commercial, role, medium)


def _raw(path: Path, horde: str | None) -> RawFolder:
    """The crawl; with ``horde``, Horde's models come from that folder."""
    from diffagent.data.hubs.horde import HordeModel, read_horde
    from diffagent.data.hubs.raw import RawFolder

    if horde is None:
        return RawFolder(path)

    class WithHorde(RawFolder):
        def __contains__(self, source: str) -> bool:
            return source == "horde" or super().__contains__(source)

        def horde(self) -> Iterator[HordeModel]:
            return read_horde(str(horde))

    return WithHorde(path)


def _progress(items: Any, what: str) -> Any:
    from tqdm import tqdm

    return tqdm(items, desc=what, unit=" entries", disable=None)


def _report(funnel: Funnel, count: int, out: Path, as_json: bool) -> None:
    from diffagent.serving.commands.tables import facts

    report = {"catalog": str(out), "entries": count, "bytes": out.stat().st_size, "funnel": funnel.to_json()}
    if as_json:
        click.echo(json.dumps(report, ensure_ascii=False))
        return
    drops = [(f"dropped: {reason}", f"{n:,}") for reason, n in report["funnel"]["dropped"].items()]  # type: ignore[index]
    click.echo(
        facts(
            [("models crawled", f"{funnel.models:,}"), *drops, ("models kept", f"{funnel.usable:,}"),
             ("catalog entries", f"{count:,}"), ("written", f"{out}, {out.stat().st_size / 1e6:.1f} MB")]
        )
    )  # fmt: skip


def _print_cards(cards: list[Card], as_json: bool) -> None:
    from diffagent.serving.commands.tables import table

    if as_json:
        for card in cards:
            click.echo(_json(card))
    elif cards:
        rows = [
            (c.name, c.type, c.base_model, f"{c.stats.downloads:,}", c.licence.commercial or "-", c.air)
            for c in cards
        ]
        click.echo(table(("NAME", "TYPE", "BASE MODEL", "DOWNLOADS", "SOLD", "AIR"), rows, right=(3,)))


def _json(card: Card) -> str:
    from diffagent.data.catalog.card_json import card_to_json

    return json.dumps(card_to_json(card), ensure_ascii=False)


def _facts(card: Card) -> list[tuple[str, str]]:
    """The facts of a card that ``show`` prints."""
    licence = card.licence
    terms = [
        f"images may be sold: {'yes' if licence.images_may_be_sold else 'no'}",
        f"credit: {'not needed' if licence.no_credit else 'needed'}",
        f"derivatives: {'yes' if licence.derivatives else 'no'}",
    ]
    usage = vars(card.usage)
    purpose = card.attributes
    attributes = (
        [
            ("attributes", "estimated" if purpose.is_estimated else "read"),
            ("role", f"{purpose.role}, {purpose.breadth}"), ("media", ", ".join(purpose.media)),
            ("subjects", ", ".join(purpose.subjects)), ("people", purpose.people),
            ("needed words", "; ".join(purpose.needed)),
            ("variants", "; ".join(f"{variant.words}: {variant.draws}" for variant in purpose.variants)),
            ("made for", purpose.carrier or ""), ("caution", ", ".join(purpose.caution)),
        ]
        if purpose
        else []
    )  # fmt: skip
    return [
        ("name", card.name), ("also called", ", ".join(card.aliases)), ("type", card.type),
        ("base model", card.base_model), ("AIR", card.air), ("version", card.version_name),
        ("file", (card.file_name or "") + (" (pickle)" if card.is_pickle else "")),
        ("sha256", card.sha256 or ""), ("description", card.description), *attributes,
        ("tags", ", ".join(card.tags)),
        ("trigger words", "; ".join(card.trigger_words)),
        ("downloads", "hidden" if card.stats.hidden else f"{card.stats.downloads:,}"),
        ("rating", f"{card.stats.rating:g} of {card.stats.ratings:,}" if card.stats.ratings else ""),
        ("licence", "; ".join(terms)), ("source", card.source),
        *((f"used {name.replace('_', ' ')}", _counts(dict(list(usage[name].items())[:5]))) for name in usage),
        ("older versions", ", ".join(card.older_airs)),
    ]  # fmt: skip


def _counts(value: Any) -> str:
    """Counts as "a 3, b 2"; a number with separators; text as it is."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {_counts(n)}" for key, n in value.items())
    return f"{value:,}" if isinstance(value, int) else str(value or "")
