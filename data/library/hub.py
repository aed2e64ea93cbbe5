"""Looks the library's files up at the hub, by full hash.

In: SHA-256 of files. Out: for each its version and model, or None. One request finds the known ones among up
to 10,000 files; only these are then requested, a hundred at a time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from diffagent.data.hubs.civitai import HASHES_A_REQUEST, CivitaiClient

AGAIN_S = 30 * 24 * 3600.0
"""Seconds after which unknown files are looked up again."""
MODELS_A_REQUEST = 100
_ITEM = (
    "id", "name", "type", "nsfw", "nsfwLevel", "poi", "minor", "tags", "stats", "allowNoCredit",
    "allowCommercialUse", "allowDerivatives", "allowDifferentLicense", "mode",
)  # fmt: skip
_VERSION = (
    "id", "modelId", "name", "baseModel", "baseModelType", "createdAt", "publishedAt",
    "trainedWords", "files",
)  # fmt: skip

Answer = Mapping[str, Any]
"""``version`` and ``item`` of the hub's API, with the fields that the library uses."""


async def look_up(client: CivitaiClient, digests: Sequence[str]) -> dict[str, Answer | None]:
    """Full hash (lower case) → the hub's answer, or None.

    Raises:
        CrawlError: the hub does not answer, or refuses.
    """
    answers: dict[str, Answer | None] = dict.fromkeys(digests)
    if len(digests) > HASHES_A_REQUEST:
        digests = sorted(await client.ids_by_hash(digests))
    versions = await client.versions_by_hash(digests)
    oldest = {
        digest.casefold(): min(owners, key=lambda version: int(version["id"]))
        for digest, owners in versions.items()
    }
    ids = sorted({version["modelId"] for version in oldest.values() if version.get("modelId")})
    items: dict[int, Any] = {}
    for start in range(0, len(ids), MODELS_A_REQUEST):
        page = await client.models(ids=ids[start : start + MODELS_A_REQUEST], limit=MODELS_A_REQUEST)
        items |= {item["id"]: item for item in page.items}
    for digest, version in oldest.items():
        if digest in answers:
            answers[digest] = _answer(version, items.get(version.get("modelId") or 0))
    return answers


def _answer(version: Mapping[str, Any], item: Mapping[str, Any] | None) -> Answer:
    fields = {name: version[name] for name in _VERSION if name in version}
    model = dict(version.get("model") or {}) if item is None else item
    facts = {name: model[name] for name in _ITEM if name in model}
    return {"version": fields, "item": {"id": version.get("modelId"), **facts}}
