"""Normalises the shapes of Civitai's answers.

Generation data comes nested or flat, a model as a name or an object, a hash with or without ``0x``, the next
page as a cursor or only inside a URL.

    flat_meta({"id": 7, "meta": {"prompt": "a corgi"}})  ->  {"prompt": "a corgi"}
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from diffagent.data.errors import CrawlError

Json = dict[str, Any]

_SHA256 = re.compile(r"[0-9A-F]{64}")
_NESTED = 8
"""The most wrappers around generation data; answers have up to two."""
EMPTY_SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
"""The SHA-256 of an empty file, which some files have, or a prefix of it, as a placeholder."""


class OddAnswer(CrawlError):
    """An answer that is not a page of a listing."""


@dataclass(frozen=True)
class Page:
    """One page of a listing; ``cursor`` is None on the last. ``odd`` counts rows that are not objects."""

    items: list[Json]
    cursor: str | None
    total: int | None = None
    odd: Counter[str] = field(default_factory=Counter)


def page_of(answer: Any, cursor: str | None) -> Page:
    """Returns the page of a hub's answer; ``cursor`` is the one that it was asked for."""
    items = answer.get("items") if isinstance(answer, dict) else None
    if not isinstance(items, list):
        raise OddAnswer("an answer without items", "is --url the base of a Civitai API?")
    metadata = answer.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    following = _cursor(metadata)
    if following is not None and following == cursor:
        raise OddAnswer(
            f"the listing's cursor {cursor!r} leads to itself: run the same command later to go on"
        )
    total = metadata.get("totalItems")
    good = [item for item in items if isinstance(item, dict)]
    odd = Counter({"row: no object": len(items) - len(good)})
    return Page(good, following, total if isinstance(total, int) else None, +odd)


def date_of(version: Mapping[str, Any]) -> str:
    """The ISO date of a version, or ""; lists have no ``createdAt`` since 2026."""
    return str(version.get("createdAt") or version.get("publishedAt") or "")


def _cursor(metadata: Json) -> str | None:
    """The next page's opaque cursor, given by itself or inside the next page's URL."""
    following, url = metadata.get("nextCursor"), metadata.get("nextPage")
    if following is None and isinstance(url, str):
        try:
            following = parse_qs(urlsplit(url).query).get("cursor", [None])[0]
        except ValueError:
            return None
    return str(following) if isinstance(following, str | int) and following != "" else None


def bare_hash(value: object) -> str:
    """A hash as the API spells it: upper case, without some tools' ``0x``."""
    text = str(value or "").strip().upper()
    return text.removeprefix("0X")


def sha256s(version: Json) -> list[str]:
    """The valid SHA-256 of a version's files, the primary file's first."""
    files = sorted(version.get("files") or [], key=lambda file: not file.get("primary"))
    digests = (bare_hash((file.get("hashes") or {}).get("SHA256")) for file in files)
    return [digest for digest in digests if _SHA256.fullmatch(digest) and not is_placeholder(digest)]


def is_placeholder(digest: str) -> bool:
    """Whether a hash is that of an empty file, or a prefix of it."""
    return EMPTY_SHA256.startswith(digest.casefold())


def flat_meta(meta: Any) -> Any:
    """Returns generation data without the wrappers ``{"id": …, "meta": …}`` of some answers.

    A model object becomes its name, and hashes lose their ``0x``.
    """
    for _ in range(_NESTED):
        if not (isinstance(meta, dict) and "meta" in meta and "prompt" not in meta):
            break
        if not (isinstance(meta["meta"], dict) or meta.keys() <= {"id", "meta"}):
            break
        meta = meta["meta"]
    if not isinstance(meta, dict):
        return None
    model = meta.get("Model")
    if isinstance(model, dict):
        meta = {**meta, "Model": model.get("name"), "Model hash": meta.get("Model hash") or model.get("hash")}
    if isinstance(meta.get("Model hash"), str):
        meta = {**meta, "Model hash": _no_prefix(meta["Model hash"])}
    if isinstance(meta.get("hashes"), dict):
        meta = {**meta, "hashes": {name: _no_prefix(value) for name, value in meta["hashes"].items()}}
    if isinstance(meta.get("resources"), list):
        meta = {**meta, "resources": [_bare_resource(entry) for entry in meta["resources"]]}
    return meta


def _no_prefix(value: Any) -> Any:
    return value[2:] if isinstance(value, str) and value[:2] in ("0x", "0X") else value


def _bare_resource(entry: Any) -> Any:
    return (
        {**entry, "hash": _no_prefix(entry["hash"])} if isinstance(entry, dict) and "hash" in entry else entry
    )
