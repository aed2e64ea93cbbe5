"""The latency of a call, beside a plain call on the same machine in the same run.

The baseline is greedy ``generate()`` of the transformers library with the same weights and dtype, without a
grammar until the model ends its answer, for both questions of a call: the reading and the choice. A whole
plain call also generates the parameters, in as many tokens as they take.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from diffagent.agent.agent import Agent
from diffagent.agent.answering import answer
from diffagent.agent.asking.request import Request
from diffagent.agent.engines import Prompt

PROMPTS = (
    "A cute happy corgi, pixel art",
    "portrait of an old fisherman, oil painting, dramatic light",
    "cyberpunk street at night, neon rain, wide shot",
    "watercolor of a lighthouse on a cliff",
    "anime girl with silver hair reading in a library, detailed eyes",
    "isometric tiny house with a garden, low poly",
    "photo of a red vintage car on a mountain road, golden hour",
    "line art coloring page of a friendly dragon",
    "a bowl of ramen, food photography, shallow depth of field",
    "studio ghibli style meadow with clouds, wallpaper for my phone",
    "steampunk airship over a harbour, concept art",
    "logo of a fox head, flat vector, minimalist",
)
"""Prompts of our own, of the kinds that people type."""

COLD = "import sys; from diffagent.serving.cli import main; main(sys.argv[1:])"
BARE = (
    "import torch; from diffagent.agent.engines import Prompt; "
    "from diffagent.agent.engines.loading import load_engine; "
    "load_engine().choose(Prompt('Answer.', 'A or B?'), ['A', 'B'])"
)
MEASURE = """
import resource, subprocess, sys, time
start = time.perf_counter()
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
print(time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)
"""
"""Runs a command and prints its seconds and peak memory in MB. It is a small process of its own, because the
peak of a process that is forked begins with the memory of the one that forks."""
SPIN = "while True: pass"
Progress = Callable[[Iterable[Any]], Iterable[Any]]
LONGEST = 64
"""The limit of a plain answer in tokens."""


@dataclass(frozen=True)
class PlainCall:
    """A plain call: milliseconds of both turns (reading and choice) and of the parameters; tokens of both
    questions and of the agent's answers."""

    turns_ms: float
    parameters_ms: float
    prompt_tokens: int
    answer_tokens: int


@dataclass(frozen=True)
class Latency:
    """Milliseconds of a call in a warm process, median and 95th percentile; of a plain reading and choice,
    and of a whole plain call, which also writes the parameters; their ratios; the share of calls without a
    choice turn; seconds of a whole command (``bare_s``: import, load and one forward pass alone); its peak
    memory in MB; median tokens read and written in both turns."""

    p50_ms: float
    p95_ms: float
    plain_p50_ms: float
    ratio: float
    plain_call_p50_ms: float
    call_ratio: float
    unasked: float
    cold_s: float
    bare_s: float
    rss_mb: float
    prefilter_ms: float
    prompt_tokens: int
    answer_tokens: int
    dtype: str
    threads: int


def latency(agent: Agent, rounds: int, plain_rounds: int, progress: Progress = iter) -> dict[str, Any]:
    """Measures ``rounds`` calls, each with another prompt than the call before, and ``plain_rounds`` plain
    generations of the same prompts, in turn."""
    import torch

    for prompt in PROMPTS[:3]:
        agent.decide(Request.from_prompt(prompt))
    calls: list[float] = []
    prefilter: list[float] = []
    plain: list[PlainCall] = []
    for turn in progress(range(rounds)):
        prompt = PROMPTS[turn % len(PROMPTS)]
        start = time.perf_counter()
        decision = agent.decide(Request.from_prompt(prompt))
        calls.append(1e3 * (time.perf_counter() - start))
        prefilter.append(decision.timings_ms["prefilter"])
        if turn < plain_rounds:
            plain.append(_plain(agent, prompt))
    engine: Any = agent.engine
    cold_s, rss_mb = _run(COLD, PROMPTS[0])
    bare_s, _ = _run(BARE)
    p50, plain_p50 = statistics.median(calls), statistics.median(call.turns_ms for call in plain)
    plain_call_p50 = statistics.median(call.turns_ms + call.parameters_ms for call in plain)
    return asdict(
        Latency(
            p50_ms=round(p50, 1),
            p95_ms=round(statistics.quantiles(calls, n=20)[-1], 1),
            plain_p50_ms=round(plain_p50, 1),
            ratio=round(plain_p50 / p50, 2),
            plain_call_p50_ms=round(plain_call_p50, 1),
            call_ratio=round(plain_call_p50 / p50, 2),
            unasked=round(statistics.mean(_unasked(agent, prompt) for prompt in PROMPTS), 2),
            cold_s=round(cold_s, 2),
            bare_s=round(bare_s, 2),
            rss_mb=round(rss_mb, 1),
            prefilter_ms=round(statistics.median(prefilter), 1),
            prompt_tokens=int(statistics.median(call.prompt_tokens for call in plain)),
            answer_tokens=int(statistics.median(call.answer_tokens for call in plain)),
            dtype=str(engine.dtype),
            threads=torch.get_num_threads(),
        )
    )


