"""Which entries of a catalog may be chosen in a scope, and which checkpoint carries a LoRA there."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from diffagent.agent.prefilter import Prefilter
from diffagent.agent.scope import Scope
from diffagent.data.errors import BadInput
from diffagent.data.records import Card, family

Mask = npt.NDArray[np.bool_]

KEPT_MASKS = 64
"""Scopes whose masks are kept: a server's users may make up any number of base models."""
ANY = Scope()


class Eligible:
    """The M entries of a prefilter, judged for a scope at a time."""

    def __init__(self, prefilter: Prefilter) -> None:
        self._prefilter = prefilter
        self._masks: dict[Scope, Mask] = {}

    @cached_property
    def loadable(self) -> Mask:
        """The entries that a call may name, whatever its target: booleans [M]."""
        return self.mask(ANY)

    def mask(self, scope: Scope) -> Mask:
        """The entries in scope, a LoRA only where a checkpoint can carry it, [M]; kept for the next call."""
        mask = self._masks.get(scope)
        if mask is None:
            bases = {name: self.most_used(name, scope) for name in ("sd1", "sdxl", "other")}
            mask = self._prefilter.allowing(
                lambda card: (
                    scope.allows(card)
                    and (card.type == "Checkpoint" or bases[family(card.base_model)] is not None)
                )
            )
            if len(self._masks) >= KEPT_MASKS:
                self._masks.clear()
            self._masks[scope] = mask
        return mask

    def base_checkpoint(self, card: Card, scope: Scope = ANY) -> str:
        """The AIR of the checkpoint to run a LoRA on: the one it is most used with, else the family's.

        Raises:
            BadInput: the catalog has no checkpoint of that family.
        """
        for air, _ in sorted(card.usage.checkpoints.items(), key=lambda item: (-item[1], item[0])):
            base = self._checkpoints.get(air)
            if base and family(base.base_model) == family(card.base_model) and _may_carry(base, scope):
                return base.air
        usual = self.most_used(family(card.base_model), scope)
        if usual is None:
            raise BadInput(
                f"{card.name} is a LoRA of {card.base_model}, but there is no such checkpoint to run it on: "
                "add one, or pass --type Checkpoint"
            )
        return usual.air

    def most_used(self, name: str, scope: Scope = ANY) -> Card | None:
        """The family's checkpoint that carries most LoRA images, then the most downloaded one."""
        eligible = [
            base
            for base in self._checkpoints.values()
            if family(base.base_model) == name and _may_carry(base, scope)
        ]
        return max(
            eligible, key=lambda c: (self._carriers.get(c.air, 0), c.stats.downloads, c.air), default=None
        )

    @cached_property
    def _checkpoints(self) -> dict[str, Card]:
        return {card.air: card for card in self._prefilter.cards if card.type == "Checkpoint"}

    @cached_property
    def _carriers(self) -> dict[str, int]:
        """How many LoRA images each checkpoint was used for."""
        counts: dict[str, int] = {}
        for card in self._prefilter.cards:
            for air, n in card.usage.checkpoints.items():
                counts[air] = counts.get(air, 0) + n
        return counts


def _may_carry(base: Card, scope: Scope) -> bool:
    return replace(scope, base_model=None, type=None).allows(base)
