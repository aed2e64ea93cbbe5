"""An async client of Civitai's REST API v1, rate-limited and with retries.

In: a base URL, a rate in requests per second, optionally an API key. Out: pages of models, versions by number
and by hash, the generation data of a version's images, the API's lists of types, all as its JSON objects.
Temporary faults (429, 503, HTML with status 200, a truncated body, a dropped connection) are retried with
jitter; persistent ones are a :class:`~diffagent.data.errors.CrawlError`.

Since April 2026 https://civitai.com answers with content that is safe for work, https://civitai.red with all;
both have this API, and either may be the base URL.

    async with CivitaiClient("https://civitai.com") as client:
        page = await client.models(types=("LORA",))
"""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import Iterable, Sequence
from typing import Any, Self
from urllib.parse import urlsplit

import httpx

from diffagent.data.addresses import base_url
from diffagent.data.errors import BadInput, CrawlError, GatedItem
from diffagent.data.hubs.answers import Json, OddAnswer, Page, bare_hash, flat_meta, page_of, sha256s
from diffagent.data.hubs.odd_rows import image_id, sound_version
from diffagent.data.retries import Transient, retry_after, tries

DEFAULT_URL = "https://civitai.com"
API = "/api/v1"
MODELS_A_PAGE, IMAGES_A_PAGE, HASHES_A_REQUEST, IDS_A_REQUEST = 100, 200, 100, 10_000
ATTEMPTS, FIRST_ATTEMPTS, GATED_ATTEMPTS = 10, 5, 3
EVERY_LEVEL = 1 | 2 | 4 | 8 | 16
"""The bits of PG, PG-13, R, X, XXX."""
MODEL_TYPES = (
    "Checkpoint", "LORA", "LoCon", "DoRA", "TextualInversion", "Hypernetwork", "AestheticGradient",
    "Controlnet", "Upscaler", "MotionModule", "VAE", "TextEncoder", "UNet", "CLIPVision", "CLIP",
    "VisionLanguage", "Poses", "Wildcards", "Workflows", "Detection", "Other",
)  # fmt: skip
"""The types of 2026; the API's ``/enums`` has later ones."""
LONGEST_WAIT = 600.0  # seconds; a longer wait ends the run


class ApiRefusal(CrawlError):
    """A final refusal: HTTP ``status`` 400, 404, 405 and the like."""

    def __init__(self, message: str, status: int, hint: str = "") -> None:
        super().__init__(message, hint)
        self.status = status


class NoAnswer(CrawlError):
    """A request that failed in every retry."""


class _TransientCrawlError(Transient, CrawlError):
    """A temporary fault."""


class Pacer:
    """Lets requests go one at a time, at least ``1 / rate`` seconds apart; rate 0 does not wait."""

    def __init__(self, rate: float) -> None:
        self._gap = 1 / rate if rate else 0.0
        self._next = 0.0
        self._turn = asyncio.Lock()

    async def wait(self) -> None:
        async with self._turn:
            while (delay := self._next - time.monotonic()) > 0:
                await asyncio.sleep(delay)
            self._next = time.monotonic() + self._gap

    def pause(self, seconds: float) -> None:
        """Holds all requests back for ``seconds``, as the API asked."""
        self._next = max(self._next, time.monotonic() + seconds)