def beside_busy(agent: Agent, rounds: int, progress: Progress = iter) -> dict[str, float]:
    """The medians of ``rounds`` calls on the quiet machine and beside a busy process per core, in ms."""
    quiet = _median_ms(agent, rounds, progress)
    with _busy_cores():
        busy = _median_ms(agent, rounds, progress)
    return {
        "quiet_p50_ms": round(quiet, 1),
        "busy_p50_ms": round(busy, 1),
        "busy_ratio": round(busy / quiet, 2),
    }


def turns(agent: Agent, prompt: str) -> tuple[list[tuple[Prompt, str]], tuple[Prompt, str]]:
    """The questions and answers of a call without skipped turns: the reading and the letter, if they have a
    weight; and the parameters."""
    engine, pending = agent.engine, agent.prepare(Request.from_prompt(prompt))
    answers = []
    if turn := agent.reading_turn(pending):
        line = engine.write(turn.prompt, turn.grammar, turn.draft)
        answers.append((turn.prompt, line))
        pending = agent.consider(pending, line)
    letters: list[float] = []
    if agent.fusion.choice_weight:
        choice = agent.choice_among(pending)
        letters = engine.choose(choice.prompt, choice.options)
        answers.append((choice.prompt, choice.options[letters.index(max(letters))]))
    outcome = agent.outcome(pending, agent.pick(pending, letters))
    return answers, (answer.question(outcome.ranked, pending.wishes.prompt), outcome.grammar.draft())


def _unasked(agent: Agent, prompt: str) -> bool:
    """Whether a call skips the choice turn."""
    pending = agent.prepare(Request.from_prompt(prompt))
    if turn := agent.reading_turn(pending):
        pending = agent.consider(pending, agent.engine.write(turn.prompt, turn.grammar, turn.draft))
    return agent.choice_turn(pending) is None


def _plain(agent: Agent, prompt: str) -> PlainCall:
    """The measures of a plain call."""
    engine: Any = agent.engine
    answers, (question, parameters) = turns(agent, prompt)
    start = time.perf_counter()
    for turn, _ in answers:
        engine.generate(turn, LONGEST)
    done = time.perf_counter()
    length = engine.count_tokens(parameters)
    engine.generate(question, length, min_new_tokens=length)
    return PlainCall(
        1e3 * (done - start),
        1e3 * (time.perf_counter() - done),
        sum(len(engine.chat.prompt_ids(turn)) for turn, _ in answers),
        sum(engine.count_tokens(answer) for _, answer in answers),
    )


def _median_ms(agent: Agent, rounds: int, progress: Progress) -> float:
    times = []
    for turn in progress(range(rounds)):
        request = Request.from_prompt(PROMPTS[turn % len(PROMPTS)])
        start = time.perf_counter()
        agent.decide(request)
        times.append(1e3 * (time.perf_counter() - start))
    return statistics.median(times)


@contextmanager
def _busy_cores() -> Iterator[list[subprocess.Popen[bytes]]]:
    """A busy process for each core that this process may use."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    spinning = [subprocess.Popen((sys.executable, "-c", SPIN)) for _ in range(cores)]
    try:
        yield spinning
    finally:
        for process in spinning:
            process.kill()
            process.wait()


def _run(code: str, *arguments: str, tries: int = 3) -> tuple[float, float]:
    """The seconds (the median of some tries) and peak memory in MB of a Python process."""
    command = (sys.executable, "-c", MEASURE, sys.executable, "-c", code, *arguments)
    outputs = [subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout for _ in range(tries)]
    seconds, memory = zip(*(map(float, output.split()) for output in outputs), strict=True)
    return statistics.median(seconds), max(memory)
