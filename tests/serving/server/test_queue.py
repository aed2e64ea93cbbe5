"""The queue on the way to the agent: bounded, batched, in one thread; deadlines, leaving, closing."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import httpx
import pytest
from server_runs import HeldEngine, Serve, error_of, until

from diffagent.agent.agent import Agent
from diffagent.agent.engines import Choice, Prompt, Writing
from diffagent.data.errors import EngineGone
from diffagent.serving.server.batch_queue import BatchQueue, QueuedAnswer
from diffagent.serving.server.faults import Fault

MakeAgent = Callable[..., Agent]


def has_asked(engine: HeldEngine, number: int) -> bool:
    return len(engine.asked) == number


def test_beyond_the_bound_clients_are_sent_away(make_agent: MakeAgent, serve: Serve) -> None:
    engine = HeldEngine()
    with serve(make_agent(engine), queue=2, batch=1) as client, ThreadPoolExecutor(8) as pool:

        def ask(number: int) -> httpx.Response:
            return client.post("/v1/route", json={"prompt": f"fox number {number}"})

        first = pool.submit(ask, 0)
        until(lambda: len(engine.asked) == 1)
        waiting = [pool.submit(ask, number) for number in (1, 2)]
        until(lambda: "diffagent_queue_waiting 2.0" in client.get("/metrics").text)
        refused = ask(3)
        assert refused.status_code == 429
        assert refused.json()["error"]["type"] == "queue_full"
        assert 1 <= int(refused.headers["retry-after"]) <= 60
        engine.gate.set()
        assert [future.result().status_code for future in (first, *waiting)] == [200, 200, 200]
    assert len(engine.threads) == 1


def test_a_batch_is_taken_at_once_and_equal_requests_are_decided_once(
    make_agent: MakeAgent, serve: Serve
) -> None:
    engine = HeldEngine()
    with serve(make_agent(engine), batch=8) as client, ThreadPoolExecutor(8) as pool:

        def ask(prompt: str) -> dict[str, object]:
            return dict(client.post("/v1/route", json={"prompt": prompt}).json()["call"])

        first = pool.submit(ask, "a castle")
        until(lambda: len(engine.asked) == 1)
        rest = [pool.submit(ask, prompt) for prompt in ["an ink fox"] * 3 + ["a lake"] * 2]
        until(lambda: "diffagent_queue_waiting 5.0" in client.get("/metrics").text)
        engine.gate.set()
        calls = [future.result() for future in rest]
        assert first.result()["prompt"] == "a castle"
        assert calls[0] == calls[1] == calls[2]
        assert calls[3] == calls[4] != calls[0]
        assert sorted(engine.prompts) == ["a castle", "a lake", "an ink fox"]
        assert "diffagent_batch_size_sum 6.0" in client.get("/metrics").text


class BatchingEngine(HeldEngine):
    """Answers many together, and notes how many."""

    digest = "00" * 32
    batch_size = 8

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[int] = []

    def choose_many(self, choices: Sequence[Choice]) -> list[list[float]]:
        self.batches.append(len(choices))
        return [self.choose(choice.prompt, choice.options, choice.draft) for choice in choices]

    def write_many(self, writings: Sequence[Writing]) -> list[str]:
        return [self.write(writing.prompt, writing.grammar, writing.draft) for writing in writings]


def test_an_engine_that_batches_gets_the_batch_and_errors_stay_with_their_request(
    make_agent: MakeAgent, serve: Serve
) -> None:
    engine = BatchingEngine()
    agent = make_agent(engine)
    with serve(agent, batch=4) as client, ThreadPoolExecutor(16) as pool:

        def ask(prompt: str, **options: str) -> httpx.Response:
            return client.post("/v1/route", json={"prompt": prompt, **options})

        futures = []
        for number in range(4):  # each of four threads waits for the engine
            futures.append(pool.submit(ask, f"fox {number}"))
            until(partial(has_asked, engine, number + 1))
        rest = [pool.submit(ask, prompt) for prompt in ("a lake", "", "a castle")]
        rest.append(pool.submit(ask, "a fox", model="Tiny Pixel"))
        until(lambda: "diffagent_queue_waiting 3.0" in client.get("/metrics").text)
        engine.gate.set()
        assert [future.result().status_code for future in futures] == [200] * 4
        lake, empty, castle, unknown = (future.result() for future in rest)
    assert [lake.json()["call"]["prompt"], castle.json()["call"]["prompt"]] == ["a lake", "a castle"]
    assert error_of(empty)[:2] == (400, "bad_prompt")
    assert error_of(unknown)[:2] == (400, "unknown_model")
    assert sorted(engine.batches) == [1, 1, 1, 1, 2]


@pytest.mark.parametrize("kind", [HeldEngine, BatchingEngine])
def test_an_engine_that_is_gone_is_503_and_asked_again(
    make_agent: MakeAgent, serve: Serve, kind: type[HeldEngine]
) -> None:
    class Gone(kind):  # type: ignore[misc, valid-type]
        def choose(self, prompt: Prompt, options: Sequence[str], draft: str = "") -> list[float]:
            if not self.gate.is_set():
                raise EngineGone("http://a.example does not answer: is the server up?")
            scores: list[float] = super().choose(prompt, options, draft)
            return scores

    engine = Gone()
    with serve(make_agent(engine)) as client:
        message = "the server's language model answers nothing any more: its operator starts that again"
        gone = (503, "engine_gone", message)
        assert error_of(client.post("/v1/route", json={"prompt": "a fox"})) == gone
        chat = {"messages": [{"role": "user", "content": "a fox"}]}
        assert error_of(client.post("/v1/chat/completions", json=chat)) == gone
        engine.gate.set()
        assert client.post("/v1/route", json={"prompt": "a fox"}).status_code == 200


def test_a_deadline_is_kept_and_what_is_late_is_not_computed(make_agent: MakeAgent, serve: Serve) -> None:
    engine = HeldEngine()
    with serve(make_agent(engine), deadline=0.3, batch=1) as client, ThreadPoolExecutor(2) as pool:
        late = list(pool.map(lambda p: client.post("/v1/route", json={"prompt": p}), ["a fox", "a lake"]))
        assert [response.status_code for response in late] == [504, 504]
        assert late[0].json()["error"]["type"] == "deadline"
        engine.gate.set()
        assert client.post("/v1/route", json={"prompt": "a castle"}).status_code == 200
    assert len(engine.prompts) == 2
    assert engine.prompts[1] == "a castle"


def test_a_client_that_leaves_frees_its_place(make_agent: MakeAgent, serve: Serve) -> None:
    engine = HeldEngine()
    with serve(make_agent(engine), batch=1) as client, ThreadPoolExecutor(1) as pool:
        first = pool.submit(client.post, "/v1/route", json={"prompt": "a castle"})
        until(lambda: len(engine.asked) == 1)
        with pytest.raises(httpx.ReadTimeout):
            client.post("/v1/route", json={"prompt": "a fox"}, timeout=0.2)
        chat = {"messages": [{"role": "user", "content": "a lake"}], "stream": True}
        with pytest.raises(httpx.ReadTimeout):
            client.post("/v1/chat/completions", json=chat, timeout=0.2)
        until(lambda: "diffagent_queue_waiting 0.0" in client.get("/metrics").text)
        engine.gate.set()
        assert first.result().status_code == 200
        assert engine.prompts == ["a castle"]
        metric = 'diffagent_requests_total{endpoint="/v1/route",method="POST",status="499"} 1.0'
        assert metric in client.get("/metrics").text


def test_stopping_finishes_what_was_accepted(make_agent: MakeAgent, serve: Serve) -> None:
    engine = HeldEngine()
    with ThreadPoolExecutor(4) as pool:
        with serve(make_agent(engine), batch=1) as client:
            url = str(client.base_url)

            def ask(prompt: str) -> int:
                return httpx.post(f"{url}/v1/route", json={"prompt": prompt}, timeout=30).status_code

            futures = [pool.submit(ask, f"fox {number}") for number in range(3)]
            until(lambda: "diffagent_queue_waiting 2.0" in client.get("/metrics").text)
            threading.Timer(0.3, engine.gate.set).start()
        assert [future.result() for future in futures] == [200, 200, 200]
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}/healthz")


def test_an_engine_that_breaks_answers_500_without_its_words_and_goes_on(
    make_agent: MakeAgent, serve: Serve
) -> None:
    class Breaks(HeldEngine):
        def choose(self, prompt: Prompt, options: Sequence[str], draft: str = "") -> list[float]:
            if "dragon" in prompt.earlier[0][0]:
                raise ZeroDivisionError("dragon")
            return super().choose(prompt, options, draft)

    engine = Breaks()
    engine.gate.set()
    with serve(make_agent(engine)) as client:
        broken = client.post("/v1/route", json={"prompt": "a dragon"})
        assert broken.status_code == 500
        assert broken.json()["error"] == {
            "type": "internal",
            "message": "something broke here: the server's log says what",
        }
        assert client.post("/v1/route", json={"prompt": "a fox"}).status_code == 200


def test_work_that_dies_fails_its_batch_and_a_closed_queue_takes_nothing() -> None:
    def dies(questions: Iterable[str]) -> Iterator[tuple[str, str]]:
        raise RuntimeError("no memory")
        yield

    async def run() -> None:
        queue: BatchQueue[str, str] = BatchQueue(dies, limit=4, size=4)
        with pytest.raises(Fault, match="starting or stopping"):
            await queue.ask("early", 1)
        queue.start()
        answers = await asyncio.gather(queue.ask("a", 5), queue.ask("b", 5), return_exceptions=True)
        assert [type(answer) for answer in answers] == [RuntimeError, RuntimeError]
        await queue.close()
        with pytest.raises(Fault) as refused:
            await queue.ask("late", 1)
        assert refused.value.status == 503

    asyncio.run(run())


def test_one_question_that_breaks_a_batch_leaves_the_others_their_answers() -> None:
    batches: list[list[str]] = []

    def batched(questions: Iterable[str]) -> Iterator[tuple[str, str]]:
        batch = list(questions)
        batches.append(batch)
        if "dragon" in batch:
            raise ZeroDivisionError("dragon")
        yield from ((question, question.upper()) for question in batch)

    async def run() -> None:
        queue: BatchQueue[str, str] = BatchQueue(batched, limit=8, size=8)
        questions = [queue.ask(prompt, 5) for prompt in ("fox", "dragon", "lake")]
        gathered = asyncio.gather(
            *(asyncio.create_task(question) for question in questions), return_exceptions=True
        )
        queue.start()
        fox, dragon, lake = await gathered
        await queue.close()
        assert isinstance(fox, QueuedAnswer)
        assert isinstance(lake, QueuedAnswer)
        assert (fox.answer, lake.answer) == ("FOX", "LAKE")
        assert isinstance(dragon, ZeroDivisionError)

    asyncio.run(run())
    assert batches == [["fox", "dragon", "lake"], ["fox"], ["dragon"], ["lake"]]
