"""Standing: a catalog entry's popularity among the entries of its type and base model.

In: cards with their statistics. Out: two shares in 0…1 for each entry, of entries with a worse rating
(:func:`diffagent.data.catalog.quality.bayesian_ratings`) and of those with fewer downloads.
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
class PeerStanding:
    """An entry's rank by rating and by downloads among its type and base model: shares in 0…1."""

    rating: float
    downloads: float


def standings(cards: Sequence[Card]) -> dict[str, PeerStanding]:
    """AIR → the entry's standing within its type and base model; 0.5 where nothing is known, as for a user's
    entry or for downloads that the creator hides."""
    groups: dict[tuple[str, str], list[Card]] = defaultdict(list)
    for card in cards:
        groups[card.type, card.base_model].append(card)
    by_air = {}
    for group in groups.values():
        ratings = _shares(bayesian_ratings([card.stats for card in group]))
        shown = [card for card in group if not card.stats.hidden]
        downloads = dict(
            zip((card.air for card in shown), _shares([c.stats.downloads for c in shown]), strict=True)
        )
        for card, rating in zip(group, ratings, strict=True):
            has_statistics = card.stats.downloads or card.stats.ratings
            count = float(downloads.get(card.air, 0.5))
            by_air[card.air] = (
                PeerStanding(float(rating), count) if has_statistics else PeerStanding(0.5, 0.5)
            )
    return by_air


def _shares(values: Sequence[float]) -> Floats:
    """The share of the others that have less; ties count half."""
    rounded = np.round(values, 9)
    ordered = np.sort(rounded)
    below = np.searchsorted(ordered, rounded, "left")
    up_to = np.searchsorted(ordered, rounded, "right")
    shares: Floats = (below + up_to - 1) / 2 / max(len(ordered) - 1, 1)
    return shares if len(ordered) > 1 else np.full(len(ordered), 0.5)
