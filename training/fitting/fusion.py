"""Fitting the fusion: the weight of the language model on parameters, on the align part alone.

``write``: the weight of its log-probability of a parameter relative to usage; the share of correct samplers,
sizes, steps and CFG scales decides, the smallest of equals wins. The weights of its reading and its choice
are fitted on requests (:mod:`diffagent.training.fitting.asking_weights`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from diffagent.agent.agent import Agent
from diffagent.agent.answering import answer
from diffagent.agent.answering.settings import settings
from diffagent.agent.asking.wishes import Wishes
from diffagent.agent.choosing.fusion import Fusion
from diffagent.data.base_models import family_of
from diffagent.data.errors import BadInput
from diffagent.data.records import Card, Usage
from diffagent.training.corpora.held_out_pairs import HeldOutPair, Parameters, offer

WRITE = (0.0, 0.05, 0.1, 0.3, 0.5, 1.0, 2.0, 3.0)

NAMES = ("sampler", "size", "steps", "cfg_scale")

Progress = Callable[[Iterable[Any], str], Iterable[Any]]


def fit_write(
    agent: Agent, pairs: Sequence[HeldOutPair], progress: Progress
) -> tuple[float, list[dict[str, float]]]:
    """The weight by the rule, and the shares of correct parameters at each weight.

    Raises:
        BadInput: no pair has parameters and a model in the catalog.
    """
    hits_by_weight: list[list[list[bool]]] = [[] for _ in WRITE]
    for pair in progress(pairs, "write"):
        card = agent.catalog.by_air(pair.air)
        if card is None or pair.api is None:
            continue
        for at, hits in enumerate(_right(agent, card, pair)):
            hits_by_weight[at].append(hits)
    if not hits_by_weight[0]:
        raise BadInput(
            f"none of {len(pairs)} pairs has parameters (api) and a model in this catalog, so there is "
            "nothing to fit",
            "give rows of diffagent data build",
        )
    table = np.array(hits_by_weight, float)
    names = ("sampler", "size", "steps", "cfg")
    shares_by_weight = [
        {"write": weight, **{name: float(share) for name, share in zip(names, row.mean(0), strict=True)}}
        for weight, row in zip(WRITE, table, strict=True)
    ]
    return WRITE[int(np.argmax(table.mean((1, 2))))], shares_by_weight


def save(fusion: Fusion, path: Path) -> None:
    """Writes a fusion as JSON."""
    path.write_text(fusion.to_json(), encoding="utf-8")


def _right(agent: Agent, card: Card, pair: HeldOutPair) -> list[list[bool]]:
    """Whether each parameter is correct at each weight, among the candidates as in serving."""
    assert pair.api is not None
    requirement = agent.prefilter.require(pair.prompt, pair.negative_prompt)
    candidates, label = offer(agent.prefilter.rank(requirement), card)
    question = answer.question(candidates, pair.prompt)
    usual = settings(card, agent.usual.get(family_of(card.base_model), Usage()), Wishes(pair.prompt))
    true, hits = Parameters.from_fields(pair.api), []
    for weight in WRITE:
        legal = answer.grammar(label, card, usual, weight)
        _, fields = answer.read(agent.engine.write(question, legal, legal.draft()))
        parameters = Parameters.from_fields(fields)
        hits.append([getattr(parameters, name) == getattr(true, name) for name in NAMES])
    return hits
