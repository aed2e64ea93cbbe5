"""Fitting the suitability of models to requests, on graded candidates (listwise).

The loss of a request is the cross entropy between its candidates' worth (by grade and, in an order, by place;
normalised) and the softmax of their logits. Each request counts twice, with the strong model's reading and
with that of serving (the language model's, or the rules' where the system without it is fitted): the weights
must not depend on a reading that is better than the one in serving.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from diffagent.agent.asking import reading
from diffagent.agent.asking.reading import Reading
from diffagent.agent.choosing.choosing import CardShelf
from diffagent.agent.choosing.suitability import (
    FEATURES,
    LIMIT,
    Floats,
    Suitability,
    features,
    preference_share,
)
from diffagent.data.cores import torch_threads
from diffagent.training.corpora.plain_requests import PLACE, WORTH, PlainRequest

if TYPE_CHECKING:
    from diffagent.agent.choosing.prefilter import Prefilter
    from diffagent.agent.engines import Engine

Progress = Callable[[Iterable[Any], str], Iterable[Any]]
Integers = npt.NDArray[np.int64]
ORDERED = 9.0
"""The weight of an order in the loss, beside a list of grades: an order tells models of one grade apart."""
HIDDEN, EPOCHS = 24, 40
"""Units of the hidden layer, and passes over the rows."""
LEAST = 20
"""The fewest rows of orders of a model with a preference, two a request."""


@dataclass(frozen=True)
class GradedRequest:
    """The graded candidates of a request under one reading: ``features`` [n, F], ``grades`` [n], ``airs`` [n]
    and, of an order, ``places`` [n] from 1; ``is_strong``: whether the reading is the strong model's."""

    features: Floats
    grades: Integers
    split: str
    kind: str = ""
    is_strong: bool = False
    places: Integers | None = None
    airs: tuple[str, ...] = ()

    @property
    def worth(self) -> Floats:
        """The worth of each candidate, 0 to 1."""
        worth = np.array(WORTH)[self.grades]
        return worth if self.places is None else worth * PLACE ** (self.places - 1)

    def with_preferences(self, values: Mapping[str, float]) -> GradedRequest:
        """Returns the row with other preferences, by AIR, among its features."""
        table = self.features.copy()
        preferences = np.array([values.get(air, 0.0) for air in self.airs] or [0.0])
        table[:, FEATURES.index("preference")] = preferences * self.preference_share
        return replace(self, features=table)

    @property
    def preference_share(self) -> Floats:
        """How far each candidate's preference counts [n]."""
        is_checkpoint, kin, likely_kin = (
            self.features[:, FEATURES.index(name)] for name in ("is_checkpoint", "kin", "likely_kin")
        )
        return preference_share(is_checkpoint > 0, kin, likely_kin)


def model_reader(engine: Engine, weight: float, shelf: CardShelf) -> Callable[[str], Reading]:
    """Prompt → the language model's reading, as in serving."""
    rules = rule_reader(shelf)

    def read(prompt: str) -> Reading:
        draft = rules(prompt)
        line = engine.write(reading.question(prompt), draft.grammar(weight), draft.line)
        return draft.revised(line)

    return read


def rule_reader(shelf: CardShelf) -> Callable[[str], Reading]:
    """Prompt → the rules' reading."""
    return lambda prompt: shelf.grounded(Reading.of(prompt))


def gather(
    prefilter: Prefilter,
    requests: Sequence[PlainRequest],
    progress: Progress,
    read_prompt: Callable[[str], Reading] = Reading.of,
    media: Mapping[str, Floats] | None = None,
) -> list[GradedRequest]:
    """Two rows for each request with candidates in the catalog: by the strong reading and ``read_prompt``.

    A prompt that stands in several requests is read once.

    Args:
        prefilter: the catalog's models.
        requests: the requests.
        progress: shows how far it is.
        read_prompt: the reading of serving.
        media: the likely media of English prompts; default: the prefilter's.
    """
    read_once = cache(read_prompt)
    shelf = CardShelf(prefilter.cards)
    rows_of = {card.air: number for number, card in enumerate(prefilter.cards)}
    rows = []
    for request in progress(requests, "requests"):
        prompt = request.english
        candidates = [candidate for candidate in request.candidates if candidate.air in rows_of]
        if not candidates:
            continue
        airs = tuple(candidate.air for candidate in candidates)
        at = [rows_of[air] for air in airs]
        grades = np.array([candidate.grade for candidate in candidates])
        order = [candidate.place for candidate in candidates if candidate.place is not None]
        places = np.array(order) if order else None
        match = prefilter.match(prompt)
        if media is not None:
            match = replace(match, media=media[prompt])
        for by, is_strong in ((request.reading, True), (read_once(prompt), False)):
            table = features(shelf.facts, by, match)
            rows.append(
                GradedRequest(table[at], grades, request.split, request.kind, is_strong, places, airs)
            )
    return rows


