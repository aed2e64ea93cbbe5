"""The crawl as a user sees it: the same bytes whatever happened, and few requests."""

from __future__ import annotations

import asyncio
import gzip
import json
import random
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
from crawl_runs import COMMAND, DATA, crawl_url, files
from invented_hub import Answer, Hub, Serve, fail, invented_model

from diffagent.data.errors import BadInput, CrawlError
from diffagent.data.hubs.civitai import CivitaiClient
from diffagent.data.hubs.crawl import CrawlOptions, CrawlSummary, crawl
from diffagent.data.hubs.crawl_state import CrawlState
from diffagent.data.hubs.raw import RawFolder

FAULTS = "429=0.05,503=0.03,html=0.02,drop=0.02,slow=0.01,truncate=0.01"


def crawl_hub(hub: Hub, folder: Path, *, key: str | None = None, **options: Any) -> CrawlSummary:
    async def run() -> CrawlSummary:
        transport = hub.transport()
        async with CivitaiClient(
            "http://127.0.0.1", rate=0, backoff=0.001, key=key, transport=transport
        ) as client:
            return await crawl(client, folder, CrawlOptions(**options))

    return asyncio.run(run())


def build(raw: Path, out: Path) -> dict[str, bytes]:
    """Builds DABench without the embeddings; its files."""
    subprocess.run(build_command(raw, out), check=True, capture_output=True)
    return files(out)


def build_command(raw: Path, out: Path) -> list[str]:
    return [*DATA, "build", str(raw), "-o", str(out), "--no-novel"]


def models(folder: Path) -> dict[int, dict[str, Any]]:
    return {model["id"]: model for model in RawFolder(folder).models()}


# --- what a crawl holds ---------------------------------------------------------------------


def test_every_image_carries_its_generation_data(tmp_path: Path) -> None:
    summary = crawl_hub(Hub(models_a_page=7), tmp_path)
    rows = models(tmp_path)
    assert list(rows) == list(range(1, 31))
    assert rows[3]["modelVersions"][1]["images"][0]["meta"] == {
        "prompt": "a thing, number 320", "steps": 20, "Model hash": "AbC123", "Model": "m",
    }  # fmt: skip
    assert rows[3]["modelVersions"][1]["images"][1]["meta"] is None
    assert (summary.models, summary.changed, summary.images_with_meta) == (30, 30, 54)


def test_both_shapes_and_every_way_to_ask_give_the_same_bytes(tmp_path: Path) -> None:
    ways = {"models": {"models"}, "hash": {"by-hash", "images"}, "images": {"images"}}
    hubs = {name: Hub(meta_in=frozenset(where)) for name, where in ways.items()}
    for name, hub in hubs.items():
        crawl_hub(hub, tmp_path / name)
    assert files(tmp_path / "models") == files(tmp_path / "hash") == files(tmp_path / "images")
    assert {name: len(hub.seen) for name, hub in hubs.items()} == {"models": 1, "hash": 2, "images": 56}


def test_only_versions_that_can_have_data_are_asked_for(tmp_path: Path) -> None:
    row = invented_model(1)
    row["modelVersions"][0]["images"] = []
    stub = {**invented_model(2), "nsfw": True}
    hub = Hub(models=[row, stub, invented_model(3)], meta_in=frozenset({"images"}))
    crawl_hub(hub, tmp_path)
    requests = [line for line in hub.seen if "/images?" in line]
    assert sorted(line.split("modelVersionId=")[1].split("&")[0] for line in requests) == ["12", "31", "32"]


def test_versions_that_the_hash_does_not_find_are_asked_for_alone(tmp_path: Path) -> None:
    odd = invented_model(2)
    odd["modelVersions"][0]["files"] = []
    hub = Hub(models=[invented_model(1), odd])
    crawl_hub(hub, tmp_path)
    assert models(tmp_path)[2]["modelVersions"][0]["images"][0]["meta"]["prompt"] == "a thing, number 210"
    assert hub.requests_to("images") == 1


def test_types_and_limit_and_since_narrow(tmp_path: Path) -> None:
    assert models_of(crawl_hub(Hub(), tmp_path / "a", types=("LORA",)), tmp_path / "a") == {
        4, 8, 12, 16, 20, 24, 28,
    }  # fmt: skip
    assert models_of(crawl_hub(Hub(), tmp_path / "b", limit=3), tmp_path / "b") == {28, 29, 30}
    since = crawl_hub(Hub(models_a_page=2), tmp_path / "c", since="2030-01-27")
    assert models_of(since, tmp_path / "c") == {26, 27, 28, 29, 30}
    assert since.requests < 6


