"""Servers that others use too, that answer from a cache, or heed less than they are sent."""

from __future__ import annotations

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from image_runs import make
from image_servers import Answer, FakeA1111, FakeComfyUI, FakeOpenAI, as_json, picture, serving
from PIL import Image
from target_calls import AURORA, INK_FOX, call_of

from diffagent.agent.executors import images
from diffagent.agent.targets import generation
from diffagent.agent.targets.comfyui import _progress
from diffagent.data.catalog.catalog import Catalog
from diffagent.data.errors import BadInput, JobFailed, Refused
from diffagent.data.records import T2ICall


def event(job: str | None, value: int = 1) -> dict[str, Any]:
    data = {"value": value, "max": 2} | ({} if job is None else {"prompt_id": job})
    return {"type": "progress", "data": data}


@pytest.mark.parametrize(
    ("message", "job", "expected"),
    [
        (event("ours"), "ours", [0.5]),
        (event("theirs"), "ours", []),
        (event("theirs"), None, []),  # before ours has an id
        (event(None), "ours", [0.5]),  # an old server, which tells its own client alone
        ({"type": "progress", "data": None}, "ours", []),
    ],
)
def test_another_clients_steps_are_not_ours(message: Any, job: str | None, expected: list[float]) -> None:
    fractions: list[float | None] = []
    _progress(message, job, lambda what, done: fractions.append(done))
    assert fractions == expected


def test_a1111s_progress_is_that_of_our_own_task(catalog: Catalog, tmp_path: Path) -> None:
    messages: list[str] = []
    server = FakeA1111()
    server.seconds, server.current = 0.2, "task(somebody-else)"

    make("a1111", server, tmp_path / "busy", catalog, said=messages)
    assert any("waits for other jobs" in line for line in messages)
    assert not any("sampling" in line for line in messages)
    server.current = None
    make("a1111", server, tmp_path / "free", catalog, said=messages)
    assert any("sampling" in line for line in messages)


class Cached(FakeComfyUI):
    """Answers a graph that it knows without running it: an empty history, or a file that was deleted."""

    deleted_file = False

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.graphs: list[Any] = []

    def answer(self, method: str, path: str, query: dict[str, str], body: Any) -> Answer:
        if path == "/prompt":
            self.graphs.append(body["prompt"])
        is_known = len(self.graphs) == 1
        if path.startswith("/history/") and is_known and not self.deleted_file:
            status = {"status_str": "success", "completed": True, "messages": []}
            return as_json({path.rsplit("/", 1)[-1]: {"outputs": {}, "status": status}})
        if path == "/view" and is_known:
            return 404, "text/plain", b""
        return super().answer(method, path, query, body)


@pytest.mark.parametrize("deleted_file", [False, True])
def test_a_cached_answer_without_a_picture_is_asked_again_by_another_name(
    deleted_file: bool, catalog: Catalog, tmp_path: Path
) -> None:
    server = Cached()
    server.deleted_file = deleted_file
    assert make("comfyui", server, tmp_path, catalog)
    first, second = server.graphs
    (changed,) = [key for key in first if first[key] != second[key]]
    assert first[changed]["class_type"] == "SaveImage"  # so that nothing else runs anew
    assert second[changed]["inputs"]["filename_prefix"].startswith("diffagent-")


def test_a_server_that_never_gives_a_picture_is_an_error(catalog: Catalog, tmp_path: Path) -> None:
    class Never(Cached):
        def answer(self, method: str, path: str, query: dict[str, str], body: Any) -> Answer:
            self.graphs = self.graphs[:1]
            return super().answer(method, path, query, body)

    with pytest.raises(JobFailed, match="without an image"):
        make("comfyui", Never(), tmp_path, catalog)


