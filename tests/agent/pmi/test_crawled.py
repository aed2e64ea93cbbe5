"""Sample images of a crawl, fetched from an invented server."""

from __future__ import annotations

import io
from pathlib import Path

import httpx
import pytest
from invented_images import ColourEncoder, picture
from invented_items import image, item, version
from stand_ins import WordEncoder

from diffagent.agent.pmi import crawled
from diffagent.agent.pmi.building import build
from diffagent.agent.pmi.crawled import crawled_examples, is_crawl
from diffagent.agent.pmi.feature_cache import EncoderPair
from diffagent.data.errors import BadInput
from diffagent.data.hubs.raw import RawFolder, publish


def png(number: int) -> bytes:
    stream = io.BytesIO()
    picture("blue", number).save(stream, "PNG")
    return stream.getvalue()


class Server:
    """Answers pictures; the first request of image 12 fails, 13 is gone."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        number = int(request.url.path.strip("/"))
        self.asked.append(number)
        if number == 12 and self.asked.count(12) == 1:
            return httpx.Response(503)
        return httpx.Response(404) if number == 13 else httpx.Response(200, content=png(number))

    def client(self) -> httpx.Client:
        return httpx.Client(transport=httpx.MockTransport(self))


@pytest.fixture
def raw(tmp_path: Path) -> RawFolder:
    images = [image(n, f"a boat {n}", url=f"https://images.test/{n}") for n in range(10, 15)]
    images.append(image(15, url="ftp://elsewhere"))
    folder = tmp_path / "raw"
    folder.mkdir()
    publish(folder, "civitai", [item(1, version(7, *images))], {})
    return RawFolder(folder)


def test_images_are_fetched_once_and_faults_reported(raw: RawFolder, tmp_path: Path) -> None:
    messages: list[str] = []
    server = Server()
    examples = crawled_examples(raw, tmp_path / "kept", messages.append, 4, server.client(), pause=0)
    assert [example.file.stem for example in examples] == ["10", "11", "12"]
    assert {example.model for example in examples} == {"urn:air:sd1:checkpoint:civitai:1@7"}
    assert examples[0].prompt == "a boat 10"
    assert messages == ["https://images.test/13: HTTP 404"]
    assert server.asked == [10, 11, 12, 12, 13]
    crawled_examples(raw, tmp_path / "kept", messages.append, 4, server.client(), pause=0)
    assert server.asked[5:] == [13]


def test_an_endless_answer_is_cut_off(
    raw: RawFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crawled, "MAX_BYTES", 100)
    messages: list[str] = []
    assert not crawled_examples(raw, tmp_path / "kept", messages.append, 1, Server().client(), pause=0)
    assert "more than 100 bytes" in messages[0]


def test_models_that_the_catalog_lacks_are_left_out(raw: RawFolder, tmp_path: Path) -> None:
    examples = crawled_examples(raw, tmp_path / "kept", each=2, client=Server().client(), pause=0)
    messages: list[str] = []
    with pytest.raises(BadInput, match="no image could be read"):
        build(
            examples,
            tmp_path / "x.sqlite",
            EncoderPair(ColourEncoder(), WordEncoder(), "words", "3d" * 32),
            report=messages.append,
        )
    assert "1 models are not in the catalog" in messages[0]


def test_which_folders_are_crawls(raw: RawFolder, tmp_path: Path) -> None:
    assert is_crawl(raw.path)
    assert not is_crawl(tmp_path)
    assert not is_crawl(raw.path / "manifest.json")
