"""Usage of many models together: how often sampler, steps, CFG scale and size are used in a family.

In: cards. Out: family → :class:`~diffagent.data.records.Usage`, beside which a model's few images count.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from diffagent.data.base_models import family_of
from diffagent.data.records import Card, Usage

POOLED = ("sampler", "steps", "cfg_scale", "size")
"""The fields that are pooled; the others are particular to a model."""


def pooled(usages: Iterable[Usage]) -> Usage:
    """Returns the usage of many models together; each model counts for at most ten images per value."""
    totals: dict[str, dict[Any, int]] = {name: {} for name in POOLED}
    for usage in usages:
        for name, total in totals.items():
            for value, n in getattr(usage, name).items():
                total[value] = total.get(value, 0) + min(n, 10)
    return Usage(**totals)


def by_family(cards: Iterable[Card]) -> dict[str, Usage]:
    """Returns each family's usage: :func:`pooled` over its cards."""
    groups: dict[str, list[Usage]] = {}
    for card in cards:
        groups.setdefault(family_of(card.base_model), []).append(card.usage)
    return {name: pooled(usages) for name, usages in groups.items()}