class CivitaiClient:
    """A client with one connection pool, one pace and one count of ``requests`` sent.

    ``rate`` is in requests per second (0: no limit), ``backoff`` the first wait after a fault in seconds. The
    key is sent in the Authorization header only and stored nowhere else.
    """

    def __init__(
        self,
        url: str = DEFAULT_URL,
        *,
        rate: float = 4.0,
        concurrency: int = 4,
        key: str | None = None,
        backoff: float = 0.5,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.url = api_host(url)
        if not rate >= 0 or concurrency < 1:
            raise BadInput(
                f"rate {rate}, concurrency {concurrency}: give a rate of 0 or more, 1 or more at once"
            )
        self.requests = 0
        self.has_key = bool(key)
        self._answered = False
        self._backoff = backoff
        self._pacer = Pacer(rate)
        self._slots = asyncio.Semaphore(concurrency)
        self._http = httpx.AsyncClient(
            base_url=self.url + API,
            headers=_headers(self.url, key),
            timeout=httpx.Timeout(60, connect=15),
            limits=httpx.Limits(max_connections=concurrency, max_keepalive_connections=concurrency),
            transport=transport,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def models(
        self,
        *,
        types: Sequence[str] = (),
        ids: Sequence[int] = (),
        cursor: str | None = None,
        limit: int = MODELS_A_PAGE,
    ) -> Page:
        """Returns a page of models of every NSFW level, newest first; the filters drop later."""
        params: Json = {"limit": limit, "sort": "Newest", "nsfw": "true", "types": list(types)}
        params["ids"] = ",".join(map(str, ids)) or None
        return page_of(await self._ask("GET", "/models", params | {"cursor": cursor}), cursor)

    async def images(
        self, version_id: int, username: str | None = None, image_ids: Iterable[int] = ()
    ) -> dict[int, Any]:
        """Image id → flat generation data (or None) of a version's images.

        Every page is requested with ``withMeta``, which the API's own nextPage lacks. Paging ends early once
        all ``image_ids`` are there; ``username`` leaves out other people's uploads.
        """
        metas: dict[int, Any] = {}
        missing, cursors = set(image_ids), set()
        cursor: str | None = None
        while True:
            params = {"modelVersionId": version_id, "username": username, "cursor": cursor}
            params |= {"withMeta": "true", "flatMeta": "true", "limit": IMAGES_A_PAGE}
            params |= {"nsfw": "X", "browsingLevel": EVERY_LEVEL}  # the second holds today, the first before
            page = page_of(await self._ask("GET", "/images", params), cursor)
            for item in page.items:
                number = image_id(item)
                if number is not None:
                    metas[number] = flat_meta(item.get("meta"))
            missing -= metas.keys()
            cursors.add(cursor)
            cursor = page.cursor
            if cursor is None or cursor in cursors or (image_ids and not missing):
                return metas

    async def model(self, model_id: int) -> Json | None:
        """Returns a model with all of its versions, or None."""
        return await self._object(f"/models/{model_id}")

    async def version(self, version_id: int) -> Json | None:
        """Returns a version with the generation data of its first images, or None."""
        version = await self._object(f"/model-versions/{version_id}")
        return None if version is None else sound_version(version)

    async def enums(self) -> Json:
        """Returns the API's lists of names, such as ``ModelType``, ``BaseModel``, ``ActiveBaseModel``; {} on
        APIs before 2024."""
        return await self._object("/enums") or {}

    async def version_by_hash(self, value: str) -> Json | None:
        """Returns the version with a file of this hash (any of the five kinds), or None."""
        return await self._object(f"/model-versions/by-hash/{_clean_hash(value)}")

    async def _object(self, path: str) -> Json | None:
        """Returns the object at a path, or None."""
        try:
            answer = await self._ask("GET", path)
        except ApiRefusal as refusal:
            if refusal.status == 404:
                return None
            raise
        return answer if isinstance(answer, dict) else None

    async def versions_by_hash(self, hashes: Iterable[str]) -> dict[str, list[Json]]:
        """SHA-256 (upper case, bare) → the versions with such a file; unknown ones are left out.

        Versions share files, so a hash can have several. A request has up to 100 hashes.
        """
        digests = sorted({_clean_hash(value) for value in hashes})
        if short := [value for value in digests if len(value) != 64]:
            raise BadInput(
                f"{short[0]!r} is not a SHA-256: ask for other hashes one by one (version_by_hash)"
            )
        versions_of: dict[str, list[Json]] = {}
        for start in range(0, len(digests), HASHES_A_REQUEST):
            chunk = digests[start : start + HASHES_A_REQUEST]
            answer = await self._ask("POST", "/model-versions/by-hash", body=chunk)
            if not isinstance(answer, list):
                raise OddAnswer(
                    f"POST {self.url}{API}/model-versions/by-hash: not a list: is it Civitai's API?"
                )
            for row in answer:
                version = sound_version(row)
                if version is not None:
                    for value in set(sha256s(version)).intersection(chunk):
                        versions_of.setdefault(value, []).append(version)
        return versions_of

    async def ids_by_hash(self, hashes: Iterable[str]) -> dict[str, list[tuple[int | None, int]]]:
        """SHA-256 (upper case, bare) → the model and version ids of its files; unknown ones are left out.

        A request has up to 100 hashes, or 10,000 where the API has today's endpoint for more.
        """
        digests = sorted({_clean_hash(value) for value in hashes})
        ids: dict[str, list[tuple[int | None, int]]] = {}
        for start in range(0, len(digests), IDS_A_REQUEST):
            chunk = digests[start : start + IDS_A_REQUEST]
            rows = await self._ids(chunk) if len(chunk) > HASHES_A_REQUEST else None
            if rows is None:
                for value, versions in (await self.versions_by_hash(chunk)).items():
                    ids[value] = [(version.get("modelId"), version["id"]) for version in versions]
                continue
            chunk_digests = frozenset(chunk)
            for row in rows:
                if isinstance(row.get("modelVersionId"), int) and bare_hash(row["hash"]) in chunk_digests:
                    pair = (row.get("modelId"), row["modelVersionId"])
                    ids.setdefault(bare_hash(row["hash"]), []).append(pair)
        return ids

    async def _ids(self, hashes: Sequence[str]) -> list[Json] | None:
        """Returns the API's rows for hashes; None where the rows do not name their hashes."""
        try:
            answer = await self._ask("POST", "/model-versions/by-hash/ids", body=hashes)
        except ApiRefusal:
            return None
        rows: list[Any] = answer if isinstance(answer, list) else [None]
        is_labelled = all(isinstance(row, dict) and isinstance(row.get("hash"), str) for row in rows)
        return rows if is_labelled else None

    async def _ask(self, method: str, path: str, params: Json | None = None, body: object = None) -> Any:
        """Returns the answer's JSON, with retries of temporary faults and at the client's pace."""
        gated = 0

        def still_gated(error: Exception) -> bool:
            nonlocal gated
            gated += isinstance(error, GatedItem)
            return isinstance(error, GatedItem) and gated < GATED_ATTEMPTS

        clean = {name: value for name, value in (params or {}).items() if value not in (None, "", [])}
        attempts = ATTEMPTS if self._answered else FIRST_ATTEMPTS
        try:
            async for attempt in tries(attempts, self._backoff, 60 * self._backoff, still_gated):
                with attempt:
                    return await self._once(method, path, clean, body)
        except _TransientCrawlError as error:
            raise NoAnswer(f"{error}, again and again; run the same command later to go on") from None
        raise AssertionError("stamina either returns or raises")

    async def _once(self, method: str, path: str, params: Json, body: object) -> Any:
        where = f"{method} {self.url}{API}{path}"
        async with self._slots:
            await self._pacer.wait()
            self.requests += 1
            try:
                response = await self._http.request(method, path.lstrip("/"), params=params, json=body)
            except httpx.RequestError as error:
                raise _TransientCrawlError(f"{where}: {type(error).__name__} {error}".rstrip()) from None
        answer = self._read(where, response)
        self._answered = True
        return answer

    def _read(self, where: str, response: httpx.Response) -> Any:
        status = response.status_code
        if status in (401, 403):
            need = "the key was refused" if self.has_key else "set CIVITAI_API_KEY"
            raise GatedItem(f"{where}: HTTP {status}: only for key holders: {need}")
        if status in (408, 425, 429) or status >= 500:
            after = retry_after(response.headers)
            if after is not None and after > LONGEST_WAIT:
                raise CrawlError(f"{where}: HTTP {status}, retry after {after:.0f} s: run again then")
            if status == 429 and after is not None:
                self._pacer.pause(after)
            raise _TransientCrawlError(f"{where}: HTTP {status}", after)
        if response.is_redirect:
            target = response.headers.get("Location", "elsewhere")
            raise ApiRefusal(f"{where} redirects to {target}", status, "give that host as --url")
        if status >= 400:
            raise ApiRefusal(f"{where}: HTTP {status}: {_reason(response)}", status)
        kind = response.headers.get("Content-Type", "")
        if "json" not in kind:
            raise _TransientCrawlError(f"{where}: {kind.split(';')[0] or 'no type'} instead of JSON")
        length = response.headers.get("Content-Length", "")
        if (
            "Content-Encoding" not in response.headers
            and length.isdigit()
            and int(length) != len(response.content)
        ):
            raise _TransientCrawlError(f"{where}: {len(response.content)} of {length} bytes")
        try:
            return json.loads(
                response.content, parse_constant=lambda _: None, parse_float=_float, parse_int=_int
            )
        except (ValueError, RecursionError):
            raise _TransientCrawlError(f"{where}: damaged JSON") from None


def api_host(url: str) -> str:
    """``https://civitai.com/api/v1/`` → ``https://civitai.com``; errors of :func:`base_url`."""
    address = base_url(
        url,
        name="the base URL",
        example=f"the API's base URL, such as {DEFAULT_URL}",
        keys="a key goes in CIVITAI_API_KEY",
    )
    return address.removesuffix(API)


def _headers(url: str, key: str | None) -> dict[str, str]:
    headers = {"User-Agent": "diffagent", "Accept": "application/json"}
    if key:
        if not (key.isascii() and key.isprintable()) or " " in key:
            raise BadInput("CIVITAI_API_KEY has blanks or characters that no key contains: copy it again")
        parts = urlsplit(url)
        if parts.scheme == "http" and parts.hostname not in ("localhost", "127.0.0.1", "::1"):
            raise BadInput(
                f"{url} is not encrypted and would show CIVITAI_API_KEY: use https or unset the key"
            )
        headers["Authorization"] = f"Bearer {key}"
    return headers


def _clean_hash(value: str) -> str:
    bare = bare_hash(value)
    if not bare.isalnum() or not bare.isascii():
        raise BadInput(f"{value!r} is not a hash: give letters and digits, with or without 0x")
    return bare


def _float(text: str) -> float | None:
    """A JSON number as a float; None where it overflows."""
    value = float(text)
    return value if math.isfinite(value) else None


def _int(text: str) -> int | None:
    return int(text) if len(text) <= 30 else None


def _reason(response: httpx.Response) -> str:
    """The API's reason for a refusal: a text, or an object with the request's errors."""
    if "json" in response.headers.get("Content-Type", ""):
        try:
            answer = response.json()
            message = answer.get("error", answer.get("message"))
        except (ValueError, AttributeError):
            message = None
        if message:
            return " ".join((message if isinstance(message, str) else json.dumps(message)).split())[:200]
    return "no such page: is it the base URL of a Civitai API?" if response.status_code == 404 else "refused"
