"""Who may ask, and with how much: keys, hosts, origins, sizes, types; and what the log tells."""

from __future__ import annotations

import io
import json
import logging
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from server_runs import Serve

from diffagent.agent.agent import Agent
from diffagent.data.errors import BadInput
from diffagent.serving.server import logs
from diffagent.serving.server.config import ServerConfig
from diffagent.serving.server.keys import Keys

KEYS = ("a-key-of-enough-letters", "another-key-of-letters")
FOX = {"prompt": "a very secret fox"}


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    path = tmp_path / "keys.txt"
    path.write_text(f"# two keys\n{KEYS[0]}\n\n  {KEYS[1]}  \n")
    return Keys.read(path)


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    """What the server logs, set back afterwards."""
    stream = io.StringIO()
    handler = logs.configure(stream=stream)
    yield stream
    logging.getLogger().removeHandler(handler)
    for name in logs.NAMED:
        logging.getLogger(name).setLevel(logging.NOTSET)


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def test_any_of_the_keys_opens(agent: Agent, serve: Serve, keys: Keys) -> None:
    with serve(agent, keys=keys) as client:
        for key in KEYS:
            assert client.post("/v1/route", json=FOX, headers=bearer(key)).status_code == 200
        for headers in (
            {},
            bearer("wrong"),
            bearer(KEYS[0] + "x"),
            {"Authorization": "Bearer"},
            {"Authorization": KEYS[0]},
        ):
            answer = client.post("/v1/route", json=FOX, headers=headers)
            assert (answer.status_code, answer.json()["error"]["type"]) == (401, "unauthorized")
            assert answer.headers["www-authenticate"] == "Bearer"
        assert client.get("/v1/models").status_code == 401
        assert client.get("/metrics").status_code == 401
        assert client.get("/v1/nowhere").status_code == 401
        assert [client.get(path).status_code for path in ("/", "/healthz", "/readyz")] == [200, 200, 200]


@pytest.mark.parametrize(
    ("text", "says"),
    [("", "no API key"), ("# none\n", "no API key"), ("short\n", "key 1 is not"), ("ü" * 20, "key 1 is not")],
)
def test_a_file_of_keys_is_checked(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "keys.txt"
    path.write_text(text, "utf-8")
    with pytest.raises(BadInput, match=says):
        Keys.read(path)
    with pytest.raises(BadInput, match="cannot be read"):
        Keys.read(tmp_path / "none")


def test_other_machines_need_a_key(keys: Keys) -> None:
    for host in ("0.0.0.0", "::", "192.0.2.7", "example.org"):
        with pytest.raises(BadInput, match="no API key is asked for"):
            ServerConfig(host=host)
        assert ServerConfig(host=host, keys=keys).host == host
    for host in ("127.0.0.1", "127.1.2.3", "::1", "localhost"):
        assert not ServerConfig(host=host).keys


def test_a_page_that_resolves_its_name_to_this_machine_gets_nothing(client: httpx.Client) -> None:
    for host in ("evil.example", "evil.example:8000", "127.0.0.1.evil.example", ""):
        answer = client.post("/v1/route", json=FOX, headers={"Host": host})
        assert (answer.status_code, answer.json()["error"]["type"]) == (403, "forbidden")
    for host in ("localhost", "LOCALHOST:9", "[::1]:80"):
        assert client.get("/healthz", headers={"Host": host}).status_code == 200


def test_foreign_pages_are_refused_unless_they_are_named(agent: Agent, serve: Serve) -> None:
    friend, foe = {"Origin": "https://friend.example"}, {"Origin": "https://foe.example"}
    with serve(agent, origins=("https://friend.example",)) as client:
        headers = {"Origin": str(client.base_url).rstrip("/")}
        assert client.post("/v1/route", json=FOX, headers=headers).status_code == 200
        answer = client.post("/v1/route", json=FOX, headers=friend)
        assert answer.headers["access-control-allow-origin"] == "https://friend.example"
        refused = client.post("/v1/route", json=FOX, headers=foe)
        assert refused.status_code == 403
        assert "access-control-allow-origin" not in refused.headers
        assert client.post("/v1/route", json=FOX, headers={"Origin": "null"}).status_code == 403
        preflight = {
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "content-type",
        }
        assert client.options("/v1/route", headers=friend | preflight).status_code == 200
        assert client.options("/v1/route", headers=foe | preflight).status_code == 400
    with pytest.raises(BadInput, match="is not an origin"):
        ServerConfig(origins=("*",))


def test_bodies_have_a_limit_whether_they_state_their_size_or_not(agent: Agent, serve: Serve) -> None:
    with serve(agent, body_bytes=2000) as client:
        large = {"prompt": "x" * 3000}
        assert client.post("/v1/route", json=large).json()["error"]["type"] == "too_large"

        def stream() -> Iterator[bytes]:
            yield from (b"x" * 900 for _ in range(4))

        headers = {"Content-Type": "application/json"}
        assert client.post("/v1/route", content=stream(), headers=headers).status_code == 413
        assert client.post("/v1/route", json=FOX).status_code == 200


def test_images_have_a_limit(agent: Agent, serve: Serve) -> None:
    with serve(agent, image_bytes=10) as client:
        answer = client.post("/v1/route", json={"prompt": "a fox", "images": ["iVBORw0KGgoAAAAAAAAA"]})
        assert answer.status_code == 400
        assert "more than 10 bytes" in answer.json()["error"]["message"]


def test_a_body_that_does_not_arrive_is_not_waited_for(agent: Agent, serve: Serve) -> None:
    with serve(agent, body_seconds=0.2) as client:
        host, port = client.base_url.host, client.base_url.port
        with socket.create_connection((host, port), timeout=5) as slow:
            head = f"POST /v1/route HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
            slow.sendall(f"{head}Content-Length: 90\r\n\r\n{{".encode())
            assert slow.recv(99).startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/xml", "multipart/form-data", "application/jsonx", ""]
)
def test_other_types_are_refused(client: httpx.Client, kind: str) -> None:
    answer = client.post("/v1/route", content=json.dumps(FOX), headers={"Content-Type": kind})
    assert (answer.status_code, answer.json()["error"]["type"]) == (415, "unsupported_media_type")


