"""``diffagent mcp`` over real standard input and output, asked by the official client."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from mcp import Client, MCPError, StdioServerParameters, stdio_client
from stand_ins import ENTRIES

from diffagent.data.catalog.catalog import Catalog
from diffagent.data.catalog.importing import add_entries
from diffagent.data.encoders.text_encoder import TextEncoder
from diffagent.data.records import T2ICall
from diffagent.serving.cli import main

STAND_IN = Path(__file__).parents[2] / "mcp_stand_in.py"
TOOLS = ["route_prompt", "identify_model", "search_models"]
PNG = "data:image/png;base64,iVBORw0KGgo="

Connect = Callable[..., Any]


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    return tmp_path / "notes.txt"


@pytest.fixture
def connect(catalog_path: Path, notes: Path, tmp_path: Path) -> Connect:
    """A client of a server process on stand-ins; the server's stderr goes into a file."""

    @asynccontextmanager
    async def connected(*options: str, **settings: Any) -> AsyncIterator[Client]:
        arguments = [str(STAND_IN), str(notes), "mcp", "--catalog", str(catalog_path), *options]
        process = StdioServerParameters(command=sys.executable, args=arguments)
        with (tmp_path / "stderr.txt").open("w") as errors:
            async with Client(stdio_client(process, errors), read_timeout_seconds=60, **settings) as client:
                yield client

    return connected


def text(result: Any) -> str:
    (block,) = result.content
    return str(block.text)


async def test_a_session(connect: Connect, notes: Path, tmp_path: Path) -> None:
    """Tools with schemas; a call, structured and as text; errors that say what to do."""
    async with connect() as client:
        listed = (await client.list_tools()).tools
        assert [tool.name for tool in listed] == TOOLS
        for tool in listed:
            Draft202012Validator.check_schema(tool.input_schema)
            Draft202012Validator.check_schema(tool.output_schema)
            assert ":class:" not in tool.model_dump_json()
            assert all(schema["description"] for schema in tool.input_schema["properties"].values())
            assert tool.annotations.read_only_hint
        assert "route_prompt turns a prompt into" in client.instructions

        answer = await client.call_tool("route_prompt", {"prompt": "pixel art of a fox", "seed": 7})
        assert not answer.is_error
        # the client has checked it against the schema
        call = T2ICall.parse(answer.structured_content["call"])
        assert (call.model, call.seed) == ("Tiny Pixels", 7)
        assert json.loads(text(answer)) == answer.structured_content
        assert answer.structured_content["candidates"][0]["model"] == "Tiny Pixels"
        assert answer.structured_content["request"] is None

        for_a1111 = await client.call_tool("route_prompt", {"prompt": "pixel art", "target": "a1111"})
        assert for_a1111.structured_content["request"]["sampler_name"] == "Euler a"

        models = (await client.call_tool("search_models", {"words": "ink"})).structured_content["models"]
        assert [model["model"] for model in models] == ["Ink Fox Style"]
        nothing = (await client.call_tool("search_models", {"words": "zeppelin"})).structured_content
        assert nothing["models"] == []
        assert "try fewer or other words" in nothing["hint"]

        for name, arguments, says in WRONG:
            wrong = await client.call_tool(name, arguments)
            assert wrong.is_error, arguments
            assert wrong.structured_content is None
            assert says in text(wrong)
            assert "\n" not in text(wrong)
            assert "--" not in text(wrong)

        with pytest.raises(MCPError, match=r"no tool 'draw': the tools are route_prompt, identify_model"):
            await client.call_tool("draw", {})
        crashed = await client.call_tool("route_prompt", {"prompt": "boom"})
        assert crashed.is_error
        assert text(crashed) == "route_prompt failed (ZeroDivisionError): the server's stderr says more"
        again = await client.call_tool("route_prompt", {"prompt": "pixel art of a fox", "seed": 7})
        assert again.structured_content["call"] == answer.structured_content["call"]
    assert "Prompt: pixel art of a fox" in notes.read_text()
    errors = (tmp_path / "stderr.txt").read_text()
    assert "noise from a child" in errors
    assert "ZeroDivisionError: a secret path" in errors


WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("route_prompt", {}, "prompt: field required"),
    ("route_prompt", {"prompt": " "}, "the prompt is empty: say what to draw"),
    ("route_prompt", {"prompt": "a fox", "colour": "red"}, "colour: extra inputs are not permitted"),
    ("route_prompt", {"prompt": "a fox", "seed": -1}, "greater than or equal to 0 (given: -1)"),
    ("route_prompt", {"prompt": "a fox", "model": "Tiny Pixel"}, "near: Tiny Pixels"),
    ("route_prompt", {"prompt": "a fox", "base_model": "SD 9"}, "base_model"),
    ("search_models", {"words": "fox", "base_model": "SD 9"}, "SD 9"),
    ("search_models", {"words": "fox", "limit": 0}, "limit"),
    ("identify_model", {"images": []}, "images"),
    ("identify_model", {"images": ["https://example.org/a.png"]}, "save it, and give the file's path"),
    ("identify_model", {"images": [PNG]}, "no image specifications to compare them with: describe"),
]


