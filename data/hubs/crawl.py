"""The crawl: from an API to a RAW folder, resumable at any moment.

Models are listed newest first, one page per transaction. Where an answer lacks the images' generation data
(as since 2026), it is fetched in the fewest requests: 100 versions at a time by hash, then the missing ones
version by version. Then the RAW folder is written in id order. A second crawl stops listing at the first
known page. Models that nobody can download are kept, because the filters drop them later. Odd rows are
dropped and counted (:mod:`diffagent.data.hubs.odd_rows`).

    summary = crawl(CivitaiClient(url), Path("RAW"), CrawlOptions(limit=100))
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import sqlite3
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from diffagent.data.errors import BadInput, CrawlError, GatedItem
from diffagent.data.hubs.answers import Json, OddAnswer, Page, date_of, flat_meta
from diffagent.data.hubs.civitai import (
    HASHES_A_REQUEST,
    MODEL_TYPES,
    MODELS_A_PAGE,
    ApiRefusal,
    CivitaiClient,
    NoAnswer,
)
from diffagent.data.hubs.crawl_state import ALONE, BATCH, GATED, CrawlState, Odd, Question
from diffagent.data.hubs.installed import InstalledModel
from diffagent.data.hubs.odd_rows import sound
from diffagent.data.hubs.raw import is_published, publish, read_manifest

T = TypeVar("T")
Stage = Literal["models", "images", "writing"]
Progress = Callable[[Stage, int, int | None], None]
"""Receives the stage, the number done and the total: models listed, versions answered, models written."""

TYPES = ("Checkpoint", "LORA", "LoCon", "DoRA")
RESTARTS = 3  # restarts of a listing with a stale cursor
SILENT = 3  # unanswered questions in a row that mean that the API is down


@dataclass(frozen=True)
class CrawlOptions:
    """The models to crawl: those since the ISO date ``since``, at most the newest ``limit``."""

    types: tuple[str, ...] = TYPES
    since: str | None = None
    limit: int | None = None

    def __post_init__(self) -> None:
        if not self.types:
            raise BadInput(f"no model types to crawl: give some, such as {', '.join(TYPES)}")
        if self.since is not None and not re.match(r"\d{4}-\d\d-\d\d", self.since):
            raise BadInput(f"since {self.since!r} is not a date: write it as 2023-07-01")
        if self.limit is not None and self.limit < 1:
            raise BadInput(f"a limit of {self.limit} models leaves nothing to crawl: give 1 or more")


@dataclass(frozen=True)
class CrawlSummary:
    """A crawl's counts: ``requests`` and ``seconds`` of this process, ``changed`` models of the run.

    The API refused the generation data of ``gated`` versions; ``odd`` rows were dropped.
    """

    requests: int
    models: int
    versions: int
    images: int
    images_with_meta: int
    changed: int
    gated: int
    odd: int
    seconds: float
    digest: str


async def crawl(
    client: CivitaiClient,
    folder: Path,
    options: CrawlOptions,
    *,
    installed: Sequence[InstalledModel] | None = None,
    concurrency: int = 4,
    progress: Progress = lambda *_: None,
) -> CrawlSummary:
    """Crawls into ``folder``, resuming an interrupted call.

    With ``installed``, only the models of these files.

    Raises:
        BadInput: the folder holds a crawl of other types, or the API lacks a type.
        CrawlError: the API cannot be crawled further, or the folder cannot be written to.
    """
    started = time.monotonic()
    try:
        await _check_types(client, options.types)
        folder.mkdir(parents=True, exist_ok=True)
        with CrawlState(folder) as state:
            run = _Run(client, state, folder, options, concurrency, progress)
            number = await (run.all() if installed is None else run.only(installed))
            entry = run.write()
            return CrawlSummary(
                requests=client.requests,
                changed=state.count(number),
                gated=len(entry["gated"]),
                odd=sum(entry["odd"].values()),
                seconds=round(time.monotonic() - started, 1),
                **{key: entry[key] for key in ("models", "versions", "images", "images_with_meta", "digest")},
            )
    except (OSError, sqlite3.Error) as error:
        raise CrawlError(f"cannot write to {folder}: {error}; what was fetched before is kept") from error


async def _check_types(client: CivitaiClient, types: Sequence[str]) -> None:
    unknown = sorted(set(types) - set(MODEL_TYPES))
    if unknown:
        api_types = (await client.enums()).get("ModelType")
        types_of_api = api_types if isinstance(api_types, list) else MODEL_TYPES
        if wrong := [name for name in unknown if name not in types_of_api]:
            raise BadInput(f"no model type {wrong[0]!r}: the API's are {', '.join(map(str, types_of_api))}")


@dataclass
class _Run:
    """One crawl: list, ask, write. A resumed run keeps its number."""

    client: CivitaiClient
    state: CrawlState
    folder: Path
    options: CrawlOptions
    concurrency: int
    progress: Progress

    def __post_init__(self) -> None:
        types = self.state.note("types") or list(self.options.types)
        if sorted(types) != sorted(self.options.types):
            raise BadInput(
                f"{self.folder} holds a crawl of {', '.join(types)}", "give these --types or a new folder"
            )
        self.state.set_notes(types=types)
        self._open = self._asked = 0
        self._silent: list[int] = []

    async def all(self) -> int:
        """Lists models and asks for generation data; returns the run's number."""
        state, run = self.state, self._resume()
        if self.client.has_key:
            state.reopen_gated()
        if run["phase"] == "list":
            await self._list(run)
            run["phase"] = "ask"
            state.set_notes(run=run)
        await self._ask()
        cover, own_cover = state.note("cover"), {"since": self.options.since, "limit": self.options.limit}
        if not self._knows_all(cover) and cover != {"since": None, "limit": None}:
            state.set_notes(cover=own_cover, dirty=state.note("dirty") or cover != own_cover)
        state.set_notes(run={**run, "phase": "write"})
        return int(run["number"])

    async def only(self, installed: Sequence[InstalledModel]) -> int:
        """Fetches the models of the installed files; returns the run's number."""
        run = self.state.note("run")
        if run and run["phase"] != "done":
            raise CrawlError(f"the crawl into {self.folder} is not finished: finish it, or give a new folder")
        number = run["number"] + 1 if run else 1
        ids = sorted({model.model_id for model in installed if model.model_id is not None})
        for start in range(0, len(ids), MODELS_A_PAGE):
            page = await self.client.models(ids=ids[start : start + MODELS_A_PAGE])
            items, odd = self._of_types(page)
            self.state.store(items, number, odd)
            self.progress("models", start + len(page.items), len(ids))
        await self._ask()
        self.state.set_notes(run={"number": number, "phase": "write"})
        return number

    def _resume(self) -> Json:
        """Returns the unfinished run if its request is the same, or a new listing."""
        request = {"url": self.client.url, **asdict(self.options), "types": list(self.options.types)}
        run = self.state.note("run")
        fresh: Json = {"number": 1, "phase": "list", "asked": request, "cursor": None, "listed": 0}
        if run is not None:
            if run["phase"] != "done" and run.get("asked") == request:
                return dict(run)
            fresh["number"] = run["number"] + (run["phase"] == "done")
        self.state.set_notes(run=fresh)
        return fresh

    def _knows_all(self, cover: Json | None) -> bool:
        """Whether an earlier run covers this one, which may then stop at known pages."""
        if cover is None or cover["since"] is not None or self.options.since is not None:
            return False
        limit = self.options.limit
        return cover["limit"] is None or (limit is not None and limit <= cover["limit"])

    async def _list(self, run: Json) -> None:
        may_stop, restarts = self._knows_all(self.state.note("cover")), 0
        stored, cursors = self.state.count(), set()
        while True:
            limit = self.options.limit
            size = MODELS_A_PAGE if limit is None else min(MODELS_A_PAGE, limit - run["listed"])
            if size < 1:
                return
            try:
                page = await self.client.models(types=self.options.types, cursor=run["cursor"], limit=size)
            except ApiRefusal as refusal:
                if run["cursor"] is None or restarts == RESTARTS or refusal.status not in (400, 404, 410):
                    raise
                restarts += 1  # the cursor is stale; what was listed is kept
                run.update(cursor=None, listed=0)
                continue
            typed_items, odd = self._of_types(page)
            items, ended = self._in_scope(typed_items, page)
            cursors.add(run["cursor"])
            if page.cursor is not None and page.cursor in cursors:
                raise CrawlError(
                    f"the listing's cursor {page.cursor!r} leads round in a circle: run again later to go on"
                )
            run.update(cursor=page.cursor, listed=run["listed"] + len(page.items))
            news = self.state.store(items, run["number"], odd, run=run)
            self.progress("models", run["listed"], page.total or limit or stored or None)
            if page.cursor is None or ended or (may_stop and not news):
                return

    def _of_types(self, page: Page) -> tuple[list[Json], list[Odd]]:
        """Returns the page's sound models of the requested types, and the odd parts of each row."""
        items, odd = [], [Odd(f"page {page.cursor}", page.odd)]
        for row in page.items:
            reasons: Counter[str] = Counter()
            item = sound(row, reasons)
            if item is not None and item.get("type") in self.options.types:
                items.append(item)
            if item is None or item.get("type") in self.options.types:
                odd.append(Odd(_key(row), reasons))
        return items, odd

    def _in_scope(self, items: Sequence[Json], page: Page) -> tuple[list[Json], bool]:
        """Returns the models of the requested dates, and whether only older ones follow."""
        since = self.options.since or ""
        recent = [item for item in items if max(_newest(item), _newest(item, "updatedAt")) >= since]
        dates = [date for item in page.items if (date := _newest(item))]
        return recent, bool(since and dates) and max(dates) < since

    async def _ask(self) -> None:
        """Asks for the generation data that the listing lacks."""
        self._open = self._asked = self.state.open_questions()
        await self._each(self.state.questions(BATCH, HASHES_A_REQUEST), self._ask_by_hash)
        singles = (question for [question] in self.state.questions(ALONE, 1))
        await self._each(singles, self._ask_alone)
        self._settle_silent()

    async def _ask_by_hash(self, batch: list[Question]) -> None:
        """Asks for a batch by hash; it counts as answered if any image has data, and null then means none."""
        try:
            by_hash = await self.client.versions_by_hash(question.sha256 for question in batch)
        except (GatedItem, ApiRefusal, NoAnswer, OddAnswer):
            by_hash = {}
        answers: dict[int, dict[int, Any] | None] = {}
        for question in batch:
            versions = (v for v in by_hash.get(question.sha256, ()) if v["id"] == question.version_id)
            images = next(versions, {}).get("images") or []
            image_metas = {image["id"]: flat_meta(image.get("meta")) for image in images}
            complete = question.image_ids <= image_metas.keys()
            answers[question.version_id] = (
                {key: image_metas[key] for key in question.image_ids} if complete else None
            )
        if not any(meta for metas in answers.values() for meta in (metas or {}).values()):
            answers = dict.fromkeys(answers)
        self._settle(answers, ALONE)

    async def _ask_alone(self, question: Question) -> None:
        version_id = question.version_id
        try:
            metas = await self._metas(question)
        except GatedItem:
            self._settle({version_id: None}, GATED)
        except (NoAnswer, OddAnswer):
            self._silent.append(version_id)  # settled once the API has answered something else
            if len(self._silent) >= SILENT:
                raise
            return
        except ApiRefusal as refusal:
            if refusal.status not in (404, 410):
                raise
            self._settle({version_id: {}}, GATED)
        else:
            self._settle({version_id: {key: metas[key] for key in question.image_ids & metas.keys()}}, GATED)
        self._settle_silent()

    async def _metas(self, question: Question) -> dict[int, Any]:
        """Returns the generation data of a version's images, from the version's own answer where the listing
        of images wrongly has none, as since June 2026."""
        metas = await self.client.images(question.version_id, question.username, question.image_ids)
        if question.has_meta and not any(metas.values()):
            version = await self.client.version(question.version_id) or {}
            metas |= {image["id"]: flat_meta(image.get("meta")) for image in version.get("images") or ()}
        return metas

    def _settle_silent(self) -> None:
        if self._silent:
            self._settle(dict.fromkeys(self._silent), GATED)
            self._silent = []

    def _settle(self, answers: dict[int, Any], otherwise: int) -> None:
        self.state.settle(answers, otherwise)
        self._open -= sum(metas is not None or otherwise == GATED for metas in answers.values())
        self.progress("images", self._asked - self._open, self._asked)

    async def _each(self, jobs: Iterator[T], work: Callable[[T], Awaitable[None]]) -> None:
        async def worker() -> None:
            for job in jobs:
                await work(job)

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self.concurrency):
                    group.create_task(worker())
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None

    def write(self) -> Json:
        """Writes models.jsonl.gz and the manifest if anything changed; returns the manifest's entry."""
        if self.state.note("dirty") or not is_published(self.folder, "civitai"):
            cover = self.state.note("cover") or {"only": "installed"}
            facts: Json = {
                "url": self.client.url,
                "options": {"types": sorted(self.options.types), **cover},
                "gated": self.state.gated(),
                "odd": self.state.odd(),
            }
            publish(self.folder, "civitai", self._counted(facts), facts)
        self.state.set_notes(dirty=False, run={**self.state.note("run"), "phase": "done"})
        return dict(read_manifest(self.folder)["civitai"])

    def _counted(self, facts: Json) -> Iterator[Json]:
        counts = dict.fromkeys(("models", "versions", "images", "images_with_meta"), 0)
        total, newest = self.state.count(), ""
        for item in self.state.items():
            versions = item.get("modelVersions") or []
            images = [image for version in versions for image in version.get("images") or []]
            counts["models"] += 1
            counts["versions"] += len(versions)
            counts["images"] += len(images)
            counts["images_with_meta"] += sum(image["meta"] is not None for image in images)
            newest = max(newest, _newest(item), _newest(item, "updatedAt"))
            if counts["models"] % 500 == 0 or counts["models"] == total:
                self.progress("writing", counts["models"], total)
            yield item
        facts.update(counts, newest=newest)


def _newest(item: Json, field: str | None = None) -> str:
    """The newest date of a model's versions, by ``date_of`` or a field; "" without a date."""
    versions = item.get("modelVersions")
    rows = (
        [version for version in versions if isinstance(version, dict)] if isinstance(versions, list) else []
    )
    return max((str(row.get(field) or "") if field else date_of(row) for row in rows), default="")


def _key(row: Json) -> str:
    """The key of a row of the listing: its id, or else a digest of its text."""
    row_id = row.get("id")
    if isinstance(row_id, int | str):
        return f"model {row_id}"
    return hashlib.blake2b(json.dumps(row, sort_keys=True).encode(), digest_size=16).hexdigest()
