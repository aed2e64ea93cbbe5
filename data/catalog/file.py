"""Catalog files on disk: checked when opened, renamed to their path when complete.

connection = connect(path, writable=False)       # or BadCatalog, with what to do
connection, part = begin(path); …; finish(connection, part, path)
"""

from __future__ import annotations

import math
import os
import sqlite3
from pathlib import Path

from diffagent.data.catalog.schema import APPLICATION_ID, SCHEMA, VERSION
from diffagent.data.errors import BadCatalog

_NEW = f"""
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {VERSION};
PRAGMA journal_mode = MEMORY;
PRAGMA synchronous = OFF;
"""
"""A new file is synced once, when it is complete and before it gets its name."""
_MAGIC = b"SQLite format 3\0"


def default_catalog() -> Path:
    """The path of the catalog that ships with the package, whether or not it exists."""
    from importlib.resources import files

    return Path(str(files("diffagent.data"))) / "default" / "catalog.sqlite"


def connect(path: Path, writable: bool = False) -> sqlite3.Connection:
    """Opens a catalog file.

    Raises:
        BadCatalog: the file is missing, damaged, or not a catalog of this version.
    """
    _check_bytes(path)
    uri = f"{path.absolute().as_uri()}?mode={'rw' if writable else 'ro'}"
    connection = sqlite3.connect(uri, uri=True, check_same_thread=False)
    try:
        _check_version(connection, path)
        _define(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def begin(path: Path) -> tuple[sqlite3.Connection, Path]:
    """Creates an empty catalog beside ``path``; returns it with its temporary path.

    Raises:
        BadCatalog: the folder cannot be written to.
    """
    part = path.with_name(path.name + ".part")
    try:
        part.unlink(missing_ok=True)
        connection = sqlite3.connect(part, check_same_thread=False)
        connection.executescript(_NEW + SCHEMA)
    except (OSError, sqlite3.Error) as error:
        raise BadCatalog(f"cannot write {path} ({error}): give a path in a folder that exists") from None
    _define(connection)
    return connection, part


def finish(connection: sqlite3.Connection, part: Path, path: Path) -> None:
    """Compacts and closes the catalog of :func:`begin`, and renames it to ``path``."""
    connection.execute("INSERT INTO search (search) VALUES ('optimize')")
    connection.commit()
    connection.execute("VACUUM")
    connection.close()
    with part.open("rb+") as stream:
        os.fsync(stream.fileno())
    part.replace(path)


def _define(connection: sqlite3.Connection) -> None:
    connection.create_function("log1p", 1, math.log1p, deterministic=True)  # not every SQLite has ln()


def _check_bytes(path: Path) -> None:
    if not path.is_file():
        if path == default_catalog():
            raise BadCatalog(
                "this installation has no embedded catalog",
                "give one with --catalog PATH, made by diffagent catalog import RAW -o PATH",
            )
        raise BadCatalog(f"no catalog at {path}", f"make one with diffagent catalog import RAW -o {path}")
    try:
        with path.open("rb") as stream:
            head = stream.read(100)
    except OSError as error:
        raise BadCatalog(f"cannot read {path} ({error.strerror}): give a catalog that you may read") from None
    if not head.startswith(_MAGIC):
        raise BadCatalog(
            f"{path} is not a catalog (not a SQLite file)", "give one made by diffagent catalog import"
        )
    page = int.from_bytes(head[16:18], "big")
    expected = (65536 if page == 1 else page) * int.from_bytes(head[28:32], "big")
    if path.stat().st_size < expected:
        raise BadCatalog(
            f"{path} is damaged ({path.stat().st_size:,} of {expected:,} bytes): import it again"
        )


def _check_version(connection: sqlite3.Connection, path: Path) -> None:
    try:
        application = connection.execute("PRAGMA application_id").fetchone()[0]
        version = connection.execute("PRAGMA user_version").fetchone()[0]
    except sqlite3.Error as error:
        raise BadCatalog(f"{path} is damaged ({error}): import it again") from None
    if application != APPLICATION_ID:
        raise BadCatalog(
            f"{path} is not a catalog (another SQLite file)", "give one made by diffagent catalog import"
        )
    if version != VERSION:
        raise BadCatalog(
            f"{path} is a catalog of version {version}, this diffagent reads version {VERSION}",
            "import it again with diffagent catalog import",
        )
