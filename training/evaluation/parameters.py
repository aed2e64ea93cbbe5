"""Measures whether sampler, size, steps and CFG scale are those of a held-out pair's image.

They are measured given the true model, so that a wrong choice does not hide good settings: the agent's (the
language model's probabilities fused with the model's usage), the model's most frequent values, and one set
for everything (the paper's defaults, section 4.1: Euler a, 20 steps, 7, 512×512).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from diffagent.agent.agent import Agent
from diffagent.agent.answering import answer
from diffagent.agent.asking.wishes import wishes
from diffagent.agent.choosing.eligible import ANY
from diffagent.agent.choosing.prefilter import Candidate
from diffagent.data.base_models import family_of
from diffagent.data.records import Card, Usage
from diffagent.training.corpora.held_out_pairs import Parameters, offer

NAMES = ("sampler", "size", "steps_mae", "cfg_mae")
WHO = ("agent", "model_default", "global_default")
RESAMPLES = 1000
Scores = npt.NDArray[np.float64]


GLOBAL = Parameters.from_usage(Usage(), Usage())


@dataclass(frozen=True)
class PairParameters:
    """The parameters of a pair by each of :data:`WHO`, and the true ones."""

    true: Parameters
    agent: Parameters
    model_default: Parameters
    global_default: Parameters = GLOBAL


def measure_pair(
    agent: Agent, prompt: str, candidates: Sequence[Candidate], true: Card, api: Mapping[str, Any]
) -> PairParameters:
    """The agent's parameters for the true model among the candidates, with the others of :data:`WHO`."""
    offered, label = offer(candidates, true)
    prompt_wishes = wishes(prompt)
    legal = agent.grammar(label, true, prompt_wishes, carrier=agent.carrier(true, prompt_wishes, ANY))
    text = legal.draft()
    if legal.llm_weight:  # as in serving
        text = agent.engine.write(answer.question(offered, prompt), legal, text)
    _, fields = answer.read(text)
    usual = agent.usual.get(family_of(true.base_model), Usage())
    return PairParameters(
        true=Parameters.from_fields(api),
        agent=Parameters.from_fields(fields),
        model_default=Parameters.from_usage(true.usage, usual),
    )


def table(pairs: Sequence[PairParameters], seed: int) -> dict[str, Any] | None:
    """Each of :data:`WHO` with its shares of correct samplers and sizes (percent) and mean absolute errors of
    steps and CFG scale; 95 % bootstrap intervals over pairs under ``ci95``; the agent's lead over the
    model's most frequent values under ``gain`` (positive is better)."""
    if not pairs:
        return None
    scores = {who: np.array([_score(getattr(pair, who), pair.true) for pair in pairs]) for who in WHO}
    scores["gain"] = (scores["agent"] - scores["model_default"]) * np.array([1, 1, -1, -1])
    out: dict[str, Any] = {"n": len(pairs)}
    out |= {who: _by_name(rows.mean(0)) for who, rows in scores.items()}
    draws = np.random.default_rng(seed).integers(0, len(pairs), (RESAMPLES, len(pairs)))
    out["ci95"] = {who: _intervals(rows, draws) for who, rows in scores.items()}
    return out


def _score(parameters: Parameters, true: Parameters) -> tuple[float, float, float, float]:
    """The scores in the order of NAMES: 100 (correct) or 0, then absolute errors."""
    sampler, size, steps, cfg = astuple(parameters)
    return (
        100.0 * (sampler == true.sampler),
        100.0 * (size == true.size),
        float(abs(steps - true.steps)),
        float(abs(cfg - true.cfg_scale)),
    )


def _by_name(values: Scores) -> dict[str, float]:
    return {name: round(float(value), 3) for name, value in zip(NAMES, values, strict=True)}


def _intervals(rows: Scores, draws: npt.NDArray[np.int64]) -> dict[str, list[float]]:
    low, high = np.percentile(rows[draws].mean(1), [2.5, 97.5], axis=0)
    return {
        name: [round(float(a), 3), round(float(b), 3)] for name, a, b in zip(NAMES, low, high, strict=True)
    }
