"""Selection accuracy: is the model that people used among the first k, on prompts nobody trained on?

In: held-out pairs (DABench rows, or ``{"prompt", "negative_prompt"?, "air", "api"?}``) and an agent. Out:
recall at 1, 5, 16 and 50 of the prefilter, of its baseline (the best TF-IDF cosine plus the best sentence
cosine a model, on the same rows and the same catalog), and at 1 of the agent, of the language model
alone, of the agent with the language model's scores shuffled between prompts, and of both with the
untuned model; each with a 95 % bootstrap interval over rows, and again over the *novel* rows: those
without a catalog prompt within MiniLM cosine 0.8. The true model's trigger words and all LoRA tags are
removed from a query first.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from diffagent.agent.agent import Agent
from diffagent.agent.answer import LABELS, question
from diffagent.agent.engines import Engine
from diffagent.agent.fusion import POINTS, Fusion, matches
from diffagent.agent.matching import Matcher, Requirement
from diffagent.agent.prefilter import Candidate, Prefilter
from diffagent.agent.specification import KIND, Packed
from diffagent.data.catalog import Catalog
from diffagent.data.errors import BadInput, DiffAgentError
from diffagent.data.novelty import NOVEL_BELOW
from diffagent.data.prompts import strip_lora_tags, strip_trigger_words
from diffagent.data.records import Card
from diffagent.training import parameters
from diffagent.training.parameters import Said, say

RANKS = (1, 5, 16, 50)
RESAMPLES = 1000
RIDGE = 1e-3

Ranked = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Pair:
    """One held-out pair: the instruction and the AIR of the model that its image was made with."""

    prompt: str
    negative_prompt: str
    air: str
    api: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Row:
    """What one pair came to: ranks (from 1; infinite where the model is not in the catalog), the
    candidates' prior and language-model log-probabilities, where among them the true one is (or −1), the
    untuned model's log-probabilities, the parameters written for the true model, and the candidates'
    mean standing."""

    prefilter: float
    baseline: float
    novel: bool
    prior: tuple[float, ...]
    llm: tuple[float, ...]
    truth: int
    untuned: tuple[float, ...] = ()
    said: Said | None = None
    standing: tuple[float, ...] = ()


def read_pairs(path: Path) -> Iterator[Pair]:
    """Pairs of a JSON-lines file.

    Raises:
        BadInput: the file is missing, or a line is no pair; names the line.
    """
    if not path.is_file():
        raise BadInput(f"{path} is no file of pairs: build one with diffagent data build")
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            try:
                yield _pair(json.loads(line))
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise BadInput(
                    f"{path}, line {number} is no pair ({type(error).__name__}: {error}): "
                    'each line is {"prompt", "negative_prompt"?, "air"} or a DABench row'
                ) from None


def _pair(row: Any) -> Pair:
    asked = row.get("instruction", row)
    pair = Pair(asked["prompt"], asked.get("negative_prompt") or "", row["air"], row.get("api"))
    for text in (pair.prompt, pair.negative_prompt, pair.air):
        if not isinstance(text, str):
            raise TypeError(f"{text!r} is not text")
    return pair


def sample(pairs: Sequence[Pair], limit: int | None, seed: int) -> list[Pair]:
    """At most ``limit`` of the pairs, drawn without replacement, in their order."""
    if limit is None or limit >= len(pairs):
        return list(pairs)
    chosen = np.sort(np.random.default_rng(seed).permutation(len(pairs))[:limit])
    return [pairs[i] for i in chosen]


@dataclass(frozen=True)
class Task:
    """What is measured: candidates a pair, with a language model or not, beside which untuned one, with
    parameters or not, and from which cosine on the catalog's documents near a query are left out."""

    k: int = 16
    llm: bool = True
    untuned: Engine | None = None
    parameters: bool = True
    leave_out: float | None = None


