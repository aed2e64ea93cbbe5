"""Model files from Civitai: downloads that resume, checked by SHA-256, stored in the cache.

In: a card of the catalog. Out: the path of its safetensors file, by default
``DIFFAGENT_HOME/models/SHA256.safetensors``. A download grows under a ``.part`` name; a file whose SHA-256
differs from the catalog's is deleted. A key in ``CIVITAI_API_KEY`` goes to Civitai only, not to the storage
that it redirects to.
"""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

import httpx

from diffagent.agent.executors import Report
from diffagent.agent.executors.wire import secret, server_url
from diffagent.data.air import CIVITAI, source_of
from diffagent.data.errors import BadInput, JobFailed, Refused, Unreachable
from diffagent.data.records import Card
from diffagent.data.weights.weights import home

URL = "https://civitai.com"
ATTEMPTS = 6


def fetch(
    card: Card,
    report: Report,
    *,
    url: str | None = None,
    folder: Path | None = None,
    path: Path | None = None,
    backoff: float = 1.0,
) -> Path:
    """Returns the card's file, downloaded unless it exists: in ``folder`` by its hash, or as ``path``.

    Raises:
        BadInput: the file is not a safetensors file on Civitai. Refused: Civitai wants a key. Unreachable:
        the download breaks off repeatedly. JobFailed: the SHA-256 differs from the catalog's.
    """
    from filelock import FileLock

    check_fetchable(card)
    path = path or (folder or home() / "models") / f"{card.sha256}.safetensors"
    if path.is_file():
        return path
    locks = folder or home() / "models"
    for needed in (path.parent, locks):
        needed.mkdir(parents=True, exist_ok=True)
    with FileLock(locks / f"{card.sha256}.lock"):
        if not path.is_file():
            part = path.with_name(path.name + ".part")
            _download(card, part, report, server_url(url or URL), backoff)
            _check(card, part)
            os.replace(part, path)
    return path


def check_fetchable(card: Card) -> None:
    """Refuses a card whose file cannot be fetched or checked.

    Raises:
        BadInput: the file is not a safetensors file on Civitai, or has no SHA-256.
    """
    if card.version_id is None or source_of(card.air) != CIVITAI or card.is_pickle:
        raise BadInput(f"{card.name} ({card.air}) is not a safetensors file on Civitai: choose another model")
    if card.sha256 is None:
        raise BadInput(f"the catalog knows no SHA-256 of {card.name}, so no download of it could be checked")


def size_of(card: Card, url: str | None = None) -> int | None:
    """Returns the size of the card's file in bytes; None where the server does not tell it.

    Raises:
        Refused: the server wants a key, or no longer has the file. Unreachable: it does not answer.
    """
    base = server_url(url or URL)
    where, headers = _request(card, base)
    try:
        with (
            httpx.Client(timeout=httpx.Timeout(30, connect=10), follow_redirects=True) as http,
            http.stream("GET", where, headers={**headers, "Range": "bytes=0-0"}) as response,
        ):
            _allow(card, where, response, "Authorization" in headers)
            total = response.headers.get("Content-Range", "").rpartition("/")[2]
            length = response.headers.get("Content-Length", "")
            if response.status_code == 206 and total.isdigit():
                return int(total)
            return int(length) if response.status_code == 200 and length.isdigit() else None
    except httpx.RequestError as error:
        raise Unreachable(f"{where}: {type(error).__name__}: check the connection, then try again") from None


def _request(card: Card, base: str) -> tuple[str, dict[str, str]]:
    """Returns the address of a card's file and the headers of the request."""
    key = secret("CIVITAI_API_KEY", base, os.environ.get("CIVITAI_API_KEY"))
    headers = {"User-Agent": "diffagent", "Accept-Encoding": "identity"} | (
        {"Authorization": f"Bearer {key}"} if key else {}
    )
    return f"{base}/api/download/models/{card.version_id}", headers


def _download(card: Card, part: Path, report: Report, base: str, backoff: float) -> None:
    where, headers = _request(card, base)
    fault = ""
    with httpx.Client(headers=headers, timeout=httpx.Timeout(60, connect=15), follow_redirects=True) as http:
        for attempt in range(ATTEMPTS):
            if attempt:
                time.sleep(backoff * 2 ** (attempt - 1))
            have = part.stat().st_size if part.exists() else 0
            try:
                with http.stream(
                    "GET", where, headers={"Range": f"bytes={have}-"} if have else {}
                ) as response:
                    if response.status_code == 416:
                        return  # all of it is there
                    _allow(card, where, response, "Authorization" in headers)
                    if response.status_code < 400:
                        _write(card, part, response, report)
                        return
                    fault = f"HTTP {response.status_code}"
            except httpx.RequestError as error:
                fault = type(error).__name__
    raise Unreachable(
        f"{where}: {fault}, {ATTEMPTS} times: run the same command later to go on where it broke off"
    )


def _allow(card: Card, where: str, response: httpx.Response, has_key: bool) -> None:
    status = response.status_code
    if status in (401, 403):
        need = "the key in CIVITAI_API_KEY was refused" if has_key else "set CIVITAI_API_KEY to your key"
        raise Refused(f"{where}: HTTP {status}: {card.name} is for account holders: {need}")
    if 400 <= status < 500 and status != 429:
        raise Refused(f"{where}: HTTP {status}: Civitai no longer has {card.name}: choose another model")
    if "html" in response.headers.get("Content-Type", ""):
        raise Refused(f"{where}: a web page in place of the file: set CIVITAI_API_KEY to your key")


def _write(card: Card, part: Path, response: httpx.Response, report: Report) -> None:
    resumed = response.status_code == 206
    done = part.stat().st_size if resumed and part.exists() else 0
    total = done + int(response.headers.get("Content-Length") or 0)
    with part.open("ab" if resumed else "wb") as file:
        for chunk in response.iter_raw():
            file.write(chunk)
            done += len(chunk)
            report(
                f"fetching {card.name}, {done / 1e6:.0f} of {total / 1e6:.0f} MB",
                done / total if total else None,
            )
    if done < total:
        raise httpx.ReadError("cut short")


def _check(card: Card, part: Path) -> None:
    from safetensors import SafetensorError, safe_open

    with part.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    wrong = (
        ""
        if digest == card.sha256
        else f"SHA-256 {digest[:12]}…, not {str(card.sha256)[:12]}… as the catalog has"
    )
    try:
        with safe_open(part, framework="numpy"):
            pass
    except SafetensorError:
        wrong = wrong or "no safetensors file"
    if wrong:
        part.unlink()
        raise JobFailed(
            f"what Civitai sent for {card.name} is {wrong}: it was thrown away; update the catalog"
        )
