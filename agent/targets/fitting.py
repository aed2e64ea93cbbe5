"""Fitting a call to a target: what it cannot carry is written down, and nothing is changed in silence.

In: what an emitter meets (a field that a target does not have, a value out of its range). Out: a reason a
field, or an error that names the nearest value; with ``nearest`` the substitution and its reason.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from diffagent.data.air import LOCAL, source_of
from diffagent.data.base_model_facts import BaseModelFacts
from diffagent.data.catalog.catalog import Catalog
from diffagent.data.errors import BadInput, UnknownModel
from diffagent.data.records import Card, T2ICall
from diffagent.data.samplers import Sampler, nearest

Value = TypeVar("Value")


@dataclass(frozen=True)
class Resources:
    """The files that a call runs: a checkpoint, and the LoRAs on it in the call's order."""

    checkpoint: Card
    loras: tuple[Card, ...] = ()

    @property
    def cards(self) -> tuple[Card, ...]:
        """The checkpoint, then the LoRAs."""
        return (self.checkpoint, *self.loras)

    @classmethod
    def of(cls, call: T2ICall, catalog: Catalog) -> Resources:
        """The cards behind a call's AIRs.

        Raises:
            UnknownModel: the catalog does not have one of them.
        """
        loras = tuple(_card(lora.air, lora.model, catalog) for lora in call.loras)
        name = "its checkpoint" if call.base_checkpoint else call.model
        return cls(_card(call.base_checkpoint or call.air, name, catalog), loras)


@dataclass
class Fit:
    """Collects why fields are not carried as they stand: ``reasons``, by the field's name."""

    title: str
    samplers: Collection[Sampler]
    """Those that the target, or a server of it, has."""
    nearest: bool = False
    files: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """A server's files by folder; empty: nobody has asked it."""
    reasons: dict[str, str] = field(default_factory=dict)
    replaced: dict[str, Any] = field(default_factory=dict)
    """The values that stand in for a call's."""

    def drop(self, name: str, reason: str) -> None:
        """A field that the target has no place for."""
        self.reasons[name] = reason

    def swap(self, name: str, given: Value, near: Value, why: str) -> Value:
        """A value that the target does not take, replaced by the nearest that it takes.

        Raises:
            BadInput: no substitution was asked for.
        """
        if not self.nearest:
            raise BadInput(f"{name} is {given}, but {why}; the nearest is {near}", "pass --nearest to use it")
        self.replaced[name] = near
        self.reasons[name] = f"{near} in place of {given}: {why}"
        return near

    def sampler(self, asked: Sampler) -> Sampler:
        """The call's sampler, or the nearest one that the target has.

        Raises:
            BadInput: the target does not have it, and no substitution was asked for.
        """
        if asked in self.samplers:
            return asked
        near = nearest(asked, self.samplers)
        if near is None:
            methods = ", ".join(sorted({one.method for one in self.samplers}))
            raise BadInput(
                f"sampling_method is {asked}, but {self.title} has neither it nor one like it: "
                f"it has {methods or 'none that a call can name'}"
            )
        if near.method != asked.method:
            self.swap("sampling_method", str(asked), str(near), f"{self.title} has no such sampler")
            self.replaced["sampling_method"] = near.method
        else:
            self.swap("scheduler", str(asked), str(near), f"{self.title} has no such schedule for it")
        if near.scheduler != asked.scheduler:
            self.replaced["scheduler"] = near.scheduler
            self.reasons.setdefault("scheduler", self.reasons.get("sampling_method", ""))
        return near

    def within(self, name: str, value: float, low: float, high: float) -> float:
        """A number inside the target's range."""
        if low <= value <= high:
            return value
        near = min(max(value, low), high)
        return self.swap(name, value, near, f"{self.title} takes {low:g} to {high:g}")

    def read(self, call: T2ICall, row: BaseModelFacts | None) -> tuple[str, int | None]:
        """The negative prompt and the clip skip as far as a base model reads them."""
        negative, skip = call.negative_prompt, call.clip_skip
        if row is not None and negative and row.dialect.negative is False:
            self.drop("negative_prompt", f"{row.name} reads none")
            negative = ""
        if row is not None and skip is not None and row.clip_skip is None:
            self.drop("clip_skip", f"{row.name} has no clip skip")
            skip = None
        return negative, skip


@dataclass(frozen=True)
class Emitted:
    """A target's request, and why each field that it does not carry as it stands is not carried."""

    target: str
    request: dict[str, Any]
    call: T2ICall
    """The call as the request makes it, with what stands in for what the target lacks."""
    reasons: Mapping[str, str] = field(default_factory=dict)
    dropped: frozenset[str] = frozenset()
    """Of :attr:`not_carried`, the fields that the request lacks altogether."""

    @property
    def not_carried(self) -> list[str]:
        """The call's fields that the request lacks or replaces."""
        return list(self.reasons)


def file_of(card: Card, names: Mapping[str, str]) -> str:
    """What a server calls a card's file: its own name of it, else the file's.

    Raises:
        BadInput: the catalog does not know the file.
    """
    name = names.get(card.air) or card.file_name
    if not name:
        raise BadInput(
            f"the catalog knows no file of {card.name}",
            "choose another model, or one that a server has (--installed --target-url URL)",
        )
    return name


def _card(air: str, name: str, catalog: Catalog) -> Card:
    found = catalog.by_air(air)
    if found is None:
        shown = name if source_of(air) == LOCAL else f"{name} ({air})"  # a hash says nothing
        raise UnknownModel(
            f"{shown} is not in the catalog", "give the catalog that the call was made with, or --installed"
        )
    return found
