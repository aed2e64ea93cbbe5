"""Fitting a call to a target: every field that the target cannot carry is recorded with a reason.

In: a field that a target lacks, or a value out of its range. Out: a reason per field, or an error that names
the nearest value; with ``nearest`` the substitution and its reason.
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
        """Looks up the cards of a call's AIRs.

        Raises:
            UnknownModel: the catalog lacks one of them.
        """
        loras = tuple(_card(lora.air, lora.model, catalog) for lora in call.loras)
        name = "its checkpoint" if call.base_checkpoint else call.model
        return cls(_card(call.base_checkpoint or call.air, name, catalog), loras)


@dataclass
class Fit:
    """Collects the reasons for which fields are not carried unchanged, by the field's name."""

    title: str
    samplers: Collection[Sampler]
    """The samplers of the target, or of one server."""
    nearest: bool = False
    files: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """A server's files by folder; empty: the server was not asked."""
    reasons: dict[str, str] = field(default_factory=dict)
    replaced: dict[str, Any] = field(default_factory=dict)
    """The values that replace a call's."""

    def drop(self, name: str, reason: str) -> None:
        """Records a field that the target has no place for."""
        self.reasons[name] = reason

    def swap(self, name: str, value: Value, near: Value, why: str) -> Value:
        """Replaces a value that the target does not take by the nearest that it takes.

        Raises:
            BadInput: substitution is not enabled.
        """
        if not self.nearest:
            raise BadInput(f"{name} is {value}, but {why}; the nearest is {near}", "pass --nearest to use it")
        self.replaced[name] = near
        self.reasons[name] = f"{near} in place of {value}: {why}"
        return near

    def sampler(self, sampler: Sampler) -> Sampler:
        """Returns the call's sampler, or the target's nearest.

        Raises:
            BadInput: the target lacks it and has none like it, or substitution is not enabled.
        """
        if sampler in self.samplers:
            return sampler
        near = nearest(sampler, self.samplers)
        if near is None:
            methods = ", ".join(sorted({candidate.method for candidate in self.samplers}))
            raise BadInput(
                f"sampling_method is {sampler}, but {self.title} has neither it nor one like it: "
                f"it has {methods or 'none that a call can name'}"
            )
        if near.method != sampler.method:
            self.swap("sampling_method", str(sampler), str(near), f"{self.title} has no such sampler")
            self.replaced["sampling_method"] = near.method
        else:
            self.swap("scheduler", str(sampler), str(near), f"{self.title} has no such schedule for it")
        if near.scheduler != sampler.scheduler:
            self.replaced["scheduler"] = near.scheduler
            self.reasons.setdefault("scheduler", self.reasons.get("sampling_method", ""))
        return near

    def within(self, name: str, value: float, low: float, high: float) -> float:
        """Returns a number inside the target's range; errors of :meth:`swap`."""
        if low <= value <= high:
            return value
        near = min(max(value, low), high)
        return self.swap(name, value, near, f"{self.title} takes {low:g} to {high:g}")

    def read(self, call: T2ICall, row: BaseModelFacts | None) -> tuple[str, int | None]:
        """Returns the negative prompt and the clip skip as far as a base model reads them."""
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
    """A target's request, with a reason for each field that it does not carry unchanged."""

    target: str
    request: dict[str, Any]
    call: T2ICall
    """The call that the request makes, with the values that replace what the target lacks."""
    reasons: Mapping[str, str] = field(default_factory=dict)
    dropped: frozenset[str] = frozenset()
    """The fields of :attr:`not_carried` that the request lacks entirely."""

    @property
    def not_carried(self) -> list[str]:
        """The call's fields that the request lacks or replaces."""
        return list(self.reasons)


def file_of(card: Card, names: Mapping[str, str]) -> str:
    """Returns a server's name of a card's file, else the file's own.

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
    card = catalog.by_air(air)
    if card is None:
        shown = name if source_of(air) == LOCAL else f"{name} ({air})"  # a hash tells the user nothing
        raise UnknownModel(
            f"{shown} is not in the catalog", "give the catalog that the call was made with, or --installed"
        )
    return card
