"""Standing: what the community thinks of a catalog entry, beside the others of its type and base model.

In: cards with their statistics. Out: two shares in 0…1 an entry, of those that are rated worse
(:func:`diffagent.data.catalog.quality.bayesian_ratings`) and of those with less downloads.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from diffagent.data.catalog.quality import bayesian_ratings
from diffagent.data.records import Card

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Standing:
    """How an entry stands among those of its type and base model: shares in 0…1."""

    rating: float
    downloads: float


def standings(cards: Sequence[Card]) -> dict[str, Standing]:
    """AIR → how the entry stands within its type and base model; in the middle, where nothing is known of it,
    as of one that a user added; likewise by downloads that its creator hides."""
    groups: dict[tuple[str, str], list[Card]] = defaultdict(list)
    for card in cards:
        groups[card.type, card.base_model].append(card)
    found = {}
    for group in groups.values():
        ratings = _shares(bayesian_ratings([card.stats for card in group]))
        shown = [card for card in group if not card.stats.hidden]
        downloads = dict(
            zip((card.air for card in shown), _shares([c.stats.downloads for c in shown]), strict=True)
        )
        for card, rating in zip(group, ratings, strict=True):
            known = card.stats.downloads or card.stats.ratings
            count = float(downloads.get(card.air, 0.5))
            found[card.air] = Standing(float(rating), count) if known else Standing(0.5, 0.5)
    return found


def _shares(values: Sequence[float]) -> Floats:
    """The share of the others that have less; who ties counts half."""
    rounded = np.round(values, 9)
    ordered = np.sort(rounded)
    below = np.searchsorted(ordered, rounded, "left")
    up_to = np.searchsorted(ordered, rounded, "right")
    found: Floats = (below + up_to - 1) / 2 / max(len(ordered) - 1, 1)
    return found if len(ordered) > 1 else np.full(len(ordered), 0.5)
