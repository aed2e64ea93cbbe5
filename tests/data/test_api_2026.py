"""The API of 2026: what a crawl makes of it, through faults and kills, and what can be called."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import gzip
import json
import os
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pytest
from civitai_2026 import (
    DROPPED,
    Answer,
    Civitai2026,
    Json,
    drawn_file,
    drawn_image,
    drawn_meta,
    drawn_model,
    drawn_version,
    fail,
    listed_model,
    sha,
)
from crawl_runs import COMMAND, crawl_url, files
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from invented_hub import Serve
from invented_items import item, version

from diffagent.data.catalog.cards import entries, survey
from diffagent.data.catalog.filters import REASONS, Funnel, Scope, judge, passing
from diffagent.data.catalog.quality import Quality, low_quality
from diffagent.data.errors import BadInput, CrawlError
from diffagent.data.hubs.answers import Page
from diffagent.data.hubs.civitai import ApiRefusal, CivitaiClient
from diffagent.data.hubs.crawl import CrawlOptions, CrawlSummary, crawl
from diffagent.data.hubs.odd_rows import sound
from diffagent.data.hubs.raw import RawFolder
from diffagent.data.records import Card

FAULTS = {"429": 0.1, "503": 0.1, "html": 0.05, "drop": 0.1, "cut": 0.1, "damaged": 0.1}
T = TypeVar("T")


def ask(hub: Civitai2026, call: Callable[[CivitaiClient], Awaitable[T]], **options: Any) -> T:
    async def run() -> T:
        settings = {"rate": 0, "backoff": 0.001, "transport": hub.transport(), **options}
        async with CivitaiClient("https://civitai.red", **settings) as client:
            return await call(client)

    return asyncio.run(run())


def crawl_hub(hub: Civitai2026, folder: Path, **options: Any) -> CrawlSummary:
    return ask(hub, lambda client: crawl(client, folder, CrawlOptions(**options)))


def models(folder: Path) -> dict[int, Json]:
    return {model["id"]: model for model in RawFolder(folder).models()}


def cards(*items: Json) -> list[Card]:
    return [entry.card for entry in entries(items, survey(items))]


# --- the crawl ------------------------------------------------------------------------------


def test_a_crawl_holds_what_the_api_shows_and_every_images_data(tmp_path: Path) -> None:
    hub = Civitai2026(models_a_page=7)
    summary = crawl_hub(hub, tmp_path)
    rows = models(tmp_path)
    assert (summary.models, summary.images, summary.images_with_meta, summary.odd) == (40, 120, 120, 0)
    version_ = rows[3]["modelVersions"][0]
    assert "createdAt" not in version_
    assert version_["publishedAt"] == "2026-02-05T06:00:00.000Z"
    assert version_["images"][1]["meta"]["civitaiResources"] == [{"type": "checkpoint", "modelVersionId": 12}]
    assert rows[3]["stats"]["tippedAmountCount"] is None
    assert hub.requests_to("models?") == 6
    assert hub.requests_to("images") == 0  # by hash, a hundred versions at a time
    assert RawFolder(tmp_path).manifest["civitai"]["newest"] == "2026-08-27T06:00:00.000Z"


@pytest.mark.parametrize("seed", range(4))
def test_faults_leave_no_trace(tmp_path: Path, seed: int) -> None:
    crawl_hub(Civitai2026(models_a_page=3), tmp_path / "clean")
    hub = Civitai2026(models_a_page=3, faults=FAULTS, seed=seed)
    for _ in range(4):  # a bad day may end a run; the same command goes on
        with contextlib.suppress(CrawlError):
            crawl_hub(hub, tmp_path / "faults")
            break
    assert len(set(hub.broken)) >= 3
    assert files(tmp_path / "faults") == files(tmp_path / "clean")


@pytest.mark.wide
def test_a_killed_crawl_goes_on_without_loss_or_repeats(serve: Serve, tmp_path: Path) -> None:
    def slow(target: str) -> None:
        time.sleep(0.02)

    rows = [drawn_model(number) for number in range(1, 81)]
    hub = Civitai2026(rows, models_a_page=2, meta_in=frozenset({"images"}), wrong=slow)
    url = serve(hub)
    clean, _ = crawl_url(url, tmp_path / "clean")
    hub.seen.clear()
    moments = random.Random(1)
    for _ in range(3):
        command = [*COMMAND, "--url", url, "-o", str(tmp_path / "killed"), "--rate", "0"]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            while process.poll() is None and not (tmp_path / "killed" / "state.sqlite").exists():
                time.sleep(0.01)
            time.sleep(moments.uniform(0.2, 0.6))
            process.send_signal(signal.SIGKILL)
    crawl_url(url, tmp_path / "killed")
    assert files(tmp_path / "killed") == files(tmp_path / "clean")
    # of each kill, only what was under way is asked again: a page, or four questions at once
    assert len(hub.seen) <= clean["requests"] + 3 * 4


def test_cut_connections_of_a_real_server(serve: Serve, tmp_path: Path) -> None:
    faults = iter([DROPPED, (200, {"Content-Type": "application/json", "Content-Length": "900"}, b'{"ite')])
    url = serve(Civitai2026(wrong=lambda target: next(faults, None)))
    assert crawl_url(url, tmp_path)[0]["models"] == 40


def test_retry_after_of_a_deep_page_is_waited_for() -> None:
    times = []

    def busy(target: str) -> Answer | None:
        if "cursor" in target:
            times.append(time.monotonic())
            return fail(503, "overloaded", {"Retry-After": "1"}) if len(times) == 1 else None
        return None

    async def two(client: CivitaiClient) -> Page:
        first = await client.models(limit=2)
        return await client.models(limit=2, cursor=first.cursor)

    assert [row["id"] for row in ask(Civitai2026(wrong=busy), two).items] == [20, 19]
    assert times[1] - times[0] >= 0.99


def test_page_numbers_end_and_their_429_is_one_error() -> None:
    async def deep(client: CivitaiClient) -> object:
        return await client._ask("GET", "/models", {"page": 11, "limit": 100})

    hub = Civitai2026()
    with pytest.raises(CrawlError, match="HTTP 429, again and again"):
        ask(hub, deep)
    hub = Civitai2026([drawn_model(number) for number in range(1, 1500)], models_a_page=100)
    page, count = None, 0

    async def all_pages(client: CivitaiClient) -> None:
        nonlocal page, count
        while page is None or page.cursor is not None:
            page = await client.models(cursor=page.cursor if page else None)
            count += len(page.items)

    ask(hub, all_pages)
    assert count == 1499  # cursors lead past the thousandth


def test_a_refusal_says_what_the_zod_object_says() -> None:
    with pytest.raises(ApiRefusal, match=r'HTTP 400: .*"message": "Too big"'):
        ask(Civitai2026(), lambda client: client.models(limit=500))


def test_since_goes_by_the_day_of_publication(tmp_path: Path) -> None:
    hub = Civitai2026(models_a_page=2)
    crawl_hub(hub, tmp_path, since="2026-08-20")
    dates = [max(v["publishedAt"] for v in m["modelVersions"]) for m in models(tmp_path).values()]
    assert len(dates) == sum(m["modelVersions"][0]["publishedAt"] >= "2026-08-20" for m in hub.models) > 0
    assert min(dates) >= "2026-08-20"
    assert hub.requests_to("models?") < 20


def test_a_second_crawl_asks_one_page(tmp_path: Path) -> None:
    hub = Civitai2026(models_a_page=5)
    crawl_hub(hub, tmp_path)
    before = files(tmp_path)
    assert crawl_hub(hub, tmp_path).requests == 1
    assert files(tmp_path) == before


def test_more_than_ten_images_are_asked_for_in_the_gallery(tmp_path: Path) -> None:
    images = [drawn_image(100 + n, 1 << n % 3, drawn_meta(n)) for n in range(12)]
    hub = Civitai2026([drawn_model(1, drawn_version(12, *images))])
    assert crawl_hub(hub, tmp_path).images_with_meta == 12
    assert hub.requests_to("images") == 1


def test_where_the_gallery_gives_no_data_the_version_does(tmp_path: Path) -> None:
    hub = Civitai2026([drawn_model(1), drawn_model(2)], meta_in=frozenset({"version"}))
    assert crawl_hub(hub, tmp_path).images_with_meta == 6
    assert hub.requests_to("model-versions/12") == hub.requests_to("model-versions/22") == 1


def test_images_without_data_are_not_asked_about(tmp_path: Path) -> None:
    hub = Civitai2026([drawn_model(1, drawn_version(12, drawn_image(5)))])
    crawl_hub(hub, tmp_path)
    assert len(hub.seen) == 1


def test_a_version_that_the_api_cannot_answer_is_set_aside(tmp_path: Path) -> None:
    def timeout(target: str) -> Answer | None:
        return fail(500, "canceling statement due to statement timeout") if "VersionId=22" in target else None

    hub = Civitai2026([drawn_model(n) for n in (1, 2, 3)], meta_in=frozenset({"images"}), wrong=timeout)
    summary = crawl_hub(hub, tmp_path)
    assert (summary.models, summary.gated, summary.images_with_meta) == (3, 1, 6)
    assert RawFolder(tmp_path).manifest["civitai"]["gated"] == [22]


def test_an_api_that_is_down_ends_the_run_and_loses_nothing(tmp_path: Path) -> None:
    down = True

    def sometimes(target: str) -> Answer | None:
        return fail(503, "down") if down and "/images" in target else None

    hub = Civitai2026(meta_in=frozenset({"images"}), wrong=sometimes)
    with pytest.raises(CrawlError, match="again and again"):
        crawl_hub(hub, tmp_path / "a")
    down = False
    assert crawl_hub(hub, tmp_path / "a").gated == 0
    crawl_hub(Civitai2026(), tmp_path / "b")
    assert files(tmp_path / "a") == files(tmp_path / "b")


def test_other_endpoints() -> None:
    hub = Civitai2026([drawn_model(1), drawn_model(2)])
    digest = sha("drawn22.safetensors")
    model = ask(hub, lambda client: client.model(2))
    assert model is not None
    assert model["name"] == "Drawn 2 灯台"
    assert ask(hub, lambda client: client.model(9)) is None
    version_ = ask(hub, lambda client: client.version(22))
    assert version_ is not None
    assert [image["id"] for image in version_["images"]] == [2200, 2201, 2203]  # out of their URLs
    for value in (digest[:10], sha("drawn22.safetensors3")[:12]):
        found = ask(hub, partial(CivitaiClient.version_by_hash, value=value))
        assert found is not None
        assert found["id"] == 22
    assert "Sketch" in ask(hub, lambda client: client.enums())["ModelType"]


def test_ids_by_hash_are_one_request() -> None:
    hub = Civitai2026()
    many = [sha(f"drawn{number * 10 + 2}.safetensors").lower() for number in range(1, 300)]
    ids = ask(hub, lambda client: client.ids_by_hash(many))
    assert ids[many[4].upper()] == [(5, 52)]
    assert (len(ids), len(hub.seen)) == (40, 1)


def test_types_that_came_later_are_looked_up(tmp_path: Path) -> None:
    hub = Civitai2026([drawn_model(1, type="Sketch"), drawn_model(2)])
    crawl_hub(hub, tmp_path / "a", types=("Sketch",))
    assert list(models(tmp_path / "a")) == [1]
    with pytest.raises(BadInput, match="no model type 'Drawing': the API's are Checkpoint, TextualInversion"):
        crawl_hub(hub, tmp_path / "b", types=("Drawing",))


# --- odd rows -------------------------------------------------------------------------------


def odd_rows() -> list[Any]:
    faulty_row = copy.deepcopy(listed_model(drawn_model(7)))
    faulty_row["modelVersions"][0]["images"][0]["id"] = {"not": "a number"}
    faulty_row["modelVersions"][0]["files"].append("a file")
    tags = listed_model(drawn_model(5)) | {"tags": {"0": "a"}}
    flag = listed_model(drawn_model(6)) | {"nsfw": "no"}
    numbers = [{"id": 10**40, "type": "LORA"}, {"id": True}, {}]
    return [None, "row", 7, [], *numbers, faulty_row, tags, flag]


def test_odd_rows_are_dropped_with_their_reasons(tmp_path: Path) -> None:
    hub = Civitai2026([drawn_model(1), drawn_model(2)], models_a_page=1, rows={0: odd_rows()})
    summary = crawl_hub(hub, tmp_path / "a")
    assert list(models(tmp_path / "a")) == [1, 2, 7]
    assert RawFolder(tmp_path / "a").manifest["civitai"]["odd"] == {
        "file: no object": 1, "image: id": 1, "model: id": 3, "model: nsfw": 1, "model: tags": 1,
        "row: no object": 4,
    }  # fmt: skip
    assert summary.odd == 11
    crawl_hub(hub, tmp_path / "a")
    faulty = Civitai2026(hub.models, models_a_page=1, rows=hub.rows, faults=FAULTS, seed=2)
    crawl_hub(faulty, tmp_path / "b")
    assert files(tmp_path / "b") == files(tmp_path / "a")


def test_numbers_that_no_program_keeps_end_nothing(tmp_path: Path) -> None:
    text = json.dumps({"items": [listed_model(drawn_model(1))], "metadata": {"totalItems": "many"}})
    text = text.replace('"commentCount": 2', '"commentCount": 1e999, "a": NaN, "b": 1' + "0" * 5000)
    body = (200, {"Content-Type": "application/json"}, text.encode())
    hub = Civitai2026([drawn_model(1)], wrong=lambda target: body if "/models?" in target else None)
    crawl_hub(hub, tmp_path)
    assert models(tmp_path)[1]["stats"]["commentCount"] is None


def test_cursors_that_lead_round_in_a_circle_are_noticed(tmp_path: Path) -> None:
    def circle(target: str) -> Answer:
        following = "b" if "cursor=a" in target else "a"
        text = json.dumps({"items": [], "metadata": {"nextCursor": following}})
        return 200, {"Content-Type": "application/json"}, text.encode()

    with pytest.raises(CrawlError, match="in a circle"):
        crawl_hub(Civitai2026(wrong=circle), tmp_path)


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


def places(row: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The path of every field of a row, however deep."""
    inner = row.items() if isinstance(row, dict) else enumerate(row) if isinstance(row, list) else ()
    for key, value in inner:
        yield (*path, key)
        yield from places(value, (*path, key))


