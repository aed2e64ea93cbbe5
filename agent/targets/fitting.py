"""Fitting a call to a target: what it cannot carry is written down, and nothing is changed in silence.

In: what an emitter meets (a field that a target does not have, a value out of its range). Out: a reason a
field, or an error that names the nearest value; with ``nearest`` the substitution and its reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from diffagent.agent.targets import samplers
from diffagent.data.catalog import Catalog
from diffagent.data.errors import BadInput, UnknownModel
from diffagent.data.records import Card, T2ICall, family

Value = TypeVar("Value")

TITLES = {
    "a1111": "A1111",
    "comfyui": "ComfyUI",
    "horde": "AI Horde",
    "civitai": "Civitai",
    "openai": "OpenAI's images API",
    "diffusers": "diffusers",
}


LACKING: dict[tuple[str, str], dict[str, str]] = {
    ("civitai", "sdxl"): {"clip_skip": "Civitai's recipe for SDXL refuses clipSkip, which SD 1.x alone has"},
}
"""The fields that a target does not take for one family of base models, though for others, and why.

Civitai: civitai-developer-docs, ``orchestration/recipes/sdxl.md``."""


@dataclass(frozen=True)
class Resources:
    """The files that a call runs: a checkpoint, and a LoRA on it where it names one."""

    checkpoint: Card
    lora: Card | None = None

    @property
    def cards(self) -> tuple[Card, ...]:
        return (self.checkpoint,) if self.lora is None else (self.checkpoint, self.lora)

    @classmethod
    def of(cls, call: T2ICall, catalog: Catalog) -> Resources:
        """The cards behind a call's AIRs.

        Raises:
            UnknownModel: the catalog does not have one of them.
        """
        card = _card(call.air, catalog)
        if call.base_checkpoint is None:
            return cls(card)
        return cls(_card(call.base_checkpoint, catalog), card)


@dataclass
class Fit:
    """Collects why fields are not carried as they stand: ``reasons``, by the field's name."""

    target: str
    nearest: bool = False
    known: tuple[str, ...] | None = None
    """The samplers that a server said it has; None: those of the table."""
    reasons: dict[str, str] = field(default_factory=dict)
    replaced: dict[str, Any] = field(default_factory=dict)
    """The values that stand in for a call's."""

    @property
    def title(self) -> str:
        return TITLES[self.target]

    def drop(self, name: str, reason: str) -> None:
        """A field that the target has no place for."""
        self.reasons[name] = reason

    def takes(self, name: str, checkpoint: Card) -> bool:
        """Whether the target has a place for a field with this checkpoint; the field is dropped where not."""
        reason = LACKING.get((self.target, family(checkpoint.base_model)), {}).get(name)
        if reason is not None:
            self.drop(name, reason)
        return reason is None

    def swap(self, name: str, given: Value, near: Value, why: str) -> Value:
        """A value that the target does not take, replaced by the nearest that it takes.

        Raises:
            BadInput: no substitution was asked for.
        """
        if not self.nearest:
            raise BadInput(f"{name} is {given}, but {why}; the nearest is {near}: pass --nearest to use it")
        self.replaced[name] = near
        self.reasons[name] = f"{near} in place of {given}: {why}"
        return near

    def sampler(self, name: str) -> str:
        """The call's sampler, or the nearest one that the target has."""
        of_target = samplers.supported(self.target)
        known = of_target if self.known is None else [one for one in of_target if one in self.known]
        if name in known:
            return name
        near = samplers.nearest(name, known)
        if near is None:
            raise BadInput(
                f"sampling_method is {name}, but {self.title} has neither it nor one like it: "
                f"it has {', '.join(known) or 'none that a call can name'}"
            )
        return self.swap("sampling_method", name, near, f"{self.title} has no such sampler")

    def within(self, name: str, value: float, low: float, high: float) -> float:
        """A number inside the target's range."""
        if low <= value <= high:
            return value
        near = min(max(value, low), high)
        return self.swap(name, value, near, f"{self.title} takes {low:g} to {high:g}")

    def weights(self, call: T2ICall) -> None:
        """Notes emphasis such as ``(word:1.2)`` where the target reads it as plain text."""
        if any(mark in text for text in (call.prompt, call.negative_prompt) for mark in ("(", "[")):
            self.drop("prompt", "emphasis such as (word:1.2) or [word] is read as plain text")


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
            f"the catalog knows no file of {card.name}: choose another model, or one that a server "
            "has (--installed --target-url URL)"
        )
    return name


def _card(air: str, catalog: Catalog) -> Card:
    found = catalog.by_air(air)
    if found is None:
        raise UnknownModel(f"{air} is not in the catalog: give the catalog that the call was made with")
    return found
