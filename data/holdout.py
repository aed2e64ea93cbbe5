"""What a catalog may see: the images that no held-out rule keeps back.

none      everything: a catalog for use, not for measuring
cluster   near-duplicate prompts stay on one side; test and align clusters are kept back
image     the same rule for each image by itself; test and align images are kept back
both      kept back by either rule: what ships, so that both measurements hold for it
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, get_args

from diffagent.data.errors import BadInput
from diffagent.data.records import Sample
from diffagent.data.splits import Split, assign, split_of

Rule = Literal["none", "cluster", "image", "both"]


def splits(samples: Iterable[Sample], rule: Rule) -> dict[int, tuple[Split, Split]]:
    """Image id → its split by cluster and by image; the cluster rule is not computed where unused."""
    if rule not in get_args(Rule):
        raise BadInput(f"the held-out rule is {rule!r}, but it is one of {', '.join(get_args(Rule))}")
    kept = list(samples)
    by_cluster = assign(kept) if rule in ("cluster", "both") else {}
    return {s.image_id: (by_cluster.get(s.image_id, "train"), split_of(s.image_id)) for s in kept}


def visible(found: dict[int, tuple[Split, Split]], rule: Rule) -> frozenset[int]:
    """The ids of the images that a catalog built under the rule may see."""

    def sees(by_cluster: Split, by_image: Split) -> bool:
        hidden = (rule in ("cluster", "both") and by_cluster != "train") or (
            rule in ("image", "both") and by_image != "train"
        )
        return not hidden

    return frozenset(image for image, (cluster, image_split) in found.items() if sees(cluster, image_split))