def fit(rows: Sequence[GradedRequest], fits: int = 3) -> Suitability:
    """The average of fits with several seeds.

    Each row counts a second time without preferences, as in a catalog whose models nobody has compared.
    """
    both = [*rows, *(row.with_preferences({}) for row in rows)]
    return Suitability.average([fit_once(both, seed=seed) for seed in range(fits)])


def fit_once(
    rows: Sequence[GradedRequest], hidden: int = HIDDEN, epochs: int = EPOCHS, seed: int = 0
) -> Suitability:
    """The suitability of least loss on the rows."""
    return _fit(rows, (), hidden, epochs, seed)[0]


def fit_preferences(rows: Sequence[GradedRequest], fits: int = 3, least: int = LEAST) -> dict[str, float]:
    """The preferences of models, by AIR, that stand in at least so many rows of orders.

    They are fitted beside a suitability whose features have none, and averaged over several seeds.
    """
    counts = Counter(air for row in rows if row.places is not None for air in row.airs)
    models = sorted(air for air, count in counts.items() if count >= least)
    plain = [row.with_preferences({}) for row in rows]
    values = np.mean([_fit(plain, models, HIDDEN, EPOCHS, seed)[1] for seed in range(fits)], axis=0)
    return dict(zip(models, values.tolist(), strict=True))


def _fit(
    rows: Sequence[GradedRequest], models: Sequence[str], hidden: int, epochs: int, seed: int
) -> tuple[Suitability, Floats]:
    """A suitability and a constant for each model, together of least loss (Adam, weight decay, batches of 64
    requests).

    Runs on one thread: two that share their cores with others take many times as long.
    """
    import torch

    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    stacked = np.concatenate([row.features for row in rows])
    mean = stacked.mean(0)
    scale = np.maximum(stacked.std(0), np.abs(stacked - mean).max(0) / LIMIT) + 1e-6
    width = max(len(row.grades) for row in rows)
    x = torch.zeros(len(rows), width, len(FEATURES))
    target, real = torch.zeros(len(rows), width), torch.zeros(len(rows), width, dtype=torch.bool)
    weights = torch.tensor([1.0 if row.places is None else ORDERED for row in rows])
    numbers = {air: number for number, air in enumerate(models)}
    model = torch.full((len(rows), width), len(models))  # the last: of no preference
    share = torch.zeros(len(rows), width)
    for number, row in enumerate(rows):
        n = len(row.grades)
        x[number, :n] = torch.tensor((row.features - mean) / scale)
        worth = row.worth + 1e-4
        target[number, :n] = torch.tensor(worth / worth.sum())
        real[number, :n] = True
        if models:
            model[number, :n] = torch.tensor([numbers.get(air, len(models)) for air in row.airs])
            share[number, :n] = torch.tensor(row.preference_share)
    linear = torch.zeros(len(FEATURES), requires_grad=True)
    first = (0.1 * torch.randn(len(FEATURES), hidden)).requires_grad_()
    bias, out = torch.zeros(hidden, requires_grad=True), (0.1 * torch.randn(hidden)).requires_grad_()
    constants, none = torch.zeros(len(models), requires_grad=True), torch.zeros(1)
    adam = torch.optim.AdamW([linear, first, bias, out, constants], lr=1e-2, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(adam, epochs)
    with torch_threads(1):
        for _ in range(epochs):
            for batch in np.array_split(rng.permutation(len(rows)), max(1, len(rows) // 64)):
                at = torch.tensor(batch)
                logits = x[at] @ linear + torch.relu(x[at] @ first + bias) @ out
                logits = logits + torch.cat((constants, none))[model[at]] * share[at]
                logits = logits.masked_fill(~real[at], -1e9)
                losses = -(target[at] * logits.log_softmax(1)).sum(1)
                loss = (losses * weights[at]).sum() / weights[at].sum()
                adam.zero_grad()
                loss.backward()
                adam.step()
            schedule.step()
    fitted = [tensor.detach().double().numpy() for tensor in (linear, first, bias, out)]
    return Suitability(mean, scale, *fitted), constants.detach().double().numpy()


def measure(model: Suitability, rows: Sequence[GradedRequest]) -> dict[str, float]:
    """The shares of rows whose first candidate is good, acceptable, wrong, and of rows with a good one."""
    grades = [row.grades[int(np.argmax(model(row.features)))] for row in rows]
    return {
        "n": len(rows),
        "good": float(np.mean([grade == 3 for grade in grades])),
        "acceptable": float(np.mean([grade >= 2 for grade in grades])),
        "wrong": float(np.mean([grade == 0 for grade in grades])),
        "good_listed": float(np.mean([row.grades.max() == 3 for row in rows])),
    }