def test_logs_are_json_lines_without_prompts(agent: Agent, serve: Serve, logged: io.StringIO) -> None:
    with serve(agent) as client:
        answer = client.post("/v1/route", json=FOX)
        client.post("/v1/route", json={**FOX, "model": "secret model"})
        client.get("/healthz")
    lines = [json.loads(line) for line in logged.getvalue().splitlines()]
    routed, wrong = [line for line in lines if line["event"] == "request"]
    assert routed["id"] == answer.headers["x-request-id"]
    assert (routed["endpoint"], routed["status"]) == ("/v1/route", 200)
    assert (wrong["status"], wrong["error"]) == (400, "unknown_model")
    assert routed["air"] == answer.json()["call"]["air"]
    assert {"ms", "queue_ms", "prefilter_ms", "llm_ms"} <= set(routed)
    assert "secret" not in logged.getvalue()


def test_logs_have_prompts_where_they_are_asked_for(agent: Agent, serve: Serve, logged: io.StringIO) -> None:
    with serve(agent, log_prompts=True) as client:
        client.post("/v1/route", json=FOX)
    assert '"prompt": "a very secret fox"' in logged.getvalue()


def test_what_breaks_is_logged_by_place_and_not_by_message(
    agent: Agent, serve: Serve, logged: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a very secret fox")

    monkeypatch.setattr(agent, "decide", breaks)
    with serve(agent) as client:
        assert client.post("/v1/route", json=FOX).json()["error"]["type"] == "internal"
    (line,) = [json.loads(line) for line in logged.getvalue().splitlines() if '"failed"' in line]
    assert line["error"] == "ZeroDivisionError"
    assert line["at"][-1].endswith(" breaks")
    assert "secret" not in logged.getvalue()
    assert "secret" in logs.JsonLines(messages=True).format(
        logging.LogRecord("x", logging.ERROR, "", 0, "failed", (), (ValueError, ValueError("secret"), None))
    )


def test_pages_may_load_nothing_from_elsewhere(client: httpx.Client) -> None:
    policy = client.get("/").headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
    assert client.get("/docs").status_code == 404
