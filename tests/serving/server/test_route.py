"""Our own endpoints: a call and a target's request, emitting, identification, health, metrics."""

from __future__ import annotations

import base64

import httpx
import pytest
from image_servers import picture
from server_runs import ROUTED, error_of

from diffagent.agent.agent import Agent
from diffagent.agent.asking.request import Request
from diffagent.data.records import T2ICall

PNG = base64.b64encode(picture(7)).decode()


def test_a_route_has_what_the_contract_names(client: httpx.Client, agent: Agent) -> None:
    answer = client.post("/v1/route", json={"prompt": "pixel art of a fox, 20 steps"})
    body = answer.json()
    assert list(body) == list(ROUTED)
    assert T2ICall.parse(body["call"]) == agent.call("pixel art of a fox, 20 steps")
    assert body["request"] == body["call"]
    decision = agent.decide(Request.from_prompt("pixel art of a fox, 20 steps"))
    assert body["candidates"] == decision.to_dict()["candidates"]
    assert body["reasons"] == list(decision.reasons)
    assert body["reasons"][0] == "The sample prompts of Tiny Pixels are nearest to the request."
    assert body["candidates"][0]["url"] == "https://civitai.com/models/11?modelVersionId=12"
    assert set(body["timings_ms"]) == {"queue", "prefilter", "llm", "total"}


def test_options_reach_the_agent(client: httpx.Client) -> None:
    options = {
        "prompt": "a fox",
        "negative_prompt": "blurry",
        "type": "LORA",
        "base_model": "sd1",
        "k": 2,
        "seed": 5,
        "target": "a1111",
    }
    body = client.post("/v1/route", json=options).json()
    assert (body["call"]["type"], body["call"]["seed"]) == ("LoRA", 5)
    assert "<lora:" in body["request"]["prompt"]
    assert body["request"]["negative_prompt"] == "blurry"
    assert len(body["candidates"]) == 1
    answer = client.post("/v1/route", json={"prompt": "a fox", "model": "grand xl"}).json()
    assert answer["call"]["model"] == "Grand XL"


@pytest.mark.parametrize(
    ("body", "kind", "words"),
    [
        ({}, "bad_input", "prompt"),
        ({"prompt": ""}, "bad_prompt", "the prompt is empty"),
        ({"prompt": 7}, "bad_prompt", "is int"),
        ({"prompt": "a fox", "size": "big"}, "bad_input", "size"),
        ({"prompt": "a fox", "k": 0}, "bad_input", "k"),
        ({"prompt": "a fox", "k": 53}, "bad_input", "k"),
        ({"prompt": "a fox", "seed": -1}, "bad_input", "seed"),
        ({"prompt": "a fox", "seed": 2**64}, "bad_input", "seed"),
        ({"prompt": "a fox", "type": "VAE"}, "bad_input", "type"),
        ({"prompt": "a fox", "target": "fax"}, "bad_input", "'fax'"),
        ({"prompt": "a fox", "base_model": "SD 9"}, "bad_input", "no model"),
        (
            {"prompt": "a fox", "base_model": "Flux.1 D"},
            "bad_input",
            ": pass nearest to use it, or give another base_model",
        ),
        ({"prompt": "a fox", "model": "Tiny Pixel"}, "unknown_model", "Tiny Pixels"),
        ({"prompt": "x" * 20_001}, "bad_prompt", "20,001 characters"),
        ({"prompt": "a fox", "images": ["https://example.org/a.png"]}, "bad_input", "none is fetched"),
        ({"prompt": "a fox", "images": ["file:///etc/passwd"]}, "bad_input", "none is fetched"),
        ({"prompt": "a fox", "images": ["data:image/png,abc"]}, "bad_input", "without base64"),
        ({"prompt": "a fox", "images": ["no base64!"]}, "bad_input", "neither base64"),
        (
            {"prompt": "a fox", "images": [base64.b64encode(b"<svg/>").decode()]},
            "bad_input",
            "not a file of PNG",
        ),
        ({"prompt": "a fox", "images": [PNG] * 9}, "bad_input", "at most 6"),
        ({"prompt": "a fox", "images": [PNG]}, "bad_input", "no image specifications"),
    ],
)
def test_what_is_wrong_is_said(client: httpx.Client, body: dict[str, object], kind: str, words: str) -> None:
    status, error, message = error_of(client.post("/v1/route", json=body))
    assert (status, error) == (400, kind)
    assert words in message


RAW: list[tuple[bytes, str]] = [
    (b'{"prompt": "a \\ud800 fox"}', "a lone surrogate"),
    (b'{"\\udfff": 1, "prompt": "a"}', "a surrogate as a key"),
    (b'{"prompt": "a", "k": NaN}', "no number"),
    (b'{"prompt": "a", "seed": 1' + b"0" * 5000 + b"}", "more digits than Python reads"),
    (b"[" * 100_000 + b"]" * 100_000, "too deep"),
    (b'{"prompt": "a\x00b"', "cut off"),
    (b'"a fox"', "a string"),
    (b"null", "null"),
    (b"", "nothing"),
    (b"\xff\xfe", "no UTF-8"),
    (b'{"prompt": "a \xed\xa0\x80 fox"}', "a surrogate in UTF-8"),
    (b'{"prompt": "a", "k": 1e400}', "infinite"),
]


@pytest.mark.parametrize("body", [body for body, _ in RAW], ids=[name for _, name in RAW])
def test_a_malformed_body_is_the_clients_fault(client: httpx.Client, body: bytes) -> None:
    for path in ("/v1/route", "/v1/chat/completions", "/v1/identify", "/v1/emit"):
        answer = client.post(path, content=body, headers={"Content-Type": "application/json"})
        assert error_of(answer)[0] == 400, path


def test_control_characters_are_spaces(client: httpx.Client) -> None:
    body = client.post("/v1/route", json={"prompt": "pixel art\x00 fox \U000fffff"}).json()
    assert "\x00" not in body["call"]["prompt"]


def test_unknown_addresses_and_methods_have_the_shape_too(client: httpx.Client) -> None:
    assert error_of(client.get("/v2/route"))[:2] == (404, "not_found")
    assert error_of(client.get("/v1/route"))[:2] == (405, "method_not_allowed")
    assert client.get("/v1/route").headers["allow"] == "POST"


def test_health_readiness_and_metrics(client: httpx.Client) -> None:
    assert client.get("/healthz").json() == {"status": "ok"}
    assert client.get("/readyz").json() == {"status": "ready"}
    client.post("/v1/route", json={"prompt": "pixel art of a fox"})
    client.post("/v1/route", json={"prompt": ""})
    client.get("/nowhere/at/all")
    answer = client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    lines = answer.text.splitlines()
    assert 'diffagent_requests_total{endpoint="/v1/route",method="POST",status="200"} 1.0' in lines
    assert 'diffagent_requests_total{endpoint="/v1/route",method="POST",status="400"} 1.0' in lines
    assert 'diffagent_requests_total{endpoint="other",method="GET",status="404"} 1.0' in lines
    for stage in ("queue", "prefilter", "llm", "emit"):
        assert f'diffagent_stage_seconds_count{{stage="{stage}"}} 1.0' in lines
    assert "diffagent_candidates_sum 4.0" in lines
    assert "diffagent_queue_waiting 0.0" in lines
    assert "diffagent_queue_limit 64.0" in lines
    assert "fox" not in answer.text