FULL = listed_model(
    drawn_model(3, drawn_version(31, drawn_image(1, 1)), drawn_version(32, drawn_image(2, 2)))
)
for _image in (image for version_ in FULL["modelVersions"] for image in version_["images"]):
    _image["meta"] = drawn_meta(1) | {"hashes": {"LORA:a": "0xabcdef1234"}, "extra": {"resources": []}}
PLACES = sorted(places(FULL), key=repr)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(st.sampled_from(PLACES), VALUES), min_size=1, max_size=3))
def test_any_value_in_any_field_ends_nothing(changes: list[tuple[tuple[str | int, ...], object]]) -> None:
    row = copy.deepcopy(FULL)
    for path, value in changes:
        inner: Any = row
        try:
            for key in path[:-1]:
                inner = inner[key]
            inner[path[-1]] = value
        except (TypeError, KeyError, IndexError, ValueError):
            continue
    funnel, good = Funnel(), listed_model(drawn_model(1))
    summary = survey([row, good], Scope(), funnel)
    catalog_entries = list(entries([row, good], summary))
    assert catalog_entries[-1].card.name == "Drawn 1 灯台"
    assert funnel.models == 2
    assert len(catalog_entries) + funnel.dropped.total() >= 2
    assert set(funnel.dropped) <= set(REASONS)


