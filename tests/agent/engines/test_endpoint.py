"""The engine behind a URL, against a server that computes vLLM's answers with a tiny real Llama."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.util import find_spec
from math import log
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stand_ins import RuleEngine

from diffagent.agent.agent import Agent
from diffagent.agent.choosing.fusion import Fusion
from diffagent.agent.engines import BatchEngine, Choice, Prompt, Writing
from diffagent.agent.engines.endpoint import EndpointEngine
from diffagent.agent.engines.grammar import Grammar, Slot
from diffagent.agent.engines.loading import load_engine
from diffagent.agent.engines.remote import ATTEMPTS, Remote
from diffagent.agent.engines.transformers_engine import TransformersEngine
from diffagent.data.errors import BadInput, BadPrompt, EngineError, EngineGone, MissingExtra

LABELS = tuple("ABCDEFGH")
VOCABULARY = 302
"""Tokens of the tiny Llama."""
GRAMMAR = Grammar(
    (
        "B [",
        Slot("size", ("512,512", "512,768", "768,512"), (log(0.5), log(0.3), log(0.2))),
        ',"',
        Slot("sampler", ("Euler a", "Euler", "DPM++ 2M", "DDIM"), (log(0.4), log(0.3), log(0.2), log(0.1))),
        '",',
        Slot("steps", ("2", "20", "25"), (log(0.2), log(0.5), log(0.3))),
        ',"a forced end"]',
    ),
    1.0,
)


class Server:
    """``vllm serve`` with a tiny Llama behind it; gives each request the next of ``faults`` first."""

    def __init__(self, model: TransformersEngine, *faults: Any) -> None:
        self.model, self.faults = model, list(faults)
        self.seen: list[httpx.Request] = []
        self.engine = self.connect()

    def connect(self, url: str = "https://llm.invalid", **options: Any) -> EndpointEngine:
        transport = httpx.MockTransport(self.answer)
        chat, digest = self.model.chat, self.model.digest
        return EndpointEngine(Remote(url, backoff=0.001, transport=transport, **options), chat, digest)

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.seen.append(request)
        if self.faults:
            fault = self.faults.pop(0)
            if isinstance(fault, Exception):
                raise fault
            if fault is not None:
                return fault  # type: ignore[no-any-return]
        if request.url.path == "/v1/models":
            return httpx.Response(200, json={"data": [{"id": "tiny"}]})
        body = json.loads(request.content)
        assert (body["model"], body["temperature"]) == ("tiny", 0)
        if "logprob_token_ids" not in body:
            return httpx.Response(200, json={"choices": [{"index": 0, "text": "so"}]})
        choices = [
            {"index": at, "logprobs": {"top_logprobs": [self.logprobs(ids, body["logprob_token_ids"])]}}
            for at, ids in enumerate(body["prompt"])
        ]
        return httpx.Response(200, json={"choices": choices[::-1]})

    def logprobs(self, ids: list[int], tokens: Sequence[int]) -> dict[str, float]:
        with self.model._lock:
            logits = self.model._score(ids, list(range(VOCABULARY)), lambda: []).astype(np.float64)
        assert len(tokens) <= 128
        norm = np.logaddexp.reduce(logits)
        return {f"token_id:{token}": float(logits[token] - norm) for token in tokens}

    @property
    def completions(self) -> list[Any]:
        return [json.loads(request.content) for request in self.seen if request.method == "POST"]


@pytest.fixture
def server(tiny: TransformersEngine) -> Server:
    return Server(tiny)


def test_a_choice_is_one_request_and_the_same_as_here(server: Server, tiny: TransformersEngine) -> None:
    prompt = Prompt("Pick.", "a fox")
    assert isinstance(server.engine, BatchEngine)
    scores = server.engine.choose(prompt, LABELS)
    assert scores == pytest.approx(tiny.choose(prompt, LABELS), abs=1e-4)
    bodies = server.completions
    assert [body["prompt"] for body in bodies] == [[tiny.chat.prompt_ids(prompt)]]
    assert (bodies[0]["max_tokens"], len(bodies[0]["logprob_token_ids"])) == (1, len(LABELS))


@settings(max_examples=20, deadline=None)
@given(
    user=st.text(max_size=20),
    weight=st.sampled_from([0.0, 0.05, 0.5, 3.0, 30.0]),
    draft=st.sampled_from(["", GRAMMAR.draft(), GRAMMAR.render({"size": "768,512"}), "no such answer"]),
)
def test_an_answer_is_the_same_as_here_whatever_the_draft(
    tiny: TransformersEngine, user: str, weight: float, draft: str
) -> None:
    prompt, grammar = Prompt("Write.", user), replace(GRAMMAR, llm_weight=weight)
    assert Server(tiny).engine.write(prompt, grammar, draft) == tiny.write(prompt, grammar)


def test_an_expected_answer_is_verified_in_one_request(server: Server) -> None:
    grammar = replace(GRAMMAR, llm_weight=1e-9)
    assert server.engine.write(Prompt("Write.", "x"), grammar) == grammar.draft()
    (body,) = server.completions
    assert len(body["prompt"]) > 3
    prefix, *more = body["prompt"]
    assert all(ids[: len(prefix)] == prefix for ids in more)


def test_a_wrong_draft_costs_one_more_request(server: Server) -> None:
    grammar = replace(GRAMMAR, llm_weight=1e-9)
    for n, wrong in enumerate(({"size": "768,512"}, {"steps": "25"})):
        draft = grammar.render(wrong)
        assert server.engine.write(Prompt("Write.", "x"), grammar, draft) == grammar.draft()
        assert len(server.completions) == 2 + n  # behind the last open place there is nothing to ask


def test_more_tokens_than_a_server_tells_of_are_asked_in_parts(
    server: Server, tiny: TransformersEngine
) -> None:
    reads = [([1, 5, 6], list(range(20, 300))), ([1, 7], list(range(100)))]
    rows = server.engine._read(reads)
    assert [len(row) for row in rows] == [280, 100]
    assert [len(body["logprob_token_ids"]) for body in server.completions] == [128, 128, 124]
    assert rows[1].tolist() == pytest.approx(list(server.logprobs([1, 7], range(100)).values()), abs=1e-4)


def test_many_at_once_keep_their_order_and_errors_stay_with_their_row(tiny: TransformersEngine) -> None:
    server = Server(tiny)
    prompts = [Prompt("Pick.", f"prompt {n}") for n in range(5)]
    choices = [Choice(prompt, LABELS) for prompt in prompts]
    bad = Choice(prompts[0], ("A", "A"))
    answers = server.engine.choose_many([*choices, bad])
    assert isinstance(answers[5], EngineError)
    for prompt, scores in zip(prompts, answers, strict=False):
        assert scores == pytest.approx(tiny.choose(prompt, LABELS), abs=1e-4)
    texts = server.engine.write_many([Writing(prompt, GRAMMAR) for prompt in prompts])
    assert texts == [tiny.write(prompt, GRAMMAR) for prompt in prompts]


def test_plain_generation(server: Server) -> None:
    assert server.engine.generate(Prompt("", "x"), 7) == "so"
    assert server.completions[0]["max_tokens"] == 7


FAULTS: list[Callable[[], Any]] = [
    lambda: httpx.Response(429, headers={"Retry-After": "0"}),
    lambda: httpx.Response(503, text="<html>"),
    lambda: httpx.Response(200, text="{"),
    lambda: httpx.ReadTimeout("slow"),
    lambda: httpx.ConnectError("gone"),
]


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_of_the_moment_are_asked_again(tiny: TransformersEngine, fault: Callable[[], Any]) -> None:
    server = Server(tiny, None, fault(), fault())
    assert len(server.engine.choose(Prompt("", "x"), LABELS)) == len(LABELS)
    assert len(server.seen) == 4


@pytest.mark.parametrize(
    ("fault", "says", "requests"),
    [
        (lambda: httpx.Response(500), rf"HTTP 500, {ATTEMPTS} times", ATTEMPTS),
        (lambda: httpx.Response(401), "set OPENAI_API_KEY", 1),
        (lambda: httpx.Response(404), "no such server or model", 1),
        (lambda: httpx.Response(429, headers={"Retry-After": "4000"}), "again in 4000 s", 1),
        (lambda: httpx.Response(200, json={"choices": [{"index": 0, "text": "B"}]}), "logprob_token_ids", 1),
    ],
)
def test_a_server_that_is_no_use_ends_the_run(
    tiny: TransformersEngine, fault: Callable[[], Any], says: str, requests: int
) -> None:
    server = Server(tiny, None, *[fault() for _ in range(requests)])
    with pytest.raises(EngineGone, match=says):
        server.engine.choose(Prompt("", "x"), LABELS)
    assert len(server.completions) == requests


def test_a_refused_request_is_the_error_of_its_row(tiny: TransformersEngine) -> None:
    server = Server(tiny, None, httpx.Response(400, json={"message": "too\nlong"}))
    with pytest.raises(EngineError, match=r"HTTP 400: .*too") as caught:
        server.engine.choose(Prompt("", "x"), LABELS)
    assert not isinstance(caught.value, EngineGone)


def test_the_key_travels_in_the_header_alone(server: Server) -> None:
    server.connect("https://llm.invalid/v1/", key="sk-secret").choose(Prompt("", "x"), LABELS)
    assert {str(request.url) for request in server.seen} == {
        "https://llm.invalid/v1/models",
        "https://llm.invalid/v1/completions",
    }
    assert {request.headers["Authorization"] for request in server.seen} == {"Bearer sk-secret"}
    with pytest.raises(BadInput, match="not encrypted"):
        server.connect("http://far.invalid", key="sk-secret")


def test_a_server_that_is_not_there(monkeypatch: pytest.MonkeyPatch, tiny_folder: Any) -> None:
    monkeypatch.setattr("diffagent.agent.engines.remote.ATTEMPTS", 1)
    with pytest.raises(EngineGone, match="is the server up"):
        load_engine("http://127.0.0.1:9", str(tiny_folder))
    with pytest.raises(BadInput, match="transformers, vllm and a server's URL"):
        load_engine("no-such")


@pytest.mark.skipif(find_spec("vllm") is not None, reason="vLLM is installed")
def test_an_engine_that_is_not_installed_says_how_to_install_it() -> None:
    with pytest.raises(MissingExtra, match=r"pip install 'diffagent\[vllm\]'"):
        load_engine("vllm")


PROMPTS = (
    "pixel art of a fox",
    "",
    "an oil painting of a harbour",
    "ink drawing of a fox, lora",
    "photo of a lake, SDXL",
)


def test_an_agent_decides_the_same_in_a_batch_through_any_engine(
    make_agent: Callable[..., Agent], server: Server, tiny: TransformersEngine
) -> None:
    fusion = Fusion(reading_weight=1.0, choice_weight=2.0, parameter_weight=1.0)
    requests = [{"prompt": prompt, "seed": 3} for prompt in PROMPTS]
    here: Any = make_agent(tiny, fusion)
    there: Any = make_agent(server.engine, fusion)
    one_by_one, together = here.decide_many(requests), there.decide_many(requests)
    assert [type(decision) for decision in together] == [type(decision) for decision in one_by_one]
    assert isinstance(together[1], BadPrompt)
    for single, other in zip(one_by_one, together, strict=True):
        if not isinstance(single, BadPrompt):
            assert single.call == other.call
            assert [c.card.air for c in single.candidates] == [c.card.air for c in other.candidates]
    assert there.route([PROMPTS[0]], seed=3)[0] == there.call(PROMPTS[0], seed=3)
    with pytest.raises(BadPrompt):
        there.route(PROMPTS)


def test_an_engine_that_is_gone_is_raised(make_agent: Callable[..., Agent], tiny: TransformersEngine) -> None:
    class Gone(RuleEngine):
        def choose(self, *_: Any) -> list[float]:
            raise EngineGone("gone")

    server = Server(tiny, None, httpx.Response(401))
    for engine in (Gone(), server.engine):
        with pytest.raises(EngineGone):
            make_agent(engine, Fusion(choice_weight=1.0)).decide_many(
                [{"prompt": "a fox"}, {"prompt": "a cat"}]
            )
