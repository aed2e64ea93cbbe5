"""Which entries of a catalog may be chosen in a scope, and which checkpoint carries a LoRA there."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from diffagent.agent.choosing.prefilter import Prefilter
from diffagent.agent.choosing.scope import Scope
from diffagent.data.base_models import is_meant, lora_fit
from diffagent.data.errors import BadInput
from diffagent.data.records import Card

Mask = npt.NDArray[np.bool_]

KEPT_MASKS = 64
"""Scopes whose masks are kept: a server's users may make up any number of base models."""
KEPT_CARRIERS = 16
"""Base models and scopes whose checkpoints are kept."""
ANY = Scope()


class Eligible:
    """The M entries of a prefilter, judged for a scope at a time."""

    def __init__(self, prefilter: Prefilter) -> None:
        self._prefilter = prefilter
        self._masks: dict[Scope, Mask] = {}
        self._carrying: dict[tuple[str, Scope], tuple[Card, ...]] = {}
        self._last: tuple[Scope | None, dict[str, list[int]]] = (None, {})

    @cached_property
    def loadable(self) -> Mask:
        """The entries that a call may name, whatever its target: booleans [M]."""
        return self.mask(ANY)

    def mask(self, scope: Scope) -> Mask:
        """The entries in scope, a LoRA only where a checkpoint can carry it, [M]; kept for the next call."""
        mask = self._masks.get(scope)
        if mask is None:
            mask = self._judged(scope)
            if len(self._masks) >= KEPT_MASKS:
                self._masks.clear()
            self._masks[scope] = mask
        return mask

    def _judged(self, scope: Scope) -> Mask:
        """The entries in scope; where it asks for a base model or a type, of those that are there without."""
        plain = replace(scope, base_model=None, type=None)
        if plain == scope:
            bases = self._bases(scope)
            carried = {
                name
                for name in self._lora_base_models
                if any(lora_fit(lora=name, checkpoint=b) for b in bases)
            }
            return self._prefilter.allowing(
                lambda card: scope.allows(card) and (card.type == "Checkpoint" or card.base_model in carried)
            )
        mask = self.mask(plain)
        if scope.type:
            mask = mask & np.isin(self._types, scope.type)
        if scope.base_model:
            names, places = self._base_models
            meant = np.array([is_meant(scope.base_model, name) for name in names], bool)
            mask = mask & meant[places]
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
                f"{card.name} is a LoRA of {card.base_model}, but there is no such checkpoint to run it on",
                "add one, or pass --type Checkpoint",
            )
        return usual

    def carriers(self, card: Card, scope: Scope = ANY) -> tuple[Card, ...]:
        """The checkpoints that a LoRA may run on in a scope; those that run it in part, if no other."""
        return self._carriers(card.base_model, scope)

    def _carriers(self, base_model: str, scope: Scope) -> tuple[Card, ...]:
        """The checkpoints that a base model's LoRAs may run on; kept for the next call."""
        plain = replace(scope, base_model=None, type=None)
        if (base_model, plain) not in self._carrying:
            fits: dict[str | None, list[int]] = {}
            for name, places in self._bases(plain).items():
                fits.setdefault(lora_fit(lora=base_model, checkpoint=name), []).extend(places)
            cards = self._prefilter.cards
            found = tuple(cards[place] for place in sorted(fits.get("same") or fits.get("partial") or []))
            if len(self._carrying) >= KEPT_CARRIERS:
                self._carrying.clear()
            self._carrying[base_model, plain] = found
        return self._carrying[base_model, plain]

    def _bases(self, plain: Scope) -> dict[str, list[int]]:
        """Base model → the places of the checkpoints that may carry LoRAs in a scope; the last is kept."""
        if self._last[0] != plain:
            bases: dict[str, list[int]] = {}
            for place, card in enumerate(self._prefilter.cards):
                if card.type == "Checkpoint" and plain.allows(card):
                    bases.setdefault(card.base_model, []).append(place)
            self._last = plain, bases
        return self._last[1]

    def most_used(self, base_model: str, scope: Scope = ANY) -> Card | None:
        """Of the checkpoints that run a base model's LoRAs, wholly rather than in part, the one that carries
        most LoRA images, then the most downloaded one."""
        return max(
            self._carriers(base_model, scope),
            key=lambda c: (self._carried.get(c.air, 0), c.stats.downloads, c.air),
            default=None,
        )

    @cached_property
    def _lora_base_models(self) -> frozenset[str]:
        return frozenset(card.base_model for card in self._prefilter.cards if card.type == "LoRA")

    @cached_property
    def _types(self) -> npt.NDArray[np.str_]:
        return np.array([card.type.casefold() for card in self._prefilter.cards], str)

    @cached_property
    def _base_models(self) -> tuple[list[str], npt.NDArray[np.int64]]:
        """The base models, and the place of each entry's among them: int64 [M]."""
        places: dict[str, int] = {}
        of_entry = [places.setdefault(card.base_model, len(places)) for card in self._prefilter.cards]
        return list(places), np.array(of_entry, np.int64)

    @cached_property
    def _checkpoints(self) -> dict[str, Card]:
        return {card.air: card for card in self._prefilter.cards if card.type == "Checkpoint"}

    @cached_property
    def _carried(self) -> dict[str, int]:
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
