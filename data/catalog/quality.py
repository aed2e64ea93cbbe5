"""The quality filter: which callable entries the community rates and uses most (paper, section 3.1).

In: each entry's statistics (downloads, ratings; today thumbs). Out: the reason for each dropped entry.
Entries are compared within their type and base model: a LoRA is downloaded less than a checkpoint, and SDXL
is younger than SD 1.5. Entries with hidden downloads are judged by their ratings alone.

The paper says that "established evaluation mechanisms (download count, rating count, …)" identify "a subset
with superior quality", without formula, thresholds or shares. It states the outcome only: of 74,492 models
6,822 (9.2 %) have pairs in DABench, 50,482 pairs (0.68 per model). The defaults are our choice: they drop the
lower half by downloads and the lowest quarter by rating, which comes close to both numbers on the snapshot of
July 2023 (849 of 8,100 models, 10.5 %; 5,758 pairs, 0.71 per model).
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from diffagent.data.errors import BadInput
from diffagent.data.records import Stats

QUALITY_REASONS = ("few downloads", "low rating")
"""The reasons why a callable entry is dropped, in the order of the checks."""

Group = tuple[str, str]
"""Type and base model."""


@dataclass(frozen=True)
class Quality:
    """The shares of each group to drop by downloads and by Bayesian rating.

    Raises:
        BadInput: a share lies outside 0…1.
    """

    downloads: float = 0.5
    rating: float = 0.25

    def __post_init__(self) -> None:
        for name, share in (("downloads", self.downloads), ("rating", self.rating)):
            if not 0 <= share < 1:
                raise BadInput(
                    f"the share to drop by {name} is {share:g}, but it lies in 0 <= share < 1 (0: none)"
                )


@dataclass(frozen=True, slots=True)
class Standing:
    """An entry's AIR, group and community statistics."""

    air: str
    group: Group
    stats: Stats


def low_quality(standings: Iterable[Standing], quality: Quality) -> dict[str, str]:
    """AIR → one of QUALITY_REASONS, for every entry below its group's thresholds.

    An entry at the threshold is kept, so a group of equal entries, or of one, is kept whole.
    """
    groups: dict[Group, list[Standing]] = defaultdict(list)
    for standing in standings:
        groups[standing.group].append(standing)
    return {air: reason for group in groups.values() for air, reason in _drop_reasons(group, quality).items()}


def bayesian_ratings(stats: Sequence[Stats]) -> list[float]:
    """Returns the mean ratings shrunk towards the group's mean by the median number of ratings.

    (C m + n r) / (C + n) with n ratings of mean r, m the mean over all ratings of the group, and C the
    median of n, at least 1: one rating of 5 stars does not outrank a thousand of 4.9. An entry without
    ratings gets m.
    """
    total = sum(member.ratings for member in stats)
    mean = sum(member.ratings * member.rating for member in stats) / total if total else 0.0
    weight = max(1.0, float(median(member.ratings for member in stats))) if stats else 1.0
    return [(weight * mean + member.ratings * member.rating) / (weight + member.ratings) for member in stats]


def _drop_reasons(group: Sequence[Standing], quality: Quality) -> Mapping[str, str]:
    downloads = [standing.stats.downloads for standing in group if not standing.stats.hidden]
    ratings = [round(rating, 9) for rating in bayesian_ratings([standing.stats for standing in group])]
    least, worst = _floor(downloads, quality.downloads), _floor(ratings, quality.rating)
    reasons = {}
    for standing, rating in zip(group, ratings, strict=True):
        if standing.stats.downloads < least and not standing.stats.hidden:
            reasons[standing.air] = "few downloads"
        elif rating < worst:
            reasons[standing.air] = "low rating"
    return reasons


def _floor(values: Sequence[float], share: float) -> float:
    """The smallest value to keep, so that at most ``share`` of the values lie below it."""
    return sorted(values)[math.floor(share * len(values))] if values else 0.0
