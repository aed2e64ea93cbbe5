"""A hub that answers as Civitai's API does in August 2026, over invented models, with faults on request.

    hub = Civitai2026([drawn_model(1), drawn_model(2)], faults={"503": 0.1}, seed=3)
    hub.answer("GET", "/api/v1/models?limit=100", {}, b"")  ->  status, headers, body

Shapes and rules are those of the hub's ``src/pages/api/v1`` and of its developers' documentation: lists
leave out ``createdAt``, ``updatedAt``, ``status`` and images' ``meta``; single versions have ten images at
most, whose id stands in the URL alone; ``/images`` nests ``meta`` by route; counts may be null; page numbers
end at 1000 items.
"""

from __future__ import annotations

import base64
import hashlib
import json
import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx

Json = dict[str, Any]
Answer = tuple[int, dict[str, str], bytes]
DROPPED: Answer = (0, {}, b"")
"""No answer: the connection closes."""
SITE = "https://image.example/xG1/width=450"
IMAGES_OF_A_VERSION = 10
DEEP = 1000
ENUMS: Mapping[str, Sequence[str]] = {
    "ModelType": ("Checkpoint", "TextualInversion", "LORA", "LoCon", "DoRA", "Workflows", "Sketch"),
    "ModelFileType": ("Model", "Text Encoder", "Pruned Model", "Training Data", "VAE", "Diffusion Model"),
    "ActiveBaseModel": ("Anima", "Flux.1 D", "Illustrious", "NoobAI", "Pony", "SD 1.5", "SDXL 1.0"),
    "BaseModel": ("Anima", "Flux.1 D", "Illustrious", "NoobAI", "Pony", "SD 1.5", "SDXL 1.0", "SD 3.5"),
    "BaseModelType": ("Standard", "Inpainting", "Refiner", "Pix2Pix"),
}


