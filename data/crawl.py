"""The crawl: from an API to a RAW folder, resumable at any moment.

Models are listed newest first, a page to a transaction. Where an answer leaves the images' generation
data out (as the API does since 2026), it is asked for in the fewest requests: 100 versions at a time
by hash, and only what those answers lack version by version. Then the RAW folder is written in id
order. A second crawl stops listing at the first page that it knows already.

    summary = crawl(CivitaiClient(url), Path("RAW"), CrawlOptions(limit=100))
"""

from __future__ import annotations

import asyncio
import re
import sqlite3
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from diffagent.data.answers import Json, Page, flat_meta
from diffagent.data.civitai import HASHES_A_REQUEST, MODELS_A_PAGE, ApiRefusal, CivitaiClient
from diffagent.data.crawl_state import ALONE, BATCH, GATED, CrawlState, Question
from diffagent.data.errors import BadInput, CrawlError, GatedItem
from diffagent.data.installed import InstalledModel
from diffagent.data.raw import is_published, publish, read_manifest

T = TypeVar("T")
Stage = Literal["models", "images", "writing"]
Progress = Callable[[Stage, int, int | None], None]
"""Called with how many of how many are done: models listed, versions answered, models written."""

TYPES = ("Checkpoint", "LORA")
RESTARTS = 3  # of a listing whose cursor the API no longer knows


@dataclass(frozen=True)
class CrawlOptions:
    """``since``: an ISO date, older models are left out; ``limit``: the newest so many."""

    types: tuple[str, ...] = TYPES
    since: str | None = None
    limit: int | None = None

    def __post_init__(self) -> None:
        if not self.types:
            raise BadInput(f"no model types to crawl: give some, such as {', '.join(TYPES)}")
        if self.since is not None and not re.match(r"\d{4}-\d\d-\d\d", self.since):
            raise BadInput(f"since {self.since!r} is no date: write it as 2023-07-01")
        if self.limit is not None and self.limit < 1:
            raise BadInput(f"a limit of {self.limit} models leaves nothing to crawl: give 1 or more")


@dataclass(frozen=True)
class Summary:
    """What a crawl did: ``requests`` and ``seconds`` of this process, ``changed`` models of the run."""

    requests: int
    models: int
    versions: int
    images: int
    images_with_meta: int
    changed: int
    gated: int
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
) -> Summary:
    """Crawls into ``folder``, going on where an earlier call was cut short.

    With ``installed``, only the models that these files belong to.

    Raises:
        BadInput: the folder holds a crawl of other types.
        CrawlError: the API cannot be crawled further, or the folder not be written to.
    """
    started = time.monotonic()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with CrawlState(folder) as state:
            run = _Run(client, state, folder, options, concurrency, progress)
            number = await (run.all() if installed is None else run.only(installed))
            entry = run.write()
            return Summary(
                requests=client.requests,
                changed=state.count(number),
                gated=len(entry["gated"]),
                seconds=round(time.monotonic() - started, 1),
                **{key: entry[key] for key in ("models", "versions", "images", "images_with_meta", "digest")},
            )
    except (OSError, sqlite3.Error) as error:
        raise CrawlError(f"cannot write to {folder}: {error}; what was fetched before is kept") from error


