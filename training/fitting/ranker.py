"""Fitting the prefilter's ranker: a listwise softmax over models, on the train part alone.

In: the entries of a crawl (card and train samples). Out: a
:class:`~diffagent.agent.choosing.prefilter.Ranker`. Every query is matched against a catalog without its own
image, by the rule that separates test from train: one sixth of the images and one sixth of the clusters of
near-duplicates are left out at a time. A third of the queries have their negative prompt, a third lack it,
and the rest are cut to a few phrases with one of the model's tags, trigger words or a word of its name, as
people type in a chat. Short queries are weighted by the square root of the model's downloads, because a chat
prompt says little and popular models please more people, and they have their own expert: features that help
with a few words (names, tags, popularity) mislead on a whole prompt. The softmax runs over the nearest models
and a random draw that represents all others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from diffagent.agent.choosing.matching import FEATURES, Matcher, Requirement
from diffagent.agent.choosing.prefilter import CLIP, Ranker
from diffagent.data.catalog.specification import (
    Floats,
)
from diffagent.data.encoders.text_encoder import Encoder
from diffagent.training.corpora.train_samples import Corpus, requirement_of, seen_by, shorten

if TYPE_CHECKING:
    import torch

Progress = Callable[[Iterable[Any], str], Iterable[Any]]

GATE = 8
"""Hidden units of the gate between the experts."""
EXPERT = (0, 0, 1)
"""The expert of each kind of query: one for whole prompts, with or without a negative one, one for short."""


@dataclass(frozen=True)
class FitConfig:
    """The settings of a fit; counts are of queries over all folds.

    ``whole_prior``: the gate's weight of whole prompts relative to the training mix: a query of unknown kind
    loses little with the whole prompts' expert, a whole prompt loses much with the other.
    """

    folds: int = 6
    full: int = 3000
    short: int = 3000
    most_per_model: int = 6
    near: int = 100
    random: int = 60
    hidden: int = 32
    epochs: int = 40
    batch: int = 128
    learning_rate: float = 3e-3
    weight_decay: float = 0.1
    held_out: float = 0.1
    whole_prior: float = 3.0
    seed: int = 0

    def __post_init__(self) -> None:
        if (
            min(self.folds, self.full, self.near, self.random, self.hidden, self.epochs, self.batch) < 1
            or self.folds < 2
        ):
            raise ValueError("folds must be at least 2, and the other counts at least 1")


@dataclass(frozen=True)
class Queries:
    """Training queries: features float16 [N, L, F] of L listed models, the true one first; ``kind`` [N]: 0
    with a negative prompt, 1 without, 2 short; ``weight`` [N] of the loss; ``offset`` float32 [N, L]: the log
    of the number of models that each listed one represents."""

    features: npt.NDArray[np.float16]
    kind: npt.NDArray[np.int64]
    weight: npt.NDArray[np.float32]
    offset: npt.NDArray[np.float32]


def queries(corpus: Corpus, encoder: Encoder, config: FitConfig, progress: Progress) -> Queries:
    """The features of every training query against the catalog of the other folds."""
    rng = np.random.default_rng(config.seed)
    features: list[npt.NDArray[np.float16]] = []
    offsets: list[Floats] = []
    kinds: list[int] = []
    weights: list[float] = []
    for fold in range(config.folds):
        matcher = seen_by(corpus, fold)
        draws = _draw(corpus, matcher, fold, config, rng)
        for at, kind in progress(draws, f"fold {fold + 1} of {config.folds}"):
            table = matcher.features(_requirement(corpus, at, kind, encoder, rng))
            listed, offset = _list(table, int(corpus.model[at]), config, rng)
            features.append(table[listed].astype(np.float16))
            offsets.append(offset)
            kinds.append(kind)
            popular = np.sqrt(corpus.cards[corpus.model[at]].stats.downloads + 1)
            weights.append(min(popular / 60, 4.0) if kind == 2 else 1.0)
    return Queries(np.stack(features), np.array(kinds), np.array(weights, np.float32), np.stack(offsets))


def fit(data: Queries, config: FitConfig, progress: Progress) -> tuple[Ranker, list[dict[str, float]]]:
    """The ranker, and a row of losses and held-out recall (in the list) for each epoch.

    The loss of a query is −log p(its kind's expert) − log p(true model | that expert).
    """
    import torch
    from torch.nn.functional import cross_entropy

    torch.manual_seed(config.seed)
    mean, scale = _standard(data.features)
    x = torch.from_numpy(np.clip((data.features.astype(np.float32) - mean) / scale, -CLIP, CLIP))
    best = x.amax(1)
    weight, offset = torch.from_numpy(data.weight), torch.from_numpy(data.offset)
    expert = torch.from_numpy(np.array(EXPERT)[data.kind])
    order = np.random.default_rng(config.seed).permutation(len(x))
    cut = int(len(x) * config.held_out)
    held_out, train = torch.from_numpy(order[:cut]), torch.from_numpy(order[cut:])
    parameters = _parameters(x.shape[2], max(EXPERT) + 1, config.hidden)
    prior = torch.tensor([config.whole_prior, 1.0])

    def logits(rows: torch.Tensor) -> torch.Tensor:  # [experts, rows, listed]
        z = x[rows].flatten(0, 1)
        score = (
            z @ parameters["linear"]
            + torch.relu(z @ parameters["hidden"] + parameters["hidden_bias"]) @ parameters["out"]
        )
        return score.view(-1, len(rows), x.shape[1]) + offset[rows]

    def kinds(rows: torch.Tensor) -> torch.Tensor:  # [rows, experts]
        units = torch.relu(best[rows] @ parameters["gate_hidden"] + parameters["gate_hidden_bias"])
        return units @ parameters["gate"] + parameters["gate_bias"]

    optimiser = torch.optim.AdamW(
        parameters.values(), lr=config.learning_rate, weight_decay=config.weight_decay
    )
    steps = config.epochs * -(-len(train) // config.batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, config.learning_rate, total_steps=steps)
    history = []
    for _ in progress(range(config.epochs), "fit"):
        total = 0.0
        for rows in train[torch.randperm(len(train))].split(config.batch):
            expert_logits = logits(rows)[expert[rows], torch.arange(len(rows))]
            loss = (-torch.log_softmax(expert_logits, 1)[:, 0] * weight[rows]).mean()
            optimiser.zero_grad()
            (loss + cross_entropy(kinds(rows), expert[rows], prior)).backward()
            optimiser.step()
            schedule.step()
            total += float(loss.detach()) * len(rows)
        with torch.no_grad():
            log_probs = (
                torch.log_softmax(logits(held_out), 2) + torch.log_softmax(kinds(held_out), 1).T[..., None]
            )
            s = torch.logsumexp(log_probs, 0)
            place = (s - offset[held_out] > (s - offset[held_out])[:, :1]).sum(1)
        row = {"loss": total / len(train), "held_out_loss": -float(s[:, 0].mean())}
        history.append(row | {f"recall@{k}": float((place < k).float().mean()) for k in (1, 5, 16)})
    arrays = {name: value.detach().numpy() for name, value in parameters.items()}
    return Ranker(mean=mean, scale=scale, **arrays), history


def _parameters(features: int, experts: int, hidden: int) -> dict[str, torch.Tensor]:
    """The initial values of a :class:`Ranker`'s arrays."""
    import torch

    shapes = {
        "linear": ((experts, features, 1), 0.0),
        "hidden": ((experts, features, hidden), 0.2),
        "hidden_bias": ((experts, 1, hidden), 0.1),
        "out": ((experts, hidden, 1), 0.1),
        "gate_hidden": ((features, GATE), 0.2),
        "gate_hidden_bias": ((GATE,), 0.1),
        "gate": ((GATE, experts), 0.1),
        "gate_bias": ((experts,), 0.0),
    }
    return {name: torch.randn(shape).mul_(std).requires_grad_() for name, (shape, std) in shapes.items()}


def _draw(
    corpus: Corpus, matcher: Matcher, fold: int, config: FitConfig, rng: np.random.Generator
) -> list[tuple[int, int]]:
    """(document, kind) of a fold's queries, a few per model, most of models that still have documents."""
    at = rng.permutation(np.flatnonzero(corpus.image_fold == fold))
    has_documents = np.isin(corpus.model[at], matcher.model)
    at = at[has_documents | (rng.random(len(at)) < 0.15)]
    counts = np.bincount(corpus.model[at], minlength=len(corpus.cards))
    at = at[rng.random(len(at)) < np.minimum(1, config.most_per_model / counts[corpus.model[at]])]
    full = at[: config.full // config.folds].tolist()
    short = rng.permutation(at)[: config.short // config.folds].tolist()
    return [(i, 0) for i in full] + [(i, 1) for i in full] + [(i, 2) for i in short]


def _requirement(
    corpus: Corpus, at: int, kind: int, encoder: Encoder, rng: np.random.Generator
) -> Requirement:
    if kind == 2:
        text = shorten(corpus.texts[at][0], corpus.cards[corpus.model[at]], rng)
        return Requirement.of(text, "", encoder)
    return requirement_of(corpus.docs[at], with_negative=kind == 0)


def _list(
    table: Floats, true: int, config: FitConfig, rng: np.random.Generator
) -> tuple[npt.NDArray[np.int64], Floats]:
    """The true model, the nearest ones and a random draw of the others: int64 [L]; and the log of the number
    of models that each represents: float32 [L]."""
    column = {name: table[:, at] for at, name in enumerate(FEATURES)}
    score = column["joint"] + 0.5 * (column["name_share"] + column["name"]) + 0.3 * column["tags"]
    score = score + 0.02 * column["downloads"]
    score[true] = -np.inf
    order = np.argsort(-score, kind="stable")[:-1]
    near, rest = order[: config.near], order[config.near :]
    draw = rng.choice(rest, config.random, replace=len(rest) < config.random) if len(rest) else near[:0]
    listed = np.concatenate([[true], near, draw])
    offset = np.zeros(len(listed), np.float32)
    if len(draw):
        offset[-len(draw) :] = np.log(len(rest) / len(draw))
    return listed, offset


def _standard(features: npt.NDArray[np.float16]) -> tuple[Floats, Floats]:
    rows = features[:: max(1, len(features) // 1000)].astype(np.float32).reshape(-1, features.shape[2])
    return rows.mean(0), rows.std(0) + np.float32(1e-3)
