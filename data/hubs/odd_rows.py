"""Odd rows: malformed models, versions, files and images of an API or a damaged file.

    sound({"id": 7, "name": "Inks", "type": "LORA", "modelVersions": [{"id": "x"}]}, odd)
        ->  {"id": 7, "name": "Inks", "type": "LORA", "modelVersions": []},  odd == {"version: id": 1}

The innermost row with the odd field is dropped. Null and missing fields are not odd: creators hide counts,
archived models have no files, versions no images. Later stages may rely on the types of what is left.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

Json = dict[str, Any]
Check = Callable[[Any], bool]

LARGEST_ID = 2**63 - 1
"""The largest integer of SQLite."""
_FILE_NUMBER = re.compile(r"/(\d{1,18})\.\w{1,5}(?:\?|$)")


def sound(item: object, odd: Counter[str] | None = None) -> Json | None:
    """Returns the model without its odd rows, or None where it is odd itself.

    Args:
        item: a row of the models listing.
        odd: counts the dropped rows by kind of row and field.
    """
    counts = odd if odd is not None else Counter()
    row = _sound_row(item, "model", counts)
    if row is None or row.get("modelVersions") is None:
        return row
    return _with(row, "modelVersions", [_sound_version(version, counts) for version in row["modelVersions"]])


def sound_version(version: object, odd: Counter[str] | None = None) -> Json | None:
    """Returns a single version without its odd rows, or None where it is odd itself."""
    return _sound_version(version, odd if odd is not None else Counter())


def image_id(image: Mapping[str, Any]) -> int | None:
    """An image's id; answers for single versions have it in the URL only."""
    number = _id(image.get("id"))
    if number is not None or image.get("id") is not None:
        return number
    match = _FILE_NUMBER.search(image["url"]) if isinstance(image.get("url"), str) else None
    return _id(match[1]) if match else None


def count(value: object) -> int | None:
    """A count of the API, 0 or more; None where it is hidden or not a number."""
    number = _number(value)
    return int(number) if number is not None and number >= 0 else None


def rating(value: object) -> float | None:
    """A rating in 0…5, or None."""
    number = _number(value)
    return number if number is not None and 0 <= number <= 5 else None


def _sound_version(version: object, odd: Counter[str]) -> Json | None:
    row = _sound_row(version, "version", odd)
    for name, kind in (("files", "file"), ("images", "image")):
        if row is not None and row.get(name) is not None:
            row = _with(row, name, [_sound_row(inner, kind, odd) for inner in row[name]])
    return row


def _with(row: Json, name: str, rows: list[Json | None]) -> Json:
    """Returns the row with its sound inner rows only; the row itself where all are sound."""
    sound_rows = [inner for inner in rows if inner is not None]
    same = len(sound_rows) == len(row[name]) and all(map(_is, sound_rows, row[name]))
    return row if same else {**row, name: sound_rows}


def _is(row: object, other: object) -> bool:
    return row is other


def _sound_row(row: object, kind: str, odd: Counter[str]) -> Json | None:
    if not isinstance(row, dict):
        odd[f"{kind}: no object"] += 1
        return None
    if kind != "file":
        number = image_id(row) if kind == "image" else _id(row.get("id"))
        if number is None:
            odd[f"{kind}: id"] += 1
            return None
        if row.get("id") is not number:
            row = {**row, "id": number}
    for name, check in _FIELDS[kind].items():
        value = row.get(name)
        if value is not None and not check(value):
            odd[f"{kind}: {name}"] += 1
            return None
    return row


def _id(value: object) -> int | None:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 19:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= LARGEST_ID:
        return None
    return value


def _number(value: object) -> float | None:
    if isinstance(value, str) and re.fullmatch(r"\s*\d{1,15}(?:\.\d{1,15})?\s*", value):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if abs(value) < LARGEST_ID and math.isfinite(value) else None


def _text(value: object) -> bool:
    return isinstance(value, str)


def _flag(value: object) -> bool:
    return isinstance(value, bool) or value in (0, 1)


def _object(value: object) -> bool:
    return isinstance(value, dict)


def _list(value: object) -> bool:
    return isinstance(value, list)


def _texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(text, str) for text in value)


def _hashes(value: object) -> bool:
    return isinstance(value, dict) and all(
        digest is None or isinstance(digest, str) for digest in value.values()
    )


def _creator(value: object) -> bool:
    return isinstance(value, dict) and isinstance(value.get("username") or "", str)


def _level(value: object) -> bool:
    """Whether a value is a bit mask, or an older name of a level."""
    if isinstance(value, str):
        return True
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31


def _shown(value: object) -> bool:
    """Whether a value is an image's ``nsfw``: a flag, or an older name of a level."""
    return isinstance(value, str | bool)


_FIELDS: Mapping[str, Mapping[str, Check]] = {
    "model": {
        "name": _text, "type": _text, "description": _text, "nsfw": _flag, "minor": _flag, "poi": _flag,
        "sfwOnly": _flag, "nsfwLevel": _level, "availability": _text, "mode": _text, "tags": _texts,
        "stats": _object, "creator": _creator, "modelVersions": _list,
    },
    "version": {
        "name": _text, "description": _text, "baseModel": _text, "baseModelType": _text, "createdAt": _text,
        "updatedAt": _text, "publishedAt": _text, "status": _text, "availability": _text,
        "usageControl": _text, "nsfwLevel": _level, "trainedWords": _texts, "stats": _object, "files": _list,
        "images": _list, "earlyAccessEndsAt": _text, "earlyAccessDeadline": _text,
    },
    "file": {
        "name": _text, "type": _text, "hashes": _hashes, "metadata": _object, "primary": _flag,
        "pickleScanResult": _text, "virusScanResult": _text,
    },
    "image": {
        "url": _text, "type": _text, "nsfw": _shown, "nsfwLevel": _level, "browsingLevel": _level,
        "minor": _flag, "poi": _flag, "hasMeta": _flag,
    },
}  # fmt: skip
"""Kind of row → field → check of its documented type."""
