"""Fitting the fusion: how much the language model's word counts, on the align part alone.

``standing``: the weight of how the community stands to a candidate, fitted first, without the language model.
``choice``: the weight of its log-probability of a letter beside the prefilter's; the likelihood of the
true candidate decides. ``bias``, ``match_bias``: what it says of each letter and of each match, whatever the
prompt. ``write``: the weight of its log-probability of a parameter beside what people use; the share of
samplers, sizes, steps and CFG scales that come out right decides. The best weight wins, the smallest of
equals, and for ``standing`` and ``choice`` among those with no lower recall at 1 than without.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from diffagent.agent import answer
from diffagent.agent.agent import Agent
from diffagent.agent.fusion import Fusion
from diffagent.agent.settings import settings
from diffagent.agent.wishes import Wishes
from diffagent.data.base_models import family_of
from diffagent.data.errors import BadInput
from diffagent.data.records import Card, Usage
from diffagent.training.parameters import Parameters, offer
from diffagent.training.selection import Pair, Row, habits

STANDING = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0)
CHOICE = (0.0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0)
WRITE = (0.0, 0.05, 0.1, 0.3, 0.5, 1.0, 2.0, 3.0)

NAMES = ("sampler", "size", "steps", "cfg_scale")

Progress = Callable[[Iterable[Any], str], Iterable[Any]]


def fit_choice(rows: Sequence[Row]) -> tuple[Fusion, list[dict[str, float]]]:
    """The fusion of greatest likelihood, and the log-likelihood and recall at 1 of each weight tried: of the
    standing first, then of the language model's word beside it.

    Raises:
        BadInput: no row has its true model among the candidates.
    """
    listed = [row for row in rows if row.truth >= 0 and row.llm]
    if not listed:
        raise BadInput(
            f"of {len(rows)} pairs none has its model among the candidates, so there is nothing to fit: "
            "give more pairs, of models of this catalog"
        )
    own = habits([(row.prior, row.llm) for row in listed])
    alone = [_try(replace(own, standing=weight), listed) for weight in STANDING]
    own = replace(own, standing=_best(alone)["standing"])
    tried = [_try(replace(own, choice=weight), listed) for weight in CHOICE]
    return replace(own, choice=_best(tried)["choice"]), [*alone, *tried]


def _try(fusion: Fusion, rows: Sequence[Row]) -> dict[str, float]:
    """What a fusion comes to."""
    fused = [fusion.fuse(row.prior, row.llm, row.standing) for row in rows]
    right = [int(np.argmax(one)) == row.truth for one, row in zip(fused, rows, strict=True)]
    return {
        "standing": fusion.standing,
        "choice": fusion.choice,
        "log_likelihood": float(np.mean([one[row.truth] for one, row in zip(fused, rows, strict=True)])),
        "recall@1": float(np.mean(right)),
    }


def _best(tried: Sequence[dict[str, float]]) -> dict[str, float]:
    """The most likely of those that have no lower recall than the first; the first of equals."""
    fair = [one for one in tried if one["recall@1"] >= tried[0]["recall@1"]]
    return max(fair, key=lambda one: one["log_likelihood"])


def fit_write(
    agent: Agent, pairs: Sequence[Pair], progress: Progress
) -> tuple[float, list[dict[str, float]]]:
    """The weight by the rule, and the share of right parameters of each weight tried.

    Raises:
        BadInput: no pair has parameters and a model of the catalog.
    """
    right: list[list[list[bool]]] = [[] for _ in WRITE]
    for pair in progress(pairs, "write"):
        card = agent.catalog.by_air(pair.air)
        if card is None or pair.api is None:
            continue
        for at, found in enumerate(_right(agent, card, pair)):
            right[at].append(found)
    if not right[0]:
        raise BadInput(
            f"of {len(pairs)} pairs none has parameters (api) and a model of this catalog, so there is "
            "nothing to fit: give rows of diffagent data build"
        )
    table = np.array(right, float)
    names = ("sampler", "size", "steps", "cfg")
    tried = [
        {"write": weight, **{name: float(share) for name, share in zip(names, row.mean(0), strict=True)}}
        for weight, row in zip(WRITE, table, strict=True)
    ]
    return WRITE[int(np.argmax(table.mean((1, 2))))], tried


def save(fusion: Fusion, path: Path) -> None:
    """Write a fusion as JSON, biases to three decimals."""
    rounded = {name: [round(one, 3) for one in getattr(fusion, name)] for name in ("bias", "match_bias")}
    stored = asdict(fusion) | rounded
    path.write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")


def _right(agent: Agent, card: Card, pair: Pair) -> list[list[bool]]:
    """Which parameters come out right at each weight, among the candidates as they are served."""
    assert pair.api is not None
    requirement = agent.prefilter.require(pair.prompt, pair.negative_prompt)
    offered, label = offer(agent.prefilter.rank(requirement), card)
    asked = answer.question(offered, pair.prompt)
    usual = settings(card, agent.usual.get(family_of(card.base_model), Usage()), Wishes(pair.prompt))
    true, found = Parameters.of_fields(pair.api), []
    for weight in WRITE:
        legal = answer.grammar(label, card, usual, weight)
        _, fields = answer.read(agent.engine.write(asked, legal, legal.draft()))
        written = Parameters.of_fields(fields)
        found.append([getattr(written, name) == getattr(true, name) for name in NAMES])
    return found
