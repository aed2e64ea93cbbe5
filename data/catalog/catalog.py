"""The catalog: model cards in one SQLite file, found by any name they go by.

    with Catalog.create("mine.sqlite") as catalog:     # appears under its name when complete
        ids = catalog.add(cards)
        catalog.put_features("text", {ids[0]: b"…"})
    Catalog.open("mine.sqlite").find("0x47AAAF0D29").name

Opened for reading unless ``writable``. Reading 5,700 cards takes about 0.1 s.
"""

from __future__ import annotations

import difflib
import re
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

from diffagent.data.air import AIR
from diffagent.data.attributes import stored
from diffagent.data.catalog import schema
from diffagent.data.catalog.cards import Names, name_key
from diffagent.data.catalog.file import begin, connect, default_catalog, finish
from diffagent.data.catalog.schema import Filter, Row
from diffagent.data.collecting import uncollected
from diffagent.data.errors import BadCatalog, UnknownModel
from diffagent.data.records import Card

__all__ = ["ALL", "Catalog", "Filter", "Row", "default_catalog"]

_SORTED = "ORDER BY downloads DESC, id"
LONGEST_NAME = 1_000
"""Characters of a name, AIR, hash or file name that is looked up, and of words that are searched."""
_UNASKED = "unasked"

ALL = Filter()