def models_of(summary: CrawlSummary, folder: Path) -> set[int]:
    ids = set(models(folder))
    assert len(ids) == summary.models
    return ids


@pytest.mark.parametrize("wrong", [{"types": ()}, {"since": "yesterday"}, {"limit": 0}])
def test_options_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(BadInput):
        CrawlOptions(**wrong)


def test_half_surrogates_and_odd_numbers_do_no_harm(tmp_path: Path) -> None:
    item = {**invented_model(1), "name": "NAME", "stats": {"rating": float("nan")}}
    body = json.dumps({"items": [item], "metadata": {}}).replace("NAME", "\\ud83d \\u2028 \\u0000")
    odd = (200, {"Content-Type": "application/json"}, body.encode())
    hub = Hub(wrong=lambda number, path: odd if "/models?" in path else None)
    crawl_hub(hub, tmp_path)
    assert models(tmp_path)[1]["name"] == "? \u2028 \0"
    assert models(tmp_path)[1]["stats"] == {"rating": None}


# --- again ----------------------------------------------------------------------------------


def test_a_second_crawl_asks_one_page_and_leaves_the_files_alone(tmp_path: Path) -> None:
    hub = Hub(models_a_page=5)
    crawl_hub(hub, tmp_path)
    before, times = files(tmp_path), {p.name: p.stat().st_mtime_ns for p in tmp_path.glob("m*")}
    second = crawl_hub(hub, tmp_path)
    assert (second.requests, second.changed) == (1, 0)
    assert files(tmp_path) == before
    assert {p.name: p.stat().st_mtime_ns for p in tmp_path.glob("m*")} == times


def test_a_second_crawl_fetches_only_what_is_new_or_changed(tmp_path: Path) -> None:
    hub = Hub(models_a_page=5)
    crawl_hub(hub, tmp_path / "a")
    new, changed = invented_model(300), invented_model(30)
    changed["modelVersions"][0]["updatedAt"] = "2031-01-01T00:00:00.000Z"
    changed["modelVersions"][0]["images"][0]["meta"] = {"prompt": "another thing"}
    hub.models = [changed if old["id"] == 30 else old for old in hub.models] + [new]
    hub.seen.clear()
    hub.meta_in = frozenset({"images"})
    second = crawl_hub(hub, tmp_path / "a")
    assert second.changed == 2
    assert hub.requests_to("models?") == 2  # the page with news, and the first without
    assert hub.requests_to("images") == 3  # two versions of the new model, one of the changed one
    fresh = crawl_hub(hub, tmp_path / "b")
    assert second.digest == fresh.digest


def test_download_counts_are_no_change(tmp_path: Path) -> None:
    hub = Hub()
    crawl_hub(hub, tmp_path)
    hub.models = [{**old, "stats": {"downloadCount": 10**6}} for old in hub.models]
    second = crawl_hub(hub, tmp_path)
    assert (second.requests, second.changed) == (1, 0)
    assert models(tmp_path)[1]["stats"] == {"downloadCount": 10**6}
    assert models(tmp_path)[1]["modelVersions"][0]["images"][0]["meta"] is not None


def test_since_lists_on_past_known_pages(tmp_path: Path) -> None:
    hub = Hub(models_a_page=5)
    crawl_hub(hub, tmp_path)
    hub.models[0]["name"] = "Renamed"  # the oldest model, on the last page
    assert crawl_hub(hub, tmp_path).changed == 0
    assert crawl_hub(hub, tmp_path, since="2030-01-01").changed == 1
    assert models(tmp_path)[1]["name"] == "Renamed"


def test_a_narrower_crawl_can_be_widened(tmp_path: Path) -> None:
    hub = Hub(models_a_page=5)
    crawl_hub(hub, tmp_path / "a", limit=7)
    crawl_hub(hub, tmp_path / "a")
    crawl_hub(Hub(), tmp_path / "b")
    assert files(tmp_path / "a") == files(tmp_path / "b")


def test_other_types_need_another_folder(tmp_path: Path) -> None:
    crawl_hub(Hub(), tmp_path)
    with pytest.raises(BadInput, match="holds a crawl of Checkpoint, LORA"):
        crawl_hub(Hub(), tmp_path, types=("LORA",))


# --- what goes wrong ------------------------------------------------------------------------