@given(VALUES)
def test_anything_in_place_of_a_row_is_an_odd_row(value: Any) -> None:
    assert judge(value).reason == "odd row"
    assert judge({**FULL, "modelVersions": [value]}).reason in ("no version", "base model", "odd row")


# --- what can be called ---------------------------------------------------------------------


def listed(number: int = 1, *versions: Json, **changes: Any) -> Json:
    return listed_model(drawn_model(number, *versions, **changes))


def test_a_model_of_today_passes_with_what_it_says() -> None:
    (card,) = cards(listed(4, drawn_version(42, drawn_image(1, 1, drawn_meta(1))), type="LORA"))
    assert card.air == "urn:air:sdxl:lora:civitai:4@42"
    assert card.created_at == "2026-02-15T06:00:00.000Z"
    assert card.stats.downloads == 40
    assert (card.stats.ratings, card.stats.rating) == (5, 1 + 4 * 4 / 5)  # four thumbs up, one down


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"nsfw": True}, "nsfw"),
        ({"minor": True}, "minor"),
        ({"poi": True}, "real person"),
        ({"mode": "Archived"}, "archived"),
        ({"mode": "TakenDown"}, "taken down"),
        ({"availability": "Private"}, "private"),
        ({"type": "Workflows"}, "type"),
        ({"sfwOnly": True}, None),
        ({"stats": {"downloadCount": None, "thumbsUpCount": None}}, None),
        ({"creator": None, "tags": []}, None),
    ],
)
def test_why_a_model_is_dropped(changes: Json, reason: str | None) -> None:
    assert judge(listed(1, **changes)).reason == reason


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"availability": "EarlyAccess"}, "early access"),
        ({"availability": None, "earlyAccessEndsAt": "2999-01-01T00:00:00.000Z"}, "early access"),
        ({"availability": None, "earlyAccessDeadline": "2999-01-01T00:00:00.000Z"}, "early access"),
        ({"earlyAccessEndsAt": "2026-01-01T00:00:00.000Z"}, None),
        ({"paidAccess": {"price": 500}}, "paid access"),
        ({"paidAccess": None}, None),
        ({"usageControl": "Generation"}, "generation only"),
        ({"usageControl": "InternalGeneration"}, "generation only"),
        ({"usageControl": None}, None),
        ({"availability": "Private"}, "private"),
        ({"baseModelType": "Inpainting"}, "inpainting"),
        ({"baseModelType": "Refiner"}, "another task"),
        ({"nsfwLevel": 1 | 8}, None),
        ({"nsfwLevel": 2}, None),
        ({"nsfwLevel": 4 | 8 | 16}, "nsfw version"),
        ({"nsfwLevel": 0}, "nsfw version"),
        ({"nsfwLevel": 32}, "nsfw version"),
        ({"files": [drawn_file("a.safetensors", metadata={"format": "GGUF"})]}, "not safetensors"),
        ({"files": [drawn_file("q4.gguf")]}, "not safetensors"),
        ({"files": [drawn_file("e.safetensors", hashes={"SHA256": sha("")})]}, "no sha256"),
        ({"files": [drawn_file("t.safetensors", type="Text Encoder")]}, "no model file"),
    ],
)
def test_why_a_version_is_dropped(changes: Json, reason: str | None) -> None:
    verdict = judge(listed(1, drawn_version(12, **changes)))
    assert verdict.reason == reason
    assert verdict.versions == ({reason: 1} if reason else {})


