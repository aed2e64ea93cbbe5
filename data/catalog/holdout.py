"""The images that a catalog may see under a held-out rule.

none      all images: a catalog for use, not for measuring
cluster   near-duplicate prompts stay on one side; test and align clusters are held out
image     the same rule for each image by itself; test and align images are held out
both      held out by either rule: the shipped catalog, so that both measurements hold for it
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from itertools import product
from typing import Literal, get_args

from diffagent.data.catalog.splits import Split, assign, split_of
from diffagent.data.errors import BadInput
from diffagent.data.records import Sample

Rule = Literal["none", "cluster", "image", "both"]
_TRAIN: Split = "train"
_PAIRS = {both: both for both in product(get_args(Split), repeat=2)}
"""One tuple per pair of splits, so that millions of images share nine objects."""


def splits(samples: Iterable[Sample], rule: Rule) -> dict[int, tuple[Split, Split]]:
    """Image id → its splits by cluster and by image; clusters are only computed where the rule needs them."""
    if rule not in get_args(Rule):
        raise BadInput(f"the held-out rule is {rule!r}, but it is one of {', '.join(get_args(Rule))}")
    ids = array("q")

    def seen() -> Iterator[Sample]:
        for sample in samples:
            ids.append(sample.image_id)
            yield sample

    by_cluster = (
        assign(seen()) if rule in ("cluster", "both") else {sample.image_id: _TRAIN for sample in seen()}
    )
    return {image_id: _PAIRS[by_cluster[image_id], split_of(image_id)] for image_id in ids}


def visible(image_splits: dict[int, tuple[Split, Split]], rule: Rule) -> frozenset[int]:
    """The ids of the images that a catalog under the rule may see."""

    def sees(by_cluster: Split, by_image: Split) -> bool:
        hidden = (rule in ("cluster", "both") and by_cluster != "train") or (
            rule in ("image", "both") and by_image != "train"
        )
        return not hidden

    return frozenset(
        image for image, (cluster, image_split) in image_splits.items() if sees(cluster, image_split)
    )
