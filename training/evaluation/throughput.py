"""Calls per second: many prompts in a batch, beside the same engine one by one.

The prompts are the same and each is new; an engine with a prefix cache clears it in between. The transformers
engine's figure, with the same weights and prompts one by one, is given beside them.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import islice, product
from typing import Any

from diffagent.agent.agent import Agent
from diffagent.data.errors import DiffAgentError, EngineError
from diffagent.training.evaluation.bench import PROMPTS, Progress

ENDINGS = (
    "",
    "at dawn",
    "in the rain",
    "by candlelight",
    "in autumn",
    "from above",
    "in a snowstorm",
    "at noon",
)
WARM = ("a quiet harbour", "a robot made of paper", "portrait of a queen, 30 steps")


def prompts(count: int) -> list[str]:
    """``count`` different prompts, 96 at most."""
    variants = [f"{prompt}, {ending}" if ending else prompt for ending, prompt in product(ENDINGS, PROMPTS)]
    return list(islice(variants, count))


def throughput(
    agent: Agent, rows: Sequence[str], plain: Agent | None = None, progress: Progress = iter
) -> dict[str, Any]:
    """The calls per second of ``agent`` in a batch and one by one, and of ``plain`` one by one, if given.

    Raises:
        EngineError: a prompt gets no call.
    """
    _together(agent, WARM)
    batch = _together(agent, rows)
    single = _one_by_one(agent, rows, progress)
    figures = {
        "n": len(rows),
        "calls_per_s": round(len(rows) / batch, 3),
        "one_by_one_per_s": round(len(rows) / single, 3),
        "ratio": round(single / batch, 2),
    }
    if plain is not None:
        for prompt in WARM:
            plain.call(prompt)
        figures["transformers_per_s"] = round(len(rows) / _one_by_one(plain, rows, progress), 3)
    return figures


def _together(agent: Agent, rows: Sequence[str]) -> float:
    _forget(agent)
    start = time.perf_counter()
    decisions = agent.decide_many([{"prompt": row} for row in rows])
    seconds = time.perf_counter() - start
    for row, decision in zip(rows, decisions, strict=True):
        if isinstance(decision, DiffAgentError):
            raise EngineError(f"the prompt {row!r} got no call: {decision}")
    return seconds


def _one_by_one(agent: Agent, rows: Sequence[str], progress: Progress) -> float:
    _forget(agent)
    start = time.perf_counter()
    for row in progress(rows):
        agent.call(row)
    return time.perf_counter() - start


def _forget(agent: Agent) -> None:
    forget = getattr(agent.engine, "forget", None)
    if forget is not None:
        forget()
