"""A small hub that answers as Civitai's API does, over invented models."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import parse_qs, urlsplit

import httpx

Answer = tuple[int, dict[str, str], bytes]


class AnsweringHub(Protocol):
    """What the ``serve`` fixture puts on a port."""

    def answer(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Answer: ...


Serve = Callable[[AnsweringHub], str]
"""Serves a hub on a loopback port; returns its base URL."""


def invented_model(number: int) -> dict[str, Any]:
    """A model with two versions and three images each; every fourth is a LoRA, every ninth an NSFW stub."""
    nsfw = number % 9 == 8
    versions = []
    for version_id in (number * 10 + 1, number * 10 + 2):
        day = f"2030-{1 + number // 28 % 12:02}-{1 + number % 28:02}T00:00:{version_id % 60:02}.000Z"
        images = [invented_image(version_id * 10 + index, index) for index in range(3)]
        digest = f"{version_id:064X}"
        file = {"name": f"m{version_id}.safetensors", "primary": True, "hashes": {"SHA256": digest}}
        vae = {"name": "shared.vae.pt", "hashes": {"SHA256": "F" * 64}}
        versions.append(
            {"id": version_id, "modelId": number, "name": "v", "createdAt": day, "updatedAt": day,
             "baseModel": "SD 1.5", "stats": {"downloadCount": 1}, "files": [vae, file],
             "images": [] if nsfw else images}
        )  # fmt: skip
    kind = "LORA" if number % 4 == 0 else "Checkpoint"
    return {"id": number, "name": f"Invented {number} é", "type": kind, "nsfw": nsfw, "tags": ["invented"],
            "creator": {"username": f"user{number % 5}"}, "stats": {"downloadCount": number},
            "modelVersions": versions}  # fmt: skip


def invented_image(image_id: int, index: int) -> dict[str, Any]:
    meta = {
        "prompt": f"a thing, number {image_id}",
        "steps": 20,
        "Model hash": "0xAbC123",
        "Model": {"name": "m"},
    }
    visible = index < 2
    return {"id": image_id, "url": f"http://images/{image_id}" if visible else None, "nsfw": "None",
            "width": 512, "height": 512, "meta": meta if index == 0 else None}  # fmt: skip


@dataclass
class Hub:
    """The API over ``models``. ``meta_in``: which endpoints carry generation data.

    ``wrong`` may answer a request instead, given its number and path; ``seen`` lists the requests.
    """

    models: list[dict[str, Any]] = field(default_factory=lambda: [invented_model(n) for n in range(1, 31)])
    meta_in: frozenset[str] = frozenset({"by-hash", "images"})
    images_a_page: int = 200
    models_a_page: int = 100
    wrong: Callable[[int, str], Answer | None] = lambda number, path: None
    cursors: str = "c"
    seen: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)

    def answer(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Answer:
        path, params = urlsplit(target).path, parse_qs(urlsplit(target).query)
        self.seen.append(f"{method} {target}")
        self.headers.append({name.lower(): value for name, value in headers.items()})
        wrong = self.wrong(len(self.seen), f"{path}?{urlsplit(target).query}")
        if wrong is not None:
            return wrong
        if path == "/api/v1/models":
            return self._models(params)
        if path == "/api/v1/images":
            return self._images(params)
        if path == "/api/v1/model-versions/by-hash":
            return ok([self._version(v) for v in self._versions() if self._hashes(v) & set(json.loads(body))])
        if match := re.fullmatch("/api/v1/model-versions/by-hash/(.+)", path):
            version = next((v for v in self._versions() if match[1] in self._hashes(v)), None)
            return ok(self._version(version)) if version else fail(404)
        return 404, {"Content-Type": "text/html"}, b"<html>no such page</html>"

    def requests_to(self, endpoint: str) -> int:
        return sum(f" /api/v1/{endpoint}" in line for line in self.seen)

    def transport(self) -> httpx.MockTransport:
        def handle(request: httpx.Request) -> httpx.Response:
            target = request.url.raw_path.decode()
            status, headers, body = self.answer(
                request.method, target, dict(request.headers), request.content
            )
            return httpx.Response(status, headers=headers, content=body)

        return httpx.MockTransport(handle)

    def _versions(self) -> Iterator[dict[str, Any]]:
        for model in self.models:
            yield from model["modelVersions"]

    def _hashes(self, version: dict[str, Any]) -> set[str]:
        return {file["hashes"]["SHA256"] for file in version["files"]}

    def _version(self, version: dict[str, Any]) -> dict[str, Any]:
        return version if "by-hash" in self.meta_in else without_meta(version)

    def _models(self, params: dict[str, list[str]]) -> Answer:
        limit = min(int(params["limit"][0]), self.models_a_page)
        ids = [int(text) for text in params.get("ids", [""])[0].split(",") if text]
        rows = [m for m in self.models if m["type"] in params.get("types", [m["type"]])]
        rows = [m for m in rows if not ids or m["id"] in ids]
        rows.sort(key=lambda m: max((v["createdAt"] for v in m["modelVersions"]), default=""), reverse=True)
        if "models" not in self.meta_in:
            rows = [{**m, "modelVersions": [without_meta(v) for v in m["modelVersions"]]} for m in rows]
        return self._paged(rows, limit, params, "models")

    def _images(self, params: dict[str, list[str]]) -> Answer:
        version_id = int(params["modelVersionId"][0])
        images = [i for v in self._versions() if v["id"] == version_id for i in v["images"]]
        with_meta = params.get("withMeta") == ["true"] and "images" in self.meta_in
        rows = [{**i, "meta": {"id": i["id"], "meta": i["meta"]} if with_meta else None} for i in images]
        return self._paged(rows, min(int(params["limit"][0]), self.images_a_page), params, "images")

    def _paged(self, rows: list[Any], limit: int, params: dict[str, list[str]], name: str) -> Answer:
        cursor, start = params.get("cursor", [None])[0], 0
        if cursor is not None:
            mark, _, offset = base64.b64decode(cursor).decode().partition("|")
            if mark != f"{name}{self.cursors}":
                return fail(400)
            start = int(offset)
        metadata = {}
        if start + limit < len(rows):
            metadata["nextCursor"] = base64.b64encode(
                f"{name}{self.cursors}|{start + limit}".encode()
            ).decode()
        return ok({"items": rows[start : start + limit], "metadata": metadata})


def without_meta(version: dict[str, Any]) -> dict[str, Any]:
    return {**version, "images": [{**image, "meta": None} for image in version["images"]]}


def ok(value: Any) -> Answer:
    return 200, {"Content-Type": "application/json; charset=utf-8"}, json.dumps(value).encode()


def fail(status: int, **headers: str) -> Answer:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return status, {"Content-Type": "application/json", **names}, b'{"error": "no"}'
