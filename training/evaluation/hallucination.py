"""Hallucination: the share of answers that are not callable (paper, section 4.2.1).

In: prompts (a line each, a ``Prompt`` column, or JSON lines) and an agent. Constrained: the agent's own
calls, checked against the catalog; a prompt that the agent refuses and an answer that is none count as not
callable, an engine or a server that fails ends the run. Unconstrained: the language model's
greedy text on the same question without a grammar; it has to parse and to name one of the catalog's
entries (among candidates: by letter and listed name) with its type, base model and parameters in range.
Both in two forms: among the prefilter's candidates, and from memory, where the prompt stands alone. The
paper's Table 1 is of the latter without a grammar: :mod:`diffagent.training.evaluation.memory_table`.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from diffagent.agent.agent import Agent
from diffagent.agent.answering import memory
from diffagent.agent.answering.answer import question, read, resolve
from diffagent.agent.answering.settings import settings
from diffagent.agent.asking.wishes import wishes
from diffagent.agent.choosing.prefilter import Candidate
from diffagent.data.base_models import family_of
from diffagent.data.catalog.callability import answer_flaw, flaw
from diffagent.data.catalog.catalog import Catalog
from diffagent.data.errors import BadAnswer, BadInput, DiffAgentError
from diffagent.data.records import Card, Usage

ANSWER_TOKENS = 64
AT_ONCE = 32
"""Prompts in a batch."""

NO_ANSWER = (BadInput, BadAnswer)
"""What counts as an answer that is not callable; any other error is one of the run."""

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


Form = Literal["candidates", "memory"]


def measure(
    agent: Agent, prompts: Sequence[str], free: int, progress: Progress, form: Form = "candidates"
) -> dict[str, Any]:
    """``{"n", "constrained", "unconstrained", …}``: rates 0…1, the number of distinct models named with and
    without the grammar, and the first flaws met. Without it the first ``free`` prompts are answered."""
    if form == "memory":
        tight = [(one, answer_flaw(one, agent.catalog)) for one in _recalled(agent, prompts, progress)]
    else:
        tight = list(_called(agent, prompts, progress))
    loose = list(_freely(agent, prompts[:free], form, progress))
    flaws, loose_flaws = ([wrong for _, wrong in judged if wrong is not None] for judged in (tight, loose))
    return {
        "form": form,
        "n": len(prompts),
        "constrained": len(flaws) / len(prompts),
        "unconstrained": len(loose_flaws) / len(loose) if loose else None,
        "n_unconstrained": len(loose),
        "distinct_models": _distinct(tight),
        "distinct_models_unconstrained": _distinct(loose),
        "flaws": flaws[:5],
        "unconstrained_flaws": loose_flaws[:3],
    }


def free_flaws(agent: Agent, prompts: Sequence[str], progress: Progress, form: Form = "candidates") -> float:
    """The share of answers without a grammar that are not callable."""
    judged = list(_freely(agent, prompts, form, progress))
    return sum(wrong is not None for _, wrong in judged) / len(judged)


Judged = tuple[Mapping[str, Any], str | None]
"""The fields of an answer (none where it does not parse), and why it is not callable."""


def _distinct(judged: Sequence[Judged]) -> int:
    """How many models the callable answers name."""
    return len({str(fields["model"]) for fields, wrong in judged if wrong is None})


def _called(agent: Agent, prompts: Sequence[str], progress: Progress) -> Iterable[Judged]:
    """The agent's own calls."""
    for start in progress(range(0, len(prompts), AT_ONCE), "constrained"):
        asked = [{"prompt": prompt} for prompt in prompts[start : start + AT_ONCE]]
        for found in agent.decide_many(asked):
            if isinstance(found, NO_ANSWER):
                yield {}, str(found)
            elif isinstance(found, DiffAgentError):
                raise found
            else:
                call = found.call.model_dump()
                yield call, flaw(call, agent.catalog)


def _recalled(agent: Agent, prompts: Sequence[str], progress: Progress) -> Iterable[Mapping[str, Any]]:
    """Answers from memory inside the grammar: one name of the whole catalog, then that model's settings."""
    cards = [card for card in agent.prefilter.cards if not card.is_pickle]
    every, known = memory.names(cards), memory.by_identity(cards)
    for prompt in progress(prompts, "constrained"):
        card = memory.recall(agent.engine, prompt, every, known)
        usual = settings(card, agent.usual.get(family_of(card.base_model), Usage()), wishes(prompt))
        legal = memory.grammar(card, usual, agent.fusion.write)
        yield memory.read(agent.engine.write(memory.question(prompt), legal, legal.draft()))


def _freely(agent: Agent, prompts: Sequence[str], form: Form, progress: Progress) -> Iterable[Judged]:
    """What the language model answers without the grammar."""
    for start in progress(range(0, len(prompts), AT_ONCE), "unconstrained"):
        asked = prompts[start : start + AT_ONCE]
        listed = [_candidates(agent, prompt) if form == "candidates" else () for prompt in asked]
        questions = [
            question(offered, prompt) if form == "candidates" else memory.question(prompt)
            for offered, prompt in zip(listed, asked, strict=True)
        ]
        texts = agent.engine.generate_many(questions, ANSWER_TOKENS, AT_ONCE)
        for text, offered in zip(texts, listed, strict=True):
            yield judge(text, [one.card for one in offered], agent.catalog)


def _candidates(agent: Agent, prompt: str) -> Sequence[Candidate]:
    return agent.prefilter.rank(agent.prefilter.require(prompt), 16, agent.eligible.loadable)


def judge(text: str, cards: Sequence[Card], catalog: Catalog) -> Judged:
    """An answer among ``cards``, or from memory where there are none."""
    try:
        fields = resolve(*read(text), cards) if cards else memory.read(text)
    except BadAnswer as error:
        return {}, str(error)
    return fields, answer_flaw(fields, catalog)


def _prompt(path: Path, number: int, line: str) -> str:
    try:
        row = json.loads(line)
        return str(row.get("instruction", row)["prompt"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadInput(
            f"{path}, line {number} has no prompt ({type(error).__name__}: {error}): "
            'each line is {"prompt"} or a DABench row'
        ) from None