def measure(agent: Agent, pairs: Iterable[Pair], task: Task | None = None) -> Iterator[Row]:
    """A :class:`Row` for each pair; without a language model its fields stay empty."""
    task = task or Task()
    identity = [_identity(card) for card in agent.prefilter.cards]
    without = LeaveOut.of(agent, task.leave_out) if task.leave_out is not None else None
    for pair in pairs:
        true = _true_card(agent.catalog, pair.air)
        prompt = strip_lora_tags(pair.prompt)
        if true is not None:
            prompt = strip_trigger_words(prompt, true.all_words) or prompt
        asked = replace(pair, prompt=prompt)
        requirement = agent.prefilter.require(prompt, pair.negative_prompt)
        prefilter = without(requirement) if without else agent.prefilter
        yield _measure_one(agent, prefilter, identity, asked, requirement, true, task)


def _measure_one(
    agent: Agent,
    prefilter: Prefilter,
    identity: Sequence[Any],
    pair: Pair,
    requirement: Requirement,
    true: Card | None,
    task: Task,
) -> Row:
    features = prefilter.matcher.features(requirement)
    scores = prefilter.ranker(features).astype(np.float64)
    key = _identity(true) if true else None
    hits = np.array([one == key for one in identity]) if key is not None else np.zeros(len(identity), bool)
    order = np.argsort(-scores, kind="stable")[: task.k]
    prior = scores[order] - np.logaddexp.reduce(scores)
    candidates = [Candidate(prefilter.cards[i], float(one)) for i, one in zip(order, prior, strict=True)]
    asked, labels = question(candidates, pair.prompt), list(LABELS[: len(candidates)])
    said = None
    if task.llm and task.parameters and true is not None and pair.api is not None:
        said = say(agent, pair.prompt, candidates, true, pair.api)
    return Row(
        prefilter=_rank(scores, hits),
        baseline=_rank(prefilter.matcher.baseline(requirement), hits),
        novel=bool(prefilter.matcher.sentences(requirement).max(initial=-1) < NOVEL_BELOW),
        prior=tuple(one.score for one in candidates),
        llm=tuple(agent.engine.choose(asked, labels)) if task.llm else (),
        truth=next((place for place, i in enumerate(order) if hits[i]), -1),
        untuned=tuple(task.untuned.choose(asked, labels)) if task.untuned else (),
        said=said,
        standing=tuple(agent.liked(candidates)),
    )


@dataclass(frozen=True)
class LeaveOut:
    """Prefilters of a catalog without the documents that come near a query: what a model that is new looks
    like, whose published images the query's own is one of."""

    prefilter: Prefilter
    specifications: Sequence[Packed]
    cosine: float

    @classmethod
    def of(cls, agent: Agent, cosine: float) -> LeaveOut:
        packed = {entry: Packed.read(blob) for entry, blob in agent.catalog.features(KIND)}
        return cls(agent.prefilter, [packed[entry] for entry, _ in agent.catalog.entries()], cosine)

    def __call__(self, requirement: Requirement) -> Prefilter:
        matcher = self.prefilter.matcher
        near = matcher.sentences(requirement) >= self.cosine
        if not near.any():
            return self.prefilter
        left = list(self.specifications)
        for model in np.unique(matcher.model[near]).tolist():
            left[model] = left[model].only(~near[matcher.model == model])
        return replace(self.prefilter, matcher=Matcher.of(self.prefilter.cards, left))


def summarise(rows: Sequence[Row], fusion: Fusion, seed: int = 0) -> dict[str, Any]:
    """The object that ``diffagent eval select`` prints."""
    novel = [row for row in rows if row.novel]
    said = [row.said for row in rows if row.said is not None]
    return {
        **_table(rows, fusion, seed),
        "novel": _table(novel, fusion, seed),
        "parameters": parameters.table(said, seed),
    }


