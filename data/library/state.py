"""The library's state: each file's facts, its full hash, the hub's answer and the user's overrides.

    with State.open() as state:
        state.files()            # every file of every folder, as last read

It is one SQLite file in the library's folder (``DIFFAGENT_LIBRARY``, by default ``library`` in
``DIFFAGENT_HOME``). Commits are frequent, so that a killed run loses a second at most.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, Self

from diffagent.data.air import AIR, LOCAL
from diffagent.data.errors import BadInput
from diffagent.data.library.kinds import FileVerdict
from diffagent.data.library.sidecars import SidecarNotes
from diffagent.data.library.training import Training
from diffagent.data.weights.weights import home

VARIABLE = "DIFFAGENT_LIBRARY"
CATALOG, STATE, LOCK = "catalog.sqlite", "state.sqlite", "lock"
READER = 1
"""The reader's version: files of an older version are read again."""
COMMIT_S = 0.5

_SCHEMA = """
CREATE TABLE IF NOT EXISTS roots (path BLOB PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS files (
    path BLOB PRIMARY KEY, root BLOB NOT NULL, size INTEGER NOT NULL, mtime INTEGER NOT NULL,
    stamp TEXT NOT NULL, reader INTEGER NOT NULL, facts TEXT NOT NULL, notes TEXT NOT NULL, text TEXT NOT
    NULL, sha256 TEXT, run INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS hub (sha256 TEXT PRIMARY KEY, answer TEXT NOT NULL, asked REAL NOT NULL);
CREATE TABLE IF NOT EXISTS overrides (key TEXT PRIMARY KEY, value TEXT NOT NULL);
"""


@dataclass(frozen=True)
class Facts(FileVerdict):
    """A file's own facts, its verdict among them. ``problem`` says why it cannot be read; ``digest`` is the
    SHA-256 of header and size; ``sample`` is 16 digits of that of a few blocks, which tell apart files of one
    digest."""

    problem: str | None = None
    format: str | None = None
    digest: str | None = None
    sample: str | None = None
    training: Training = field(default_factory=Training)
    spec: SidecarNotes = field(default_factory=SidecarNotes)


@dataclass(frozen=True)
class Override:
    """The user's values for a file, which override all others; None where not set."""

    base_model: str | None = None
    trigger_words: tuple[str, ...] | None = None
    type: str | None = None
    name: str | None = None

    @property
    def is_empty(self) -> bool:
        return self == Override()


@dataclass(frozen=True)
class File:
    """One model file: ``path`` is absolute, ``root`` the library's folder, ``text`` the preview's."""

    path: Path
    root: Path
    size: int
    mtime: int
    stamp: str
    facts: Facts
    notes: SidecarNotes = field(default_factory=SidecarNotes)
    text: str = ""
    sha256: str | None = None
    hub: Mapping[str, Any] | None = None
    override: Override = field(default_factory=Override)

    @property
    def shown(self) -> str:
        """The path inside its folder, printable."""
        text = os.path.relpath(self.path, self.root)
        return printable(text)

    @property
    def key(self) -> str:
        """The key of the user's overrides: the contents, which a moved file keeps, or else the path."""
        facts = self.facts
        return f"{facts.digest}+{facts.sample}" if facts.digest else f"path:{printable(str(self.path))}"


def printable(text: str) -> str:
    """Returns a path as one line of printable text."""
    clean = os.fsencode(text).decode("utf-8", "replace")
    return "".join(char if char.isprintable() else "�" for char in clean)


def library_home() -> Path:
    """The library's folder, whether or not it exists."""
    folder = os.environ.get(VARIABLE, "").strip()
    return Path(folder).expanduser() if folder else home() / "library"


def library_catalog() -> Path | None:
    """The path of the library's catalog; None without a library."""
    path = library_home() / CATALOG
    return path if path.is_file() else None


