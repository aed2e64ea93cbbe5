"""The state of a crawl: one SQLite file, one transaction per answer, safe from ``kill -9``.

In: pages of models and the generation data of versions' images, in any order. Out: the open questions, and
the models in id order in one uniform form.

A *run* lasts from the first request until the files are written, over any number of processes.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Self

from diffagent.data.errors import CrawlError
from diffagent.data.hubs.answers import Json, flat_meta, sha256s

FILE = "state.sqlite"
BATCH, ALONE, DONE, GATED = range(4)
"""A version's stage: to ask in a batch by hash, to ask alone, answered, refused (without a key, or
always)."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS note (key TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS model (id INTEGER PRIMARY KEY, mark BLOB, run INTEGER, body BLOB);
CREATE TABLE IF NOT EXISTS version (id INTEGER PRIMARY KEY, model INTEGER, mark TEXT, stage INTEGER,
    sha256 TEXT, username TEXT, wanted TEXT, meta BLOB);
CREATE TABLE IF NOT EXISTS odd (
    row TEXT, reason TEXT, number INTEGER, PRIMARY KEY (row, reason)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS version_of_model ON version (model);
CREATE INDEX IF NOT EXISTS version_by_stage ON version (stage, id);
"""


@dataclass(frozen=True)
class Question:
    """A version whose images lack generation data; ``has_meta``: the API says that there is some."""

    version_id: int
    sha256: str
    username: str
    image_ids: frozenset[int]
    has_meta: bool = False


class Odd(NamedTuple):
    """The odd parts of one row of the listing: the row's key, and counts by reason."""

    row: str
    reasons: Mapping[str, int]


class CrawlState:
    """The open state of a RAW folder; one process at a time.

    Raises:
        CrawlError: another crawl has it open, or the file is damaged.
    """

    def __init__(self, folder: Path) -> None:
        self._db = sqlite3.connect(folder / FILE, isolation_level=None, timeout=1)
        try:
            self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = NORMAL")
            self._db.executescript(_SCHEMA)
        except sqlite3.DatabaseError as error:
            self._db.close()
            if "locked" in str(error):
                raise CrawlError(f"{folder} is being crawled into by another process: wait for it") from None
            raise CrawlError(f"{folder / FILE} is damaged ({error}): delete it and crawl again") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()

    def note(self, key: str) -> Any:
        row = self._db.execute("SELECT value FROM note WHERE key = ?", (key,)).fetchone()
        return json.loads(row[0]) if row else None

    def set_notes(self, **notes: Any) -> None:
        """Stores each value as JSON, all in one transaction (the open one, if any)."""
        rows = [(key, json.dumps(value)) for key, value in notes.items()]
        if self._db.in_transaction:
            self._db.executemany("REPLACE INTO note VALUES (?, ?)", rows)
        else:
            with self._transaction():
                self._db.executemany("REPLACE INTO note VALUES (?, ?)", rows)

    def store(self, items: Sequence[Json], number: int, odd: Sequence[Odd] = (), **notes: Any) -> bool:
        """Stores a page of models together with ``notes``; returns whether it is news to run ``number``.

        ``odd`` has the dropped parts of the page's rows; a repeated row counts once.
        """
        inline = any(image.get("meta") for item in items for image in _images(item))
        news = False
        with self._transaction():
            for item in items:
                news |= self._store_model(item, number, inline)
            for odd_row in odd:
                self._store_odd(odd_row)
            self.set_notes(**notes)
        return news

    def _store_model(self, item: Json, run: int, inline: bool) -> bool:
        metas = {version["id"]: _take_metas(version) for version in _versions(item)}
        body, mark = _pack(item), _mark(item)
        row = self._db.execute("SELECT mark, run, body FROM model WHERE id = ?", (item["id"],)).fetchone()
        if row is not None and row[2] == body and not inline:
            return bool(row[1] == run)
        since = run if row is None or row[0] != mark else row[1]
        self._db.execute("REPLACE INTO model VALUES (?, ?, ?, ?)", (item["id"], mark, since, body))
        for version in _versions(item):
            self._store_version(item, version, metas[version["id"]] if inline else None)
        version_ids = [version["id"] for version in _versions(item)]
        self._db.execute(
            "DELETE FROM version WHERE model = ? AND id NOT IN (SELECT value FROM json_each(?))",
            (item["id"], json.dumps(version_ids)),
        )
        if row is None or row[2] != body:
            self.set_notes(dirty=True)
        return bool(since == run)

    def _store_odd(self, odd: Odd) -> None:
        new = {reason: number for reason, number in odd.reasons.items() if number}
        stored = dict(self._db.execute("SELECT reason, number FROM odd WHERE row = ?", (odd.row,)))
        if new == stored:
            return
        self._db.execute("DELETE FROM odd WHERE row = ?", (odd.row,))
        rows = [(odd.row, reason, number) for reason, number in new.items()]
        self._db.executemany("INSERT INTO odd VALUES (?, ?, ?)", rows)
        self.set_notes(dirty=True)

    def odd(self) -> dict[str, int]:
        """Reason → number of dropped rows."""
        return dict(self._db.execute("SELECT reason, sum(number) FROM odd GROUP BY reason ORDER BY reason"))

    def _store_version(self, item: Json, version: Json, metas: dict[int, Any] | None) -> None:
        images = version.get("images") or []
        changed = version.get("updatedAt") or version.get("publishedAt")
        mark = json.dumps([changed, [image["id"] for image in images]])
        stored = self._db.execute("SELECT mark, meta FROM version WHERE id = ?", (version["id"],)).fetchone()
        if metas is None and stored is not None and stored[0] == mark:
            return
        # NSFW models and images without a URL or data never become samples: nothing is asked about them.
        candidates = [
            image for image in images if image.get("url", True) and image.get("hasMeta") is not False
        ]
        ids = [] if item.get("nsfw") else [image["id"] for image in candidates]
        has_meta = any(image.get("hasMeta") for image in candidates)
        hashes = sha256s(version)
        stage = DONE if metas is not None or not ids else BATCH if hashes else ALONE
        body = _pack(metas or {})
        if stored is None or stored != (mark, body):
            self.set_notes(dirty=True)
        username = (item.get("creator") or {}).get("username") or ""
        username = username.encode("utf-8", "replace").decode()
        row = (
            version["id"],
            item["id"],
            mark,
            stage,
            "".join(hashes[:1]),
            username,
            json.dumps({"ids": ids, "has_meta": has_meta}),
            body,
        )
        self._db.execute("REPLACE INTO version VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)

    def questions(self, stage: int, size: int) -> Iterator[list[Question]]:
        """Yields the versions at a stage, ``size`` at a time, without those answered meanwhile."""
        last = -1
        while rows := self._db.execute(
            "SELECT id, sha256, username, wanted FROM version WHERE stage = ? AND id > ? ORDER BY id LIMIT ?",
            (stage, last, size),
        ).fetchall():
            last = rows[-1][0]
            yield [_question(*row) for row in rows]

    def open_questions(self) -> int:
        return int(self._db.execute("SELECT count(*) FROM version WHERE stage < 2").fetchone()[0])

    def settle(self, answers: Mapping[int, Mapping[int, Any] | None], otherwise: int = ALONE) -> None:
        """Stores each version's answer (image id → generation data); None moves it to stage ``otherwise``."""
        with self._transaction():
            for version_id, metas in answers.items():
                if metas is None:
                    self._db.execute("UPDATE version SET stage = ? WHERE id = ?", (otherwise, version_id))
                    continue
                filled = {image_id: meta for image_id, meta in sorted(metas.items()) if meta is not None}
                sql = "UPDATE version SET stage = ?, meta = ? WHERE id = ?"
                self._db.execute(sql, (DONE, _pack(filled), version_id))
            self.set_notes(dirty=True)

    def reopen_gated(self) -> None:
        """Opens the refused questions again, for a run with a key."""
        self._db.execute("UPDATE version SET stage = ? WHERE stage = ?", (ALONE, GATED))

    def gated(self) -> list[int]:
        rows = self._db.execute("SELECT id FROM version WHERE stage = ? ORDER BY id", (GATED,))
        return [row[0] for row in rows]

    def count(self, run: int | None = None) -> int:
        """The number of models; with ``run``, of those that were new or changed in it."""
        sql, values = ("SELECT count(*) FROM model", ()) if run is None else (
            "SELECT count(*) FROM model WHERE run = ?", (run,))  # fmt: skip
        return int(self._db.execute(sql, values).fetchone()[0])

    def items(self) -> Iterator[Json]:
        """Yields the models in id order, each image with its generation data (or None) as ``meta``."""
        for model_id, body in self._db.execute("SELECT id, body FROM model ORDER BY id"):
            item = _unpack(body)
            rows = self._db.execute("SELECT id, meta FROM version WHERE model = ?", (model_id,))
            metas = {version_id: _unpack(meta) for version_id, meta in rows}
            for version in _versions(item):
                version_metas = metas.get(version["id"], {})
                for image in version.get("images") or []:
                    image["meta"] = version_metas.get(str(image.get("id")))
            yield item

    def _transaction(self) -> _Transaction:
        return _Transaction(self._db)


class _Transaction:
    """BEGIN IMMEDIATE … COMMIT, or ROLLBACK after an exception."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def __enter__(self) -> None:
        self._db.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: object, *_: object) -> None:
        self._db.execute("COMMIT" if kind is None else "ROLLBACK")


def _question(version_id: int, sha256: str, username: str, text: str) -> Question:
    query = json.loads(text)
    return Question(version_id, sha256, username, frozenset(query["ids"]), query["has_meta"])


def _versions(item: Json) -> list[Json]:
    return item.get("modelVersions") or []


def _images(item: Json) -> Iterator[Json]:
    for version in _versions(item):
        yield from version.get("images") or []


def _take_metas(version: Json) -> dict[int, Any]:
    """Removes the generation data from a version's images; returns it by image id."""
    images: Iterable[Json] = version.get("images") or []
    metas = {image.get("id"): flat_meta(image.pop("meta", None)) for image in images}
    valid = {key: meta for key, meta in metas.items() if isinstance(key, int) and meta is not None}
    return dict(sorted(valid.items()))


def _mark(item: Json) -> bytes:
    """A digest of a model without its statistics, which change with every download."""
    versions = [{**version, "stats": None} for version in _versions(item)]
    text = json.dumps({**item, "stats": None, "modelVersions": versions}, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


def _pack(value: Any) -> bytes:
    return zlib.compress(json.dumps(value, separators=(",", ":")).encode(), 1)


def _unpack(body: bytes) -> Any:
    return json.loads(zlib.decompress(body))