def test_status_is_that_of_a_version_by_itself() -> None:
    assert judge(item(1, version(2, status="Published"))).reason is None
    assert judge(item(1, version(2, status="Draft"))).reason == "not published"


def test_what_cannot_be_had_stays_in_the_crawl_and_is_counted(tmp_path: Path) -> None:
    hub = Civitai2026([
        drawn_model(1), drawn_model(2, mode="Archived"), drawn_model(3, mode="TakenDown"),
        drawn_model(4, drawn_version(42, usageControl="Generation")),
        drawn_model(5, drawn_version(52, availability="EarlyAccess")), drawn_model(6, minor=True),
    ])  # fmt: skip
    crawl_hub(hub, tmp_path)
    assert list(models(tmp_path)) == [1, 2, 3, 4, 5, 6]
    funnel = Funnel()
    assert [row["id"] for row, _ in passing(RawFolder(tmp_path).models(), Scope(), funnel)] == [1]
    assert funnel.to_json()["dropped"] == {
        "minor": 1, "taken down": 1, "archived": 1, "generation only": 1, "early access": 1,
    }  # fmt: skip


def test_an_older_version_answers_where_the_newest_cannot() -> None:
    newest = drawn_version(19, availability="EarlyAccess")
    mature = drawn_version(18, drawn_image(8, 4), drawn_image(9, 8))
    clean = drawn_version(17, drawn_image(5, 1), drawn_image(6, 2))
    verdict = judge(listed(1, newest, mature, clean))
    assert [version_.version["id"] for version_ in verdict.passed] == [17]
    assert verdict.versions == {"early access": 1, "nsfw version": 1}