def sha(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest().upper()


def drawn_file(name: str, **changes: Any) -> Json:
    """A file as the hub keeps it: scanned, hashed six ways."""
    digest = sha(name)
    hashes = {
        "AutoV1": digest[-8:], "AutoV2": digest[:10], "AutoV3": sha(name + "3")[:12], "SHA256": digest,
        "CRC32": sha(name + "c")[:8], "BLAKE3": sha(name + "b"),
    }  # fmt: skip
    return {
        "id": int(digest[:6], 16), "sizeKB": 223109.66015625, "name": name, "type": "Model",
        "pickleScanResult": "Success", "pickleScanMessage": "No Pickle imports",
        "virusScanResult": "Success", "virusScanMessage": None, "scannedAt": "2026-02-01T08:00:00.000Z",
        "metadata": {"format": "SafeTensor", "size": "pruned", "fp": "fp16"}, "hashes": hashes, **changes,
    }  # fmt: skip


def drawn_image(number: int, level: int = 1, meta: Json | None = None, **changes: Any) -> Json:
    return {
        "id": number, "url": f"{SITE}/{number}.jpeg", "nsfwLevel": level, "width": 832, "height": 1216,
        "hash": "UQK-%@lB,-NKyGMxxVK7", "type": "image", "minor": False, "poi": False,
        "hasMeta": meta is not None, "hasPositivePrompt": meta is not None, "onSite": False,
        "remixOfId": None, "availability": "Public", "meta": meta, **changes,
    }  # fmt: skip


def drawn_meta(number: int, **changes: Any) -> Json:
    """Generation data of the site's own generator; numbers are text, as since 2026."""
    return {
        "prompt": f"a lighthouse on a cliff, gulls, number {number}", "negativePrompt": "blurry",
        "Size": "832x1216", "seed": str(1000 + number), "steps": "24", "sampler": "Euler a", "cfgScale": "5",
        "clipSkip": 2, "resources": [], "Created Date": "2026-02-25T22:09:08.8166925Z",
        "civitaiResources": [{"type": "checkpoint", "modelVersionId": 12}], **changes,
    }  # fmt: skip


def drawn_version(number: int, *images: Json, **changes: Any) -> Json:
    day = f"2026-{1 + number // 28 % 8:02}-{1 + number % 28:02}"
    levels = 0
    for image in images:
        levels |= image["nsfwLevel"]
    return {
        "id": number, "index": 0, "name": f"v{number}", "baseModel": "SDXL 1.0", "baseModelType": "Standard",
        "createdAt": f"{day}T04:00:00.000Z", "updatedAt": f"{day}T05:00:00.000Z",
        "publishedAt": f"{day}T06:00:00.000Z", "status": "Published", "availability": "Public",
        "nsfwLevel": levels or 1, "description": "<p>Second try.</p>", "trainedWords": [],
        "stats": {"downloadCount": number, "thumbsUpCount": 3, "thumbsDownCount": 0},
        "supportsGeneration": True, "usageControl": "Download", "earlyAccessEndsAt": None,
        "earlyAccessConfig": None, "uploadType": "Created", "trainingStatus": None, "trainingDetails": None,
        "files": [drawn_file(f"drawn{number}.safetensors")], "images": list(images), **changes,
    }  # fmt: skip


def drawn_model(number: int, *versions: Json, **changes: Any) -> Json:
    """A checkpoint of SDXL with a version of three images, unless the changes say otherwise."""
    first = number * 10 + 2
    images = [
        drawn_image(first * 100 + place, 1 << place, drawn_meta(first * 100 + place)) for place in (0, 1, 3)
    ]
    return {
        "id": number, "name": f"Drawn {number} 灯台", "description": "<p>Lighthouses.</p>",
        "type": "Checkpoint", "nsfw": False, "nsfwLevel": 11, "minor": False, "sfwOnly": False, "poi": False,
        "mode": None, "availability": "Public", "cosmetic": None, "supportsGeneration": True,
        "allowNoCredit": True, "allowCommercialUse": ["Image", "RentCivit"], "allowDerivatives": True,
        "allowDifferentLicense": True, "userId": 9,
        "stats": {
            "downloadCount": number * 10, "thumbsUpCount": number, "thumbsDownCount": 1,
            "commentCount": 2, "tippedAmountCount": None,
        },
        "creator": {"username": f"drawer{number % 3}", "image": None}, "tags": ["scenery", "lighthouse"],
        "modelVersions": list(versions) or [drawn_version(first, *images)], **changes,
    }  # fmt: skip


@dataclass
class Civitai2026:
    """The API over ``models``.

    ``faults``: name → probability a request; of "429", "503" (of deep pages alone), "html", "drop", "cut" and
    "damaged". ``rows`` puts odd rows into pages: number of the page → rows.
    """

    models: list[Json] = field(default_factory=lambda: [drawn_model(number) for number in range(1, 41)])
    faults: Mapping[str, float] = field(default_factory=dict)
    seed: int = 0
    models_a_page: int = 100
    meta_in: frozenset[str] = frozenset({"version", "by-hash", "images"})
    rows: Mapping[int, Sequence[Any]] = field(default_factory=dict)
    seen: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    wrong: Callable[[str], Answer | None] = lambda target: None

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    def answer(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Answer:
        path, params = urlsplit(target).path, parse_qs(urlsplit(target).query)
        self.seen.append(f"{method} {target}")
        wrong = self.wrong(target)
        if wrong is not None:
            return wrong
        good = self._route(method, path, params, body)
        return self._fault(good, "cursor" in params) or good

    def transport(self) -> httpx.MockTransport:
        def handle(request: httpx.Request) -> httpx.Response:
            target = request.url.raw_path.decode()
            answer = self.answer(request.method, target, dict(request.headers), request.content)
            if answer == DROPPED:
                raise httpx.RemoteProtocolError("Server disconnected without sending a response.")
            return httpx.Response(answer[0], headers=answer[1], content=answer[2])

        return httpx.MockTransport(handle)

    def requests_to(self, endpoint: str) -> int:
        return sum(f" /api/v1/{endpoint}" in line for line in self.seen)

    def _fault(self, good: Answer, deep: bool) -> Answer | None:
        draw, total = self._random.random(), 0.0
        for name, probability in self.faults.items():
            total += probability
            if draw < total and (name != "503" or deep):
                self.broken.append(name)
                return _faulty(name, good[2])
        return None

    def _route(self, method: str, path: str, params: Mapping[str, list[str]], body: bytes) -> Answer:
        for pattern, verb, endpoint in (
            ("models", "GET", lambda _: self._models(params)),
            (r"models/(\w+)", "GET", self._model),
            ("model-versions/by-hash", "POST", lambda _: self._by_hashes(body, 100, self._of_hash)),
            ("model-versions/by-hash/ids", "POST", lambda _: self._by_hashes(body, 10_000, _ids)),
            (r"model-versions/by-hash/(\w+)", "GET", self._by_hash),
            (r"model-versions/(\w+)", "GET", self._version),
            ("images", "GET", lambda _: self._images(params)),
            ("enums", "GET", lambda _: ok(ENUMS)),
        ):
            match = re.fullmatch(f"/api/v1/{pattern}", path)
            if match and method == verb:
                return endpoint(match)
        return 404, {"Content-Type": "text/html"}, b"<!DOCTYPE html><title>404</title>"

    def _models(self, params: Mapping[str, list[str]]) -> Answer:
        limit, page = int(params.get("limit", ["100"])[0]), params.get("page")
        if not 1 <= limit <= 100:
            issue = {"code": "too_big", "maximum": 100, "path": ["limit"], "message": "Too big"}
            return fail(400, {"name": "ZodError", "issues": [issue]})
        if page and params.get("query"):
            return fail(400, "Cannot use page param with query search. Use cursor-based pagination.")
        if page and int(page[0]) * limit > DEEP:
            return fail(429, "You've requested too many pages, please use cursors instead")
        ids = [int(text) for text in ",".join(params.get("ids", ())).split(",") if text]
        rows = [m for m in self.models if m["type"] in params.get("types", [m["type"]])]
        rows = [m for m in rows if not ids or m["id"] in ids]
        rows = [m for m in rows if params.get("nsfw") == ["true"] or not m["nsfw"]]
        rows.sort(key=lambda m: (_newest(m), m["id"]), reverse=True)
        size = min(limit, self.models_a_page)
        start = int(page[0]) * size - size if page else _start("models", params)
        if start is None:
            return fail(400, "Invalid cursor")
        items: list[Any] = [listed_model(m) for m in rows[start : start + size]]
        items += self.rows.get(start // size, ())
        return ok({"items": items, "metadata": _metadata("models", start + size, len(rows), page)})

    def _model(self, match: re.Match[str]) -> Answer:
        model = next((m for m in self.models if str(m["id"]) == match[1]), None)
        return ok(listed_model(model)) if model else fail(404, f"No model with id {match[1]}")

    def _version(self, match: re.Match[str]) -> Answer:
        pair = next((p for p in self._versions() if str(p[1]["id"]) == match[1]), None)
        if pair is None:
            return fail(404, "Model not found")
        return ok(self._single(*pair, "version")) if pair[1]["files"] else fail(404, "Missing model file")

    def _by_hash(self, match: re.Match[str]) -> Answer:
        for model, version in self._versions():
            for file in version["files"]:
                if match[1].upper() in file["hashes"].values():
                    return ok(self._single(model, version, "by-hash"))
        return fail(404, "Model not found")

    def _by_hashes(self, body: bytes, most: int, shape: Callable[[Json, Json, str], Json]) -> Answer:
        hashes = json.loads(body)
        if len(hashes) > most or any(len(digest) != 64 for digest in hashes):
            return fail(400, "Request must include an array of SHA256 Hashes.")
        digests = frozenset(digest.upper() for digest in hashes)
        rows = [
            shape(model, version, file["hashes"]["SHA256"])
            for model, version in self._versions()
            for file in version["files"]
            if file["hashes"].get("SHA256") in digests
        ]
        return ok(rows)

    def _of_hash(self, model: Json, version: Json, digest: str) -> Json:
        return self._single(model, version, "by-hash")

    def _single(self, model: Json, version: Json, endpoint: str) -> Json:
        """A version by itself: its dates, its model in brief, images with their id in the URL alone."""
        images = [
            {name: value for name, value in image.items() if name != "id"}
            | {"meta": image["meta"] if endpoint in self.meta_in else None}
            for image in version["images"][:IMAGES_OF_A_VERSION]
        ]
        brief = {name: model[name] for name in ("name", "type", "nsfw", "poi", "minor")}
        files = [{**file, "primary": place == 0} for place, file in enumerate(version["files"])]
        air = f"urn:air:sdxl:{model['type'].lower()}:civitai:{model['id']}@{version['id']}"
        return {
            **version,
            "modelId": model["id"],
            "model": brief,
            "air": air,
            "files": files,
            "images": images,
        }

    def _images(self, params: Mapping[str, list[str]]) -> Answer:
        limit = int(params.get("limit", ["50"])[0])
        if not 0 <= limit <= 200:
            return fail(400, {"name": "ZodError", "issues": [{"path": ["limit"], "message": "Too big"}]})
        start, levels = _start("images", params), int(params.get("browsingLevel", ["1"])[0])
        if start is None:
            return fail(400, "Invalid cursor")
        version_id, model_id = params.get("modelVersionId"), params.get("modelId")
        rows = [
            _gallery_image(image, model, version)
            for model, version in self._versions()
            if [str(version["id"])] == version_id or (version_id is None and [str(model["id"])] == model_id)
            for image in version["images"]
            if image["nsfwLevel"] & levels and not image["minor"] and not image["poi"]
        ]
        with_meta = params.get("withMeta") == ["true"] and "images" in self.meta_in
        flat = params.get("flatMeta", ["true" if version_id else "false"]) == ["true"]
        for row in rows:
            meta = row["meta"] if with_meta else None
            row["meta"] = meta if flat else {"id": row["id"], "meta": meta}
        items = rows[start : start + limit]
        return ok({"items": items, "metadata": _metadata("images", start + limit, len(rows), None)})

    def _versions(self) -> list[tuple[Json, Json]]:
        return [(model, version) for model in self.models for version in model["modelVersions"]]


def listed_model(model: Json) -> Json:
    """A model as ``/models`` shows it."""
    row = {
        **model,
        "modelVersions": [_listed_version(model, version) for version in model["modelVersions"]],
    }
    if model["mode"] is None:
        del row["mode"]
    return row


def _listed_version(model: Json, version: Json) -> Json:
    hidden = ("status", "createdAt", "updatedAt", "uploadType", "trainingStatus", "trainingDetails")
    row = {name: value for name, value in version.items() if name not in hidden}
    files = [
        {**file, **({"primary": True} if place == 0 else {})} for place, file in enumerate(version["files"])
    ]
    images = [{name: value for name, value in image.items() if name != "meta"} for image in version["images"]]
    row["files"] = [] if model["mode"] in ("Archived", "TakenDown") else files
    row["images"] = [] if model["mode"] == "TakenDown" else images
    if model["mode"] is None:
        row["downloadUrl"] = f"https://civitai.com/api/download/models/{version['id']}"
    return row


def _gallery_image(image: Json, model: Json, version: Json) -> Json:
    names = {1: "None", 2: "Soft", 4: "Mature"}
    return {
        "id": image["id"], "url": image["url"], "hash": image["hash"], "width": image["width"],
        "height": image["height"], "type": image["type"], "nsfw": image["nsfwLevel"] > 1,
        "nsfwLevel": names.get(image["nsfwLevel"], "X"), "browsingLevel": image["nsfwLevel"],
        "createdAt": version["publishedAt"], "postId": version["id"],
        "username": (model["creator"] or {}).get("username"), "baseModel": version["baseModel"],
        "modelVersionIds": [version["id"]],
        "stats": {"cryCount": 0, "laughCount": 1, "likeCount": 4, "dislikeCount": 0, "heartCount": 2},
        "meta": image["meta"],
    }  # fmt: skip


def _ids(model: Json, version: Json, digest: str) -> Json:
    return {"modelVersionId": version["id"], "modelId": model["id"], "hash": digest}


def _newest(model: Json) -> str:
    return max((version["publishedAt"] for version in model["modelVersions"]), default="")


def _start(name: str, params: Mapping[str, list[str]]) -> int | None:
    """Where a page begins; None where the cursor is none of this listing's."""
    cursor = params.get("cursor", [None])[0]
    if cursor is None:
        return 0
    mark, _, place = base64.b64decode(cursor.rpartition("|")[2]).decode().partition(":")
    return int(place) if mark == name else None


def _metadata(name: str, following: int, total: int, page: list[str] | None) -> Json:
    metadata: Json = {"currentPage": int(page[0]), "pageSize": following} if page else {}
    if following >= total:
        return metadata
    cursor = f"75363|{base64.b64encode(f'{name}:{following}'.encode()).decode()}"
    return {**metadata, "nextCursor": cursor, "nextPage": f"https://civitai.com/api/v1/{name}?cursor=lost"}


def _faulty(name: str, body: bytes) -> Answer:
    kind = {"Content-Type": "application/json"}
    return {
        "429": fail(429, "Too many requests", {"Retry-After": "0"}),
        "503": fail(503, "Model search is temporarily overloaded", {"Retry-After": "0"}),
        "html": (200, {"Content-Type": "text/html"}, b"<html>Down for maintenance</html>"),
        "drop": DROPPED,
        "cut": (200, {**kind, "Content-Length": str(len(body) + 1)}, body[: len(body) // 2]),
        "damaged": (200, kind, body[: len(body) // 2]),
    }[name]  # fmt: skip


def ok(value: Any) -> Answer:
    return 200, {"Content-Type": "application/json; charset=utf-8"}, json.dumps(value).encode()


def fail(status: int, error: str | Json, headers: Mapping[str, str] | None = None) -> Answer:
    return (
        status,
        {"Content-Type": "application/json", **(headers or {})},
        json.dumps({"error": error}).encode(),
    )
