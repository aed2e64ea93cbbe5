"""The engine behind a server of chat completions: a small one over HTTP, and a real one if there is one."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from math import log
from typing import Any

import pytest

from diffagent.agent.agent import Agent
from diffagent.agent.asking.reading import Reading, question
from diffagent.agent.asking.request import Request
from diffagent.agent.choosing.fusion import Fusion
from diffagent.agent.engines import BatchEngine, Choice, Prompt, Writing
from diffagent.agent.engines.chat_server import CONFIDENCE, TRUST, ChatServerEngine
from diffagent.agent.engines.endpoint import EndpointEngine
from diffagent.agent.engines.loading import load_engine
from diffagent.agent.engines.remote import ATTEMPTS, Remote
from diffagent.agent.engines.structured import Field, read
from diffagent.data.errors import BadInput, EngineError, EngineGone

PROMPT = Prompt("Pick.", "A one\nB two\nC three", (("Prompt: a fox", "photo; people: none; special: none"),))
READ = {"medium": "watercolor", "people": "none", "special": "style"}
Reply = tuple[int, Any, dict[str, str]]


class ChatServer(ThreadingHTTPServer):
    """A server of chat completions that takes the ``forms`` it knows and says what ``answer`` makes of it.

    Each request gets the next of ``faults`` first: status, body, headers.
    """

    daemon_threads = True

    def __init__(self, answer: Callable[[Any], str], forms: tuple[str, ...], owner: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answer, self.forms, self.owner = answer, forms, owner
        self.faults: list[Reply] = []
        self.seen: list[Any] = []
        self.keys: set[str | None] = set()
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.remotes: list[Remote] = []

    def end(self) -> None:
        for remote in self.remotes:
            remote.close()
        self.shutdown()
        self.server_close()

    def reply(self, body: Any) -> Reply:
        if self.faults:
            return self.faults.pop(0)
        for field, form in (("response_format", "schema"), ("tools", "tool")):
            if field in body and form not in self.forms:
                return 400, {"error": {"message": f"unknown field {field}"}}, {}
        text = self.answer(body)
        message: dict[str, Any] = {"role": "assistant", "content": text}
        if "tools" in body:
            call = {"type": "function", "function": {"name": "answer", "arguments": text}}
            message = {"role": "assistant", "content": None, "tool_calls": [call]}
        return 200, {"choices": [{"index": 0, "message": message}]}, {}


class _Handler(BaseHTTPRequestHandler):
    server: ChatServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._send(200, {"data": [{"id": "first", "owned_by": self.server.owner}, {"id": "second"}]}, {})

    def do_POST(self) -> None:
        assert self.path == "/v1/chat/completions"
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.seen.append(body)
        self.server.keys.add(self.headers["Authorization"])
        self._send(*self.server.reply(body))

    def _send(self, status: int, body: Any, headers: dict[str, str]) -> None:
        content = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        pass


Serve = Callable[..., ChatServer]


@pytest.fixture
def serve() -> Iterator[Serve]:
    started: list[ChatServer] = []

    def start(answer: str | Callable[[Any], str], *forms: str, owner: str = "someone") -> ChatServer:
        reply = answer if callable(answer) else lambda _: answer
        started.append(ChatServer(reply, forms, owner))
        threading.Thread(target=started[-1].serve_forever, daemon=True).start()
        return started[-1]

    yield start
    for server in started:
        server.end()


def connect(server: ChatServer, **options: Any) -> ChatServerEngine:
    server.remotes.append(Remote(server.url, backoff=0.001, **options))
    return ChatServerEngine(server.remotes[-1])


def test_a_choice_is_a_schema_of_letters_and_counts_as_sure_as_ever(serve: Serve) -> None:
    server = serve('{"letter": "B"}', "schema")
    engine = connect(server, key="sk-secret")
    assert isinstance(engine, BatchEngine)
    assert engine.choose(PROMPT, ("A", "B", "C")) == pytest.approx([log(0.05), log(CONFIDENCE), log(0.05)])
    (body,) = server.seen
    assert [message["role"] for message in body["messages"]] == ["system", "user", "assistant", "user"]
    described = body["response_format"]["json_schema"]
    assert described["schema"]["properties"]["letter"]["enum"] == ["A", "B", "C"]
    assert described["strict"]
    assert "general checkpoint of the right medium" in body["messages"][0]["content"]
    assert (body["model"], body["temperature"], server.keys) == ("first", 0, {"Bearer sk-secret"})


def test_a_reading_is_a_schema_of_its_slots(serve: Serve) -> None:
    server = serve(json.dumps(READ), "schema")
    rules = Reading.of("a fox, watercolor wash")
    line = connect(server, llm="mine").write(question("a fox"), rules.grammar(4.0), rules.line)
    assert line == "watercolor; people: none; special: style"
    (body,) = server.seen
    properties = body["response_format"]["json_schema"]["schema"]["properties"]
    assert list(properties) == ["medium", "people", "special"]
    assert all(slot["description"] for slot in properties.values())
    assert body["model"] == "mine"


def test_an_answer_has_to_outweigh_what_the_rules_are_certain_of(serve: Serve) -> None:
    engine = connect(serve(json.dumps(READ | {"medium": "illustration"}), "schema"))
    rules = Reading.of("a watercolor fox")
    assert rules.named_media == ("watercolor",)
    for weight, medium in (
        (0.0, "watercolor"),
        (0.5, "watercolor"),
        (TRUST["reading_weight"], "illustration"),
    ):
        assert engine.write(question("x"), rules.grammar(weight)).startswith(medium)


def test_a_server_without_structured_outputs_is_asked_for_a_function(serve: Serve) -> None:
    server = serve('{"letter": "C"}', "tool")
    engine = connect(server)
    for _ in range(2):
        assert engine.choose(PROMPT, ("A", "B", "C"))[2] == pytest.approx(log(CONFIDENCE))
    assert [sorted(set(body) & {"response_format", "tools"}) for body in server.seen] == [
        ["response_format"], ["tools"], ["tools"],
    ]  # fmt: skip
    function = server.seen[1]["tools"][0]["function"]
    assert server.seen[1]["tool_choice"]["function"]["name"] == function["name"]
    assert function["parameters"]["properties"]["letter"]["enum"] == ["A", "B", "C"]


def test_a_server_with_neither_answers_in_words(serve: Serve) -> None:
    server = serve('<think>{"letter": "A"}?</think>Sure!\n```json\n{"Letter": "b"}\n```')
    engine = connect(server)
    assert engine.choose(PROMPT, ("A", "B", "C"))[1] == pytest.approx(log(CONFIDENCE))
    assert len(server.seen) == 3
    assert '{"letter": "…"}' in server.seen[2]["messages"][0]["content"]
    assert engine.outside == 0


@pytest.mark.parametrize("answer", ['{"letter": "Z"}', "I cannot say.", "", '{"letter": {"A": 1}}', "["])
def test_an_answer_outside_the_letters_leaves_the_choice_open(serve: Serve, answer: str) -> None:
    engine = connect(serve(answer, "schema"))
    assert engine.choose(PROMPT, ("A", "B")) == pytest.approx([log(0.5)] * 2)
    assert engine.outside == 1


def test_a_slot_outside_its_enum_is_what_the_rules_say(serve: Serve) -> None:
    engine = connect(serve(json.dumps(READ | {"medium": "photograph of sorts"}), "schema"))
    rules = Reading.of("an oil painting of a fox")
    assert engine.write(question("x"), rules.grammar(4.0)) == "oil painting; people: none; special: style"
    assert engine.outside == 1


def test_settings_that_a_model_does_not_know_are_left_out(serve: Serve) -> None:
    server = serve('{"letter": "A"}', "schema")
    server.faults = [
        (400, {"error": {"message": "'max_tokens' is not known, use 'max_completion_tokens'"}}, {}),
        (400, {"error": {"message": "'temperature' may only be 1"}}, {}),
    ]
    assert connect(server).choose(PROMPT, ("A", "B"))[0] == pytest.approx(log(CONFIDENCE))
    assert "temperature" not in server.seen[2]
    assert "max_tokens" not in server.seen[2]
    assert "response_format" in server.seen[2]


def test_a_request_that_no_form_helps_is_the_error_of_its_row(serve: Serve) -> None:
    server = serve('{"letter": "A"}', "schema")
    server.faults = [(400, {"error": {"message": "too long"}}, {})] * 3
    engine = connect(server)
    with pytest.raises(EngineError, match=r"HTTP 400: .*too long") as caught:
        engine.choose(PROMPT, ("A", "B"))
    assert not isinstance(caught.value, EngineGone)
    engine.choose(PROMPT, ("A", "B"))
    assert "response_format" in server.seen[-1]  # what was wrong was no form


@pytest.mark.parametrize("fault", [(429, "", {"Retry-After": "0"}), (503, "<html>", {}), (200, "<html>", {})])
def test_faults_of_the_moment_are_asked_again(serve: Serve, fault: Reply) -> None:
    server = serve('{"letter": "A"}', "schema")
    server.faults = [fault, fault]
    assert len(connect(server).choose(PROMPT, ("A", "B"))) == 2
    assert len(server.seen) == 3


@pytest.mark.parametrize(
    ("fault", "says", "requests"),
    [
        ((200, "<html>", {}), f"not JSON, {ATTEMPTS} times", ATTEMPTS),
        ((401, "", {}), "set OPENAI_API_KEY", 1),
        ((404, "", {}), "no such server or model", 1),
        ((429, "", {"Retry-After": "4000"}), "again in 4000 s", 1),
    ],
)
def test_a_server_that_is_no_use_ends_the_run(serve: Serve, fault: Reply, says: str, requests: int) -> None:
    server = serve("", "schema")
    server.faults = [fault] * requests
    with pytest.raises(EngineGone, match=says):
        connect(server).choose_many([Choice(PROMPT, ("A", "B"))])
    assert len(server.seen) == requests


def test_a_server_that_is_gone(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("diffagent.agent.engines.remote.ATTEMPTS", 1)
    server = serve("")
    server.end()
    engine = connect(server, llm="mine")
    with pytest.raises(EngineGone, match="is the server up"):
        engine.choose(PROMPT, ("A", "B"))
    with pytest.raises(EngineGone, match="is the server up"):
        load_engine(server.url, "mine")
    with pytest.raises(BadInput, match="not encrypted"):
        Remote("http://far.invalid", key="sk-secret")


def test_many_at_once_keep_their_order(serve: Serve) -> None:
    def last(body: Any) -> str:
        return json.dumps({"letter": body["messages"][-1]["content"]})

    engine = connect(serve(last, "schema"))
    choices = [Choice(replace(PROMPT, user=letter), ("A", "B", "C")) for letter in "CABBA"]
    scores: Any = engine.choose_many(choices)
    assert ["ABC"[max(range(3), key=lambda at: row[at])] for row in scores] == list("CABBA")
    assert engine.generate_many([Prompt("", "A"), Prompt("", "B")], 9) == [
        '{"letter": "A"}',
        '{"letter": "B"}',
    ]


def test_a_url_is_read_by_token_where_vllm_runs_and_as_a_chat_elsewhere(
    serve: Serve, tiny_folder: Any
) -> None:
    chat = load_engine(serve("", owner="llamacpp").url, "mine")
    assert isinstance(chat, ChatServerEngine)
    assert chat.remote.model == "mine"
    vllm = load_engine(serve("", owner="vllm").url, str(tiny_folder))
    assert isinstance(vllm, EndpointEngine)
    assert vllm.remote.model == "first"
    chat.remote.close()
    vllm.remote.close()


def _replayed(body: Any) -> str:
    """A strong model's answers for a fox: its translation, its reading and a letter."""
    if "translate" in body["messages"][0]["content"]:
        return "a watercolor fox in the snow"
    schema = body["response_format"]["json_schema"]["schema"]
    return json.dumps({"letter": "B"} if "letter" in schema["properties"] else READ)


