"""Bodies that are small as text and large as objects: refused before anything is built, and nobody waits."""

from __future__ import annotations

import base64
import contextlib
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from pydantic import BaseModel, ValidationError
from server_runs import ServerProcess, error_of, probed, server_process
from stand_ins import ENTRIES, WordEncoder

from diffagent.agent.choosing.scope import ChoiceScope
from diffagent.data.catalog.catalog import Catalog
from diffagent.data.catalog.importing import add_entries
from diffagent.data.errors import BadInput, UnknownModel
from diffagent.serving.batch.rows import open_source
from diffagent.serving.json_bounds import JsonBounds
from diffagent.serving.tools import identify, route, search
from diffagent.serving.wording import wrong_arguments

MEGABYTE = 2**20
MANY = 2_000_000
FOX = {"prompt": "a fox"}
HEAD = b"POST /v1/route HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


def ones() -> list[int]:
    return [1] * MANY


def names() -> dict[str, int]:
    return {f"k{n}": 1 for n in range(MANY // 4)}


def word() -> str:
    return "B" * (8 * MEGABYTE)


def chat_body(content: object, **fields: object) -> dict[str, object]:
    return {"messages": [{"role": "user", "content": content}], **fields}


HOSTILE: dict[str, tuple[str, Callable[[], object]]] = {
    "images": ("/v1/route", lambda: {**FOX, "images": ones()}),
    "extra names": ("/v1/route", lambda: FOX | names()),
    "identify": ("/v1/identify", lambda: {"images": ones()}),
    "emit": ("/v1/emit", lambda: {"target": "a1111", "call": {"model": "m", **names()}}),
    "long emit": ("/v1/emit", lambda: {"target": "a1111", "call": {"model": word()}}),
    "messages": ("/v1/chat/completions", lambda: {"messages": ones()}),
    "parts": ("/v1/chat/completions", lambda: chat_body(ones())),
    "tools": ("/v1/chat/completions", lambda: chat_body("a fox", tools=ones())),
    "unread": ("/v1/chat/completions", lambda: chat_body("a fox", unread=ones())),
    "content": ("/v1/chat/completions", lambda: chat_body(word())),
    "base model": ("/v1/route", lambda: {**FOX, "base_model": word()}),
    "model": ("/v1/route", lambda: {**FOX, "model": word()}),
    "type": ("/v1/route", lambda: {**FOX, "type": word()}),
    "target": ("/v1/route", lambda: {**FOX, "target": word()}),
    "deep": ("/v1/images/generations", lambda: "[" * MANY),
    "digits": ("/v1/images/generations", lambda: '{"n": ' + "1" * MANY),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    path = tmp_path_factory.mktemp("bodies") / "invented.sqlite"
    with Catalog.create(path) as catalog:
        add_entries(catalog, ENTRIES, WordEncoder())
    with server_process(path) as running:
        yield running


@pytest.mark.parametrize("name", HOSTILE)
def test_it_is_refused_at_once(server: ServerProcess, name: str) -> None:
    path, make = HOSTILE[name]
    body = make()
    text = body if isinstance(body, str) else json.dumps(body)
    before = server.peak_megabytes
    with probed(server) as health:
        started = time.perf_counter()
        answer = httpx.post(
            server.url + path,
            content=text.encode(),
            headers={"Content-Type": "application/json"},
            timeout=120,
            trust_env=False,
        )
        took = time.perf_counter() - started
    status, kind, _ = error_of(answer)
    assert (status, kind) in ((400, "bad_input"), (400, "bad_prompt"))
    assert len(answer.content) < 1000
    assert took < 2
    assert max(health.took, default=0) < 400  # milliseconds; about 20 on a machine with nothing else to do
    assert server.peak_megabytes - before < 150


def test_what_people_send_is_answered(server: ServerProcess) -> None:
    picture = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(5 * MEGABYTE)).decode()
    turns = [{"role": "user", "content": [{"type": "text", "text": "a fox"}]}] * 900
    schema = {
        "type": "object",
        "properties": {f"p{n}": {"type": "string", "enum": ["a"] * 5} for n in range(200)},
    }
    tools = [{"type": "function", "function": {"name": f"tool{n}", "parameters": schema}} for n in range(5)]
    with httpx.Client(base_url=server.url, timeout=60, trust_env=False) as client:
        chat = client.post("/v1/chat/completions", json={"messages": turns, "tools": tools})
        assert chat.status_code == 200
        with probed(server) as health:
            response = client.post("/v1/identify", json={"images": [picture] * 4})
        assert response.status_code == 200
        assert max(health.took, default=0) < 400
        assert client.post("/v1/route", json={"prompt": "a fox", "images": ["x"] * 7}).status_code == 400


BOUNDS = JsonBounds(values=5, depth=2, members=2, string=4, number=3)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[1,2,3,4]", ""),
        ("[1,2,3,4,5]", "more than 5 values"),
        ("[,,,,,,,", "more than 5 values"),
        ("[[1]]", ""),
        ("[[[1]]]", "deeper than 2"),
        ('{"a":1,"b":2}', ""),
        ('{"":1,"a",2,}', "more than 2 members"),
        (r'["\"\""]', ""),
        (r'["\"\"a"]', "text of more than 4"),
        ('["aaaaa"]', "text of more than 4"),
        (r'"\\"', ""),
        ("123", ""),
        ("1234", "more than 3 digits"),
        ('"abc', ""),
        ("]" * 9, ""),
        ("", ""),
        ("1\0", "NUL"),
    ],
)
def test_bounds_are_counted(text: str, says: str) -> None:
    if says:
        with pytest.raises(BadInput, match=says):
            BOUNDS.check(text.encode())
    else:
        BOUNDS.check(text.encode())


