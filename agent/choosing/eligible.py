"""The entries of a catalog that are eligible in a scope, and the checkpoints that carry its LoRAs."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from diffagent.agent.choosing.prefilter import Prefilter
from diffagent.agent.choosing.scope import ChoiceScope
from diffagent.data.base_models import is_meant, lora_fit
from diffagent.data.errors import BadInput
from diffagent.data.records import Card

Mask = npt.NDArray[np.bool_]

KEPT_MASKS = 64
"""The most cached masks: a server's users may invent any number of base models."""
KEPT_CARRIERS = 16
"""The most base models and scopes with cached checkpoints."""
ANY = ChoiceScope()


class Eligible:
    """Masks of a prefilter's M entries by scope, and carriers of LoRAs."""

    def __init__(self, prefilter: Prefilter) -> None:
        self._prefilter = prefilter
        self._masks: dict[ChoiceScope, Mask] = {}
        self._carrying: dict[tuple[str, ChoiceScope], tuple[Card, ...]] = {}
        self._last: tuple[ChoiceScope | None, dict[str, list[int]]] = (None, {})

    @cached_property
    def loadable(self) -> Mask:
        """The entries that a call may name, for any target: booleans [M]."""
        return self.mask(ANY)

    def mask(self, scope: ChoiceScope) -> Mask:
        """Returns the entries in scope, a LoRA only where a checkpoint can carry it, [M]; cached."""
        mask = self._masks.get(scope)
        if mask is None:
            mask = self._judge(scope)
            if len(self._masks) >= KEPT_MASKS:
                self._masks.clear()
            self._masks[scope] = mask
        return mask

    def _judge(self, scope: ChoiceScope) -> Mask:
        """Computes the entries in scope; a base model or type narrows the mask of the scope without it."""
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
            fits = np.array([is_meant(scope.base_model, name) for name in names], bool)
            mask = mask & fits[places]
        return mask

    def base_checkpoint(self, card: Card, scope: ChoiceScope = ANY) -> Card:
        """Returns the checkpoint to run a LoRA on: its most frequent one, else the most used.

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
                f"{card.name} is a LoRA of {card.base_model}, but there is no checkpoint of it to run the "
                "LoRA on",
                "add one, or pass --type Checkpoint",
            )
        return usual

    def carriers(self, card: Card, scope: ChoiceScope = ANY) -> tuple[Card, ...]:
        """Returns the checkpoints that a LoRA may run on in a scope; partial fits only without full ones."""
        return self._carriers(card.base_model, scope)

    def _carriers(self, base_model: str, scope: ChoiceScope) -> tuple[Card, ...]:
        """Returns the checkpoints that a base model's LoRAs may run on; cached."""
        plain = replace(scope, base_model=None, type=None)
        if (base_model, plain) not in self._carrying:
            fits: dict[str | None, list[int]] = {}
            for name, places in self._bases(plain).items():
                fits.setdefault(lora_fit(lora=base_model, checkpoint=name), []).extend(places)
            cards = self._prefilter.cards
            carriers = tuple(cards[place] for place in sorted(fits.get("same") or fits.get("partial") or []))
            if len(self._carrying) >= KEPT_CARRIERS:
                self._carrying.clear()
            self._carrying[base_model, plain] = carriers
        return self._carrying[base_model, plain]

    def _bases(self, plain: ChoiceScope) -> dict[str, list[int]]:
        """Returns base model → places of the checkpoints that may carry LoRAs in a scope; caches the last."""
        if self._last[0] != plain:
            bases: dict[str, list[int]] = {}
            for place, card in enumerate(self._prefilter.cards):
                if card.type == "Checkpoint" and plain.allows(card):
                    bases.setdefault(card.base_model, []).append(place)
            self._last = plain, bases
        return self._last[1]

    def most_used(self, base_model: str, scope: ChoiceScope = ANY) -> Card | None:
        """Returns the checkpoint for a base model's LoRAs, full fits before partial ones, with the most LoRA
        images, then the most downloads."""
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
        """The base models, and each entry's index among them: int64 [M]."""
        places: dict[str, int] = {}
        of_entry = [places.setdefault(card.base_model, len(places)) for card in self._prefilter.cards]
        return list(places), np.array(of_entry, np.int64)

    @cached_property
    def _checkpoints(self) -> dict[str, Card]:
        return {card.air: card for card in self._prefilter.cards if card.type == "Checkpoint"}

    @cached_property
    def _carried(self) -> dict[str, int]:
        """Checkpoint's AIR → number of LoRA images made with it."""
        counts: dict[str, int] = {}
        for card in self._prefilter.cards:
            for air, n in card.usage.checkpoints.items():
                counts[air] = counts.get(air, 0) + n
        return counts


def _runs(base: Card, base_model: str) -> bool:
    """Whether a checkpoint runs LoRAs of a base model."""
    return lora_fit(lora=base_model, checkpoint=base.base_model) is not None


def _may_carry(base: Card, scope: ChoiceScope) -> bool:
    return replace(scope, base_model=None, type=None).allows(base)
