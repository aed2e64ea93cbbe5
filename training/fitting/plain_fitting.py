"""Fitting the plain reader: multinomial logistic regression from a card's features to its attributes.

features [n] and the attributes that a strong language model wrote [n] → L-BFGS on the sum of all heads'
cross entropies with an L2 penalty → :class:`diffagent.data.descriptions.plain_reader.PlainReader`
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from diffagent.data.attributes import MEDIA, NEVER_CHOSEN, ROLES, Attributes
from diffagent.data.descriptions.card_features import CardFeatures, Floats
from diffagent.data.descriptions.plain_reader import (
    BREADTHS,
    FLAGS,
    HEADS,
    INDEPENDENT,
    PEOPLE,
    Cuts,
    PlainReader,
)

if TYPE_CHECKING:
    import torch

LOST = 0.05
"""The share of harmless models that are sacrificed so that those with a caution are rarely chosen."""


@dataclass(frozen=True)
class ReaderFitConfig:
    """The settings of a fit; at most ``words`` words get weights, each in at least ``least`` cards."""

    penalty: float = 1.0
    """The L2 penalty on a word's weights, relative to the sum of the cards' losses."""
    dense_penalty: float = 0.3
    words: int = 7_000
    least: int = 4
    steps: int = 40
    folds: int = 5

    def __post_init__(self) -> None:
        if self.folds < 2:
            raise ValueError(f"folds is {self.folds}: cross-fitting needs 2 or more")


def targets(attributes: Sequence[Attributes]) -> dict[str, Floats]:
    """Head → one-hot or multi-hot rows [n, K] of the attributes."""
    rows = {name: np.zeros((len(attributes), len(classes)), np.float32) for name, classes in HEADS.items()}
    for n, card in enumerate(attributes):
        rows["role"][n, ROLES.index(card.role)] = 1
        rows["first"][n, MEDIA.index(card.media[0])] = 1
        rows["people"][n, PEOPLE.index(card.people)] = 1
        rows["breadth"][n, BREADTHS.index(card.breadth)] = 1
        rows["renown"][n, card.renown] = 1
        rows["needed"][n, 0] = bool(card.needed)
        for medium in card.media:
            rows["media"][n, MEDIA.index(medium)] = 1
        for flag in NEVER_CHOSEN & set(card.caution):
            rows["flags"][n, FLAGS.index("real person" if flag == "photo likeness" else flag)] = 1
            rows["flags"][n, FLAGS.index("any")] = 1
    return rows


def fit(
    features: CardFeatures, attributes: Sequence[Attributes], config: ReaderFitConfig | None = None
) -> PlainReader:
    """A reader fitted to all n cards, with default thresholds; :func:`tune_cuts` computes better ones.

    Autograd computes the gradient of the logits, and the weights' is Xᵀ times it, which takes half the time
    with a sparse X.
    """
    import torch

    config = config or ReaderFitConfig()
    hashes = _vocabulary(features, config)
    x, x_transpose = _sparse(features, hashes)
    target = {name: torch.from_numpy(rows) for name, rows in targets(attributes).items()}
    dense, media = torch.from_numpy(features.dense), torch.from_numpy(features.media)
    width = sum(map(len, HEADS.values()))
    words = torch.zeros(len(hashes), width)
    flat = torch.zeros(dense.shape[1], width)
    bias = torch.zeros(width)
    shared = torch.zeros(2, media.shape[2])
    optimiser = torch.optim.LBFGS(
        [words, flat, bias, shared], max_iter=config.steps, history_size=10, line_search_fn="strong_wolfe"
    )

    def loss() -> torch.Tensor:
        logits = (x @ words + dense @ flat + bias).requires_grad_()
        common = shared.clone().requires_grad_()
        total = _cross_entropies(logits, media, common, target)
        total.backward()
        assert logits.grad is not None
        words.grad = x_transpose @ logits.grad + 2 * config.penalty * words
        flat.grad = dense.T @ logits.grad + 2 * config.dense_penalty * flat
        bias.grad, shared.grad = logits.grad.sum(0), common.grad
        penalty = config.penalty * words.square().sum() + config.dense_penalty * flat.square().sum()
        return total.detach() + penalty

    optimiser.step(loss)
    return PlainReader(hashes, words.numpy(), flat.numpy(), bias.numpy(), shared.numpy())


def _cross_entropies(
    logits: torch.Tensor, media: torch.Tensor, shared: torch.Tensor, target: dict[str, torch.Tensor]
) -> torch.Tensor:
    """The sum of cross entropies over cards and heads; ``logits`` [n, K of all heads]."""
    from torch.nn.functional import binary_cross_entropy_with_logits as binary

    total, start = logits.new_zeros(()), 0
    for name, classes in HEADS.items():
        part = logits[:, start : start + len(classes)]
        start += len(classes)
        if name in ("first", "media"):
            part = part + media @ shared[int(name == "media")]
        if name in INDEPENDENT:
            total = total + binary(part, target[name], reduction="sum")
        else:
            total = total - (part.log_softmax(1) * target[name]).sum()
    return total


def _sparse(features: CardFeatures, hashes: npt.NDArray[np.uint32]) -> tuple[torch.Tensor, torch.Tensor]:
    """The cards' words [n, V] as a compressed sparse matrix, and its transpose."""
    import torch

    places = {int(word): place for place, word in enumerate(hashes)}
    entries = [
        (row, places[int(word)], float(weight))
        for row, (words, weights) in enumerate(features.words)
        for word, weight in zip(words, weights, strict=True)
        if int(word) in places
    ]
    at = torch.tensor([(row, column) for row, column, _ in entries], dtype=torch.long).reshape(-1, 2).T
    values = torch.tensor([weight for *_, weight in entries], dtype=torch.float32)
    size = (len(features.words), len(hashes))
    with torch.sparse.check_sparse_tensor_invariants(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta state")
        x = torch.sparse_coo_tensor(at, values, size).coalesce()
        return x.to_sparse_csr(), x.t().coalesce().to_sparse_csr()


def cross_fit(
    features: CardFeatures,
    attributes: Sequence[Attributes],
    groups: Sequence[str],
    config: ReaderFitConfig | None = None,
) -> dict[str, Floats]:
    """Head → probabilities [n, K] of every card, by a reader fitted without the card's group."""
    config = config or ReaderFitConfig()
    folds = assign_folds(groups, config.folds)
    probabilities = {
        name: np.zeros((len(attributes), len(classes)), np.float32) for name, classes in HEADS.items()
    }
    for fold in range(config.folds):
        inside, outside = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        reader = fit(features.only(inside), [attributes[int(n)] for n in inside], config)
        for name, rows in reader(features.only(outside)).items():
            probabilities[name][outside] = rows
    return probabilities


def assign_folds(groups: Sequence[str], folds: int) -> npt.NDArray[np.int64]:
    """The fold of each card [n]: groups stay whole and go, largest first, to the smallest fold."""
    sizes, of = np.zeros(folds, int), dict[str, int]()
    for group, count in sorted(Counter(groups).items(), key=lambda pair: (-pair[1], pair[0])):
        of[group] = int(sizes.argmin())
        sizes[of[group]] += count
    return np.array([of[group] for group in groups])


def tune_cuts(probabilities: dict[str, Floats], attributes: Sequence[Attributes]) -> Cuts:
    """Thresholds from cross-fitted probabilities.

    The thresholds of renown keep the shares of its levels; that of flags loses :data:`LOST` of the cards
    without one.
    """
    renown = np.sort(probabilities["renown"] @ np.arange(4))
    levels = np.cumsum([sum(card.renown == level for card in attributes) for level in range(3)])
    clean = np.array([not NEVER_CHOSEN & set(card.caution) for card in attributes])
    flag = float(np.quantile(probabilities["flags"][clean, FLAGS.index("any")], 1 - LOST))
    return Cuts(tuple(float(renown[min(at, len(renown) - 1)]) for at in levels), flag)


def _vocabulary(features: CardFeatures, config: ReaderFitConfig) -> npt.NDArray[np.uint32]:
    counts = Counter(word for words, _ in features.words for word in words.tolist())
    common = sorted((-n, word) for word, n in counts.items() if n >= config.least)[: config.words]
    return np.array(sorted(word for _, word in common), np.uint32)
