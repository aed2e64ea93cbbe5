"""The catalog file: SQLite with one row per entry, and the conversion of cards to rows and back.

Columns for filters, order and search are native; distributions and lists of AIRs are one compact JSON column
(``rest``), because only whole cards need them. Lists of words are joined by newlines, hashes by spaces.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import fields
from typing import Any, NamedTuple

from diffagent.data.air import AIR
from diffagent.data.attributes import attributes_from_json, attributes_to_json
from diffagent.data.base_models import base_models_of
from diffagent.data.catalog.cards import name_key
from diffagent.data.hubs.answers import is_placeholder
from diffagent.data.records import Card, Licence, ModelType, Stats, Usage

VERSION = 2
"""The file's ``user_version``; others are refused."""
APPLICATION_ID = 0x44664167  # "DfAg"

SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE entries (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL, type TEXT NOT NULL, base_model TEXT NOT NULL,
    air TEXT NOT NULL UNIQUE, downloads INTEGER NOT NULL, commercial TEXT, is_pickle INTEGER NOT NULL,
    source TEXT NOT NULL, model_id INTEGER, version_id INTEGER, version_name TEXT NOT NULL, sha256 TEXT,
    autov2 TEXT, file_name TEXT, tags TEXT NOT NULL, trigger_words TEXT NOT NULL,
    favorites INTEGER NOT NULL, comments INTEGER NOT NULL, ratings INTEGER NOT NULL, rating REAL NOT NULL,
    no_credit INTEGER NOT NULL, derivatives INTEGER NOT NULL, different_licence INTEGER NOT NULL,
    description TEXT NOT NULL, created_at TEXT NOT NULL, hashes TEXT NOT NULL, rest TEXT NOT NULL,
    attributes TEXT
);
CREATE INDEX entries_model ON entries (model_id) WHERE model_id IS NOT NULL;
CREATE TABLE names (
    key TEXT NOT NULL, entry_id INTEGER NOT NULL, alias INTEGER NOT NULL, PRIMARY KEY (key, alias, entry_id)
) WITHOUT ROWID;
CREATE UNIQUE INDEX names_are_unique ON names (key) WHERE alias = 0;
CREATE TABLE files (key TEXT NOT NULL, entry_id INTEGER NOT NULL, PRIMARY KEY (key, entry_id)) WITHOUT ROWID;
CREATE TABLE versions (
    version_id INTEGER NOT NULL, entry_id INTEGER NOT NULL, PRIMARY KEY (version_id, entry_id)
) WITHOUT ROWID;
CREATE TABLE hashes (
    prefix INTEGER NOT NULL, entry_id INTEGER NOT NULL, PRIMARY KEY (prefix, entry_id)
) WITHOUT ROWID;
CREATE TABLE features (
    kind TEXT NOT NULL, entry_id INTEGER NOT NULL, data BLOB NOT NULL, PRIMARY KEY (kind, entry_id)
);
CREATE VIRTUAL TABLE search USING fts5 (
    name, tags, trigger_words, description,
    content = 'entries', content_rowid = 'id', tokenize = 'unicode61 remove_diacritics 2'
);
"""


class Row(NamedTuple):
    """A brief entry, for filtering before anything else is loaded."""

    id: int
    name: str
    type: ModelType
    base_model: str
    air: str
    downloads: int
    commercial: str | None
    is_pickle: bool


class Filter(NamedTuple):
    """A condition on entries, by default none. ``base_model`` may be a family."""

    type: ModelType | None = None
    base_model: str | None = None
    commercial: bool = False
    """Only models whose images may be sold."""
    role: str | None = None
    medium: str | None = None
    """Only models with this attribute (:mod:`diffagent.data.attributes`)."""
    among: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    """Only models of these base models, by name; only models of other base models."""

    def sql(self) -> tuple[str, list[str]]:
        """Returns a condition on ``entries`` and its values.

        Raises:
            BadInput: the base model is unknown.
        """
        parts, values = ["1"], []
        if self.type is not None:
            parts.append("type = ?")
            values.append(str(self.type))
        if self.base_model is not None:
            names = base_models_of(self.base_model)
            parts.append(f"base_model IN ({', '.join('?' * len(names))})")
            values.extend(names)
        if self.commercial:
            parts.append("commercial IN ('Image', 'Rent', 'Sell')")
        if self.role is not None:
            parts.append("json_extract(attributes, '$.role') = ?")
            values.append(self.role)
        if self.medium is not None:
            parts.append("? IN (SELECT value FROM json_each(entries.attributes, '$.media'))")
            values.append(self.medium)
        for word, names in (("IN", self.among), ("NOT IN", self.without)):
            if names:
                parts.append(f"base_model {word} ({', '.join('?' * len(names))})")
                values.extend(names)
        return " AND ".join(parts), values


LOOKUPS = ("names", "files", "versions", "hashes", "features")
"""The tables with an entry's rows."""

