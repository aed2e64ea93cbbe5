"""Which entries of a catalog may be chosen in a scope, and which checkpoint carries a LoRA there."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from diffagent.agent.prefilter import Prefilter
from diffagent.agent.scope import Scope
from diffagent.data.base_models import lora_fit
from diffagent.data.errors import BadInput
from diffagent.data.records import Card

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
            bases = {name: self.most_used(name, scope) for name in self._lora_base_models}
            mask = self._prefilter.allowing(
                lambda card: (
                    scope.allows(card) and (card.type == "Checkpoint" or bases[card.base_model] is not None)
                )
            )
            if len(self._masks) >= KEPT_MASKS:
                self._masks.clear()
            self._masks[scope] = mask
        return mask

    def base_checkpoint(self, card: Card, scope: Scope = ANY) -> Card:
        """The checkpoint to run a LoRA on: the one it is most used with, else the most used.

        Raises:
            BadInput: the catalog has no checkpoint that runs LoRAs of its base model.
        """
        for air, _ in sorted(card.usage.checkpoints.items(), key=lambda item: (-item[1], item[0])):
            base = self._checkpoints.get(air)
            if base and _runs(base, card.base_model) and _may_carry(base, scope):
                return base
        usual = self.most_used(card.base_model, scope)
        if usual is None:
            raise BadInput(
                f"{card.name} is a LoRA of {card.base_model}, but there is no such checkpoint to run it on: "
                "add one, or pass --type Checkpoint"
            )
        return usual

    def carriers(self, card: Card, scope: Scope = ANY) -> list[Card]:
        """The checkpoints that a LoRA may run on in a scope; those that run it in part, if no other."""
        fits: dict[str | None, list[Card]] = {}
        for base in self._checkpoints.values():
            if _may_carry(base, scope):
                fit = lora_fit(lora=card.base_model, checkpoint=base.base_model)
                fits.setdefault(fit, []).append(base)
        return fits.get("same") or fits.get("partial") or []

    def most_used(self, base_model: str, scope: Scope = ANY) -> Card | None:
        """Of the checkpoints that run a base model's LoRAs, wholly rather than in part, the one that carries
        most LoRA images, then the most downloaded one."""
        eligible = [
            base for base in self._checkpoints.values() if _runs(base, base_model) and _may_carry(base, scope)
        ]
        return max(
            eligible,
            key=lambda c: (
                lora_fit(lora=base_model, checkpoint=c.base_model) == "same",
                self._carriers.get(c.air, 0),
                c.stats.downloads,
                c.air,
            ),
            default=None,
        )

    @cached_property
    def _lora_base_models(self) -> frozenset[str]:
        return frozenset(card.base_model for card in self._prefilter.cards if card.type == "LoRA")

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


def _runs(base: Card, base_model: str) -> bool:
    """Whether a checkpoint runs LoRAs of a base model."""
    return lora_fit(lora=base_model, checkpoint=base.base_model) is not None


def _may_carry(base: Card, scope: Scope) -> bool:
    return replace(scope, base_model=None, type=None).allows(base)
