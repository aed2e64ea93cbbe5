"""Sections: the entries of a catalog that are chosen among together.

A catalog may say which base models answer a request that names none
(:attr:`~diffagent.data.catalog.catalog.Catalog.unasked`). Its other entries are a section by themselves, read
when a request first asks for one of their base models; so they change no other choice, and cost it nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

from diffagent.agent.asking.reading import Reading
from diffagent.agent.choosing.choosing import Shelf
from diffagent.agent.choosing.eligible import Eligible
from diffagent.agent.choosing.prefilter import Prefilter, read_matcher
from diffagent.agent.choosing.scope import Scope
from diffagent.data.catalog.schema import Filter
from diffagent.data.records import Card

if TYPE_CHECKING:
    from diffagent.data.catalog.catalog import Catalog

ANY = "any"
"""The base model of who takes each of the catalog's alike."""


@dataclass(frozen=True)
class Section:
    """M entries, ready to match, to be judged for a scope, and by what they are for."""

    prefilter: Prefilter
    eligible: Eligible
    shelf: Shelf

    @classmethod
    def of(cls, prefilter: Prefilter) -> Self:
        return cls(prefilter, Eligible(prefilter), Shelf(prefilter.cards))

    @property
    def cards(self) -> Sequence[Card]:
        return self.prefilter.cards

    def has(self, scope: Scope, read: Reading | None = None) -> bool:
        """Whether an entry is in scope; for a reading a LoRA counts only where it is named, for it runs on
        checkpoints of other base models too."""
        mask = self.eligible.mask(scope)
        if (
            read is None
            or not mask.any()
            or not self.shelf.is_read
            or (mask & ~self.shelf.facts.is_lora).any()
        ):
            return bool(mask.any())
        return bool((mask & self.shelf.named(read)).any())


class Sections:
    """A catalog's sections beside the first, ``like`` whose prefilter theirs are made; each is read once."""

    def __init__(self, catalog: Catalog, like: Prefilter) -> None:
        self._catalog = catalog
        self._like = like
        self._kept: dict[str, Section | None] = {}

    @property
    def asked(self) -> Section | None:
        """The entries that answer only where their base model is asked for; None where all answer.

        Where a LoRA among them has its checkpoints elsewhere, they are all of the catalog's.
        """
        return self._read("asked", self._asked)

    @property
    def whole(self) -> Section | None:
        """All entries; None where the first section holds them."""
        return self._read("whole", lambda: self._of(Filter()) if self._catalog.unasked else None)

    def _asked(self) -> Section | None:
        unasked = self._catalog.unasked
        found = self._of(Filter(without=unasked)) if unasked else None
        if found is None or not found.cards:
            return None
        loras = {card.base_model for card in found.cards if card.type == "LoRA"}
        stranded = any(found.eligible.most_used(name) is None for name in loras)
        return self.whole if stranded else found

    def _of(self, wanted: Filter) -> Section:
        cards, matcher = read_matcher(self._catalog, wanted)
        return Section.of(replace(self._like, cards=cards, matcher=matcher))

    def _read(self, name: str, make: Callable[[], Section | None]) -> Section | None:
        if name not in self._kept:
            self._kept[name] = make()
        return self._kept[name]