def _table(rows: Sequence[Row], fusion: Fusion, seed: int) -> dict[str, Any]:
    if not rows:
        return {"n": 0}
    columns: dict[str, dict[str, Ranked]] = {}
    for name in ("prefilter", "baseline"):
        ranks = np.array([getattr(row, name) for row in rows])
        columns[name] = {str(k): (ranks <= k).astype(float) for k in RANKS}
    if all(row.llm for row in rows):
        columns |= _llm_columns(rows, fusion)
    out: dict[str, Any] = {"n": len(rows)}
    out |= {name: {k: _percent(hit) for k, hit in column.items()} for name, column in columns.items()}
    gains = {k: columns["prefilter"][k] - columns["baseline"][k] for k in columns["baseline"]}
    out["gain"] = {k: _percent(gain) for k, gain in gains.items()}
    out["ci95"] = {
        name: {k: _interval(hit, seed) for k, hit in column.items()}
        for name, column in {**columns, "gain": gains}.items()
    }
    if "agent" in columns:
        difference = columns["agent"]["1"] - columns["prefilter"]["1"]
        out["agent_gain"] = {"1": _percent(difference)}
        out["ci95"]["agent_gain"] = {"1": _interval(difference, seed)}
        out["llm_weight"] = fusion.choice
    return out


def _llm_columns(rows: Sequence[Row], fusion: Fusion) -> dict[str, dict[str, Ranked]]:
    """Hits at 1: the agent, the language model alone, the agent with its scores shuffled between prompts, and
    both with the untuned model, whose habits are those that it shows on these rows. Where no
    untuned model is asked beside, the agent is taken to be untuned itself."""
    turned = [*rows[1:], rows[0]]
    swapped = [_fit(other.llm, len(row.prior)) for row, other in zip(rows, turned, strict=True)]
    scores: dict[str, Sequence[Sequence[float]]] = {
        "agent": [fusion.fuse(row.prior, row.llm, row.standing) for row in rows],
        "llm": [row.llm for row in rows],
        "shuffled": [
            fusion.fuse(row.prior, llm, row.standing) for row, llm in zip(rows, swapped, strict=True)
        ],
    }
    scores["untuned"] = scores["agent"]
    if all(row.untuned for row in rows):
        own = habits([(row.prior, row.untuned) for row in rows])
        plain = replace(own, choice=fusion.choice, standing=fusion.standing)
        scores["untuned"] = [plain.fuse(row.prior, row.untuned, row.standing) for row in rows]
        scores["untuned_llm"] = [row.untuned for row in rows]
    return {name: {"1": _hits(rows, one)} for name, one in scores.items()}


def habits(said: Sequence[tuple[Sequence[float], Sequence[float]]]) -> Fusion:
    """What a language model says of a letter and of a match whatever the prompt, as a fusion's biases.

    ``said``: the candidates' prior and language-model log-probabilities of each row. Least squares of
    log P ≈ bias(letter) + match_bias(match) + a constant of the row; each bias is 0 on the mean.
    """
    width = max(len(llm) for _, llm in said)
    left, right = RIDGE * np.eye(width + POINTS), np.zeros(width + POINTS)
    for prior, llm in said:
        shown = np.zeros((len(llm), width + POINTS))
        places = np.arange(len(llm))
        shown[places, places] = shown[places, width + np.array(matches(prior))] = 1
        shown -= shown.mean(0)
        left += shown.T @ shown
        right += shown.T @ np.asarray(llm)
    found = np.linalg.solve(left, right)
    return Fusion(bias=tuple(map(float, found[:width])), match_bias=tuple(map(float, found[width:])))


def _hits(rows: Sequence[Row], scores: Sequence[Sequence[float]]) -> Ranked:
    return np.array([float(row.truth == int(np.argmax(one))) for row, one in zip(rows, scores, strict=True)])


def _fit(values: Sequence[float], n: int) -> list[float]:
    return list(np.resize(np.asarray(values), n))


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


def _true_card(catalog: Catalog, air: str) -> Card | None:
    try:
        return catalog.by_air(air)
    except DiffAgentError:
        return None
