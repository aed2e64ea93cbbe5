"""Model files by AIR: fetched once, resumed, checked, and kept only when they are the right bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from safetensors.numpy import save
from target_calls import AURORA, PICKLED

from diffagent.agent.executors import silent
from diffagent.agent.executors.downloads import fetch
from diffagent.data.errors import BadInput, JobFailed, Refused, Unreachable
from diffagent.data.records import Card

MODEL = save({"w": np.arange(4000, dtype=np.float32)})
CARD = replace(AURORA, sha256=hashlib.sha256(MODEL).hexdigest())


@dataclass
class Storage:
    """Civitai's download route redirects to a storage that knows ranges; ``cut`` ends answers early."""

    data: bytes = MODEL
    cut: int | None = None
    status: int = 200
    kind: str = "application/octet-stream"
    ranges: list[str] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)


@contextmanager
def serving(storage: Storage) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path.startswith("/api/download/models/12"):
                storage.keys.append(self.headers.get("Authorization"))
                self.send_response(307)
                self.send_header("Location", f"http://localhost:{http.server_port}/storage")
                self.end_headers()
                return
            assert "Authorization" not in self.headers  # another origin
            span = self.headers.get("Range", "")
            storage.ranges.append(span)
            start = int(span.removeprefix("bytes=").rstrip("-") or 0) if span else 0
            body = storage.data[start:]
            self.send_response(206 if start and storage.status == 200 else storage.status)
            self.send_header("Content-Type", storage.kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body if storage.cut is None else body[: storage.cut])

        def log_message(self, *_: object) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=http.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{http.server_port}"
    finally:
        http.shutdown()
        http.server_close()


def get(storage: Storage, folder: Path, card: Card = CARD) -> Path:
    with serving(storage) as url:
        return fetch(card, silent, url=url, folder=folder, backoff=0.001)


def test_a_file_is_fetched_once(tmp_path: Path) -> None:
    storage = Storage()
    path = get(storage, tmp_path)
    assert path.read_bytes() == MODEL
    assert get(storage, tmp_path) == path
    assert len(storage.ranges) == 1
    assert storage.keys == ["Bearer a-key"]


def test_a_broken_download_goes_on_where_it_stopped(tmp_path: Path) -> None:
    storage = Storage(cut=5000)
    assert get(storage, tmp_path).read_bytes() == MODEL
    assert storage.ranges == ["", "bytes=5000-", "bytes=10000-", "bytes=15000-"]


def test_a_later_run_goes_on_too(tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match="go on where it broke off"):
        get(Storage(cut=100), tmp_path)
    storage = Storage()
    assert get(storage, tmp_path).read_bytes() == MODEL
    assert storage.ranges == ["bytes=600-"]


def test_other_bytes_are_thrown_away(tmp_path: Path) -> None:
    with pytest.raises(JobFailed, match="SHA-256"):
        get(Storage(data=MODEL[:-1] + b"x"), tmp_path)
    pickled = b"\x80\x04no tensors"
    card = replace(CARD, sha256=hashlib.sha256(pickled).hexdigest())
    with pytest.raises(JobFailed, match="no safetensors"):
        get(Storage(data=pickled), tmp_path, card)
    assert not [path for path in tmp_path.iterdir() if path.suffix != ".lock"]


def test_refusals_say_what_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Refused, match="CIVITAI_API_KEY was refused"):
        get(Storage(status=401), tmp_path)
    monkeypatch.delenv("CIVITAI_API_KEY")
    with pytest.raises(Refused, match="set CIVITAI_API_KEY"):
        get(Storage(status=401), tmp_path)
    with pytest.raises(Refused, match="a web page"):
        get(Storage(kind="text/html"), tmp_path)
    with pytest.raises(Refused, match="no longer has Aurora"):
        get(Storage(status=404), tmp_path)
    with pytest.raises(BadInput, match="not a safetensors file on Civitai"):
        fetch(PICKLED, silent, folder=tmp_path)
    with pytest.raises(BadInput, match="no SHA-256"):
        fetch(replace(CARD, sha256=None), silent, folder=tmp_path)
