"""The fault matrix: what a target's server can do wrong, the error it becomes, and nothing half-written."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from image_runs import EXECUTORS, SERVERS, make
from image_servers import DROP, HANG, HTML, ImageServer, as_json, black, closed_port, picture

from diffagent.agent.executors.wire import server_url
from diffagent.data.catalog.catalog import Catalog
from diffagent.data.errors import BadInput, Censored, JobFailed, Refused, TargetError, Unreachable

SUBMITS = {
    "a1111": "/sdapi/v1/txt2img",
    "comfyui": "/prompt",
    "horde": "/api/v2/generate/async",
    "civitai": "/v2/consumer/workflows",
    "openai": "/v1/images/generations",
}
FIRST = {**SUBMITS, "a1111": "/sdapi/v1/sd-models"}


def fails(target: str, server: ImageServer, tmp_path: Path, catalog: Catalog, **options: Any) -> TargetError:
    """The error of a run that leaves nothing behind."""
    with pytest.raises(TargetError) as caught:
        make(target, server, tmp_path / "out", catalog, **options)
    files = list((tmp_path / "out").rglob("*")) if (tmp_path / "out").exists() else []
    assert files == []
    message = str(caught.value)
    assert "\n" not in message
    assert "a-key" not in message
    return caught.value


@pytest.mark.parametrize("target", SERVERS)
def test_nothing_answers(
    target: str, catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = closed_port()
    monkeypatch.setitem(EXECUTORS, target, lambda url, kind=EXECUTORS[target], **o: kind(address, **o))
    error = fails(target, SERVERS[target](), tmp_path, catalog)
    assert type(error) is Unreachable
    assert "nothing answers" in str(error)
    assert "5 times" in str(error)


@pytest.mark.parametrize("target", SERVERS)
def test_a_web_page_in_place_of_the_api(target: str, catalog: Catalog, tmp_path: Path) -> None:
    server = SERVERS[target](wrong=lambda number, path: HTML)
    error = fails(target, server, tmp_path, catalog)
    assert type(error) is Unreachable
    assert "text/html instead of JSON" in str(error)


@pytest.mark.parametrize("target", SERVERS)
@pytest.mark.parametrize("value", [{}, []], ids=["object", "list"])
def test_json_of_something_else(target: str, value: Any, catalog: Catalog, tmp_path: Path) -> None:
    server = SERVERS[target](wrong=lambda number, path: as_json(value))
    error = fails(target, server, tmp_path, catalog)
    assert type(error) in (Unreachable, JobFailed, Refused)


@pytest.mark.parametrize("target", SERVERS)
def test_another_server_without_the_api(target: str, catalog: Catalog, tmp_path: Path) -> None:
    server = SERVERS[target](wrong=lambda number, path: (404, "text/html", b"<html>no</html>"))
    assert "no such API" in str(fails(target, server, tmp_path, catalog))


@pytest.mark.parametrize("target", SERVERS)
def test_busy_servers_are_asked_again(target: str, catalog: Catalog, tmp_path: Path) -> None:
    busy: list[str] = []

    def wrong(number: int, path: str) -> Any:
        if path != "/ws" and busy.count(path) < 2:
            busy.append(path)
            return as_json({"message": "busy", "rc": "x"}, 429)
        return None

    assert make(target, SERVERS[target](wrong=wrong), tmp_path, catalog)
    assert busy.count(SUBMITS[target]) == 2


@pytest.mark.parametrize("target", SERVERS)
def test_always_busy_ends(target: str, catalog: Catalog, tmp_path: Path) -> None:
    server = SERVERS[target](wrong=lambda number, path: as_json({}, 503))
    assert type(fails(target, server, tmp_path, catalog)) is Unreachable
    assert server.count(FIRST[target]) == 5


@pytest.mark.parametrize("target", SERVERS)
@pytest.mark.parametrize("fault", [HANG, DROP])
def test_a_request_that_was_sent_is_not_sent_twice(
    target: str, fault: str, catalog: Catalog, tmp_path: Path
) -> None:
    server = SERVERS[target](wrong=lambda number, path: fault if path == SUBMITS[target] else None)
    error = fails(target, server, tmp_path, catalog, timeout=0.3)
    assert type(error) is JobFailed
    assert "not sent twice" in str(error)
    assert server.count(SUBMITS[target]) == 1


@pytest.mark.parametrize("target", SERVERS)
def test_a_failing_server_is_no_traceback(target: str, catalog: Catalog, tmp_path: Path) -> None:
    body = {"error": "OutOfMemoryError", "errors": "CUDA out of memory", "message": "CUDA out of memory",
            "title": "CUDA out of memory"}  # fmt: skip
    wrong = {"error": {"message": "CUDA out of memory"}} if target == "openai" else body
    server = SERVERS[target](
        wrong=lambda number, path: as_json(wrong, 500) if path == SUBMITS[target] else None
    )
    error = fails(target, server, tmp_path, catalog)
    assert type(error) is JobFailed
    if target != "comfyui":
        assert "CUDA out of memory" in str(error)


@pytest.mark.parametrize("target", SERVERS)
def test_a_refused_key_names_its_variable(target: str, catalog: Catalog, tmp_path: Path) -> None:
    server = SERVERS[target](wrong=lambda number, path: as_json({"detail": "no"}, 401))
    error = fails(target, server, tmp_path, catalog)
    assert type(error) is Refused
    assert EXECUTORS[target]("http://127.0.0.1:9").wire.key in str(error)


@pytest.mark.parametrize("target", SERVERS)
def test_a_black_image_is_a_censored_one(target: str, catalog: Catalog, tmp_path: Path) -> None:
    error = fails(target, SERVERS[target](image=lambda seed: black()), tmp_path, catalog)
    assert type(error) is Censored
    assert "black" in str(error)


@pytest.mark.parametrize("target", SERVERS)
@pytest.mark.parametrize("data", [b"", b"<html>gone</html>", picture(7)[:60]], ids=["empty", "html", "cut"])
def test_a_damaged_image_is_not_written(target: str, data: bytes, catalog: Catalog, tmp_path: Path) -> None:
    error = fails(target, SERVERS[target](image=lambda seed: data), tmp_path, catalog)
    assert type(error) is JobFailed


def set_on(server: ImageServer, **values: Any) -> ImageServer:
    for name, value in values.items():
        setattr(server, name, value)
    return server


OOM = {"node_type": "KSampler", "exception_message": "Allocation on device", "exception_type": "OutOfMemory"}
OWN: list[tuple[str, dict[str, Any], type[TargetError], str]] = [
    ("comfyui", {"loses": True}, JobFailed, "lost the job"),
    ("comfyui", {"fails": OOM}, JobFailed, "KSampler: Allocation on device"),
    ("horde", {"check": {"faulted": True}}, JobFailed, "failed on its workers"),
    ("horde", {"check": {"is_possible": False}}, JobFailed, "no worker.*--installed"),
    ("horde", {"generations": 0}, JobFailed, "without an image"),
    ("horde", {"generation": {"censored": True}}, Censored, "censored"),
    (
        "horde",
        {"generation": {"gen_metadata": [{"type": "censorship", "value": "nsfw"}]}},
        Censored,
        "censored",
    ),
    (
        "horde",
        {"generation": {"gen_metadata": [{"type": "lora", "value": "download_failed", "ref": "32"}]}},
        JobFailed,
        r"without the LoRA 32 \(download failed\), which may be too large",
    ),
    (
        "horde",
        {"generation": {"gen_metadata": [{"type": "lora", "value": "baseline_mismatch", "ref": "32"}]}},
        JobFailed,
        r"LoRA 32 \(baseline mismatch\)",
    ),
    ("horde", {"generation": {"img": "no base64!"}}, JobFailed, "base64"),
    ("horde", {"samplers": ("k_euler",)}, Refused, "validation failed.*sampler_name"),
    ("civitai", {"images": 0}, JobFailed, "without an image"),
    ("civitai", {"output": {"url": None, "blockedReason": "mature"}}, Censored, "mature"),
    (
        "civitai",
        {"ends": {"status": "failed", "steps": [{"jobs": [{"reason": "blocked"}]}]}},
        Censored,
        "blocked the prompt",
    ),
    (
        "civitai",
        {"ends": {"status": "failed", "steps": [{"jobs": [{"reason": "no_provider_available"}]}]}},
        JobFailed,
        "no_provider_available",
    ),
    ("civitai", {"ends": {"status": "expired", "steps": []}}, JobFailed, "expired"),
    ("civitai", {"fields": {}}, Refused, "unknown property"),
    ("openai", {"images": 0}, JobFailed, "no image"),
    ("openai", {"blocks": True}, Censored, "content_policy_violation"),
]


@pytest.mark.parametrize(("target", "values", "kind", "says"), OWN)
def test_each_targets_own_failures(
    target: str, values: dict[str, Any], kind: type[TargetError], says: str, catalog: Catalog, tmp_path: Path
) -> None:
    error = fails(target, set_on(SERVERS[target](), **values), tmp_path, catalog)
    assert type(error) is kind
    assert re.search(says, error.line()), error.line()


@pytest.mark.parametrize(
    ("target", "path"),
    [("horde", "/api/v2/generate/check/req-1"), ("civitai", "/v2/consumer/workflows/wf-1")],
)
def test_a_job_that_is_gone_is_lost(target: str, path: str, catalog: Catalog, tmp_path: Path) -> None:
    gone = as_json(
        {"message": "Request with ID req-1 not found.", "title": "Not Found", "rc": "RequestNotFound"}, 404
    )
    server = SERVERS[target](wrong=lambda number, url_path: gone if url_path == path else None)
    error = fails(target, server, tmp_path, catalog)
    assert type(error) is JobFailed
    assert "lost" in str(error)
    assert any(line.startswith("DELETE") for line in server.seen)  # nothing is left in a queue


def test_a1111_without_an_image_in_its_answer(catalog: Catalog, tmp_path: Path) -> None:
    empty = as_json({"images": [], "parameters": {}, "info": "{}"})
    server = SERVERS["a1111"](wrong=lambda number, path: empty if path.endswith("txt2img") else None)
    assert "no image" in str(fails("a1111", server, tmp_path, catalog))


def test_images_before_a_failure_are_kept(catalog: Catalog, tmp_path: Path) -> None:
    server = SERVERS["a1111"](image=lambda seed: picture(seed) if seed < 9 else black())
    with pytest.raises(Censored, match=r"image 2 of 3: .*the 1 before it are in"):
        make("a1111", server, tmp_path, catalog, seeds=(8, 9, 10))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ink-fox-8.png", "manifest.jsonl"]


@pytest.mark.parametrize(
    "url", ["localhost:7860", "ftp://x", "http://user:pass@x", "http://x/?key=1", "http://"]
)
def test_addresses_are_checked(url: str) -> None:
    with pytest.raises(BadInput):
        server_url(url)
