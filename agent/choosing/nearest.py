"""Nearest: what comes closest to a model or base model that cannot be had."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from difflib import SequenceMatcher

from diffagent.data.base_models import FAMILIES, find, lora_fit, usual_of
from diffagent.data.errors import BadInput

_PERHAPS = re.compile(
    r"\bif (?:there is one|(?:you|u) (?:have|can|do)|possible|available|that exists)\b|"
    r"\b(?:ideally|preferably)\b",
    re.I,
)


def nearest_base_model(given: str, had: Sequence[str]) -> str | None:
    """The base model of entries that people mean by the family's name, else one that runs the given one's
    LoRAs, else any: whose name is most like the given one; of equals the most frequent."""
    counts = Counter(had)
    row = find(given)
    usual = usual_of(row.family if row else given)
    if usual in counts:
        return usual
    name = (row.name if row else FAMILIES.get(given, given)).casefold()
    akin = [one for one in sorted(counts) if row and lora_fit(lora=row.name, checkpoint=one)]
    return max(
        akin or sorted(counts),
        key=lambda one: (round(SequenceMatcher(None, name, one.casefold()).ratio(), 2), counts[one]),
        default=None,
    )


def title(given: str) -> str:
    """A base model or family as people call it."""
    row = find(given)
    return FAMILIES.get(given, row.name if row else given)


def is_lenient(prompt: str) -> bool:
    """Whether a prompt asks for what it names only where it can be had."""
    return bool(_PERHAPS.search(prompt))


def refusal(given: str, near: str | None, target: str) -> BadInput:
    """Why a base model is refused, and what comes nearest."""
    there = "in the catalog" if target == "diffagent" else f"in the catalog for {target}"
    wrong = f"{title(given)} is asked for, but no model of it is {there}"
    if near is None:
        return BadInput(wrong, "give another --base-model")
    return BadInput(
        f"{wrong}; the nearest is {near}", "pass --nearest to use it, or give another --base-model"
    )
