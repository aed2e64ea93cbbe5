"""Hallucination: the share of answers that are not callable (paper, section 4.2.1).

In: prompts (a line each, a ``Prompt`` column, or JSON lines) and an agent. Constrained: the agent's calls,
checked against the catalog; refused prompts and invalid answers count as not callable, an engine or a server
that fails ends the run. Unconstrained: the language model's greedy text on the same question without a
grammar; it has to parse and to name one of the catalog's entries (among candidates: by letter and listed
name) with its type, base model and parameters in range. Both have two forms: among the prefilter's
candidates, and from memory, where the question is the prompt alone. The paper's Table 1 is the latter without
a grammar: :mod:`diffagent.training.evaluation.memory_table`.
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
"""The errors that count as an answer that is not callable; any other error ends the run."""

Progress = Callable[[Iterable[Any], str], Iterable[Any]]


def read_prompts(path: Path, limit: int | None, seed: int) -> list[str]:
    """The prompts of a .txt, .tsv or .jsonl file, at most ``limit`` drawn at random, in their order.

    Raises:
        BadInput: the file is missing or of another kind, has no prompts, or a line without a prompt.
    """
    if not path.is_file():
        raise BadInput(f"{path} is not a file: give prompts as .txt, .tsv (column Prompt) or .jsonl")
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
    """``{"n", "constrained", "unconstrained", …}``: rates 0…1, the number of distinct models with and without
    the grammar, and the first flaws. The first ``free`` prompts are answered without it."""
    if form == "memory":
        tight = [
            (fields, answer_flaw(fields, agent.catalog))
            for fields in _constrained_answers(agent, prompts, progress)
        ]
    else:
        tight = list(_constrained_calls(agent, prompts, progress))
    loose = list(_free_answers(agent, prompts[:free], form, progress))
    flaws, loose_flaws = (
        [reason for _, reason in judgements if reason is not None] for judgements in (tight, loose)
    )
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
    """The share of unconstrained answers that are not callable."""
    judgements = list(_free_answers(agent, prompts, form, progress))
    return sum(reason is not None for _, reason in judgements) / len(judgements)


Judgement = tuple[Mapping[str, Any], str | None]
"""The fields of an answer (empty where it does not parse), and the reason why it is not callable."""


def _distinct(judgements: Sequence[Judgement]) -> int:
    """The number of distinct models in callable answers."""
    return len({str(fields["model"]) for fields, reason in judgements if reason is None})


def _constrained_calls(agent: Agent, prompts: Sequence[str], progress: Progress) -> Iterable[Judgement]:
    """The agent's calls."""
    for start in progress(range(0, len(prompts), AT_ONCE), "constrained"):
        requests = [{"prompt": prompt} for prompt in prompts[start : start + AT_ONCE]]
        for decision in agent.decide_many(requests):
            if isinstance(decision, NO_ANSWER):
                yield {}, str(decision)
            elif isinstance(decision, DiffAgentError):
                raise decision
            else:
                call = decision.call.model_dump()
                yield call, flaw(call, agent.catalog)


def _constrained_answers(
    agent: Agent, prompts: Sequence[str], progress: Progress
) -> Iterable[Mapping[str, Any]]:
    """Answers from memory within the grammar: a name of the whole catalog, then that model's settings."""
    cards = [card for card in agent.prefilter.cards if not card.is_pickle]
    every, by_identity = memory.names(cards), memory.by_identity(cards)
    for prompt in progress(prompts, "constrained"):
        card = memory.recall(agent.engine, prompt, every, by_identity)
        usual = settings(card, agent.usual.get(family_of(card.base_model), Usage()), wishes(prompt))
        legal = memory.grammar(card, usual, agent.fusion.parameter_weight)
        yield memory.read(agent.engine.write(memory.question(prompt), legal, legal.draft()))


def _free_answers(
    agent: Agent, prompts: Sequence[str], form: Form, progress: Progress
) -> Iterable[Judgement]:
    """The language model's answers without the grammar."""
    for start in progress(range(0, len(prompts), AT_ONCE), "unconstrained"):
        batch = prompts[start : start + AT_ONCE]
        candidate_lists = [_candidates(agent, prompt) if form == "candidates" else () for prompt in batch]
        questions = [
            question(candidates, prompt) if form == "candidates" else memory.question(prompt)
            for candidates, prompt in zip(candidate_lists, batch, strict=True)
        ]
        texts = agent.engine.generate_many(questions, ANSWER_TOKENS, AT_ONCE)
        for text, candidates in zip(texts, candidate_lists, strict=True):
            yield judge(text, [candidate.card for candidate in candidates], agent.catalog)


def _candidates(agent: Agent, prompt: str) -> Sequence[Candidate]:
    return agent.prefilter.rank(agent.prefilter.require(prompt), 16, agent.eligible.loadable)


def judge(text: str, cards: Sequence[Card], catalog: Catalog) -> Judgement:
    """The judgement of an answer among ``cards``, or from memory without cards."""
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