def test_a_gated_version_is_recorded_and_skipped_and_asked_again_with_a_key(tmp_path: Path) -> None:
    def gate(number: int, path: str) -> Answer | None:
        return fail(401) if "modelVersionId=31&" in path else None

    hub = Hub(meta_in=frozenset({"images"}), wrong=gate)
    summary = crawl_hub(hub, tmp_path)
    assert summary.gated == 1
    assert RawFolder(tmp_path).manifest["civitai"]["gated"] == [31]
    assert models(tmp_path)[3]["modelVersions"][0]["images"][0]["meta"] is None
    assert sum("modelVersionId=31&" in line for line in hub.seen) == 3
    hub.wrong = lambda number, path: None
    assert crawl_hub(hub, tmp_path).requests == 1  # without a key there is no point
    assert crawl_hub(hub, tmp_path, key="a-key").gated == 0
    assert models(tmp_path)[3]["modelVersions"][0]["images"][0]["meta"]["prompt"] == "a thing, number 310"


def test_a_stale_cursor_starts_the_listing_again_and_loses_nothing(tmp_path: Path) -> None:
    class Cut(Exception):
        pass

    def cut(number: int, path: str) -> Answer | None:
        if number == 4:
            raise Cut
        return None

    hub = Hub(models_a_page=5, wrong=cut)
    with pytest.raises(Cut):
        crawl_hub(hub, tmp_path / "a")
    with pytest.raises(CrawlError, match="not finished"):
        RawFolder(tmp_path / "a")
    hub.wrong = lambda number, path: None
    hub.cursors = "other"
    hub.seen.clear()
    crawl_hub(hub, tmp_path / "a")
    assert hub.requests_to("models?") == 7  # the stale one, then all six
    crawl_hub(Hub(), tmp_path / "b")
    assert files(tmp_path / "a") == files(tmp_path / "b")


def test_a_stale_cursor_on_an_update_does_not_hide_later_pages(tmp_path: Path) -> None:
    class Cut(Exception):
        pass

    def cut(number: int, path: str) -> Answer | None:
        if number == 2:
            raise Cut
        return None

    hub = Hub(models_a_page=2)
    crawl_hub(hub, tmp_path / "a")
    hub.models = [*hub.models, *(invented_model(number) for number in range(200, 206))]
    hub.wrong = cut
    hub.seen.clear()
    with pytest.raises(Cut):
        crawl_hub(hub, tmp_path / "a")
    hub.wrong = lambda number, path: None
    hub.cursors = "other"
    assert crawl_hub(hub, tmp_path / "a").changed == 6
    assert set(models(tmp_path / "a")) >= set(range(200, 206))


def test_a_wrong_address_is_one_clear_error(tmp_path: Path) -> None:
    page = (404, {"Content-Type": "text/html"}, b"<html></html>")
    with pytest.raises(CrawlError, match="HTTP 404: no such page: is it the base URL"):
        crawl_hub(Hub(wrong=lambda number, path: page), tmp_path)


def test_two_crawls_into_one_folder_are_refused(tmp_path: Path) -> None:
    with CrawlState(tmp_path), pytest.raises(CrawlError, match="being crawled into"):
        crawl_hub(Hub(), tmp_path)


def test_a_damaged_state_is_named(tmp_path: Path) -> None:
    (tmp_path / "state.sqlite").write_bytes(b"no database at all" * 100)
    with pytest.raises(CrawlError, match=r"state\.sqlite is damaged .* delete it"):
        crawl_hub(Hub(), tmp_path)


def test_the_key_is_written_nowhere(serve: Serve, tmp_path: Path) -> None:
    hub = Hub()
    _, output = crawl_url(serve(hub), tmp_path, CIVITAI_API_KEY="top-secret-key")
    assert hub.headers[0]["authorization"] == "Bearer top-secret-key"
    assert b"top-secret" not in b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"top-secret" not in gzip.decompress((tmp_path / "models.jsonl.gz").read_bytes())
    assert "top-secret" not in output


# --- killed ---------------------------------------------------------------------------------


def kill_again_and_again(command: Sequence[str], sign: Path, times: int, longest: float, seed: int) -> None:
    """Starts the command and kills it (SIGKILL) a random time after ``sign`` is there; ``times`` over."""
    moments = random.Random(seed)
    for _ in range(times):
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            while process.poll() is None and not sign.exists():
                time.sleep(0.01)
            time.sleep(moments.uniform(0.2, longest))
            process.send_signal(signal.SIGKILL)