class Catalog:
    """An open catalog; a context manager. Made by :meth:`open` and :meth:`create`."""

    def __init__(self, connection: sqlite3.Connection, path: Path, part: Path | None = None) -> None:
        self.path = path
        self._db = connection
        self._part = part
        """Where a new catalog is written until it is complete."""
        self._names: Names | None = None
        """The names of a new catalog's entries, which nobody else adds to."""
        self._is_indexed = True
        """Whether the text index holds all entries."""
        self._checked = -1
        """The entry that :meth:`check` read last."""

    @classmethod
    def open(cls, path: str | Path | None = None, writable: bool = False) -> Self:
        """The catalog at ``path``; by default the embedded one.

        Raises:
            BadCatalog: there is none, or it is not a catalog of this version.
        """
        path = default_catalog() if path is None else Path(path)
        return cls(connect(path, writable), path)

    @classmethod
    def create(cls, path: str | Path) -> Self:
        """A new, empty catalog, which replaces what is at ``path`` when it is closed without an error."""
        connection, part = begin(Path(path))
        return cls(connection, Path(path), part)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None and self._part is not None:
            self._db.close()
            self._part.unlink()
        else:
            self.close()

    def close(self) -> None:
        """Closes the file; a new catalog is compacted and gets its name."""
        if self._part is None:
            self._db.close()
        else:
            self._index()
            finish(self._db, self._part, self.path)
            self._part = None

    def check(self) -> None:
        """Reads the file afresh, without what this connection remembers: an entry by its name, another one
        each time.

        Raises:
            BadCatalog: the file is gone or damaged.
        """
        with Catalog.open(self.path) as fresh:
            sql = "SELECT id, name FROM entries WHERE id > ? ORDER BY id LIMIT 1"
            rows = fresh._rows(sql, (self._checked,)) or fresh._rows(sql, (-1,))
            self._checked = int(rows[0][0]) if rows else -1
            try:
                lost = bool(rows) and fresh.by_name(rows[0][1]) is None
            except ValueError as error:
                raise BadCatalog(f"{self.path} is damaged ({error}): import it again") from None
        if lost:
            raise BadCatalog(f"{self.path} is damaged (an entry has no name): import it again")

    def __len__(self) -> int:
        return int(self._rows("SELECT count(*) FROM entries")[0][0])

    def add(self, cards: Iterable[Card]) -> list[int]:
        """Adds cards, all or none; returns their entry ids.

        A card of a model and base model that is there already replaces it under the same id, without
        its features. A name that another entry has gets `` (id)``.

        Raises:
            BadCatalog: the catalog cannot be written.
        """
        try:
            with self._db:
                names, self._names = self._taken(), None
                ids = [self._put(card, names) for card in cards]
                self._is_indexed = False
                if self._part is None:
                    self._refresh()
                else:
                    self._names = names
        except sqlite3.OperationalError as error:
            raise BadCatalog(
                f"cannot write to {self.path} ({error})", "make a copy and give it with --catalog PATH"
            ) from None
        return ids

    def _taken(self) -> Names:
        """The names that entries have."""
        if self._names is not None:
            return self._names
        return Names({key for (key,) in self._rows("SELECT key FROM names WHERE alias = 0")})

    def _put(self, card: Card, names: Names) -> int:
        known = self._db.execute(
            "SELECT id, name FROM entries WHERE air = ?1 OR (model_id = ?2 AND base_model = ?3 "
            "AND source = 'civitai' AND ?4 = 'civitai') ORDER BY air != ?1 LIMIT 1",
            (card.air, card.model_id, card.base_model, card.source),
        ).fetchone()
        entry_id = None
        if known is not None:
            entry_id = known[0]
            names.taken.discard(name_key(known[1]))
            for table in schema.LOOKUPS:
                self._db.execute(f"DELETE FROM {table} WHERE entry_id = ?", (entry_id,))
        ids = [i for i in (card.model_id, card.version_id) if i is not None]
        name = names.claim(card.name, *(ids or (card.source,)))
        card = replace(card, name=name)
        values = schema.row(entry_id, card)
        cursor = self._db.execute(f"REPLACE INTO entries VALUES ({', '.join('?' * len(values))})", values)
        entry_id = entry_id or int(cursor.lastrowid or 0)
        for table, keys in schema.lookups(card).items():
            self._db.executemany(*schema.insertion(table, sorted(keys), entry_id))
        return entry_id

    def _refresh(self) -> None:
        """What is derived from all entries: the text index."""
        self._db.execute("INSERT INTO search (search) VALUES ('rebuild')")
        self._is_indexed = True

    def _index(self) -> None:
        """What is derived from all entries, where a new catalog has got others since: once for many."""
        if not self._is_indexed:
            with self._db:
                self._refresh()

    def entries(self, wanted: Filter = ALL) -> list[tuple[int, Card]]:
        """Every entry's id and card, in order of id."""
        where, values = wanted.sql()
        sql = f"SELECT {schema.COLUMNS} FROM entries WHERE {where} ORDER BY id"
        with uncollected():
            return [schema.entry(row) for row in self._rows(sql, values)]

    def cards(self, wanted: Filter = ALL, limit: int = -1) -> list[Card]:
        """The cards that are wanted, most downloaded first; -1 is no limit."""
        where, values = wanted.sql()
        return self._select(f"WHERE {where} {_SORTED} LIMIT ?", (*values, limit))

    def rows(self, wanted: Filter = ALL) -> list[Row]:
        """Every entry in brief, in order of id."""
        where, values = wanted.sql()
        sql = f"SELECT {', '.join(Row._fields)} FROM entries WHERE {where} ORDER BY id"
        with uncollected():
            return [Row._make((*row[:7], row[7] == 1)) for row in self._rows(sql, values)]

    def by_name(self, name: str) -> Card | None:
        """The entry of that name (NFKC, any case); else one that has it as an alias."""
        if len(name) > LONGEST_NAME:
            return None
        key = name_key(name)
        return self._first(
            "JOIN names ON entry_id = id WHERE key = ? ORDER BY alias, downloads DESC, id", key
        )

    def by_air(self, air: str) -> Card | None:
        """The entry of an AIR; that of an older version, or of one file, means its model's entry."""
        if len(air) > LONGEST_NAME:
            return None
        air = air.strip()
        found = self._first("WHERE air = ?", air)
        parsed = AIR.read(air) if found is None else None
        if parsed is None:
            return found
        if str(parsed.model) != air:
            return self.by_air(str(parsed.model))
        if parsed.civitai_ids is None:
            return None
        model_id, version_id = parsed.civitai_ids
        found = self._first(
            f"JOIN versions ON entry_id = id WHERE versions.version_id = ? AND model_id = ? {_SORTED}",
            version_id,
            model_id,
        )
        if found is None:
            return None
        own = AIR.parse(found.air)
        same = own.ecosystem == parsed.ecosystem and own.model_type == parsed.model_type
        return found if same else None

    def by_id(self, number: int) -> Card | None:
        """The most downloaded entry of a Civitai model id; else the one of a version id."""
        if not 0 < number < 2**63:
            return None
        found = self._first(f"WHERE model_id = ? {_SORTED}", number)
        return found or self._first(
            f"JOIN versions ON entry_id = id WHERE versions.version_id = ? {_SORTED}", number
        )

    def by_version(self, number: int) -> Card | None:
        """The most downloaded entry that has the Civitai version of that id, be it an older one."""
        if not 0 < number < 2**63:
            return None
        return self._first(
            f"JOIN versions ON entry_id = id WHERE versions.version_id = ? {_SORTED}", number
        ) or self._first(f"WHERE version_id = ? {_SORTED}", number)

    def by_hash(self, digest: str) -> Card | None:
        """The most downloaded entry with that hash of any version, of any kind that Civitai gives.

        Ten digits or more may be the beginning of a hash, or a hash the beginning of them: programs cut
        SHA-256 and the hash of a LoRA's tensors to 10 or 12. The hash of nothing, which some files have in
        place of their own, means none.
        """
        clean = schema.clean_hash(digest) if len(digest) <= LONGEST_NAME else None
        if clean is None:
            return None
        same_start = self._select(
            f"JOIN hashes ON entry_id = id WHERE prefix = ? {_SORTED}", (schema.hash_prefix(clean),)
        )
        exact = next((card for card in same_start if clean in card.hashes), None)
        return exact or next((card for card in same_start if schema.begins(clean, card.hashes)), None)

    def by_file(self, file_name: str) -> Card | None:
        """The most downloaded entry with that file name; folder, suffix and case do not matter."""
        if len(file_name) > LONGEST_NAME:
            return None
        return self._first(f"JOIN files ON entry_id = id WHERE key = ? {_SORTED}", schema.file_key(file_name))

    def find(self, text: str) -> Card:
        """The entry that goes by a name, AIR, id, hash or file name, tried in this order.

        Raises:
            UnknownModel: there is none; the message lists names that are near.
        """
        if len(text) > LONGEST_NAME:
            raise UnknownModel(
                f"the model has a name of {len(text):,} characters, but at most {LONGEST_NAME:,} are read: "
                "give its name, AIR, id, hash or file"
            )
        text = text.strip()
        found = self.by_name(text) or self.by_air(text)
        if found is None and text.isdecimal() and text.isascii():
            found = self.by_id(int(text[:20]))
        found = found or self.by_hash(text) or self.by_file(text)
        if found is None:
            near = self.near(text)
            shown = text if len(text) <= 60 else text[:57] + "…"
            raise UnknownModel(
                f"no model of the catalog has the name, AIR, id, hash or file {shown!r}"
                + (f": near: {'; '.join(near)}" if near else ""),
                "" if near else "see diffagent catalog search WORDS",
            )
        return found

    def near(self, name: str, limit: int = 3) -> list[str]:
        """Names like the given one, best first."""
        names = {name_key(row[0]): row[0] for row in self._rows("SELECT name FROM entries ORDER BY id")}
        close = difflib.get_close_matches(name_key(name[:200]), names, limit, 0.6)
        found = [names[key] for key in close] + [card.name for card in self.search(name[:200], limit)]
        return list(dict.fromkeys(found))[:limit]

    def search(self, query: str, limit: int = 20, wanted: Filter = ALL) -> list[Card]:
        """Entries with all the words (or beginnings of words) in name, tags, trigger words or
        description, best first; where no entry has them all, those whose name contains the text,
        then those with any of the words."""
        self._index()
        query = query[:LONGEST_NAME]
        words = re.findall(r"\w+", query)[:32]
        if not words:
            return []
        where, values = wanted.sql()
        fts = (
            f"JOIN search ON search.rowid = id WHERE search MATCH ? AND {where} "
            "ORDER BY bm25(search, 8, 4, 4, 1) - log1p(downloads) / 4, id LIMIT ?"
        )
        within = f"WHERE instr(lower(name), lower(?)) AND {where} {_SORTED} LIMIT ?"
        quoted = [f'"{word}"*' for word in words]
        return (
            self._select(fts, (" AND ".join(quoted), *values, limit))
            or self._select(within, (query.strip(), *values, limit))
            or self._select(fts, (" OR ".join(quoted), *values, limit))
        )

    def stats(self) -> dict[str, Any]:
        """Totals, and the number of entries by type, base model, source and licence for images."""
        count = "SELECT coalesce({0}, 'None'), count(*) FROM entries GROUP BY 1 ORDER BY 2 DESC, 1"
        columns = ("type", "base_model", "source", "commercial")
        counts = {column: dict(self._rows(count.format(column))) for column in columns}
        totals = "SELECT count(*), coalesce(sum(is_pickle), 0), coalesce(sum(downloads), 0) FROM entries"
        entries, pickles, downloads = self._rows(totals)[0]
        features = dict(self._rows("SELECT kind, count(*) FROM features GROUP BY kind"))
        return {
            "entries": entries,
            **counts,
            "pickles": pickles,
            "downloads": downloads,
            "features": features,
        }

    def put_purposes(self, cards: Mapping[int, Card]) -> None:
        """Sets the description and the attributes of entries by their cards; all else of them stays."""
        values = (
            (card.description, stored(card.attributes) if card.attributes else None, entry_id)
            for entry_id, card in cards.items()
        )
        with self._db:
            self._db.executemany("UPDATE entries SET description = ?, attributes = ? WHERE id = ?", values)
            self._refresh()

    def put_features(self, kind: str, blobs: Mapping[int, bytes]) -> None:
        """Stores a blob an entry under a kind, in place of older ones."""
        with self._db:
            rows = [(kind, entry_id, blob) for entry_id, blob in blobs.items()]
            self._db.executemany("REPLACE INTO features VALUES (?, ?, ?)", rows)

    def features(self, kind: str, wanted: Filter = ALL) -> Iterator[tuple[int, bytes]]:
        """The blobs of a kind of the entries that are wanted, in order of entry id."""
        where, values = wanted.sql()
        ids = "" if wanted == ALL else f"AND entry_id IN (SELECT id FROM entries WHERE {where})"
        sql = f"SELECT entry_id, data FROM features WHERE kind = ? {ids} ORDER BY entry_id"
        return iter(self._db.execute(sql, (kind, *(values if ids else ()))))

    @property
    def unasked(self) -> tuple[str, ...]:
        """The base models that answer a request which names none; empty: all of them."""
        return tuple(filter(None, (self.get_meta(_UNASKED) or "").split("\n")))

    def set_unasked(self, base_models: Iterable[str]) -> None:
        """Let only these base models answer a request which names none."""
        self.set_meta(_UNASKED, "\n".join(sorted(set(base_models))))

    def get_meta(self, key: str) -> str | None:
        found = self._rows("SELECT value FROM meta WHERE key = ?", (key,))
        return cast(str, found[0][0]) if found else None

    def set_meta(self, key: str, value: str) -> None:
        with self._db:
            self._set_meta(key, value)

    def _set_meta(self, key: str, value: str) -> None:
        self._db.execute("REPLACE INTO meta VALUES (?, ?)", (key, value))

    def _first(self, clause: str, *values: Any) -> Card | None:
        found = self._select(f"{clause} LIMIT 1", values)
        return found[0] if found else None

    def _select(self, clause: str, values: Iterable[Any]) -> list[Card]:
        columns = ", ".join(f"entries.{name}" for name in schema.COLUMNS.split(", "))
        rows = self._rows(f"SELECT {columns} FROM entries {clause}", tuple(values))
        return [schema.entry(row)[1] for row in rows]

    def _rows(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        try:
            return self._db.execute(sql, values).fetchall()
        except sqlite3.DatabaseError as error:
            raise BadCatalog(f"{self.path} is damaged ({error}): import it again") from None