def library_file(air: str, sha256: str | None = None) -> Path | None:
    """Returns the library's file of a model, by its full hash or by a ``local:`` AIR, or None.

    A file that changed since it was read does not count.
    """
    path = library_home() / STATE
    if not path.is_file():
        return None
    parts = AIR.parse(air)
    digest = parts.id if parts.source == LOCAL else ""
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        rows = connection.execute(
            "SELECT path, size, mtime FROM files WHERE sha256 = ?1 OR (json_extract(facts, '$.digest') = ?2 "
            "AND (?3 IS NULL OR substr(json_extract(facts, '$.sample'), 1, 8) = ?3))",
            (sha256 or "", digest, parts.file),
        ).fetchall()
    for name, size, mtime in rows:
        file = Path(os.fsdecode(name))
        with suppress(OSError):
            status = file.stat()
            if (status.st_size, status.st_mtime_ns) == (size, mtime):
                return file
    return None


def forget() -> bool:
    """Removes catalog and state, but no model; returns whether there was anything."""
    folder = library_home()
    was_there = any((folder / name).exists() for name in (CATALOG, STATE))
    for name in (CATALOG, f"{CATALOG}.part", STATE, f"{STATE}-wal", f"{STATE}-shm"):
        (folder / name).unlink(missing_ok=True)
    return was_there