COLUMNS = (
    "id, name, type, base_model, air, downloads, commercial, is_pickle, source, model_id, version_id, "
    "version_name, sha256, autov2, file_name, tags, trigger_words, favorites, comments, ratings, rating, "
    "no_credit, derivatives, different_licence, description, created_at, hashes, rest, attributes"
)
_USAGE = tuple(field.name for field in fields(Usage))


_NO_REST: tuple[Any, ...] = ([()] * len(_USAGE), (), (), ())
_EMPTY_REST = json.dumps(_NO_REST, separators=(",", ":"))
"""The value of a third of all entries (no usage, one version): not parsing it saves a tenth of the load."""


def row(entry_id: int | None, card: Card) -> tuple[Any, ...]:
    """Returns the card as values of COLUMNS; the database assigns an id of None."""
    stats, licence = card.stats, card.licence
    usage = [[[key, n] for key, n in getattr(card.usage, name).items()] for name in _USAGE]
    extras = [usage, card.older_airs, card.aliases, card.optional_words, *([True] if stats.hidden else [])]
    rest = json.dumps(extras, ensure_ascii=False, separators=(",", ":"))
    return (
        entry_id, card.name, card.type, card.base_model, card.air, stats.downloads, licence.commercial,
        card.is_pickle, card.source, card.model_id, card.version_id, card.version_name, card.sha256,
        card.autov2, card.file_name, "\n".join(card.tags), "\n".join(card.trigger_words), stats.favorites,
        stats.comments, stats.ratings, stats.rating, licence.no_credit, licence.derivatives,
        licence.different_licence, card.description, card.created_at, " ".join(card.hashes), rest,
        attributes_to_json(card.attributes) if card.attributes else None,
    )  # fmt: skip


def entry(values: Sequence[Any]) -> tuple[int, Card]:
    """Returns the id and card of a row of COLUMNS."""
    (
        entry_id, name, kind, base_model, air, downloads, commercial, _, source, model_id, version_id,
        version_name, sha256, autov2, file_name, tags, trigger_words, favorites, comments, ratings, rating,
        no_credit, derivatives, different_licence, description, created_at, hashes, rest, attributes,
    ) = values  # fmt: skip
    usage, older_airs, aliases, optional, *hidden = _NO_REST if rest == _EMPTY_REST else json.loads(rest)
    return entry_id, Card(
        name, kind, base_model, air, model_id, version_id, version_name, sha256, autov2, file_name,
        tuple(tags.split("\n")) if tags else (),
        tuple(trigger_words.split("\n")) if trigger_words else (),
        Stats(downloads, favorites, comments, ratings, rating, bool(hidden)),
        Licence(no_credit == 1, commercial, derivatives == 1, different_licence == 1),
        Usage(*map(dict, usage)),
        description, source, created_at, tuple(older_airs), tuple(hashes.split()), tuple(aliases),
        tuple(optional), attributes_from_json(attributes) if attributes else None,
    )  # fmt: skip


def lookups(card: Card) -> dict[str, set[tuple[Any, ...]]]:
    """Table → the card's look-up keys, without its id."""
    airs = (AIR.parse(air).civitai_ids for air in (card.air, *card.older_airs))
    aliases = {name_key(alias) for alias in card.aliases} - {name_key(card.name)}
    return {
        "names": {(name_key(card.name), 0), *((alias, 1) for alias in aliases)},
        "files": {(file_key(card.file_name),)} if card.file_name else set(),
        "versions": {(ids[1],) for ids in airs if ids},
        "hashes": {(hash_prefix(digest),) for digest in card.hashes},
    }


SHORTEST = 10
"""The least digits of a truncated hash."""


def file_key(file_name: str) -> str:
    """The key of a file name: no folder, suffix or case."""
    name = re.split(r"[/\\]", file_name.strip())[-1]
    return re.sub(r"\.(?:safetensors|ckpt|pt|pth|bin)$", "", name.casefold())


def clean_hash(text: str) -> str | None:
    """A hash as the catalog spells it, lower case without ``0x``; None for other texts and the hash of an
    empty file."""
    digest = text.strip().casefold().removeprefix("0x")
    return digest if re.fullmatch(r"[0-9a-f]{8,64}", digest) and not is_placeholder(digest) else None


def begins(digest: str, hashes: Iterable[str]) -> bool:
    """Whether a hash is a prefix of one of others or the reverse, with at least :data:`SHORTEST` digits."""
    return any(
        min(len(digest), len(other)) >= SHORTEST and (other.startswith(digest) or digest.startswith(other))
        for other in hashes
    )


def hash_prefix(digest: str) -> int:
    """The first 32 bits, the index of hashes; AutoV2 shares them with its SHA-256."""
    return int(digest[:8], 16)


def insertion(
    table: str, keys: Iterable[tuple[Any, ...]], entry_id: int
) -> tuple[str, list[tuple[Any, ...]]]:
    """Returns the statement and rows that insert an entry's keys into a lookup table."""
    columns = {"names": "key, alias", "files": "key", "versions": "version_id", "hashes": "prefix"}[table]
    marks = ", ".join("?" * (columns.count(",") + 2))
    return f"INSERT INTO {table} ({columns}, entry_id) VALUES ({marks})", [(*key, entry_id) for key in keys]
