"""Writers: forms filled in by an engine, and a server of chat completions through all its bad days."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from stand_ins import RuleEngine

from diffagent.agent.engines.chat_endpoint import ATTEMPTS, ChatEndpoint, Estimate
from diffagent.agent.engines.transformers_engine import TransformersEngine
from diffagent.agent.engines.writers import LocalWriter, grammar_of
from diffagent.data.errors import BadInput, EngineError

FORM = "An SD 1.5 LoRA of {Kestra from Moonharbor|Kestra}, with {silver braid|blue cloak}."


def test_an_engine_fills_in_a_form() -> None:
    engine = RuleEngine(like=lambda slot, option: 5.0 * (option in ("Kestra", "blue cloak")))
    writer = LocalWriter(engine=engine)
    assert writer([f"Name: Kestra\n{FORM}", "Name: x\nNothing to choose.", ""]) == [
        "An SD 1.5 LoRA of Kestra, with blue cloak.",
        "Nothing to choose.",
        "",
    ]


def test_options_that_stand_first_are_likelier() -> None:
    assert LocalWriter(engine=RuleEngine())([FORM]) == [
        "An SD 1.5 LoRA of Kestra from Moonharbor, with silver braid."
    ]
    assert [slot.log_priors[0] > slot.log_priors[1] for slot in grammar_of(FORM).slots] == [True, True]


def test_a_form_that_is_no_grammar_is_no_answer() -> None:
    assert LocalWriter(engine=RuleEngine())(["{a|a}", "{a||b} x", "fine {a|b}"]) == ["", "", "fine a"]


def test_a_real_model_stays_inside_the_form(tiny: TransformersEngine) -> None:
    answer = LocalWriter(engine=tiny)([f"Name: Kestra\n{FORM}"])[0]
    assert set(grammar_of(FORM).parse(answer)) == {"blank1", "blank3"}


class Server:
    """A chat completions server that gives each request the next of its answers, then good ones."""

    def __init__(self, *answers: Any, always: Any = None) -> None:
        self.answers = list(answers)
        self.always = always
        self.seen: list[httpx.Request] = []

    def endpoint(self, **options: Any) -> ChatEndpoint:
        transport = httpx.MockTransport(self.answer)
        return ChatEndpoint("https://llm.invalid", "m", backoff=0.001, transport=transport, **options)

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.seen.append(request)
        answer = self.answers.pop(0) if self.answers else self.always
        if isinstance(answer, Exception):
            raise answer
        if answer is not None:
            return answer  # type: ignore[no-any-return]
        prompt = json.loads(request.content)["messages"][0]["content"]
        return good(f"about {prompt}")


def good(text: Any) -> httpx.Response:
    return httpx.Response(200, json={"choices": [{"message": {"role": "assistant", "content": text}}]})


def test_prompts_are_answered_in_order_with_the_key_in_the_header_alone() -> None:
    server = Server()
    write = server.endpoint(key="sk-secret", concurrency=3)
    assert write(["a", "b", "c", "d"]) == ["about a", "about b", "about c", "about d"]
    assert {str(request.url) for request in server.seen} == {"https://llm.invalid/v1/chat/completions"}
    assert {request.headers["Authorization"] for request in server.seen} == {"Bearer sk-secret"}
    assert json.loads(server.seen[0].content)["model"] == "m"
    assert "secret" not in repr(write)


@pytest.mark.parametrize(
    "bad",
    [
        lambda: httpx.Response(429, headers={"Retry-After": "0"}),
        lambda: httpx.Response(500),
        lambda: httpx.Response(503, text="<html>"),
        lambda: httpx.Response(200, text="{"),
        lambda: httpx.Response(200, json={"choices": []}),
        lambda: httpx.Response(200, json=["x"]),
        lambda: httpx.ReadTimeout("slow"),
        lambda: httpx.ConnectError("gone"),
    ],
)
def test_faults_of_the_moment_are_asked_again(bad: Callable[[], Any]) -> None:
    server = Server(bad(), bad())
    assert server.endpoint()(["a"]) == ["about a"]
    assert len(server.seen) == 3


def test_one_prompt_that_stays_refused_is_an_empty_answer() -> None:
    server = Server(httpx.Response(400, json={"error": {"message": "filtered"}}), good(None))
    assert server.endpoint(concurrency=1)(["a", "b", "c"]) == ["", "", "about c"]
    assert len(server.seen) == 3


@pytest.mark.parametrize(
    ("answer", "says", "requests"),
    [
        (httpx.Response(500), r"answered none of 2 prompts \(HTTP 500\).*run the same command", 2 * ATTEMPTS),
        (httpx.Response(400, json={"error": "no\nsuch"}), "HTTP 400: no such", 2),
        (httpx.Response(422, text="x"), "HTTP 422: refused", 2),
        (httpx.Response(429, headers={"Retry-After": "4000"}), "to be asked again in 4000 s", 2),
    ],
)
def test_a_server_that_answers_nothing_is_an_error(answer: httpx.Response, says: str, requests: int) -> None:
    server = Server(always=answer)
    with pytest.raises(EngineError, match=says):
        server.endpoint(concurrency=1)(["a", "b"])
    assert len(server.seen) == requests


@pytest.mark.parametrize(
    ("status", "key", "says"),
    [
        (401, None, "HTTP 401: set OPENAI_API_KEY"),
        (403, "sk", "HTTP 403: the key in OPENAI_API_KEY was refused"),
        (404, "sk", "the model 'm' does not exist"),
    ],
)
def test_a_refused_key_or_model_ends_it_before_the_other_prompts(
    status: int, key: str | None, says: str
) -> None:
    server = Server(always=httpx.Response(status))
    with pytest.raises(EngineError, match=says):
        server.endpoint(concurrency=1, key=key)(["a"] * 20)
    assert len(server.seen) == 1


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://h", "https://h/v1"),
        ("https://h/v1/", "https://h/v1"),
        ("http://localhost:8000/api/v1/chat/completions", "http://localhost:8000/api/v1"),
    ],
)
def test_addresses(url: str, expected: str) -> None:
    assert ChatEndpoint(url, "m").url == expected


@pytest.mark.parametrize(
    ("url", "key", "says"),
    [
        ("ftp://h", None, "not an http or https address"),
        ("https://", None, "not an http or https address"),
        ("https://me:pw@h", None, "holds a password"),
        ("https://h", "two words", "copy it again"),
        ("http://far.invalid", "sk", "not encrypted"),
    ],
)
def test_addresses_and_keys_that_are_refused(url: str, key: str | None, says: str) -> None:
    with pytest.raises(BadInput, match=says):
        ChatEndpoint(url, "m", key)


def test_estimates() -> None:
    assert str(Estimate.of(1000, 2_000_000, 0.15, 0.6)) == (
        "1,000 prompts, about 500,000 tokens in and 60,000 out, about 0.11 in the prices' currency"
    )
    assert Estimate.of(10, 400, None, 5.0) == Estimate(10, 100, 600, 0.003)
    assert str(Estimate.of(1, 40, None, None)) == "1 prompts, about 10 tokens in and 60 out"