async def test_images_are_identified_and_the_older_handshake_works(connect: Connect, tmp_path: Path) -> None:
    image = tmp_path / "example.png"
    image.write_bytes(b"\x89PNG\r\n\x1a\n!")
    async with connect("--llm", "seeing", mode="legacy") as client:
        assert [tool.name for tool in (await client.list_tools()).tools] == TOOLS
        arguments = {"images": [str(image), PNG], "limit": 2}
        answer = (await client.call_tool("identify_model", arguments)).structured_content
    assert [candidate["probability"] for candidate in answer["models"]] == [0.25, 0.125]


async def test_calls_at_once_are_answered_in_line_and_who_gives_up_is_never_begun(
    connect: Connect, notes: Path
) -> None:
    def ask(client: Client, prompt: str) -> asyncio.Task[Any]:
        return asyncio.create_task(client.call_tool("route_prompt", {"prompt": prompt}))

    async with connect() as client:
        slow = ask(client, "slow pixel art")
        while not notes.exists():
            await asyncio.sleep(0.01)
        given_up, last = ask(client, "given up"), ask(client, "the last")
        hits = await client.call_tool("search_models", {"words": "ink"})  # waits for none of them
        assert (hits.is_error, slow.done()) == (False, False)
        given_up.cancel()
        answers = await asyncio.gather(slow, last)
    prompts = [answer.structured_content["call"]["prompt"] for answer in answers]
    assert prompts == ["slow pixel art", "the last"]
    assert notes.read_text().splitlines() == ["Prompt: slow pixel art", "Prompt: the last"]


START = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "raw", "version": "0"}}


@pytest.fixture
def raw(catalog_path: Path, notes: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A server process past its handshake, without a client."""
    command = [sys.executable, str(STAND_IN), str(notes), "mcp", "--catalog", str(catalog_path)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe) as server:
        send(server, {"id": 1, "method": "initialize", "params": START})
        assert received(server)["id"] == 1
        send(server, {"method": "notifications/initialized"})
        yield server
        server.kill()


def send(server: subprocess.Popen[bytes], message: dict[str, Any]) -> None:
    assert server.stdin
    server.stdin.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
    server.stdin.flush()


def ask_raw(server: subprocess.Popen[bytes], number: int, prompt: str) -> None:
    called = {"name": "route_prompt", "arguments": {"prompt": prompt}}
    send(server, {"id": number, "method": "tools/call", "params": called})


def received(server: subprocess.Popen[bytes]) -> Any:
    assert server.stdout
    return json.loads(server.stdout.readline())


def test_stdout_carries_the_protocol_only_and_the_end_of_stdin_ends_it(
    raw: subprocess.Popen[bytes], notes: Path
) -> None:
    ask_raw(raw, 2, "pixel art, château 🏰")
    first = received(raw)
    assert first["id"] == 2
    assert "château 🏰" in first["result"]["structuredContent"]["call"]["prompt"]
    ask_raw(raw, 3, "endless pixel art")
    while "endless" not in notes.read_text("utf-8"):
        time.sleep(0.01)
    started = time.perf_counter()
    rest, errors = raw.communicate(timeout=20)
    assert time.perf_counter() - started < 1.8  # after 2 s clients kill
    assert [json.loads(line)["error"]["message"] for line in rest.splitlines()] == ["Connection closed"]
    assert (raw.returncode, b"Traceback" in errors) == (0, False)


def test_an_interrupt_ends_it_at_once(raw: subprocess.Popen[bytes]) -> None:
    raw.send_signal(signal.SIGINT)
    assert raw.wait(5) == 1
    assert raw.stderr
    assert raw.stderr.read().endswith(b"diffagent: interrupted\n")


@pytest.fixture(scope="module")
def small_catalog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The invented entries with specifications by the encoder that ships."""
    path = tmp_path_factory.mktemp("small") / "small.sqlite"
    with Catalog.create(path) as catalog:
        add_entries(catalog, ENTRIES, TextEncoder.load())
    return path


@pytest.mark.wide
async def test_the_real_command_on_a_tiny_llama(small_catalog: Path, tiny_folder: Path) -> None:
    code = "from diffagent.serving.cli import main; main()"
    options = ["--catalog", str(small_catalog), "--llm", str(tiny_folder)]
    home = {name: os.environ[name] for name in ("DIFFAGENT_HOME",) if name in os.environ}
    process = StdioServerParameters(command=sys.executable, args=["-c", code, "mcp", *options], env=home)
    async with Client(process, read_timeout_seconds=120) as client:
        answer = await client.call_tool("route_prompt", {"prompt": "pixel art of a fox, 512x768"})
    call = T2ICall.parse(answer.structured_content["call"])
    assert (call.width, call.height) == (512, 768)
    assert call.model in {entry.card.name for entry in ENTRIES}


Captured = pytest.CaptureFixture[str]


def test_a_wrong_catalog_is_an_error_at_once(capsys: Captured) -> None:
    with pytest.raises(SystemExit) as exit:
        main(["mcp", "--catalog", "/nowhere/c.sqlite"])
    out, err = capsys.readouterr()
    assert (exit.value.code, out) == (1, "")
    assert err.startswith("diffagent: no catalog at /nowhere/c.sqlite")


def test_without_the_extra_the_install_line_is_said(
    capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "mcp.server", None)
    with pytest.raises(SystemExit) as exit:
        main(["mcp"])
    out, err = capsys.readouterr()
    assert (exit.value.code, out) == (1, "")
    assert err == (
        "diffagent: diffagent mcp needs the MCP SDK, which is not installed: pip install 'diffagent[mcp]'\n"
    )
