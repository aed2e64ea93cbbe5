"""The RAW folder: one digest for one content, and a reader that trusts nothing unvouched for."""

from __future__ import annotations

import json
from collections.abc import Generator
from pathlib import Path

import pytest

from diffagent.data.errors import BadInput, CrawlError
from diffagent.data.hubs.raw import RawFolder, is_published, publish, read_manifest

ROWS = [{"id": 1, "name": "é"}, {"name": "b", "id": 2}]


def test_what_is_published_is_read_back(tmp_path: Path) -> None:
    entry = publish(tmp_path, "civitai", iter(ROWS), {"models": 2})
    assert entry["models"] == 2
    assert list(RawFolder(tmp_path).models()) == ROWS
    assert is_published(tmp_path, "civitai")
    assert not is_published(tmp_path, "horde")
    assert not list(tmp_path.glob("*.part"))


def test_the_same_rows_give_the_same_bytes(tmp_path: Path) -> None:
    for name, rows in (("a", ROWS), ("b", [dict(reversed(row.items())) for row in ROWS])):
        (tmp_path / name).mkdir()
        publish(tmp_path / name, "civitai", rows, {})
    for name in ("models.jsonl.gz", "manifest.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_sources_share_the_manifest(tmp_path: Path) -> None:
    publish(tmp_path, "civitai", ROWS, {})
    publish(tmp_path, "horde", [], {})
    assert "civitai" in RawFolder(tmp_path)
    assert "horde" in RawFolder(tmp_path)
    assert "installed" not in RawFolder(tmp_path)
    with pytest.raises(BadInput, match="holds no installed models, only civitai, horde"):
        RawFolder(tmp_path).installed()


def test_a_folder_without_a_crawl_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="is not a folder") as error:
        RawFolder(tmp_path / "missing")
    assert error.value.hint == f"make one with diffagent data crawl -o {tmp_path / 'missing'}"
    with pytest.raises(BadInput, match="holds no crawl"):
        RawFolder(tmp_path)
    (tmp_path / "state.sqlite").touch()
    with pytest.raises(CrawlError, match="not finished: run it again, it goes on"):
        RawFolder(tmp_path)


def test_damage_is_noticed(tmp_path: Path) -> None:
    publish(tmp_path, "civitai", [{"id": number, "name": "x" * number} for number in range(500)], {})
    path = tmp_path / "models.jsonl.gz"
    good = path.read_bytes()
    path.write_bytes(good[:-20])
    with pytest.raises(CrawlError, match="run the crawl again"):
        list(RawFolder(tmp_path).models())
    path.write_bytes(good[:200] + bytes([good[200] ^ 255]) + good[201:])
    with pytest.raises(CrawlError, match=r"damaged|another digest"):
        list(RawFolder(tmp_path).models())


@pytest.mark.parametrize("text", ["{", "[]", json.dumps({"format": 99})])
def test_a_manifest_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(CrawlError, match=r"manifest\.json is"):
        read_manifest(tmp_path)


def test_models_stream(tmp_path: Path) -> None:
    publish(tmp_path, "civitai", ({"id": number} for number in range(1000)), {})
    stream = RawFolder(tmp_path).models()
    assert next(stream) == {"id": 0}
    assert isinstance(stream, Generator)
    stream.close()