def test_a_string_hides_nothing() -> None:
    """Brackets and commas within strings are text, and what follows an escaped quote is text still."""
    text = json.dumps({"a": '[[[["\\' + ",,,,", "b": [1]}).encode()
    JsonBounds(values=6, depth=2).check(text)
    with pytest.raises(BadInput):
        JsonBounds(values=4, depth=2).check(text)


@pytest.mark.parametrize(
    "text", ["[" + " " * 2**23, '"' + r"\"" * 2**22, ":" * 2**23, "]" * 2**23, '"' * 2**23]
)
def test_bounds_take_linear_time(text: str) -> None:
    started = time.perf_counter()
    with contextlib.suppress(BadInput):
        JsonBounds(string=2**24).check(text.encode())
    assert time.perf_counter() - started < 1


def test_a_body_of_tiny_chunks_holds_nobody_up(server: ServerProcess) -> None:
    head = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
    with server.connect() as client, probed(server) as health:
        client.sendall(head + b"1\r\n \r\n" * 100_000 + b"2\r\n{}\r\n0\r\n\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 400")
    assert max(health.took, default=0) < 400


def test_bodies_that_are_held_are_bounded(catalog_path: Path) -> None:
    with server_process(catalog_path, held_bytes=3 * MEGABYTE, head_seconds=2) as server:
        head = HEAD + b"Content-Length: 2000000\r\n\r\n"
        with server.connect() as first, server.connect() as second:
            first.sendall(head + b" " * 1_999_999)
            time.sleep(0.3)
            second.sendall(head + b" " * 1_999_999)
            assert second.recv(100).startswith(b"HTTP/1.1 503")
            first.sendall(b" ")
            assert first.recv(100).startswith(b"HTTP/1.1 400")
        with server.connect() as third:
            third.sendall(head + b" " * 2_000_000)
            assert third.recv(100).startswith(b"HTTP/1.1 400")


def test_a_line_of_a_batch_is_bounded(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({**FOX, "images": ones()}) + "\n" + json.dumps(FOX) + "\n")
    started = time.perf_counter()
    first, second = open_source(str(path))
    assert time.perf_counter() - started < 2
    assert (first.fault, second.options["prompt"]) == (
        "the line holds more than 50,000 values: send fewer",
        "a fox",
    )


@pytest.mark.parametrize(
    "arguments", [route.RouteArguments, search.SearchArguments, identify.IdentifyArguments]
)
def test_arguments_of_tools_are_bounded(arguments: type[BaseModel]) -> None:
    """They come as objects, so what is bounded is what is made of them: one fault a list, short texts."""
    fields = {name: word() for name in arguments.model_fields} | {
        "images": ones(),
        "prompt": "a fox",
        "target_url": None,
    }
    started = time.perf_counter()
    with pytest.raises(ValidationError) as raised:
        arguments.model_validate(fields)
    assert len(wrong_arguments(raised.value, ["prompt"])) < 2000
    assert time.perf_counter() - started < 1
    assert raised.value.error_count() <= len(fields)  # one a list


def test_options_are_short_before_they_are_compared() -> None:
    assert ChoiceScope(base_model="SD 1.5", type="LoRA") == ChoiceScope(base_model="sd 1.5", type="lora")
    with pytest.raises(BadInput, match="base_model has 8,388,608 characters"):
        ChoiceScope(base_model=word())
    with pytest.raises(BadInput, match="type has 101"):
        ChoiceScope(type="a" * 101)


def test_long_names_are_not_looked_up(catalog_path: Path) -> None:
    with Catalog.open(catalog_path) as catalog:
        started = time.perf_counter()
        for find in (catalog.by_name, catalog.by_air, catalog.by_hash, catalog.by_file):
            assert find("\ufdfa" * 2**20) is None
        assert catalog.search("\ufdfa" * 2**20) == []
        with pytest.raises(UnknownModel, match="1,048,576 characters"):
            catalog.find("\ufdfa" * 2**20)
        assert time.perf_counter() - started < 0.2
