"""Ablations on graded requests: the effect of the language model's reading and choice on a decision.

In: an agent and requests with graded candidates. Out: for each system the shares of first choices that are
good, acceptable and wrong, and the difference of its share of good ones to the agent's, paired over requests,
with a 95 % bootstrap interval. The systems:

    agent      the model's reading and its choice, at the agent's weights
    no choice  its reading alone
    without    the rules' reading and no choice, with a suitability that was fitted without the model
    shuffled   the model's reading and letters of another request
    untuned    another language model, usually the base model without its adapter, at the same weights
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from diffagent.data.errors import BadInput
from diffagent.training.corpora.plain_requests import PlainRequest
from diffagent.training.evaluation.selection import RESAMPLES, variant
from diffagent.training.fitting.asking_weights import CandidateScores, candidate_scores, readings, table

if TYPE_CHECKING:
    from diffagent.agent.agent import Agent
    from diffagent.agent.choosing.suitability import Suitability
    from diffagent.agent.engines import Engine

Progress = Callable[[Iterable[Any], str], Iterable[Any]]
System = tuple[Sequence[CandidateScores], float]
"""The graded candidates of each request as a system sees them, and the weight of its letters."""
SHARES = ("good", "acceptable", "wrong")


def systems(
    agent: Agent,
    requests: Sequence[PlainRequest],
    progress: Progress,
    *,
    without: Suitability | None = None,
    untuned: Engine | None = None,
    seed: int = 0,
) -> dict[str, System]:
    """The systems on requests with a candidate in the agent's catalog; "without" and "untuned" are optional.

    Raises:
        BadInput: there are fewer than two such requests.
    """
    airs = {card.air for card in agent.prefilter.cards}
    requests_in_catalog = [
        request for request in requests if any(candidate.air in airs for candidate in request.candidates)
    ]
    if len(requests_in_catalog) < 2:
        raise BadInput(
            f"of {len(requests)} requests {len(requests_in_catalog)} have a candidate in this catalog, "
            "but a comparison needs at least 2: give more requests, or those of another part"
        )
    requests = requests_in_catalog
    reading_weight, asked_weight = agent.fusion.reading_weight, agent.fusion.choice_weight
    reads = readings(agent, requests, reading_weight, progress)
    rows = candidate_scores(agent, requests, reads, progress)
    measured: dict[str, System] = {"agent": (rows, asked_weight), "no choice": (rows, 0.0)}
    if without is not None:
        agent_without, rule_readings = (
            variant(agent, suitability=without),
            readings(agent, requests, 0.0, progress),
        )
        measured["without"] = (
            candidate_scores(agent_without, requests, rule_readings, progress, letters=False),
            0.0,
        )
    others = other_requests(len(requests), seed)
    foreign = [
        replace(
            reading, medium=other_reading.medium, people=other_reading.people, special=other_reading.special
        )
        for reading, other_reading in zip(reads, (reads[other] for other in others), strict=True)
    ]
    blind = candidate_scores(agent, requests, foreign, progress, letters=False)
    measured["shuffled"] = exchange_letters(blind, [rows[other] for other in others]), asked_weight
    if untuned is not None:
        plain = variant(agent, engine=untuned)
        untuned_readings = readings(plain, requests, reading_weight, progress)
        measured["untuned"] = candidate_scores(plain, requests, untuned_readings, progress), asked_weight
    return measured


def other_requests(n: int, seed: int) -> list[int]:
    """For each of n requests another one: a random cycle through all."""
    cycle = np.random.default_rng(seed).permutation(n)
    others = np.empty(n, int)
    others[cycle] = np.roll(cycle, 1)
    return [int(other) for other in others]


def exchange_letters(
    rows: Sequence[CandidateScores], others: Sequence[CandidateScores]
) -> list[CandidateScores]:
    """Rows with the letters of others, repeated or cut to the number of shown candidates."""
    return [
        replace(row, letters=tuple(map(float, np.resize(other.letters, len(row.letters)))))
        for row, other in zip(rows, others, strict=True)
    ]


def summarise(measured: Mapping[str, System], seed: int = 0) -> dict[str, Any]:
    """The output of ``diffagent eval ablation``: shares 0…1; ``difference`` is the share of good first
    choices less the agent's, ``ci95`` its interval."""
    good = {
        name: np.array([row.first(weight) == 3 for row in rows], float)
        for name, (rows, weight) in measured.items()
    }
    n = len(good["agent"])
    draws = np.random.default_rng(seed).integers(0, n, (RESAMPLES, n))
    out: dict[str, Any] = {"n": n, "systems": {}}
    for name, (rows, weight) in measured.items():
        shares = table(rows, weight)
        row: dict[str, Any] = {share: round(shares[share], 4) for share in SHARES}
        if name != "agent":
            difference = good[name] - good["agent"]
            low, high = np.percentile(difference[draws].mean(1), [2.5, 97.5])
            row["difference"] = round(float(difference.mean()), 4)
            row["ci95"] = [round(float(low), 4), round(float(high), 4)]
        out["systems"][name] = row
    return out


def text(measured: Mapping[str, Any]) -> str:
    """The measurement as a table for people, in percent."""
    lines = [f"{'':10}" + "".join(f"{share:>12}" for share in SHARES) + "   good less the agent's (95 %)"]
    for name, row in measured["systems"].items():
        line = f"{name:10}" + "".join(f"{100 * row[share]:>12.1f}" for share in SHARES)
        if "ci95" in row:
            low, high = row["ci95"]
            line += f"   {100 * row['difference']:+.1f} ({100 * low:+.1f}, {100 * high:+.1f})"
        lines.append(line)
    return "\n".join([f"{measured['n']} requests", *lines])