def test_the_newest_is_the_last_published() -> None:
    versions = [drawn_version(12, publishedAt="2026-05-01"), drawn_version(13, publishedAt="2026-03-01")]
    assert judge(listed(1, *versions)).passed[0].version["id"] == 12


def test_only_images_of_pg_and_pg13_are_samples() -> None:
    images = [
        drawn_image(n, level) for n, level in ((1, 1), (2, 2), (3, 4), (4, 8), (5, 16), (6, 32), (7, 0))
    ]
    images += [drawn_image(8, 1, minor=True), drawn_image(9, 1, poi=True), drawn_image(10, 1, type="video")]
    row = listed(1, drawn_version(12, *images))
    for image in row["modelVersions"][0]["images"]:
        image["meta"] = drawn_meta(1)
    reasons: Counter[str] = Counter()
    (entry,) = entries([row], survey([row]), dropped=reasons)
    assert [sample.image_id for sample in entry.samples] == [1, 2]
    assert reasons == {"nsfw image": 7, "no image": 1}


@pytest.mark.parametrize(
    ("kind", "file_type", "air"),
    [
        ("LoCon", "Model", "urn:air:sdxl:lycoris:civitai:1@12"),
        ("DoRA", "Model", "urn:air:sdxl:dora:civitai:1@12"),
        ("LORA", "Model", "urn:air:sdxl:lora:civitai:1@12"),
        ("Checkpoint", "Pruned Model", "urn:air:sdxl:checkpoint:civitai:1@12"),
    ],
)
def test_the_air_says_what_kind_of_model_it_is(kind: str, file_type: str, air: str) -> None:
    (card,) = cards(
        listed(1, drawn_version(12, files=[drawn_file("a.safetensors", type=file_type)]), type=kind)
    )
    assert card.air == air
    assert card.type == ("Checkpoint" if kind == "Checkpoint" else "LoRA")