class State:
    """An open state; a context manager."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection
        self._committed = time.monotonic()

    @classmethod
    def open(cls, folder: Path | None = None) -> Self:
        """Opens or creates the state in ``folder``; a damaged one is moved aside.

        Raises:
            BadInput: the folder cannot be written to.
        """
        folder = folder or library_home()
        path = folder / STATE
        try:
            folder.mkdir(parents=True, exist_ok=True)
            try:
                return cls(_connect(path))
            except sqlite3.DatabaseError as error:
                if isinstance(error, sqlite3.OperationalError):
                    raise
                shutil.move(path, path.with_suffix(".damaged"))
                for end in ("-wal", "-shm"):
                    Path(f"{path}{end}").unlink(missing_ok=True)
                return cls(_connect(path))
        except (OSError, sqlite3.Error) as error:
            raise BadInput(
                f"the library's folder {folder} cannot be written ({error}): give another in {VARIABLE}"
            ) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.commit()
        self._db.close()

    def roots(self) -> list[Path]:
        """The folders of the library."""
        return [
            Path(os.fsdecode(path)) for (path,) in self._db.execute("SELECT path FROM roots ORDER BY path")
        ]

    def add_root(self, root: Path) -> None:
        """Adds a folder, which replaces the folders inside it."""
        self._db.execute("INSERT OR IGNORE INTO roots VALUES (?)", (os.fsencode(root),))
        for other in self.roots():
            if other != root and other.is_relative_to(root):
                self.drop_root(other)
        self._db.commit()

    def drop_root(self, root: Path) -> bool:
        """Forgets a folder and its files; returns whether it was known."""
        name = os.fsencode(root)
        count = self._db.execute("DELETE FROM roots WHERE path = ?", (name,)).rowcount
        self._db.execute("DELETE FROM files WHERE root = ?", (name,))
        self._db.commit()
        return bool(count)

    def record(self, path: Path) -> tuple[int, int, str, int] | None:
        """The size, time, sidecars' stamp and reader's version of a stored file, or None."""
        row = self._db.execute(
            "SELECT size, mtime, stamp, reader FROM files WHERE path = ?", (os.fsencode(path),)
        ).fetchone()
        return None if row is None else (row[0], row[1], row[2], row[3])

    def put(self, file: File, run: int) -> None:
        """Stores a file that was read, without a full hash."""
        adapter = _adapters()
        self._db.execute(
            "REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, ?)",
            (
                os.fsencode(file.path), os.fsencode(file.root), file.size, file.mtime, file.stamp, READER,
                adapter[Facts].dump_json(file.facts, exclude_defaults=True).decode(),
                adapter[SidecarNotes].dump_json(file.notes, exclude_defaults=True).decode(), file.text, run,
            ),
        )  # fmt: skip
        self._commit()

    def put_notes(self, path: Path, stamp: str, notes: SidecarNotes, text: str) -> None:
        """Stores the changed notes of a file."""
        data = _adapters()[SidecarNotes].dump_json(notes, exclude_defaults=True).decode()
        self._db.execute(
            "UPDATE files SET stamp = ?, notes = ?, text = ? WHERE path = ?",
            (stamp, data, text, os.fsencode(path)),
        )
        self._commit()

    def saw(self, path: Path, root: Path, run: int) -> None:
        """Marks a file as present in this run."""
        self._db.execute(
            "UPDATE files SET run = ?, root = ? WHERE path = ?", (run, os.fsencode(root), os.fsencode(path))
        )
        self._commit()

    def drop_unseen(self, root: Path, run: int) -> int:
        """Forgets the files of a folder that this run did not see; returns their number."""
        dropped = self._db.execute(
            "DELETE FROM files WHERE root = ? AND run != ?", (os.fsencode(root), run)
        ).rowcount
        self._db.commit()
        return dropped

    def next_run(self) -> int:
        return int(self._db.execute("SELECT coalesce(max(run), 0) + 1 FROM files").fetchone()[0])

    def put_sha256(self, path: Path, size: int, mtime: int, digest: str) -> None:
        """Stores a full hash, unless the file was read anew meanwhile."""
        self._db.execute(
            "UPDATE files SET sha256 = ? WHERE path = ? AND size = ? AND mtime = ?",
            (digest, os.fsencode(path), size, mtime),
        )
        self._db.commit()

    def answered(self) -> dict[str, float]:
        """Full hash → time of its look-up at the hub."""
        return dict(self._db.execute("SELECT sha256, asked FROM hub"))

    def put_answers(self, answers: Mapping[str, Mapping[str, Any] | None]) -> None:
        """Stores the hub's answers; None means that the hub does not know the file."""
        import json

        rows = [(digest, json.dumps(answer), time.time()) for digest, answer in answers.items()]
        self._db.executemany("REPLACE INTO hub VALUES (?, ?, ?)", rows)
        self._db.commit()

    def set_override(self, key: str, value: Override) -> None:
        if value.is_empty:
            self._db.execute("DELETE FROM overrides WHERE key = ?", (key,))
        else:
            data = _adapters()[Override].dump_json(value, exclude_defaults=True).decode()
            self._db.execute("REPLACE INTO overrides VALUES (?, ?)", (key, data))
        self._db.commit()

    def files(self, roots: Iterable[Path] | None = None) -> Iterator[File]:
        """Yields the files of all folders, or of ``roots``, in order of path."""
        import json

        self._db.commit()
        adapter = _adapters()
        words = {
            key: adapter[Override].validate_json(value)
            for key, value in self._db.execute("SELECT key, value FROM overrides")
        }
        names = None if roots is None else {os.fsencode(root) for root in roots}
        rows = self._db.execute(
            "SELECT path, root, size, mtime, stamp, facts, notes, text, files.sha256, answer FROM files "
            "LEFT JOIN hub ON hub.sha256 = files.sha256 ORDER BY path"
        )
        for path, root, size, mtime, stamp, facts, notes, text, sha256, answer in rows:
            if names is not None and root not in names:
                continue
            file = File(
                Path(os.fsdecode(path)), Path(os.fsdecode(root)), size, mtime, stamp,
                adapter[Facts].validate_json(facts), adapter[SidecarNotes].validate_json(notes), text, sha256,
                json.loads(answer) if answer else None,
            )  # fmt: skip
            if file.notes.sha256 and sha256 and file.notes.sha256 != sha256:
                file = replace(file, notes=SidecarNotes())  # notes on an earlier file of this name
            yield replace(file, override=words[file.key]) if file.key in words else file

    def _commit(self) -> None:
        now = time.monotonic()
        if now - self._committed > COMMIT_S:
            self._db.commit()
            self._committed = now


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=30, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.executescript(_SCHEMA)
        connection.execute("SELECT count(*) FROM files").fetchone()
    except BaseException:
        connection.close()
        raise
    return connection


@cache
def _adapters() -> Mapping[Any, Any]:
    from pydantic import TypeAdapter

    return {kind: TypeAdapter(kind) for kind in (Facts, SidecarNotes, Override)}
