"""Calls a second: many prompts handed over together, beside the same engine asked one by one.

The prompts are the same and each is new; an engine that keeps a prefix cache forgets it in between. The
transformers engine's figure, with the same weights and prompts one by one, stands beside them.
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
    """So many different prompts, 96 at most."""
    found = [f"{prompt}, {ending}" if ending else prompt for ending, prompt in product(ENDINGS, PROMPTS)]
    return list(islice(found, count))


def throughput(
    agent: Agent, rows: Sequence[str], plain: Agent | None = None, progress: Progress = iter
) -> dict[str, Any]:
    """Calls a second of ``agent`` in a batch and one by one, and of ``plain`` one by one (None: left out).

    Raises:
        EngineError: a prompt gets no call.
    """
    _together(agent, WARM)
    batch = _together(agent, rows)
    single = _one_by_one(agent, rows, progress)
    found = {
        "n": len(rows),
        "calls_per_s": round(len(rows) / batch, 3),
        "one_by_one_per_s": round(len(rows) / single, 3),
        "ratio": round(single / batch, 2),
    }
    if plain is not None:
        for prompt in WARM:
            plain.call(prompt)
        found["transformers_per_s"] = round(len(rows) / _one_by_one(plain, rows, progress), 3)
    return found


def _together(agent: Agent, rows: Sequence[str]) -> float:
    _forget(agent)
    started = time.perf_counter()
    found = agent.decide_many([{"prompt": row} for row in rows])
    spent = time.perf_counter() - started
    for row, one in zip(rows, found, strict=True):
        if isinstance(one, DiffAgentError):
            raise EngineError(f"the prompt {row!r} got no call: {one}")
    return spent


def _one_by_one(agent: Agent, rows: Sequence[str], progress: Progress) -> float:
    _forget(agent)
    started = time.perf_counter()
    for row in progress(rows):
        agent.call(row)
    return time.perf_counter() - started


def _forget(agent: Agent) -> None:
    forget = getattr(agent.engine, "forget", None)
    if forget is not None:
        forget()
