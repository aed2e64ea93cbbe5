"""Targets: from a T2I call to the request of a real API. Pure functions; nothing is sent.

emitted = emit(call, "comfyui", catalog)
emitted.request, emitted.not_carried          # the graph, and the fields that it could not carry
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from diffagent.agent.targets import a1111, civitai, comfyui, diffusers, horde, openai
from diffagent.agent.targets.fitting import Emitted, Fit, Resources
from diffagent.agent.targets.samplers import supported
from diffagent.data.base_models import backend, lora_fit, run_by
from diffagent.data.catalog import Catalog, Filter
from diffagent.data.errors import BadInput
from diffagent.data.records import Card, T2ICall

__all__ = ["TARGETS", "Emitted", "check_target", "emit", "offers", "runs", "supported"]

Emitter = Callable[[T2ICall, Resources, Fit, Mapping[str, str]], dict[str, Any]]

_EMITTERS: dict[str, Emitter] = {
    "a1111": a1111.emit,
    "comfyui": comfyui.emit,
    "horde": horde.emit,
    "civitai": civitai.emit,
    "openai": openai.emit,
    "diffusers": diffusers.emit,
}
_OFFERED: dict[str, Callable[[Card], bool]] = {
    "horde": lambda card: (
        horde.name_of(card) is not None if card.type == "Checkpoint" else civitai.is_hosted(card)
    ),
    "civitai": civitai.is_hosted,
    "openai": lambda card: card.type == "Checkpoint",
    "diffusers": diffusers.is_runnable,
}
TARGETS: tuple[str, ...] = ("diffagent", *_EMITTERS)
"""``diffagent`` is the call itself."""


def emit(
    call: T2ICall,
    target: str,
    catalog: Catalog,
    *,
    nearest: bool = False,
    names: Mapping[str, str] | None = None,
    known_samplers: tuple[str, ...] | None = None,
) -> Emitted:
    """The request that a target takes for a call.

    Args:
        call: what to make.
        target: one of :data:`TARGETS`.
        catalog: where the call's models are looked up.
        nearest: replace what the target lacks by the nearest that it has, and say so.
        names: AIR → what a server calls the model; default: the catalog's file names.
        known_samplers: those that a server has, as a call names them; default: the target's.

    Raises:
        BadInput: no such target; the target lacks a value (it names the nearest) or cannot run the model.
        UnknownModel: the catalog does not have the call's models.
    """
    check_target(target)
    if target == "diffagent":
        return Emitted(target, call.model_dump(), call)
    found = Resources.of(call, catalog)
    for card in (found.checkpoint, *([found.lora] if found.lora else [])):
        if card.is_pickle and target != "horde":
            raise BadInput(
                f"{card.name} is a .ckpt file, which only AI Horde's workers run: choose another model"
            )
    fit = Fit(target, nearest, known_samplers)
    if not runs(target, found.checkpoint):
        raise BadInput(
            f"{found.checkpoint.name} is {found.checkpoint.base_model}, which {fit.title} is not known to "
            f"run: choose a model of {', '.join(run_by(target))}"
        )
    found = _on_offered_checkpoint(found, catalog, fit, names or {})
    request = _EMITTERS[target](call, found, fit, names or {})
    made = call.model_copy(update=fit.replaced)
    return Emitted(target, request, made, fit.reasons, frozenset(fit.reasons.keys() - fit.replaced.keys()))


def _on_offered_checkpoint(
    found: Resources, catalog: Catalog, fit: Fit, names: Mapping[str, str]
) -> Resources:
    """A LoRA on a checkpoint that the target does not have moves to one of the family that it has."""
    base = found.checkpoint
    if found.lora is None or base.air in names or offers(fit.target, base):
        return found
    others = (
        card
        for card in catalog.cards(Filter(type="Checkpoint"))
        if lora_fit(lora=found.lora.base_model, checkpoint=card.base_model) is not None
        and (card.air in names if names else offers(fit.target, card))
    )
    near = next(others, None)
    if near is None:
        return found
    fit.swap("base_checkpoint", base.air, near.air, f"{fit.title} does not have {base.name}")
    return replace(found, checkpoint=near)


def offers(target: str, card: Card) -> bool:
    """Whether a target can run a catalog's entry, as far as the catalog tells.

    A pickle is offered to AI Horde alone; a server's own list says more
    (:mod:`diffagent.agent.installed_models`).
    """
    if (card.is_pickle and target != "horde") or not runs(target, card):
        return False
    return _OFFERED[target](card) if target in _OFFERED else True


def runs(target: str, card: Card) -> bool:
    """Whether a target is known to run models of a card's base model."""
    return target == "diffagent" or backend(card.base_model, target) is not None


def check_target(target: str) -> None:
    """Refuses a name that is no target."""
    if target not in TARGETS:
        raise BadInput(f"there is no target {target!r}: it is one of {', '.join(TARGETS)}")