def test_a_folder_that_vanishes_meanwhile_is_made_again(catalog: Catalog, tmp_path: Path) -> None:
    folder = tmp_path / "out"

    class Sweeping(FakeA1111):
        def answer(self, method: str, path: str, query: dict[str, str], body: Any) -> Answer:
            if path == "/sdapi/v1/txt2img":
                shutil.rmtree(folder, ignore_errors=True)
            return super().answer(method, path, query, body)

    paths = make("a1111", Sweeping(), folder, catalog, seeds=(1, 2))
    assert [path.exists() for path in paths] == [False, True]
    rows = (folder / "manifest.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(row)["seed"] for row in rows] == [2]


def test_a_picture_of_another_call_is_not_overwritten(catalog: Catalog, tmp_path: Path) -> None:
    (first,) = make("a1111", FakeA1111(), tmp_path, catalog)
    (again,) = make("a1111", FakeA1111(), tmp_path, catalog)
    (other,) = make("a1111", FakeA1111(), tmp_path, catalog, call_of(INK_FOX, prompt="an owl"))
    assert (first.name, again.name, other.name) == ("ink-fox-7.png", "ink-fox-7.png", "ink-fox-7-2.png")
    (tmp_path / "manifest.jsonl").write_text("not ours\n", "utf-8")
    (tmp_path / "ink-fox-7.png").write_bytes(picture(3))  # somebody else's
    (third,) = make("a1111", FakeA1111(), tmp_path, catalog)
    assert third.name == "ink-fox-7-3.png"
    assert (tmp_path / "manifest.jsonl").read_text("utf-8").startswith("not ours\n")


def test_runs_that_share_a_folder_lose_no_row(catalog: Catalog, tmp_path: Path) -> None:
    """Twelve pictures by four runs at once, all of one name."""
    calls = [call_of(INK_FOX, prompt=f"fox {number}") for number in range(12)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda call: make("a1111", FakeA1111(), tmp_path, catalog, call), calls))
    rows = [json.loads(row) for row in (tmp_path / "manifest.jsonl").read_text("utf-8").splitlines()]
    assert len({row["file"] for row in rows}) == 12
    for row in rows:
        assert json.loads(images.read_texts(tmp_path / row["file"])["diffagent"]) == row["call"]


def test_folders_that_cannot_be_are_refused_before_anything_is_made(catalog: Catalog, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", "utf-8")
    server = FakeA1111()
    with pytest.raises(BadInput, match="is a file"):
        make("a1111", server, tmp_path / "file" / "out", catalog)
    assert server.seen == []


def test_metadata_says_only_what_the_server_is_known_to_do(catalog: Catalog, tmp_path: Path) -> None:
    official, other = FakeOpenAI(), FakeOpenAI()
    other.owner = "somebody"
    call = call_of(AURORA)
    (path,) = make("openai", official, tmp_path / "known", catalog, call)
    text = images.read_texts(path)["parameters"]
    assert "Steps: 24" in text
    assert "Negative prompt: blurry, lowres" in text
    (path,) = make("openai", other, tmp_path / "unknown", catalog, call)
    texts = images.read_texts(path)
    assert texts["parameters"].startswith("a fox in the snow\nSize: 512x768")
    assert not {"Steps", "Seed", "CFG", "Negative"} & set(texts["parameters"].replace(":", " ").split())
    lost = json.loads(texts[images.NOT_CARRIED])
    assert {"seed", "sampling_steps", "cfg_scale", "negative_prompt"} < lost.keys()
    assert T2ICall.parse(texts["diffagent"]) == call  # what was asked for
    row = json.loads((path.parent / "manifest.jsonl").read_text("utf-8"))
    assert "does not say that it heeds it" in row["not_carried"]["seed"]


def test_proxies_are_not_asked_for_this_machine(
    catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # discards
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    with serving(FakeA1111()) as url:
        assert generation.generate(call_of(INK_FOX), tmp_path, "a1111", catalog, url=url)


def test_a_proxy_carries_what_is_elsewhere(
    catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Proxy(FakeA1111):
        """Gets whole addresses, as proxies do, and answers for the host behind it."""

    with serving(Proxy()) as proxy:
        for name in ("HTTP_PROXY", "http_proxy"):
            monkeypatch.setenv(name, proxy)
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        url = "http://studio.invalid:7860"
        (path,) = generation.generate(call_of(INK_FOX), tmp_path, "a1111", catalog, url=url)
    with Image.open(path) as image:
        assert image.size == (64, 64)


def test_hordes_own_words_for_a_403_are_not_taken_for_a_wrong_key(catalog: Catalog, tmp_path: Path) -> None:
    from image_servers import FakeHorde

    body = as_json({"message": "This request requires 30 kudos upfront.", "rc": "KudosUpfront"}, 403)
    server = FakeHorde(wrong=lambda number, path: body if path.endswith("/async") else None)
    with pytest.raises(Refused) as error:
        make("horde", server, tmp_path, catalog)
    assert "kudos upfront" in str(error.value)
    assert "AI_HORDE_API_KEY" not in str(error.value)
