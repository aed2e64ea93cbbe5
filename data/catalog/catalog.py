"""The catalog: model cards in one SQLite file, found by any of their names.

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
from diffagent.data.attributes import attributes_to_json
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
"""The most characters of a name, AIR, hash or file name in a look-up, and of a search query."""
_UNASKED = "unasked"

ALL = Filter()


class Catalog:
    """An open catalog, by :meth:`open` or :meth:`create`; a context manager."""

    def __init__(self, connection: sqlite3.Connection, path: Path, part: Path | None = None) -> None:
        self.path = path
        self._db = connection
        self._part = part
        """The path of a new catalog until it is complete."""
        self._names: Names | None = None
        """The names of a new catalog's entries, which only this object adds to."""
        self._is_indexed = True
        """Whether the text index holds all entries."""
        self._checked = -1
        """The entry that :meth:`check` read last."""

    @classmethod
    def open(cls, path: str | Path | None = None, writable: bool = False) -> Self:
        """Opens the catalog at ``path``, by default the embedded one.

        Raises:
            BadCatalog: the file is missing, or not a catalog of this version.
        """
        path = default_catalog() if path is None else Path(path)
        return cls(connect(path, writable), path)

    @classmethod
    def create(cls, path: str | Path) -> Self:
        """Creates an empty catalog, which replaces the file at ``path`` when it is closed without an
        error."""
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
        """Closes the file; a new catalog is compacted and renamed to its path."""
        if self._part is None:
            self._db.close()
        else:
            self._index()
            finish(self._db, self._part, self.path)
            self._part = None

    def check(self) -> None:
        """Opens the file anew and looks up an entry by its name, another one each time.

        Raises:
            BadCatalog: the file is missing or damaged.
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

        A card replaces the entry of the same model and base model under its id and drops its features. A name
        that another entry has gets `` (id)``.

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
        """The names of the entries."""
        if self._names is not None:
            return self._names
        return Names({key for (key,) in self._rows("SELECT key FROM names WHERE alias = 0")})

    def _put(self, card: Card, names: Names) -> int:
        row = self._db.execute(
            "SELECT id, name FROM entries WHERE air = ?1 OR (model_id = ?2 AND base_model = ?3 "
            "AND source = 'civitai' AND ?4 = 'civitai') ORDER BY air != ?1 LIMIT 1",
            (card.air, card.model_id, card.base_model, card.source),
        ).fetchone()
        entry_id = None
        if row is not None:
            entry_id = row[0]
            names.keys.discard(name_key(row[1]))
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
        """Rebuilds the text index."""
        self._db.execute("INSERT INTO search (search) VALUES ('rebuild')")
        self._is_indexed = True

    def _index(self) -> None:
        """Rebuilds the text index if entries were added since."""
        if not self._is_indexed:
            with self._db:
                self._refresh()

    def entries(self, condition: Filter = ALL) -> list[tuple[int, Card]]:
        """Returns the id and card of every matching entry, in order of id."""
        where, values = condition.sql()
        sql = f"SELECT {schema.COLUMNS} FROM entries WHERE {where} ORDER BY id"
        with uncollected():
            return [schema.entry(row) for row in self._rows(sql, values)]

    def cards(self, condition: Filter = ALL, limit: int = -1) -> list[Card]:
        """Returns the matching cards, most downloaded first; -1 is no limit."""
        where, values = condition.sql()
        return self._select(f"WHERE {where} {_SORTED} LIMIT ?", (*values, limit))

    def rows(self, condition: Filter = ALL) -> list[Row]:
        """Returns a brief row of every matching entry, in order of id."""
        where, values = condition.sql()
        sql = f"SELECT {', '.join(Row._fields)} FROM entries WHERE {where} ORDER BY id"
        with uncollected():
            return [Row._make((*row[:7], row[7] == 1)) for row in self._rows(sql, values)]

    def by_name(self, name: str) -> Card | None:
        """Returns the entry of a name (NFKC, any case), or else of an alias."""
        if len(name) > LONGEST_NAME:
            return None
        key = name_key(name)
        return self._first(
            "JOIN names ON entry_id = id WHERE key = ? ORDER BY alias, downloads DESC, id", key
        )

    def by_air(self, air: str) -> Card | None:
        """Returns the entry of an AIR; the AIR of an older version or of one file finds its model's entry."""
        if len(air) > LONGEST_NAME:
            return None
        air = air.strip()
        card = self._first("WHERE air = ?", air)
        parts = AIR.read(air) if card is None else None
        if parts is None:
            return card
        if str(parts.model) != air:
            return self.by_air(str(parts.model))
        if parts.civitai_ids is None:
            return None
        model_id, version_id = parts.civitai_ids
        card = self._first(
            f"JOIN versions ON entry_id = id WHERE versions.version_id = ? AND model_id = ? {_SORTED}",
            version_id,
            model_id,
        )
        if card is None:
            return None
        card_air = AIR.parse(card.air)
        same = card_air.ecosystem == parts.ecosystem and card_air.model_type == parts.model_type
        return card if same else None

    def by_id(self, number: int) -> Card | None:
        """Returns the most downloaded entry of a Civitai model id, or else of a version id."""
        if not 0 < number < 2**63:
            return None
        card = self._first(f"WHERE model_id = ? {_SORTED}", number)
        return card or self._first(
            f"JOIN versions ON entry_id = id WHERE versions.version_id = ? {_SORTED}", number
        )

    def by_version(self, number: int) -> Card | None:
        """Returns the most downloaded entry of a Civitai version id, older versions included."""
        if not 0 < number < 2**63:
            return None
        return self._first(
            f"JOIN versions ON entry_id = id WHERE versions.version_id = ? {_SORTED}", number
        ) or self._first(f"WHERE version_id = ? {_SORTED}", number)

    def by_hash(self, digest: str) -> Card | None:
        """Returns the most downloaded entry with a hash of any version and any of Civitai's kinds.

        Prefixes of ten digits or more match, in either direction: programs cut SHA-256 and the hash of a
        LoRA's tensors to 10 or 12 digits. The hash of an empty file matches no entry.
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
        """Returns the most downloaded entry with a file name; folder, suffix and case do not matter."""
        if len(file_name) > LONGEST_NAME:
            return None
        return self._first(f"JOIN files ON entry_id = id WHERE key = ? {_SORTED}", schema.file_key(file_name))

    def find(self, text: str) -> Card:
        """Returns the entry of a name, AIR, id, hash or file name, tried in this order.

        Raises:
            UnknownModel: no entry matches; the message lists similar names.
        """
        if len(text) > LONGEST_NAME:
            raise UnknownModel(
                f"the model has a name of {len(text):,} characters, but at most {LONGEST_NAME:,} are read: "
                "give its name, AIR, id, hash or file"
            )
        text = text.strip()
        card = self.by_name(text) or self.by_air(text)
        if card is None and text.isdecimal() and text.isascii():
            card = self.by_id(int(text[:20]))
        card = card or self.by_hash(text) or self.by_file(text)
        if card is None:
            names = self.near(text)
            excerpt = text if len(text) <= 60 else text[:57] + "…"
            raise UnknownModel(
                f"no model of the catalog has the name, AIR, id, hash or file {excerpt!r}"
                + (f": near: {'; '.join(names)}" if names else ""),
                "" if names else "see diffagent catalog search WORDS",
            )
        return card

    def near(self, name: str, limit: int = 3) -> list[str]:
        """Returns names similar to ``name``, best first."""
        names = {name_key(row[0]): row[0] for row in self._rows("SELECT name FROM entries ORDER BY id")}
        close = difflib.get_close_matches(name_key(name[:200]), names, limit, 0.6)
        candidates = [names[key] for key in close] + [card.name for card in self.search(name[:200], limit)]
        return list(dict.fromkeys(candidates))[:limit]

    def search(self, query: str, limit: int = 20, condition: Filter = ALL) -> list[Card]:
        """Returns the entries with all words (or word prefixes) in name, tags, trigger words or description,
        best first; else those whose name contains the query; else those with any of the words."""
        self._index()
        query = query[:LONGEST_NAME]
        words = re.findall(r"\w+", query)[:32]
        if not words:
            return []
        where, values = condition.sql()
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
        """Returns totals, and the number of entries by type, base model, source and licence for images."""
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
        """Sets the entries' descriptions and attributes to those of the cards."""
        values = (
            (card.description, attributes_to_json(card.attributes) if card.attributes else None, entry_id)
            for entry_id, card in cards.items()
        )
        with self._db:
            self._db.executemany("UPDATE entries SET description = ?, attributes = ? WHERE id = ?", values)
            self._refresh()

    def put_features(self, kind: str, blobs: Mapping[int, bytes]) -> None:
        """Stores one blob per entry under a kind, replacing older ones."""
        with self._db:
            rows = [(kind, entry_id, blob) for entry_id, blob in blobs.items()]
            self._db.executemany("REPLACE INTO features VALUES (?, ?, ?)", rows)

    def features(self, kind: str, condition: Filter = ALL) -> Iterator[tuple[int, bytes]]:
        """Yields the blobs of a kind for the matching entries, in order of id."""
        where, values = condition.sql()
        ids = "" if condition == ALL else f"AND entry_id IN (SELECT id FROM entries WHERE {where})"
        sql = f"SELECT entry_id, data FROM features WHERE kind = ? {ids} ORDER BY entry_id"
        return iter(self._db.execute(sql, (kind, *(values if ids else ()))))

    @property
    def unasked(self) -> tuple[str, ...]:
        """The base models that answer requests without a base model; empty: all of them."""
        return tuple(filter(None, (self.get_meta(_UNASKED) or "").split("\n")))

    def set_unasked(self, base_models: Iterable[str]) -> None:
        """Sets the base models that answer requests without a base model."""
        self.set_meta(_UNASKED, "\n".join(sorted(set(base_models))))

    def get_meta(self, key: str) -> str | None:
        rows = self._rows("SELECT value FROM meta WHERE key = ?", (key,))
        return cast(str, rows[0][0]) if rows else None

    def set_meta(self, key: str, value: str) -> None:
        with self._db:
            self._set_meta(key, value)

    def _set_meta(self, key: str, value: str) -> None:
        self._db.execute("REPLACE INTO meta VALUES (?, ?)", (key, value))

    def _first(self, clause: str, *values: Any) -> Card | None:
        cards = self._select(f"{clause} LIMIT 1", values)
        return cards[0] if cards else None

    def _select(self, clause: str, values: Iterable[Any]) -> list[Card]:
        columns = ", ".join(f"entries.{name}" for name in schema.COLUMNS.split(", "))
        rows = self._rows(f"SELECT {columns} FROM entries {clause}", tuple(values))
        return [schema.entry(row)[1] for row in rows]

    def _rows(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        try:
            return self._db.execute(sql, values).fetchall()
        except sqlite3.DatabaseError as error:
            raise BadCatalog(f"{self.path} is damaged ({error}): import it again") from None
