"""Readiness that looks, and answers that tell nothing of the server's files."""

from __future__ import annotations

import json
import sqlite3
import tempfile
from pathlib import Path

import httpx
import pytest
from server_runs import error_of, server_process, until

from diffagent.data import errors
from diffagent.data.catalog.catalog import Catalog
from diffagent.data.errors import BadCatalog, BadInput, DiffAgentError, Unreachable
from diffagent.data.weights.weights import home
from diffagent.serving.server.faults import fault_of, response_of

NAMED = {"prompt": "a fox", "model": "Ink Fox"}


def damage(path: Path) -> None:
    """Overwrites all but the first page, as a disk or a copy that broke off does."""
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(24)
        file.write(b"\xa5" * 4)  # how often the file was changed
        file.seek(4096)
        file.write(b"\xa5" * (size - 4096))


def check_all(catalog: Catalog) -> None:
    for _ in range(len(catalog)):
        catalog.check()


def test_a_damaged_catalog_is_not_ready_and_shows_no_path(catalog_path: Path) -> None:
    with server_process(catalog_path) as server, httpx.Client(base_url=server.url, trust_env=False) as client:
        assert client.get("/readyz").json() == {"status": "ready"}
        damage(catalog_path)
        until(lambda: client.get("/readyz").status_code == 503, 5)
        answers = [client.get("/readyz"), client.post("/v1/route", json=NAMED)]
        assert [error_of(answer)[:2] for answer in answers] == [(503, "not_ready"), (500, "bad_catalog")]
        for answer in answers:
            assert "its operator imports it again" in answer.text
            assert str(catalog_path.parent) not in answer.text
            assert catalog_path.name not in answer.text
        assert client.get("/healthz").status_code == 200
        lines = [json.loads(line) for line in server.log.splitlines()]
        messages = [line["message"] for line in lines if line["event"] == "not ready"]
        assert all(message.startswith(str(catalog_path)) for message in messages)
        assert 1 <= len(messages) <= 2
        assert [line["message"] for line in lines if line.get("error") == "bad_catalog"]


def test_a_catalog_that_is_back_is_ready(catalog_path: Path) -> None:
    whole = catalog_path.read_bytes()
    with server_process(catalog_path) as server, httpx.Client(base_url=server.url, trust_env=False) as client:
        catalog_path.write_bytes(b"no catalog")
        until(lambda: client.get("/readyz").status_code == 503, 5)
        catalog_path.write_bytes(whole)
        until(lambda: client.get("/readyz").status_code == 200, 15)


def test_the_check_reads_another_entry_each_time(catalog_path: Path) -> None:
    with Catalog.open(catalog_path) as catalog:
        check_all(catalog)
        check_all(catalog)
    with sqlite3.connect(catalog_path) as connection:
        connection.execute("DELETE FROM names WHERE entry_id = (SELECT max(id) FROM entries)")
    connection.close()
    with Catalog.open(catalog_path) as catalog, pytest.raises(BadCatalog, match="no name"):
        check_all(catalog)


OF_OURS = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type)
    and issubclass(kind, DiffAgentError)
    and not issubclass(kind, errors.TargetError)
]


@pytest.mark.parametrize("kind", OF_OURS)
def test_no_answer_holds_a_path_of_the_server(kind: type[DiffAgentError]) -> None:
    folders = [Path.home(), Path.cwd(), Path(tempfile.gettempdir()), home()]
    for folder in folders:
        answer = response_of(fault_of(kind(f"{folder}/secret/catalog.sqlite is damaged: import it again")))
        assert str(folder).encode() not in answer.body
        assert len(json.loads(bytes(answer.body))["error"]["message"]) > 20


def test_what_is_not_of_the_server_stays() -> None:
    assert str(fault_of(BadInput("take the call from /v1/route"))) == "take the call from /v1/route"
    message = "http://127.0.0.1:7860/sdapi/v1/txt2img does not answer"
    assert json.loads(bytes(response_of(fault_of(Unreachable(message))).body))["error"]["message"] == message
    assert fault_of(OSError(f"{Path.home()}/x")).kind == "internal"
