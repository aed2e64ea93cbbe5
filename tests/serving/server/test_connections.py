"""Connections of clients that are slow, silent or many, to a real server process over real sockets."""

from __future__ import annotations

import resource
import socket
import statistics
import time
from contextlib import ExitStack, suppress
from pathlib import Path

import httpx
import pytest
from server_runs import ServerProcess, server_process, until

from diffagent.serving.commands.serve import open_listener
from diffagent.serving.server.listener import LastingCondition

HEALTH = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
POST = b"POST /v1/route HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


def seconds_open(client: socket.socket, sends: bytes = b"") -> float:
    """How long the server keeps a connection, while a byte is sent to it every 50 ms."""
    started = time.monotonic()
    client.settimeout(0.05)
    for n in range(200):
        try:
            if not client.recv(65536):
                break
        except TimeoutError:
            pass
        except ConnectionError:
            break
        try:
            client.send(sends[n % len(sends) :][:1] if sends else b"")
        except ConnectionError:
            break
    else:
        return float("inf")
    return time.monotonic() - started


def healthy(server: ServerProcess) -> bool:
    return httpx.get(f"{server.url}/healthz", timeout=10, trust_env=False).status_code == 200


def healthy_soon(server: ServerProcess) -> bool:
    """Whether one of a few requests is answered."""
    for _ in range(5):
        try:
            return healthy(server)
        except httpx.TransportError:
            time.sleep(0.2)
    return False


@pytest.mark.parametrize(
    ("begins", "goes_on"),
    [
        (b"", b""),
        (b"GET /healthz HTTP/1.1\r\nHost: loc", b""),
        (b"", b"a"),
        (HEALTH, b""),
        (HEALTH, b"a"),
        (POST + b"Content-Length: 1000\r\n\r\n{", b" "),
        (POST + b"Content-Length: 1000\r\nOrigin: http://elsewhere\r\n\r\n{", b" "),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
    ],
    ids=["silent", "half a head", "head by bytes", "idle", "next by bytes", "body", "unread body", "chunks"],
)
def test_a_slow_client_is_closed(catalog_path: Path, begins: bytes, goes_on: bytes) -> None:
    with server_process(catalog_path, head_seconds=0.5, idle_seconds=0.5, body_seconds=0.5) as server:
        with server.connect() as client:
            client.sendall(begins)
            assert seconds_open(client, goes_on) < 4
        assert healthy(server)


def test_a_client_that_does_not_read_is_closed(catalog_path: Path) -> None:
    with server_process(catalog_path, stall_seconds=0.5) as server, socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", server.port))
        client.setblocking(False)
        requests = b"GET /page.js HTTP/1.1\r\nHost: localhost\r\n\r\n" * 300
        started = time.monotonic()
        with suppress(ConnectionError):
            while time.monotonic() < started + 8:
                try:
                    client.send(requests)
                except BlockingIOError:
                    time.sleep(0.05)
        assert time.monotonic() < started + 8


def test_a_slow_engine_closes_nothing(catalog_path: Path) -> None:
    """The clocks are the client's: while an answer is made nothing runs out."""
    with server_process(catalog_path, 1.5, head_seconds=0.5, idle_seconds=0.5, stall_seconds=0.5) as server:
        answer = httpx.post(f"{server.url}/v1/route", json={"prompt": "a fox"}, timeout=20, trust_env=False)
        assert answer.status_code == 200


def test_a_new_connection_takes_the_place_of_the_one_that_waits_longest(catalog_path: Path) -> None:
    with server_process(catalog_path, connections=10, head_seconds=60) as server, ExitStack() as stack:
        silent = [stack.enter_context(server.connect()) for _ in range(40)]
        assert healthy(server)
        silent[0].settimeout(5)
        with suppress(ConnectionError):
            assert silent[0].recv(1) == b""
        last = silent[-1]
        last.sendall(HEALTH)
        assert last.recv(100).startswith(b"HTTP/1.1 200")
        assert server.log.count("as many connections as may be") == 1


def test_where_all_are_being_answered_a_new_one_is_told(catalog_path: Path) -> None:
    request = POST + b'Content-Length: 19\r\n\r\n{"prompt": "a fox"}'
    with server_process(catalog_path, 3.0, connections=3) as server, ExitStack() as stack:
        time.sleep(0.2)
        for _ in range(3):
            stack.enter_context(server.connect()).sendall(request)
        time.sleep(0.3)
        with server.connect() as one_more:
            answer = one_more.recv(1000)
        assert answer.startswith(b"HTTP/1.1 503")
        assert b'"busy"' in answer


def test_few_descriptors_are_enough(catalog_path: Path) -> None:
    """A server that may open few files bounds its connections by them, and answers on."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (100, hard))
    try:
        running = server_process(catalog_path)
        server = running.__enter__()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    with ExitStack() as stack:
        stack.push(running)
        for _ in range(300):
            stack.enter_context(server.connect())
        assert healthy_soon(server)  # while the others are being turned away one may be too
        assert len(server.log) < 20_000


def test_without_descriptors_the_log_has_a_line_and_the_server_recovers(catalog_path: Path) -> None:
    with server_process(catalog_path) as server, ExitStack() as stack:
        for _ in range(20):
            stack.enter_context(server.connect()).sendall(HEALTH)
        time.sleep(0.3)
        limits = resource.prlimit(server.pid, resource.RLIMIT_NOFILE)
        ceiling = max(int(path.name) for path in Path(f"/proc/{server.pid}/fd").iterdir()) + 1
        resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (ceiling, limits[1]))
        before, began = len(server.log), processor_seconds(server)
        for _ in range(300):
            stack.enter_context(server.connect())
        time.sleep(2)
        assert "no descriptors left" in server.log
        assert len(server.log) - before < 2_000
        assert processor_seconds(server) - began < 1.0
        resource.prlimit(server.pid, resource.RLIMIT_NOFILE, limits)
        until(lambda: healthy(server), 5)


def processor_seconds(server: ServerProcess) -> float:
    fields = Path(f"/proc/{server.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def test_a_lasting_condition_has_a_line_at_its_beginning_and_one_at_its_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "diffagent.server")
    condition = LastingCondition("full", "fits again", quiet=0.05)
    condition.passes()
    for _ in range(3):
        condition.occurs()
        condition.passes()
    assert caplog.messages == ["full"]
    time.sleep(0.06)
    condition.passes()
    condition.passes()
    condition.occurs()
    assert caplog.messages == ["full", "fits again", "full"]


def test_small_answers_are_sent_at_once(catalog_path: Path) -> None:
    with open_listener("127.0.0.1", 0) as socket_, socket.create_connection(socket_.getsockname()[:2]):
        accepted, _ = socket_.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    with server_process(catalog_path) as server, httpx.Client(base_url=server.url, trust_env=False) as client:
        took = []
        for _ in range(30):
            started = time.perf_counter()
            client.get("/healthz")
            took.append(1e3 * (time.perf_counter() - started))
        print(f"median {statistics.median(took):.2f} ms")
        assert statistics.median(took) < 20  # milliseconds; a delayed acknowledgement takes 40
