"""Measures whether the model that people used is among the first k, on held-out prompts.

In: held-out pairs (DABench rows, or ``{"prompt", "negative_prompt"?, "air", "api"?}``) and an agent. Out:
recall at 1, 5, 16 and 50 of the prefilter and of its baseline (the best TF-IDF cosine plus the best sentence
cosine of a model, on the same rows and the same catalog), and at 1 of the agent's decision: as it is, without
a language model, and with the untuned model. Each has a 95 % bootstrap interval over rows; recall at 1 is
also given by type of the true model, and everything again over the *novel* rows: those without a catalog
prompt within MiniLM cosine 0.8. The true model's trigger words and all LoRA tags are removed from a query.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from diffagent.agent.agent import Agent
from diffagent.agent.asking.request import Request
from diffagent.agent.choosing.matching import Matcher, Requirement
from diffagent.agent.choosing.prefilter import Candidate, Prefilter
from diffagent.agent.engines import Engine
from diffagent.data.air import AIR, MODEL_TYPES
from diffagent.data.catalog.catalog import Catalog, Filter
from diffagent.data.catalog.specification import KIND, PackedSpecification
from diffagent.data.dabench.novelty import NOVEL_BELOW
from diffagent.data.errors import BadInput, DiffAgentError
from diffagent.data.prompts import strip_lora_tags, strip_trigger_words
from diffagent.data.records import Card
from diffagent.training.corpora.held_out_pairs import HeldOutPair
from diffagent.training.evaluation import parameters
from diffagent.training.evaluation.parameters import PairParameters, measure_pair

RANKS = (1, 5, 16, 50)
RESAMPLES = 1000
TYPES = ("Checkpoint", "LoRA")

Ranked = npt.NDArray[np.float64]


@dataclass(frozen=True)
class PairMeasures:
    """The measures of a pair: ranks (from 1; infinite where the model is not in the catalog), the true
    model's type, whether each agent ("agent", "no_llm", "untuned") chooses it, and its parameters."""

    prefilter: float
    baseline: float
    novel: bool
    type: str | None = None
    hits: Mapping[str, bool] = field(default_factory=dict)
    parameters: PairParameters | None = None


def same_model(card: Card, true: Card | None) -> bool:
    """Whether two entries are of one model, which has an entry for each base model."""
    return true is not None and (card.air == true.air or (card.model_id or -1) == true.model_id)


@dataclass(frozen=True)
class SelectionOptions:
    """The settings of a measurement: whether to use the language model, which untuned model to compare with,
    whether to measure parameters, and from which cosine on documents near a query are left out."""

    llm: bool = True
    untuned: Engine | None = None
    parameters: bool = True
    leave_out: float | None = None


def variant(agent: Agent, **parts: Any) -> Agent:
    """A copy of an agent with other parts (``prefilter``, ``engine``, ``fusion``, ``suitability``), which
    shares the facts of the catalog."""
    _ = agent.facts, agent.suitability  # computed once, for the copies too
    other = copy(agent)
    vars(other).update(parts)
    return other


def measure(
    agent: Agent, pairs: Iterable[HeldOutPair], task: SelectionOptions | None = None
) -> Iterator[PairMeasures]:
    """A :class:`PairMeasures` for each pair."""
    task = task or SelectionOptions()
    identity = [_identity(card) for card in agent.prefilter.cards]
    without = LeaveOut.from_agent(agent, task.leave_out) if task.leave_out is not None else None
    agents = {"no_llm": variant(agent, fusion=replace(agent.fusion, reading_weight=0.0, choice_weight=0.0))}
    if task.llm:
        agents["agent"] = agent
    if task.llm and task.untuned is not None:
        agents["untuned"] = variant(agent, engine=task.untuned)
    for pair in pairs:
        true = _true_card(agent.catalog, pair.air)
        prompt = strip_lora_tags(pair.prompt)
        if true is not None:
            prompt = strip_trigger_words(prompt, true.all_words) or prompt
        bare_pair = replace(pair, prompt=prompt)
        requirement = agent.prefilter.require(prompt, pair.negative_prompt)
        prefilter = without(requirement) if without else agent.prefilter
        row = _ranks(prefilter, identity, requirement, true)
        lists = decisions(agents, prefilter, bare_pair)
        key = _identity(true) if true else None
        row = replace(
            row,
            type=true.type if true else _type(pair.air),
            hits={
                name: bool(candidates) and key is not None and _identity(candidates[0].card) == key
                for name, candidates in lists.items()
            },
        )
        if task.llm and task.parameters and true is not None and pair.api is not None:
            row = replace(row, parameters=measure_pair(agent, prompt, lists["agent"], true, pair.api))
        yield row


def decisions(
    agents: Mapping[str, Agent], prefilter: Prefilter, pair: HeldOutPair
) -> dict[str, list[Candidate]]:
    """The ranked candidates of each agent; none where the prompt is refused.

    Work that does not depend on the language model is done once, by the agent without it
    (``agents["no_llm"]``), with ``prefilter`` in place of its own.
    """
    try:
        request = Request.from_prompt(pair.prompt, negative_prompt=pair.negative_prompt)
        pending = variant(agents["no_llm"], prefilter=prefilter).prepare(request)
    except BadInput:
        return {name: [] for name in agents}
    return {name: agent.choose(pending)[1] for name, agent in agents.items()}