@dataclass
class _Run:
    """One crawl: list, ask, write. Its number is that of the first process that began it."""

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
                f"{self.folder} holds a crawl of {', '.join(types)}: give these --types or a new folder"
            )
        self.state.set_notes(types=types)
        self._open = self._asked = 0

    async def all(self) -> int:
        """Lists and asks; returns the run's number."""
        state, run = self.state, self._resume()
        if self.client.has_key:
            state.reopen_gated()
        if run["phase"] == "list":
            await self._list(run)
            run["phase"] = "ask"
            state.set_notes(run=run)
        await self._ask()
        cover, mine = state.note("cover"), {"since": self.options.since, "limit": self.options.limit}
        if not self._knows_all(cover) and cover != {"since": None, "limit": None}:
            state.set_notes(cover=mine, dirty=state.note("dirty") or cover != mine)
        state.set_notes(run={**run, "phase": "write"})
        return int(run["number"])

    async def only(self, installed: Sequence[InstalledModel]) -> int:
        """Fetches the models that the installed files belong to."""
        run = self.state.note("run")
        if run and run["phase"] != "done":
            raise CrawlError(f"the crawl into {self.folder} is not finished: finish it, or give a new folder")
        number = run["number"] + 1 if run else 1
        ids = sorted({model.model_id for model in installed if model.model_id is not None})
        for start in range(0, len(ids), MODELS_A_PAGE):
            page = await self.client.models(ids=ids[start : start + MODELS_A_PAGE])
            mine = [item for item in page.items if item.get("type") in self.options.types]
            self.state.store(mine, number)
            self.progress("models", start + len(page.items), len(ids))
        await self._ask()
        self.state.set_notes(run={"number": number, "phase": "write"})
        return number

    def _resume(self) -> Json:
        """The unfinished run if it asked for the same; its listing again if not; or a new run."""
        asked = {"url": self.client.url, **asdict(self.options), "types": list(self.options.types)}
        run = self.state.note("run")
        fresh: Json = {"number": 1, "phase": "list", "asked": asked, "cursor": None, "listed": 0}
        if run is not None:
            if run["phase"] != "done" and run.get("asked") == asked:
                return dict(run)
            fresh["number"] = run["number"] + (run["phase"] == "done")
        self.state.set_notes(run=fresh)
        return fresh

    def _knows_all(self, cover: Json | None) -> bool:
        """Whether an earlier run saw all that this one would, so that it may stop at known pages."""
        if cover is None or cover["since"] is not None or self.options.since is not None:
            return False
        limit = self.options.limit
        return cover["limit"] is None or (limit is not None and limit <= cover["limit"])

    async def _list(self, run: Json) -> None:
        may_stop, restarts = self._knows_all(self.state.note("cover")), 0
        known = self.state.count()
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
            mine, ended = self._in_scope(page)
            run.update(cursor=page.cursor, listed=run["listed"] + len(page.items))
            news = self.state.store(mine, run["number"], run=run)
            self.progress("models", run["listed"], page.total or limit or known or None)
            if page.cursor is None or ended or (may_stop and not news):
                return

    def _in_scope(self, page: Page) -> tuple[list[Json], bool]:
        """The page's models of the types and dates asked for, and whether only older ones follow."""
        since = self.options.since or ""
        mine = [item for item in page.items if item.get("type") in self.options.types]
        recent = [item for item in mine if _newest(item, "createdAt", "updatedAt") >= since]
        return recent, bool(since) and all(_newest(item, "createdAt") < since for item in page.items)

    async def _ask(self) -> None:
        """Asks for the generation data that the models' own answers left out."""
        self._open = self._asked = self.state.open_questions()
        await self._each(self.state.questions(BATCH, HASHES_A_REQUEST), self._ask_by_hash)
        singles = (one for [one] in self.state.questions(ALONE, 1))
        await self._each(singles, self._ask_alone)

    async def _ask_by_hash(self, batch: list[Question]) -> None:
        """A batch counts as answered if any of it came with data: then a null means that there is none."""
        try:
            by_hash = await self.client.versions_by_hash(question.sha256 for question in batch)
        except (GatedItem, ApiRefusal):
            by_hash = {}
        answers: dict[int, dict[int, Any] | None] = {}
        for question in batch:
            mine = (v for v in by_hash.get(question.sha256, ()) if v["id"] == question.version_id)
            images = next(mine, {}).get("images") or []
            given = {image.get("id"): flat_meta(image.get("meta")) for image in images}
            complete = question.wanted <= given.keys()
            answers[question.version_id] = {key: given[key] for key in question.wanted} if complete else None
        if not any(meta for metas in answers.values() for meta in (metas or {}).values()):
            answers = dict.fromkeys(answers)
        self._settle(answers, ALONE)

    async def _ask_alone(self, question: Question) -> None:
        version_id = question.version_id
        try:
            metas = await self.client.images(version_id, question.username, question.wanted)
        except GatedItem:
            self._settle({version_id: None}, GATED)
        except ApiRefusal as refusal:
            if refusal.status not in (404, 410):
                raise
            self._settle({version_id: {}}, GATED)
        else:
            self._settle({version_id: {key: metas[key] for key in question.wanted & metas.keys()}}, GATED)

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
        """Writes models.jsonl.gz and the manifest, unless nothing changed since they were written."""
        if self.state.note("dirty") or not is_published(self.folder, "civitai"):
            cover = self.state.note("cover") or {"only": "installed"}
            facts: Json = {
                "url": self.client.url,
                "options": {"types": sorted(self.options.types), **cover},
                "gated": self.state.gated(),
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
            newest = max(newest, _newest(item, "createdAt", "updatedAt"))
            if counts["models"] % 500 == 0 or counts["models"] == total:
                self.progress("writing", counts["models"], total)
            yield item
        facts.update(counts, newest=newest)


def _newest(item: Json, *fields: str) -> str:
    versions = item.get("modelVersions") or []
    return max((str(version.get(field) or "") for version in versions for field in fields), default="")