def kill_crawls(url: str, folder: Path, times: int, longest: float, seed: int) -> None:
    command = [*COMMAND, "--url", url, "-o", str(folder), "--rate", "0"]
    kill_again_and_again(command, folder / "state.sqlite", times, longest, seed)


@pytest.mark.wide
def test_killed_at_random_moments_the_bytes_are_the_same(serve: Serve, tmp_path: Path) -> None:
    def slow(number: int, path: str) -> None:
        time.sleep(0.01)

    many = [invented_model(number) for number in range(1, 101)]
    hub = Hub(models=many, models_a_page=4, meta_in=frozenset({"images"}), wrong=slow)
    url = serve(hub)
    crawl_url(url, tmp_path / "clean")
    kill_crawls(url, tmp_path / "killed", 3, 1.0, seed=3)
    crawl_url(url, tmp_path / "killed")
    assert files(tmp_path / "killed") == files(tmp_path / "clean")


@pytest.mark.wide
def test_the_whole_snapshot_killed_ten_times(replay: Callable[..., str], tmp_path: Path) -> None:
    url = replay()
    crawl_url(url, tmp_path / "clean")
    kill_crawls(url, tmp_path / "killed", 10, 6, seed=10)
    crawl_url(url, tmp_path / "killed")
    assert files(tmp_path / "killed") == files(tmp_path / "clean")
    built = tmp_path / "built"
    kill_again_and_again(build_command(tmp_path / "killed", built), built / "train.jsonl.part", 3, 12, seed=3)
    assert build(tmp_path / "killed", built) == build(tmp_path / "clean", tmp_path / "at once")


@pytest.mark.parametrize("moment", ["part", "renamed"])
def test_killed_while_writing_the_reader_notices_and_the_next_crawl_repairs(
    tmp_path: Path, moment: str
) -> None:
    crawl_hub(Hub(), tmp_path / "clean")
    crawl_hub(Hub(models=Hub().models[:20]), tmp_path / "a")
    if moment == "part":
        (tmp_path / "a" / "models.jsonl.gz.part").write_bytes(b"half")
    else:
        (tmp_path / "a" / "models.jsonl.gz").write_bytes(
            (tmp_path / "clean" / "models.jsonl.gz").read_bytes()
        )
        with pytest.raises(CrawlError, match="run the crawl again"):
            list(RawFolder(tmp_path / "a").models())
    crawl_hub(Hub(), tmp_path / "a")
    assert files(tmp_path / "a") == files(tmp_path / "clean")


# --- the shared replay ----------------------------------------------------------------------


@pytest.mark.wide
def test_shapes_faults_and_updates_against_the_replay(replay: Callable[..., str], tmp_path: Path) -> None:
    few = ("--limit-models", "200")
    clean, _ = crawl_url(replay(*few), tmp_path / "2026")
    inline, _ = crawl_url(replay(*few, "--shape", "2023"), tmp_path / "2023")
    assert inline["digest"] == clean["digest"]
    assert inline["requests"] < clean["requests"] <= 15
    second, _ = crawl_url(replay(*few), tmp_path / "2026")
    assert (second["requests"], second["changed"]) == (1, 0)
    url = replay(*few, "--seed", "5", "--faults", "429=0.02,html=0.1,drop=0.2,truncate=0.1")
    faulty, _ = crawl_url(url, tmp_path / "faults")
    assert faulty["digest"] == clean["digest"]
    assert sum(httpx.get(f"{url}/_stats").json()["faults"].values()) > 0


@pytest.mark.wide
def test_the_rate_holds_against_the_replay(replay: Callable[..., str], tmp_path: Path) -> None:
    url = replay("--limit-models", "600")
    crawl_url(url, tmp_path, "--rate", "10")
    assert httpx.get(f"{url}/_stats").json()["max_per_second"] <= 11


@pytest.mark.wide
def test_the_whole_snapshot_through_faults(replay: Callable[..., str], tmp_path: Path) -> None:
    clean, _ = crawl_url(replay(), tmp_path / "clean")
    faulty, _ = crawl_url(replay("--seed", "7", "--faults", FAULTS), tmp_path / "faults")
    inline, _ = crawl_url(replay("--shape", "2023"), tmp_path / "2023")
    assert clean["digest"] == faulty["digest"] == inline["digest"]
    assert build(tmp_path / "faults", tmp_path / "b") == build(tmp_path / "clean", tmp_path / "a")
    assert clean["requests"] < 300
    assert clean["seconds"] < 120
