"""The client on the wire: pace, patience, and what it makes of each kind of answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any, TypeVar

import httpx
import pytest
from invented_hub import Answer, Hub, fail

from diffagent.data.errors import BadInput, CrawlError, GatedItem
from diffagent.data.hubs.answers import Page, bare_hash, flat_meta
from diffagent.data.hubs.civitai import ApiRefusal, CivitaiClient, api_host
from diffagent.data.retries import retry_after

HTML: Answer = (200, {"Content-Type": "text/html"}, b"<html>maintenance</html>")
TRUNCATED: Answer = (200, {"Content-Type": "application/json", "Content-Length": "99"}, b'{"items": [')
DAMAGED: Answer = (200, {"Content-Type": "application/json"}, b'{"items": [')
EMPTY: Answer = (200, {"Content-Type": "application/json"}, b'{"items": [], "metadata": {}}')
T = TypeVar("T")


def ask(hub: Hub, call: Callable[[CivitaiClient], Awaitable[T]], **options: Any) -> T:
    """What ``call(client)`` answers, without waiting between tries."""

    async def run() -> T:
        settings = {"rate": 0, "backoff": 0.001, "transport": hub.transport(), **options}
        async with CivitaiClient("http://127.0.0.1", **settings) as client:
            return await call(client)

    return asyncio.run(run())


@pytest.mark.parametrize("bad", [HTML, TRUNCATED, DAMAGED, (503, {}, b""), (429, {}, b""), (500, {}, b"")])
def test_a_fault_of_the_moment_is_asked_again(bad: Answer) -> None:
    hub = Hub(wrong=lambda number, path: bad if number < 4 else None)
    page = ask(hub, lambda client: client.models())
    assert len(page.items) == 30
    assert len(hub.seen) == 4


def test_dropped_connections_are_asked_again() -> None:
    def drop_twice(request: httpx.Request) -> httpx.Response:
        calls.append(request)
        if len(calls) < 3:
            raise httpx.RemoteProtocolError("Server disconnected without sending a response.")
        return httpx.Response(200, headers=EMPTY[1], content=EMPTY[2])

    async def run() -> Page:
        transport = httpx.MockTransport(drop_twice)
        async with CivitaiClient("http://127.0.0.1", rate=0, backoff=0.001, transport=transport) as client:
            return await client.models()

    calls: list[httpx.Request] = []
    assert asyncio.run(run()).items == []
    assert len(calls) == 3


def test_a_fault_that_stays_is_one_clear_error() -> None:
    hub = Hub(wrong=lambda number, path: HTML)
    with pytest.raises(CrawlError, match="text/html instead of JSON, again and again; run the same command"):
        ask(hub, lambda client: client.models())
    assert len(hub.seen) == 5


def test_retry_after_holds_back_every_request() -> None:
    times = []

    def too_many_at_first(number: int, path: str) -> Answer | None:
        times.append(time.monotonic())
        return fail(429, Retry_After="1") if number == 1 else None

    async def three(client: CivitaiClient) -> None:
        first = asyncio.create_task(client.models())
        await asyncio.sleep(0.1)
        await asyncio.gather(first, client.models(), client.models())

    ask(Hub(wrong=too_many_at_first), three)
    assert len(times) == 4
    assert min(times[1:]) - times[0] >= 0.99


def test_retry_after_is_a_number_or_a_date() -> None:
    assert retry_after({"Retry-After": "3"}) == 3
    soon = datetime.now(UTC) + timedelta(seconds=20)
    assert retry_after({"Retry-After": format_datetime(soon, usegmt=True)}) == pytest.approx(20, abs=2)
    assert retry_after({"Retry-After": "later"}) is None
    assert retry_after({}) is None


def test_an_hour_of_waiting_is_left_to_the_user() -> None:
    hub = Hub(wrong=lambda number, path: fail(429, Retry_After="3600"))
    with pytest.raises(CrawlError, match="3600 s: run again then"):
        ask(hub, lambda client: client.models())
    assert len(hub.seen) == 1


def test_the_rate_is_kept() -> None:
    times = []
    hub = Hub(wrong=lambda number, path: times.append(time.monotonic()))

    async def twelve(client: CivitaiClient) -> None:
        await asyncio.gather(*(client.models() for _ in range(12)))

    ask(hub, twelve, rate=20, concurrency=6)
    assert len(times) == 12
    assert times[-1] - times[0] >= 11 / 20 - 0.02


def test_no_more_requests_at_once_than_allowed() -> None:
    running, most = 0, 0

    async def slow(request: httpx.Request) -> httpx.Response:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.01)
        running -= 1
        return httpx.Response(200, headers=EMPTY[1], content=EMPTY[2])

    async def run() -> None:
        transport = httpx.MockTransport(slow)
        async with CivitaiClient("http://127.0.0.1", rate=0, concurrency=3, transport=transport) as client:
            await asyncio.gather(*(client.models() for _ in range(20)))

    asyncio.run(run())
    assert most == 3


def test_a_gated_item_is_tried_three_times() -> None:
    hub = Hub(wrong=lambda number, path: fail(401))
    with pytest.raises(GatedItem, match="set CIVITAI_API_KEY"):
        ask(hub, lambda client: client.images(1))
    assert len(hub.seen) == 3


def test_what_asking_again_cannot_change_is_refused_at_once() -> None:
    hub = Hub(wrong=lambda number, path: fail(400))
    with pytest.raises(ApiRefusal, match="HTTP 400: no") as error:
        ask(hub, lambda client: client.models())
    assert error.value.status == 400
    assert len(hub.seen) == 1


def test_a_redirect_is_not_followed() -> None:
    hub = Hub(wrong=lambda number, path: fail(301, Location="https://elsewhere.example"))
    with pytest.raises(ApiRefusal, match=r"redirects to https://elsewhere\.example$") as error:
        ask(hub, lambda client: client.models(), key="a-key")
    assert error.value.hint == "give that host as --url"
    assert len(hub.seen) == 1


def test_images_ask_for_meta_on_every_page_and_unwrap_it() -> None:
    hub = Hub(images_a_page=2)
    metas = ask(hub, lambda client: client.images(11))
    assert metas == {
        110: {"prompt": "a thing, number 110", "steps": 20, "Model hash": "AbC123", "Model": "m"},
        111: None,
        112: None,
    }
    assert len(hub.seen) == 2
    assert all("withMeta=true" in line and "modelVersionId=11" in line for line in hub.seen)


def test_images_stop_when_the_wanted_are_there() -> None:
    hub = Hub(images_a_page=1)
    assert ask(hub, lambda client: client.images(11, image_ids={110, 111})).keys() == {110, 111}
    assert len(hub.seen) == 2


def test_versions_by_hash_are_matched_by_their_files() -> None:
    hub = Hub()
    ours, shared, unknown = f"0x{11:064x}", "F" * 64, "E" * 64
    matches = ask(hub, lambda client: client.versions_by_hash([ours, shared, unknown]))
    assert [version["id"] for version in matches[f"{11:064X}"]] == [11]
    assert len(matches["F" * 64]) == 60  # everything ships the same VAE
    assert "E" * 64 not in matches


def test_versions_by_hash_go_a_hundred_to_a_request_and_need_sha256() -> None:
    hub = Hub()
    ask(hub, lambda client: client.versions_by_hash(f"{number:064x}" for number in range(250)))
    assert len(hub.seen) == 3
    with pytest.raises(BadInput, match="'ABC123' is not a SHA-256"):
        ask(hub, lambda client: client.versions_by_hash(["abc123"]))


def test_one_version_by_hash() -> None:
    hub = Hub()
    version_ = ask(hub, lambda client: client.version_by_hash(f"0x{12:064x}"))
    assert version_ is not None
    assert version_["id"] == 12
    assert ask(hub, lambda client: client.version_by_hash("ABCDEF")) is None
    with pytest.raises(BadInput, match="is not a hash"):
        ask(hub, lambda client: client.version_by_hash("../../models"))


def test_the_key_travels_in_the_header_only() -> None:
    hub = Hub()
    ask(hub, lambda client: client.models(), key="secret-key")
    assert hub.headers[0]["authorization"] == "Bearer secret-key"
    assert "secret-key" not in hub.seen[0]


@pytest.mark.parametrize(
    ("url", "key", "message"),
    [
        ("ftp://civitai.com", None, "not a web address"),
        ("civitai.com", None, "not a web address"),
        ("http://[::1", None, "not a web address"),
        ("https://user:pw@civitai.com", None, "CIVITAI_API_KEY"),
        ("https://civitai.com/?token=x", None, "CIVITAI_API_KEY"),
        ("http://civitai.com", "a-key", "not encrypted"),
        ("https://civitai.com", "two\nlines", "copy it again"),
    ],
)
def test_bad_addresses_and_keys_are_refused(url: str, key: str | None, message: str) -> None:
    with pytest.raises(BadInput, match=message) as error:
        CivitaiClient(url, key=key)
    assert key is None or key not in str(error.value)


def test_the_base_url_may_name_the_api() -> None:
    assert api_host("https://civitai.com/api/v1/") == "https://civitai.com"
    assert api_host("http://127.0.0.1:8123") == "http://127.0.0.1:8123"


def test_a_cursor_that_leads_to_itself_ends_the_listing() -> None:
    loop = (200, {"Content-Type": "application/json"}, b'{"items": [], "metadata": {"nextCursor": "x"}}')
    with pytest.raises(CrawlError, match="leads to itself"):
        ask(Hub(wrong=lambda number, path: loop), lambda client: client.models(cursor="x"))


def test_the_cursor_can_be_inside_next_page_only() -> None:
    url = b"http://elsewhere.example/api/v1/models?limit=1&cursor=a%3Db"
    answer = (
        200,
        {"Content-Type": "application/json"},
        b'{"items": [], "metadata": {"nextPage": "%s"}}' % url,
    )
    page = ask(Hub(wrong=lambda number, path: answer), lambda client: client.models())
    assert page.cursor == "a=b"


def test_generation_data_has_one_form() -> None:
    nested = {
        "id": 7,
        "meta": {"prompt": "a corgi", "hashes": {"model": "0Xab"}, "resources": [{"hash": "0xcd"}]},
    }
    assert flat_meta(nested) == {
        "prompt": "a corgi",
        "hashes": {"model": "ab"},
        "resources": [{"hash": "cd"}],
    }
    assert flat_meta({"id": 7, "meta": None}) is None
    assert flat_meta("prompt") is None
    assert flat_meta({"Model": {"name": "n", "hash": "0x1"}}) == {"Model": "n", "Model hash": "1"}
    assert bare_hash("0xAb12") == "AB12"
    assert bare_hash(None) == ""
