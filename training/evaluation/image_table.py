"""Table 2 of the paper: the metrics of five systems on the same prompts, and their unified metric.

    Baseline      the default model with the default parameters (Euler a, 20 steps, CFG 7)
    Baseline*     the default model with the parameters of RRHF
    DiffAgent#    the model of RRHF with the default parameters
    SFT, RRHF     the calls of the two stages

A call that is not callable is replaced by the baseline's and counted, as in the paper (section 4.1); all
images have one shape. Scores are normalised over all five systems at once
(:mod:`diffagent.training.rewards.unified`); raw ones are printed too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from diffagent.agent.agent import Agent
from diffagent.agent.answering import answer, memory
from diffagent.agent.answering.answer import expand
from diffagent.agent.answering.settings import FALLBACK, settings
from diffagent.agent.asking.request import Request
from diffagent.agent.choosing.eligible import ANY
from diffagent.agent.choosing.prefilter import Candidate, including
from diffagent.data.base_models import family_of
from diffagent.data.catalog.callability import answer_flaw
from diffagent.data.errors import BadAnswer
from diffagent.data.records import Card, T2ICall, Usage
from diffagent.training.evaluation.hallucination import ANSWER_TOKENS, NO_ANSWER
from diffagent.training.evaluation.selection import RESAMPLES
from diffagent.training.rewards.unified import Floats, ImageMetrics, unified
from diffagent.training.rrhf.queries import Query
from diffagent.training.sft.dialogues import Form

Progress = Callable[[Iterable[Any], str], Iterable[Any]]
Caller = Callable[[str], T2ICall | None]
"""Prompt → a system's call; None where its answer is not callable."""
SYSTEMS = ("Baseline", "Baseline*", "DiffAgent#", "SFT", "RRHF")
PARAMETERS = ("sampling_method", "sampling_steps", "cfg_scale")


@dataclass(frozen=True)
class Calls:
    """The calls of a prompt by system, and the systems without a callable answer."""

    prompt: str
    calls: Mapping[str, T2ICall]
    hallucinated: frozenset[str]


def five_calls(prompt: str, baseline: T2ICall, sft: T2ICall | None, rrhf: T2ICall | None) -> Calls:
    """The five systems' calls for a prompt."""
    ours = rrhf or baseline
    default = {name: getattr(baseline, name) for name in PARAMETERS}
    chosen = {name: getattr(ours, name) for name in PARAMETERS}
    calls = (
        baseline,
        baseline.model_copy(update=chosen),
        ours.model_copy(update=default),
        sft or baseline,
        ours,
    )
    missing = frozenset(name for name, call in (("SFT", sft), ("RRHF", rrhf)) if call is None)
    return Calls(prompt, dict(zip(SYSTEMS, calls, strict=True)), missing)


def default_call(agent: Agent, card: Card, prompt: str) -> T2ICall:
    """The call of the default model with the default parameters, at its usual size."""
    wishes = Request.from_prompt(prompt).wishes
    size = settings(card, agent.usual.get(family_of(card.base_model), Usage()), wishes)["size"].values[0]
    sampler, steps, cfg = (next(iter(FALLBACK[name])) for name in ("sampler", "steps", "cfg_scale"))
    fields = {"width": size[0], "height": size[1], "sampling_method": sampler}
    return expand(fields | {"sampling_steps": steps, "cfg_scale": float(cfg)}, card, wishes)


def constrained_caller(agent: Agent) -> Caller:
    """The caller of the agent as in serving, within the grammar. An engine that fails ends the run."""

    def call(prompt: str) -> T2ICall | None:
        try:
            return agent.call(prompt)
        except NO_ANSWER:
            return None

    return call


def free_caller(agent: Agent, form: Form, default: Card, k: int = 16) -> Caller:
    """The caller of the language model alone, as in the paper: its greedy text, without a grammar."""

    def call(prompt: str) -> T2ICall | None:
        wishes = Request.from_prompt(prompt).wishes
        candidates: list[Candidate] = []
        if form == "candidates":
            candidates = agent.prefilter.rank(agent.prefilter.require(prompt), k, agent.eligible.loadable)
            candidates = including(candidates, default)
        query = Query(wishes, tuple(candidates), form)
        text = agent.engine.generate(query.question, ANSWER_TOKENS)
        try:
            has_candidates = form == "candidates"
            fields = answer.resolve(*answer.read(text), query.cards) if has_candidates else memory.read(text)
        except BadAnswer:
            return None
        if answer_flaw(fields, agent.catalog) is not None:
            return None
        card = agent.catalog.by_name(str(fields["model"]))
        assert card is not None
        if card.is_pickle:
            return None
        carrier = agent.eligible.base_checkpoint(card, ANY) if card.type == "LoRA" else None
        call_fields = {**fields, "cfg_scale": float(fields["cfg_scale"])}
        return expand(call_fields, card, wishes, carrier=carrier)

    return call


@dataclass(frozen=True)
class PromptScores:
    """The scores of a prompt: metric → raw scores [5, k], and S(t, r) of each system [5]."""

    raw: Mapping[str, Floats]
    unified: Floats


def measure(call_sets: Sequence[Calls], metrics: ImageMetrics, progress: Progress) -> list[PromptScores]:
    """The scores of every prompt's five calls; existing images are reused."""
    measured = []
    for call_set in progress(call_sets, "images and scores"):
        raw = metrics.raw(call_set.prompt, [call_set.calls[name] for name in SYSTEMS])
        measured.append(PromptScores(raw, unified(raw)))
    return measured


def table(call_sets: Sequence[Calls], measured: Sequence[PromptScores], seed: int = 0) -> dict[str, Any]:
    """System → means of the raw metrics, the unified metric and hallucination in percent; ``gain``: RRHF
    less SFT with a 95 % bootstrap interval over prompts."""
    rows: dict[str, Any] = {}
    scores = np.array([prompt_scores.unified for prompt_scores in measured])
    for i, name in enumerate(SYSTEMS):
        raw = {
            metric: float(np.mean([prompt_scores.raw[metric][i] for prompt_scores in measured]))
            for metric in measured[0].raw
        }
        rows[name] = {
            **{metric: round(value, 4) for metric, value in raw.items()},
            "unified": round(100 * float(scores[:, i].mean()), 2),
            "hallucination": round(
                100 * float(np.mean([name in call_set.hallucinated for call_set in call_sets])), 2
            ),
        }
    rows["gain"] = gain(scores[:, 4] - scores[:, 3], seed)
    return {"n": len(call_sets), "images": int(measured[0].raw[next(iter(measured[0].raw))].shape[1]), **rows}


def gain(values: npt.NDArray[np.float64], seed: int) -> dict[str, Any]:
    """The mean of a difference in percent, with a 95 % bootstrap interval."""
    draws = np.random.default_rng(seed).integers(0, len(values), (RESAMPLES, len(values)))
    low, high = np.percentile(values[draws].mean(1), [2.5, 97.5])
    return {
        "mean": round(100 * float(values.mean()), 2),
        "ci95": [round(100 * float(low), 2), round(100 * float(high), 2)],
    }
