"""Speed of one call, beside the plain way of doing the same on the same machine in the same run.

The plain way is greedy ``generate()`` of the transformers library with the same weights and dtype, for each
question of the call (what is asked for, which candidate): the same chat prompt, and as many new tokens as the
agent's answer has.
"""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from diffagent.agent.agent import Agent
from diffagent.agent.engines import Prompt
from diffagent.agent.request import Request

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
"""Our own prompts, of the kinds that people type."""

COLD = "import sys; from diffagent.serving.cli import main; main(sys.argv[1:])"
BARE = (
    "import torch; from diffagent.agent.engines import Prompt; "
    "from diffagent.agent.engines.loading import load_engine; "
    "load_engine().choose(Prompt('Answer.', 'A or B?'), ['A', 'B'])"
)
Progress = Callable[[Iterable[Any]], Iterable[Any]]


@dataclass(frozen=True)
class Latency:
    """Milliseconds of one call in a warm process, median and 95th percentile; of the plain way; their
    ratio; seconds of a whole command (``bare_s``: import, load and one forward pass alone); its peak
    memory in MB; tokens read and written in all turns of a call, medians."""

    p50_ms: float
    p95_ms: float
    plain_p50_ms: float
    ratio: float
    cold_s: float
    bare_s: float
    rss_mb: float
    prefilter_ms: float
    prompt_tokens: int
    answer_tokens: int
    dtype: str
    threads: int


def latency(agent: Agent, rounds: int, plain_rounds: int, progress: Progress = iter) -> dict[str, Any]:
    """Measure ``rounds`` calls, every one of a prompt that the previous one does not share, and
    ``plain_rounds`` plain generations of the same prompts, turn by turn."""
    import torch

    for prompt in PROMPTS[:3]:
        agent.decide(Request.from_prompt(prompt))
    calls: list[float] = []
    prefilter: list[float] = []
    plain: list[float] = []
    sizes: list[tuple[int, int]] = []
    for turn in progress(range(rounds)):
        prompt = PROMPTS[turn % len(PROMPTS)]
        started = time.perf_counter()
        decision = agent.decide(Request.from_prompt(prompt))
        calls.append(1e3 * (time.perf_counter() - started))
        prefilter.append(decision.timings_ms["prefilter"])
        if turn < plain_rounds:
            milliseconds, size = _plain(agent, prompt)
            plain.append(milliseconds)
            sizes.append(size)
    engine: Any = agent.engine
    cold_s, rss_mb = _run(COLD, PROMPTS[0])
    bare_s, _ = _run(BARE)
    p50, plain_p50 = statistics.median(calls), statistics.median(plain)
    return asdict(
        Latency(
            p50_ms=round(p50, 1),
            p95_ms=round(statistics.quantiles(calls, n=20)[-1], 1),
            plain_p50_ms=round(plain_p50, 1),
            ratio=round(plain_p50 / p50, 2),
            cold_s=round(cold_s, 2),
            bare_s=round(bare_s, 2),
            rss_mb=round(rss_mb, 1),
            prefilter_ms=round(statistics.median(prefilter), 1),
            prompt_tokens=int(statistics.median(size[0] for size in sizes)),
            answer_tokens=int(statistics.median(size[1] for size in sizes)),
            dtype=str(engine.dtype),
            threads=torch.get_num_threads(),
        )
    )


def turns(agent: Agent, prompt: str) -> list[tuple[Prompt, str]]:
    """What the language model is asked for a call, and what it answers: the reading, the letter, and the
    parameters where its word counts in them."""
    engine, pending = agent.engine, agent.prepare(Request.from_prompt(prompt))
    told = []
    if turn := agent.reading_turn(pending):
        line = engine.write(turn.prompt, turn.grammar, turn.draft)
        told.append((turn.prompt, line))
        pending = agent.considered(pending, line)
    letters: list[float] = []
    if asked := agent.choice_turn(pending):
        letters = engine.choose(asked.prompt, asked.options)
        told.append((asked.prompt, asked.options[letters.index(max(letters))]))
    if writing := agent.parameters_turn(agent.outcome(pending, agent.picked(pending, letters))):
        told.append((writing.prompt, engine.write(writing.prompt, writing.grammar, writing.draft)))
    return told


def _plain(agent: Agent, prompt: str) -> tuple[float, tuple[int, int]]:
    """Milliseconds of plain generation of a call's answers; tokens of its prompts and answers."""
    engine: Any = agent.engine
    told = turns(agent, prompt)
    lengths = [engine.count_tokens(answer) for _, answer in told]
    started = time.perf_counter()
    for (asked, _), length in zip(told, lengths, strict=True):
        engine.generate(asked, length, min_new_tokens=length)
    spent = 1e3 * (time.perf_counter() - started)
    return spent, (sum(len(engine.chat.prompt_ids(asked)) for asked, _ in told), sum(lengths))


def _run(code: str, *arguments: str, tries: int = 3) -> tuple[float, float]:
    """Seconds (the median of some tries) and peak memory in MB of a Python process."""
    seconds: list[float] = []
    command: Sequence[str] = (sys.executable, "-c", code, *arguments)
    for _ in range(tries):
        started = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds), resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
