"""Nearest: the closest substitute for a base model that is not available."""

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


def nearest_base_model(name: str, had: Sequence[str]) -> str | None:
    """Returns from the base models ``had`` the family's usual one, else one that runs the named one's LoRAs,
    else any; by the most similar name, then the most frequent."""
    counts = Counter(had)
    row = find(name)
    usual = usual_of(row.family if row else name)
    if usual in counts:
        return usual
    folded = (row.name if row else FAMILIES.get(name, name)).casefold()
    akin = [
        base_model for base_model in sorted(counts) if row and lora_fit(lora=row.name, checkpoint=base_model)
    ]
    return max(
        akin or sorted(counts),
        key=lambda base_model: (
            round(SequenceMatcher(None, folded, base_model.casefold()).ratio(), 2),
            counts[base_model],
        ),
        default=None,
    )


def title(name: str) -> str:
    """Returns the common name of a base model or family."""
    row = find(name)
    return FAMILIES.get(name, row.name if row else name)


def is_lenient(prompt: str) -> bool:
    """Whether a prompt asks for a model only if it is available."""
    return bool(_PERHAPS.search(prompt))


def refusal(name: str, near: str | None, target: str) -> BadInput:
    """Returns the error for a missing base model, with the nearest one."""
    there = "in the catalog" if target == "diffagent" else f"in the catalog for {target}"
    wrong = f"{title(name)} is asked for, but no model of it is {there}"
    if near is None:
        return BadInput(wrong, "give another --base-model")
    return BadInput(
        f"{wrong}; the nearest is {near}", "pass --nearest to use it, or give another --base-model"
    )
