"""Sections: groups of a catalog's entries that compete for a request.

A catalog may list the base models that answer a request without one
(:attr:`~diffagent.data.catalog.catalog.Catalog.unasked`). Its other entries form a section of their own, read
when a request first asks for one of their base models, so that they neither change nor slow any other choice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

from diffagent.agent.asking.reading import Reading
from diffagent.agent.choosing.choosing import CardShelf
from diffagent.agent.choosing.eligible import Eligible
from diffagent.agent.choosing.prefilter import Prefilter, read_matcher
from diffagent.agent.choosing.scope import ChoiceScope
from diffagent.data.catalog.schema import Filter
from diffagent.data.records import Card

if TYPE_CHECKING:
    from diffagent.data.catalog.catalog import Catalog

ANY = "any"
"""The base model of a request that accepts any of the catalog's."""


@dataclass(frozen=True)
class Section:
    """M entries with their prefilter, eligibility and shelf."""

    prefilter: Prefilter
    eligible: Eligible
    shelf: CardShelf

    @classmethod
    def of(cls, prefilter: Prefilter) -> Self:
        return cls(prefilter, Eligible(prefilter), CardShelf(prefilter.cards))

    @property
    def cards(self) -> Sequence[Card]:
        return self.prefilter.cards

    def has(self, scope: ChoiceScope, reading: Reading | None = None) -> bool:
        """Whether an entry is in scope; with a reading a LoRA counts only where it is named, since it also
        runs on checkpoints of other base models."""
        mask = self.eligible.mask(scope)
        if (
            reading is None
            or not mask.any()
            or not self.shelf.is_read
            or (mask & ~self.shelf.facts.is_lora).any()
        ):
            return bool(mask.any())
        return bool((mask & self.shelf.named_mask(reading)).any())


class Sections:
    """A catalog's sections beside the first, with prefilters ``like`` its own; each is read once."""

    def __init__(self, catalog: Catalog, like: Prefilter) -> None:
        self._catalog = catalog
        self._like = like
        self._kept: dict[str, Section | None] = {}

    @property
    def asked(self) -> Section | None:
        """The entries that answer only a request for their base model; None where all answer.

        Where a LoRA among them has its checkpoints elsewhere, these are all entries of the catalog.
        """
        return self._read("asked", self._asked)

    @property
    def whole(self) -> Section | None:
        """All entries; None where the first section has them all."""
        return self._read("whole", lambda: self._of(Filter()) if self._catalog.unasked else None)

    def _asked(self) -> Section | None:
        unasked = self._catalog.unasked
        section = self._of(Filter(without=unasked)) if unasked else None
        if section is None or not section.cards:
            return None
        loras = {card.base_model for card in section.cards if card.type == "LoRA"}
        stranded = any(section.eligible.most_used(name) is None for name in loras)
        return self.whole if stranded else section

    def _of(self, selection: Filter) -> Section:
        cards, matcher = read_matcher(self._catalog, selection)
        return Section.of(replace(self._like, cards=cards, matcher=matcher))

    def _read(self, name: str, make: Callable[[], Section | None]) -> Section | None:
        if name not in self._kept:
            self._kept[name] = make()
        return self._kept[name]
