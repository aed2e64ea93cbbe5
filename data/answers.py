"""The shapes that Civitai's API answers in, and the one that later stages see.

Generation data comes nested or flat, a model as a name or an object, a hash with or without ``0x``,
the next page as a cursor or only inside a URL. Here each becomes one form.

    flat_meta({"id": 7, "meta": {"prompt": "a corgi"}})  ->  {"prompt": "a corgi"}
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

from diffagent.data.errors import CrawlError

Json = dict[str, Any]


@dataclass(frozen=True)
class Page:
    """One page of a listing; ``cursor`` is None on the last."""

    items: list[Json]
    cursor: str | None
    total: int | None = None


def page_of(answer: Any, cursor: str | None) -> Page:
    items = answer.get("items") if isinstance(answer, dict) else None
    if not isinstance(items, list):
        raise CrawlError("an answer without items: is --url the base of a Civitai API?")
    metadata = answer.get("metadata") or {}
    following = metadata.get("nextCursor")
    if following is None and metadata.get("nextPage"):
        following = parse_qs(urlsplit(metadata["nextPage"]).query).get("cursor", [None])[0]
    following = None if following is None else str(following)
    if following is not None and following == cursor:
        raise CrawlError(
            f"the listing's cursor {cursor!r} leads to itself: run the same command later to go on"
        )
    good = [item for item in items if isinstance(item, dict) and isinstance(item.get("id"), int)]
    return Page(good, following, metadata.get("totalItems"))


def bare_hash(value: object) -> str:
    """A hash as the API spells it: upper case, without the ``0x`` that some tools put first."""
    text = str(value or "").strip().upper()
    return text.removeprefix("0X")


def sha256s(version: Json) -> list[str]:
    """The SHA-256 of a version's files, the primary file's first."""
    files = sorted(version.get("files") or [], key=lambda file: not file.get("primary"))
    return [bare for file in files if (bare := bare_hash((file.get("hashes") or {}).get("SHA256")))]


def flat_meta(meta: Any) -> Any:
    """Generation data without the ``{"id": …, "meta": …}`` that some answers wrap it in.

    A model given as an object becomes its name, a ``0x`` before a hash goes.
    """
    if isinstance(meta, dict) and "meta" in meta and meta.keys() <= {"id", "meta"}:
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
