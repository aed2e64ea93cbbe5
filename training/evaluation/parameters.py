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
from diffagent.agent.answering.settings import FALLBACK, most_frequent
from diffagent.agent.asking.wishes import wishes
from diffagent.agent.choosing.eligible import ANY
from diffagent.agent.choosing.prefilter import Candidate, including
from diffagent.data.base_models import family_of
from diffagent.data.records import Card, Counts, Usage

NAMES = ("sampler", "size", "steps_mae", "cfg_mae")
WHO = ("agent", "model_default", "global_default")
RESAMPLES = 1000
Scores = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Parameters:
    """The parameters of an image; ``size`` in pixels."""

    sampler: str
    size: tuple[int, int]
    steps: int
    cfg_scale: float

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> Parameters:
        """The parameters in the fields of an answer or of a row's ``api``."""
        size = int(fields["width"]), int(fields["height"])
        return cls(
            str(fields["sampling_method"]), size, int(fields["sampling_steps"]), float(fields["cfg_scale"])
        )

    @classmethod
    def from_usage(cls, usage: Usage, usual: Usage) -> Parameters:
        """The most frequent value of each parameter, by the model's usage or else by its family's."""

        def of(name: str) -> Any:
            counts: Sequence[Counts] = getattr(usage, name), getattr(usual, name), FALLBACK[name]
            return next(frequent for count in counts if (frequent := most_frequent(name, count)) is not None)

        return cls(of("sampler"), of("size"), of("steps"), of("cfg_scale"))


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


def offer(candidates: Sequence[Candidate], true: Card) -> tuple[list[Candidate], str]:
    """The candidates, of which the last becomes the true model if it is missing; and its letter."""
    offered = including(candidates, true)
    return offered, answer.LABELS[[candidate.card for candidate in offered].index(true)]


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
