"""Hallucination: the share of answers that are not callable (paper, section 4.2.1 and Table 1).

In: prompts (a line each, a ``Prompt`` column, or JSON lines) and an agent. Constrained: the agent's own
calls, checked against the catalog; an error counts as not callable. Unconstrained: the language model's
greedy text on the same question without a grammar; it has to parse and to name one of the catalog's
entries with its type, base model and parameters in range.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from diffagent.agent.agent import Agent
from diffagent.agent.answer import question, read
from diffagent.data.callability import answer_flaw, flaw
from diffagent.data.errors import BadInput, DiffAgentError, EngineError

ANSWER_TOKENS = 64

Progress = Callable[[Iterable[Any], str], Iterable[Any]]


def read_prompts(path: Path, limit: int | None, seed: int) -> list[str]:
    """The prompts of a .txt, .tsv or .jsonl file, at most ``limit`` drawn at random, in their order.

    Raises:
        BadInput: the file is missing or of another kind, has no prompts, or a line without one.
    """
    if not path.is_file():
        raise BadInput(f"{path} is no file: give prompts as .txt, .tsv (column Prompt) or .jsonl")
    try:
        lines = path.read_text("utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise BadInput(f"{path} is not text in UTF-8 ({error}): give a file of prompts") from None
    if path.suffix == ".txt":
        texts = [line.strip() for line in lines]
    elif path.suffix == ".tsv":
        table = csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
        texts = [(row.get("Prompt") or "").strip() for row in table]
    elif path.suffix == ".jsonl":
        texts = [_prompt(path, n, line).strip() for n, line in enumerate(lines, 1) if line.strip()]
    else:
        raise BadInput(f"{path.name} ends in {path.suffix!r}: give .txt, .tsv (column Prompt) or .jsonl")
    texts = [text for text in texts if text]
    if not texts:
        raise BadInput(f"{path} holds no prompts: a line each, a column Prompt, or JSON lines with prompt")
    if limit is None or limit >= len(texts):
        return texts
    return [texts[i] for i in np.sort(np.random.default_rng(seed).permutation(len(texts))[:limit])]


def measure(agent: Agent, prompts: Sequence[str], free: int, progress: Progress) -> dict[str, Any]:
    """``{"n", "constrained", "unconstrained", …}``: rates 0…1, the number of distinct models named, and
    the first flaws met."""
    flaws: list[str] = []
    named: set[str] = set()
    for prompt in progress(prompts, "constrained"):
        try:
            call = agent.call(prompt)
        except DiffAgentError as error:
            flaws.append(str(error))
            continue
        named.add(call.air)
        if (wrong := flaw(call.model_dump(), agent.catalog)) is not None:
            flaws.append(wrong)
    loose = [one for text in _answers(agent, prompts[:free], progress) if (one := _judge(text, agent))]
    return {
        "n": len(prompts),
        "constrained": len(flaws) / len(prompts),
        "unconstrained": len(loose) / min(free, len(prompts)) if free else None,
        "n_unconstrained": min(free, len(prompts)),
        "distinct_models": len(named),
        "flaws": flaws[:5],
        "unconstrained_flaws": loose[:3],
    }


def _answers(agent: Agent, prompts: Sequence[str], progress: Progress) -> Iterable[str]:
    for start in progress(range(0, len(prompts), 8), "unconstrained"):
        asked = []
        for prompt in prompts[start : start + 8]:
            candidates = agent.prefilter.rank(agent.prefilter.require(prompt), 16)
            asked.append(question([one.card for one in candidates], prompt))
        yield from agent.engine.generate_many(asked, ANSWER_TOKENS)


def _judge(text: str, agent: Agent) -> str | None:
    try:
        _, fields = read(text)
    except EngineError as error:
        return str(error)
    return answer_flaw(fields, agent.catalog)


def _prompt(path: Path, number: int, line: str) -> str:
    try:
        row = json.loads(line)
        return str(row.get("instruction", row)["prompt"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadInput(
            f"{path}, line {number} has no prompt ({type(error).__name__}: {error}): "
            'each line is {"prompt"} or a DABench row'
        ) from None