@pytest.mark.parametrize(
    ("base", "file_type", "kind"),
    [
        ("Flux.1 D", "Diffusion Model", "diffusionmodel"),
        ("ZImageTurbo", "UNet", "unet"),
        ("Flux.1 D", "Model", "checkpoint"),
        ("SDXL 1.0", "UNet", None),
        ("Illustrious", "Diffusion Model", None),
    ],
)
def test_a_file_without_its_parts_is_a_model_where_the_base_model_runs_in_parts(
    base: str, file_type: str, kind: str | None
) -> None:
    file = drawn_file("a.safetensors", type=file_type)
    row = listed(1, drawn_version(12, files=[file], baseModel=base))
    assert [card.air.split(":")[3] for card in cards(row)] == ([kind] if kind else [])
    assert judge(row).reason == (None if kind else "no model file")


@pytest.mark.parametrize(
    ("base", "ecosystem"),
    [("Pony", "sdxl"), ("Illustrious", "sdxl"), ("NoobAI", "sdxl"), ("Pony V7", "auraflow"),
     ("Flux.1 D", "flux1"), ("Flux.2 Klein 4B", "flux2"), ("ZImageTurbo", "zimageturbo"), ("Qwen", "qwen"),
     ("Anima", "anima"), ("Chroma", "chroma")],
)  # fmt: skip
def test_what_the_table_runs_becomes_an_entry(base: str, ecosystem: str) -> None:
    (card,) = cards(listed(1, drawn_version(12, baseModel=base), type="LORA"))
    assert (card.base_model, card.air) == (base, f"urn:air:{ecosystem}:lora:civitai:1@12")


def test_of_several_files_the_one_that_every_server_loads() -> None:
    files_ = [
        drawn_file("x-Q4.gguf", metadata={"format": "GGUF", "quantType": "Q4_K_M"}),
        drawn_file("x-nf4.safetensors", metadata={"format": "SafeTensor", "fp": "nf4"}),
        drawn_file("ae.safetensors", type="VAE"), drawn_file("t5.safetensors", type="Text Encoder"),
        drawn_file("x.safetensors", metadata={"format": "SafeTensor", "fp": "bf16"}),
    ]  # fmt: skip
    row = listed(1, drawn_version(12, files=files_))
    for file in row["modelVersions"][0]["files"]:
        file.pop("primary", None)
    assert judge(row).passed[0].file["name"] == "x.safetensors"