def test_a_german_prompt_is_translated_and_answered(
    serve: Serve, make_agent: Callable[..., Agent], monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve(_replayed, "schema")
    agent = make_agent(connect(server), Fusion())
    assert (agent.fusion.reading_weight, agent.fusion.choice_weight) == (
        TRUST["reading_weight"],
        TRUST["choice_weight"],
    )
    request = Request.from_prompt("ein Fuchs im Schnee, Aquarell")
    decision = agent.decide(request)
    assert "a watercolor fox in the snow" in decision.call.prompt
    assert "the prompt was translated from German: the base model reads English" in decision.notes
    shown = agent.consider(agent.prepare(request), "watercolor; people: none; special: style").shown
    assert decision.call.air == shown[1].card.air
    (together,) = agent.decide_many([request])
    assert together.call == decision.call  # type: ignore[union-attr]


FIELDS = (Field("medium", ("photo", "analog photo", "ink")), Field("people", ("none", "women", "men")))


@pytest.mark.parametrize(
    ("answer", "values"),
    [
        ('{"medium": "INK", "people": " men "}', {"medium": "ink", "people": "men"}),
        ({"medium": "ink", "people": None}, {"medium": "ink"}),
        ("medium: analog photo\npeople: women", {"medium": "analog photo", "people": "women"}),
        ('{"medium": "ink", "people": "no', {"medium": "ink"}),
        ("Medium is **photo**.", {"medium": "photo"}),
        ("an ink drawing of men", {}),
        ('{"medium": "inks"}', {}),
        (None, {}),
    ],
)
def test_an_answer_is_read_leniently_and_never_outside(answer: object, values: dict[str, str]) -> None:
    assert read(answer, FIELDS) == values


@pytest.mark.parametrize(
    ("answer", "letter"),
    [("B", "B"), ("b.", "B"), ("B) Two", "B"), ("The letter is B", "B"), ("A fox needs two", None)],
)
def test_a_letter_is_read_where_it_stands_alone(answer: str, letter: str | None) -> None:
    assert read(answer, (Field("letter", ("A", "B")),)).get("letter") == letter


@pytest.mark.wide
@pytest.mark.skipif("DIFFAGENT_CHAT_SERVER" not in os.environ, reason="DIFFAGENT_CHAT_SERVER names no server")
def test_a_real_server_reads_and_chooses() -> None:
    """``DIFFAGENT_CHAT_SERVER``: the URL of a llama.cpp, Ollama or other server with any chat model."""
    engine: Any = load_engine(os.environ["DIFFAGENT_CHAT_SERVER"], os.environ.get("DIFFAGENT_CHAT_MODEL"))
    assert isinstance(engine, ChatServerEngine)
    rules = Reading.of("a fox in the snow")
    (line,) = engine.write_many([Writing(question("a fox in the snow"), rules.grammar(4.0), rules.line)])
    assert isinstance(line, str)
    rules.grammar(4.0).parse(line)
    (letters,) = engine.choose_many([Choice(PROMPT, ("A", "B", "C"))])
    engine.remote.close()
    assert isinstance(letters, list)
    assert max(letters) == pytest.approx(log(CONFIDENCE))
    assert engine.outside == 0