def _ranks(
    prefilter: Prefilter, identity: Sequence[Any], requirement: Requirement, true: Card | None
) -> PairMeasures:
    scores = prefilter.scores(requirement).astype(np.float64)
    key = _identity(true) if true else None
    hits = (
        np.array([entry_identity == key for entry_identity in identity])
        if key is not None
        else np.zeros(len(identity), bool)
    )
    return PairMeasures(
        prefilter=_rank(scores, hits),
        baseline=_rank(prefilter.matcher.baseline(requirement), hits),
        novel=bool(prefilter.matcher.sentences(requirement).max(initial=-1) < NOVEL_BELOW),
    )


@dataclass(frozen=True)
class LeaveOut:
    """Prefilters of a catalog without the documents near a query, as for a new model that has few images."""

    prefilter: Prefilter
    specifications: Sequence[PackedSpecification]
    cosine: float

    @classmethod
    def from_agent(cls, agent: Agent, cosine: float) -> LeaveOut:
        scope = Filter(among=agent.catalog.unasked)
        specifications = [PackedSpecification.read(blob) for _, blob in agent.catalog.features(KIND, scope)]
        return cls(agent.prefilter, specifications, cosine)

    def __call__(self, requirement: Requirement) -> Prefilter:
        matcher = self.prefilter.matcher
        near = matcher.sentences(requirement) >= self.cosine
        if not near.any():
            return self.prefilter
        specifications = list(self.specifications)
        for model in np.unique(matcher.model[near]).tolist():
            specifications[model] = specifications[model].only(~near[matcher.model == model])
        return replace(self.prefilter, matcher=Matcher.of(self.prefilter.cards, specifications))


def summarise(rows: Sequence[PairMeasures], seed: int = 0) -> dict[str, Any]:
    """The output of ``diffagent eval select``."""
    novel = [row for row in rows if row.novel]
    parameter_rows = [row.parameters for row in rows if row.parameters is not None]
    return {
        **_table(rows, seed),
        "novel": _table(novel, seed),
        "parameters": parameters.table(parameter_rows, seed),
    }


def _table(rows: Sequence[PairMeasures], seed: int) -> dict[str, Any]:
    """Recall in percent: ``gain`` is the prefilter's lead over its baseline, ``agent_gain`` the agent's over
    the prefilter, ``llm_gain`` the agent's over itself without a language model."""
    if not rows:
        return {"n": 0}
    columns: dict[str, dict[str, Ranked]] = {}
    for name in ("prefilter", "baseline"):
        ranks = np.array([getattr(row, name) for row in rows])
        columns[name] = {str(k): (ranks <= k).astype(float) for k in RANKS}
    for name in rows[0].hits:
        columns[name] = {"1": np.array([float(row.hits[name]) for row in rows])}
    if "agent" in columns:
        columns.setdefault("untuned", columns["agent"])
    types = {name: np.array([row.type == name for row in rows]) for name in TYPES}
    by_type = {
        name: {"n": int(of.sum())} | {who: _percent(column["1"][of]) for who, column in columns.items()}
        for name, of in types.items()
        if of.any()
    }
    for name, more, less in (
        ("gain", "prefilter", "baseline"),
        ("agent_gain", "agent", "prefilter"),
        ("llm_gain", "agent", "no_llm"),
    ):
        if more in columns and less in columns:
            columns[name] = {k: hit - columns[less][k] for k, hit in columns[more].items()}
    return {
        "n": len(rows),
        **{name: {k: _percent(hit) for k, hit in column.items()} for name, column in columns.items()},
        "types": by_type,
        "ci95": {
            name: {k: _interval(hit, seed) for k, hit in column.items()} for name, column in columns.items()
        },
    }


def _percent(values: Ranked) -> float:
    return round(100 * float(values.mean()), 2)


def _interval(values: Ranked, seed: int) -> list[float]:
    """95 % percentile bootstrap of a mean over rows, in percent."""
    draws = np.random.default_rng(seed).integers(0, len(values), (RESAMPLES, len(values)))
    low, high = np.percentile(values[draws].mean(1), [2.5, 97.5])
    return [round(100 * float(low), 2), round(100 * float(high), 2)]


def _rank(scores: npt.NDArray[Any], hits: npt.NDArray[np.bool_]) -> float:
    """The place of the best hit, from 1; entries that tie with it count half."""
    if not hits.any():
        return float("inf")
    best = scores[hits].max()
    others = ~hits
    return 1 + float((scores[others] > best).sum()) + 0.5 * float((scores[others] == best).sum())


def _identity(card: Card) -> Any:
    return card.model_id if card.model_id is not None else card.air


def _type(air: str) -> str | None:
    try:
        return MODEL_TYPES.get(AIR.parse(air).type)
    except BadInput:
        return None


def _true_card(catalog: Catalog, air: str) -> Card | None:
    try:
        return catalog.by_air(air)
    except DiffAgentError:
        return None