def test_a_hash_of_nothing_is_nobodys() -> None:
    file = drawn_file("a.safetensors")
    file["hashes"]["AutoV3"] = "E3B0C44298FC"
    (card,) = cards(listed(1, drawn_version(12, files=[file])))
    assert "e3b0c44298fc" not in card.hashes
    assert file["hashes"]["SHA256"].lower() in card.hashes


# --- counts ---------------------------------------------------------------------------------


def test_hidden_downloads_are_unknown_not_none() -> None:
    stats = {"downloadCount": None, "thumbsUpCount": 90, "thumbsDownCount": 10, "tippedAmountCount": None}
    hidden = [drawn_version(n, stats={"downloadCount": None, "thumbsUpCount": 1}) for n in (12, 13)]
    (card,) = cards(listed(1, *hidden, stats=stats))
    assert (card.stats.downloads, card.stats.hidden) == (0, True)
    assert card.stats.ratings == 100
    assert card.stats.rating == pytest.approx(4.6)
    (card,) = cards(listed(1, drawn_version(12, stats={"downloadCount": 7}), drawn_version(13), stats=stats))
    assert (card.stats.downloads, card.stats.hidden) == (7 + 13, False)


def test_the_quality_filter_goes_by_thumbs_and_spares_hidden_counts() -> None:
    def model(number: int, downloads: int | None, up: int, down: int) -> Json:
        counts = {"downloadCount": downloads, "thumbsUpCount": up, "thumbsDownCount": down}
        return listed(number, drawn_version(number * 10, stats={}), stats=counts)

    rows = [model(1, 10, 50, 0), model(2, 900, 50, 0), model(3, 800, 10, 40), model(4, None, 50, 0)]
    low = low_quality(survey(rows).standings, Quality(0.5, 0.25))
    assert low == {
        "urn:air:sdxl:checkpoint:civitai:1@10": "few downloads",
        "urn:air:sdxl:checkpoint:civitai:3@30": "low rating",
    }


@pytest.mark.parametrize(
    ("permission", "level"),
    [("Sell", "Sell"), ("None", None), (["Image", "RentCivit", "Rent", "Sell"], "Sell"),
     (["Image", "RentCivit"], "Image"), (["RentCivit"], None), ("{Image,RentCivit}", "Image"),
     ('{"Image","Rent"}', "Rent"), ("{RentCivit}", None), ("{}", None), ([], None)],
)  # fmt: skip
def test_commercial_use_in_three_shapes(permission: str | list[str], level: str | None) -> None:
    assert cards(listed(1, allowCommercialUse=permission))[0].licence.commercial == level


@pytest.mark.parametrize(
    ("base", "level"),
    [("Flux.1 D", None), ("Flux.1 Krea", None), ("SDXL Turbo", None), ("Flux.1 S", "Sell"), ("Qwen", "Sell")],
)
def test_a_base_models_licence_may_forbid_what_an_uploader_allows(base: str, level: str | None) -> None:
    row = listed(1, drawn_version(12, baseModel=base), allowCommercialUse=["Image", "Sell"])
    assert cards(row)[0].licence.commercial == level


def test_sound_rows_are_left_as_they_are() -> None:
    row = listed(1)
    assert sound(row) is row
    mended = sound({**row, "id": "17"})
    assert mended is not None
    assert mended["id"] == 17


def test_the_items_of_july_2025_become_entries() -> None:
    path = Path(os.environ.get("DIFFAGENT_DATA") or "nowhere") / "hub2026" / "civitai_items.jsonl.gz"
    if not path.is_file():
        pytest.skip("needs the shared data: set DIFFAGENT_DATA to its folder")
    with gzip.open(path, "rb") as lines:
        rows = [json.loads(line) for line in lines]
    funnel = Funnel()
    counts = Counter((version_.type, version_.base_model) for _, version_ in passing(rows, Scope(), funnel))
    assert counts == {
        ("LoRA", "Illustrious"): 304, ("Checkpoint", "NoobAI"): 21, ("LoRA", "NoobAI"): 7,
        ("LoRA", "SDXL 1.0"): 1,
    }  # fmt: skip
    assert funnel.to_json() == {
        "models": 340, "dropped": {"type": 1, "nsfw version": 5, "early access": 1}, "kept": 333,
        "entries": 333, "dropped_versions": {"nsfw version": 7, "early access": 1},
    }  # fmt: skip
