"""Emitting: a call and a target's name in, the target's request out.

emitted = emit(call, "comfyui", catalog)
emitted.request, emitted.not_carried          # the graph, and the fields that it could not carry
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from diffagent.agent.targets import ITSELF, TABLE, check_target, load
from diffagent.agent.targets.fitting import Emitted, Fit, Resources
from diffagent.agent.targets.target import Target
from diffagent.data.base_models import LISTED, lora_fit
from diffagent.data.catalog.catalog import Catalog, Filter
from diffagent.data.errors import BadInput
from diffagent.data.records import Card, T2ICall
from diffagent.data.samplers import ALL_SAMPLERS, Sampler


def emit(
    call: T2ICall,
    target: str,
    catalog: Catalog,
    *,
    nearest: bool = False,
    names: Mapping[str, str] | None = None,
    known_samplers: Collection[Sampler] | None = None,
    files: Mapping[str, Sequence[str]] | None = None,
) -> Emitted:
    """Returns a target's request for a call.

    Args:
        call: what to make.
        target: one of :data:`TARGETS`.
        catalog: where the call's models are looked up.
        nearest: replace values that the target lacks by the nearest, and report it.
        names: AIR → a server's name of the model; default: the catalog's file names.
        known_samplers: a server's samplers; default: the target's.
        files: a server's files by folder; default: the server was not asked.

    Raises:
        BadInput: the target is unknown, lacks a value (the message names the nearest) or cannot run the
        model.
        UnknownModel: the catalog lacks one of the call's models.
    """
    check_target(target)
    if target == ITSELF:
        return Emitted(target, call.model_dump(), call)
    api = load(target)
    resources = Resources.of(call, catalog)
    for card in resources.cards:
        if card.is_pickle and not api.pickles:
            raise BadInput(
                f"{card.name} is a .ckpt file, which only AI Horde's workers run: choose another model"
            )
        if card.is_gguf and not api.ggufs:
            able = ", ".join(name for name in TABLE if load(name).ggufs)
            raise BadInput(
                f"{card.name} is a GGUF file, which {api.title} does not load: choose another model, or a "
                f"target that does ({able})"
            )
    base_model = resources.checkpoint.base_model
    samplers = frozenset(api.samplers_of(base_model) if known_samplers is None else known_samplers)
    spelled = frozenset(api.spelled_of(base_model))
    fit = Fit(api.title, samplers & spelled if spelled else samplers, nearest, files or {})
    if not api.runs_base(resources.checkpoint.base_model):
        raise BadInput(
            f"{resources.checkpoint.name} is {resources.checkpoint.base_model}, which {fit.title} is not "
            f"known to run: choose a model of {', '.join(name for name in LISTED if api.runs_base(name))}"
        )
    resources = _on_offered_checkpoint(resources, catalog, api, fit, names or {})
    request = api.emit(call, resources, fit, names or {})
    _note_foreign_syntax(call, api, fit)
    adapted = call.model_copy(update=fit.replaced)
    return Emitted(target, request, adapted, fit.reasons, frozenset(fit.reasons.keys() - fit.replaced.keys()))


_OF_A1111 = re.compile(
    r"(?i:<(?:lora|lyco|hypernet):[^<>]+>)|(?<!\S)(?:AND|BREAK)(?=[\s,]|$)|(?<!\\)\[[^\[\]]*[^\[\]\\]\]"
)
"""``<lora:NAME:WEIGHT>``, AND, BREAK, [word] and [from:to:when]."""
_WEIGHT = re.compile(r"(?<!\\)\([^()]*[^()\\]\)")
_EMBEDDING = re.compile(r"\bembedding:[\w.-]+")
_RANDOM = re.compile(r"\{[^{}|]*(?:\|[^{}|]*)+\}|__[\w/-]+__")
"""{one|other} and __file__ of A1111's extensions and ComfyUI's page."""


def _note_foreign_syntax(call: T2ICall, api: Target, fit: Fit) -> None:
    """Notes syntax in a prompt that a target reads as words."""
    text = f"{call.prompt}\n{call.negative_prompt}"

    def marks(pattern: re.Pattern[str]) -> str:
        marked = dict.fromkeys(match.group() for match in pattern.finditer(text))
        return ", ".join(list(marked)[:3])[:80]

    remarks = [fit.reasons["prompt"]] if "prompt" in fit.reasons else []
    if api.syntax != "a1111" and (shown := marks(_OF_A1111)):
        remarks.append(f"{api.title} reads A1111's {shown} as words")
    if api.syntax is None and (shown := marks(_WEIGHT)):
        remarks.append(f"{api.title} reads the emphasis of {shown} as words")
    if api.syntax != "comfyui" and (shown := marks(_EMBEDDING)):
        remarks.append(f"{api.title} reads ComfyUI's {shown} as words")
    if shown := marks(_RANDOM):
        remarks.append(f"{shown} is drawn by extensions alone: write one of the choices")
    if remarks:
        fit.drop("prompt", "; ".join(remarks))


def _on_offered_checkpoint(
    resources: Resources, catalog: Catalog, api: Target, fit: Fit, names: Mapping[str, str]
) -> Resources:
    """Moves LoRAs from a checkpoint that the target lacks to one of the same family that it has."""
    base = resources.checkpoint
    if not resources.loras or base.air in names or offers(api.name, base):
        return resources
    others = (
        card
        for card in catalog.cards(Filter(type="Checkpoint"))
        if all(lora_fit(lora=lora.base_model, checkpoint=card.base_model) for lora in resources.loras)
        and (card.air in names if names else offers(api.name, card))
    )
    near = next(others, None)
    if near is None:
        return resources
    fit.swap("base_checkpoint", base.air, near.air, f"{fit.title} does not have {base.name}")
    return replace(resources, checkpoint=near)


def offers(target: str, card: Card) -> bool:
    """Whether a target can run a catalog's entry, as far as the catalog tells.

    A pickle is offered to AI Horde only; a server's own list tells more
    (:mod:`diffagent.agent.targets.installed_models`).
    """
    if target == ITSELF:
        return not card.is_pickle
    return load(target).takes(card)


def runs(target: str, card: Card) -> bool:
    """Whether a target is known to run models of a card's base model."""
    return target == ITSELF or load(target).runs_base(card.base_model)


def supported(target: str, base_model: str) -> tuple[Sampler, ...]:
    """Returns the samplers that a target has for a base model, all where it takes none."""
    return ALL_SAMPLERS if target == ITSELF else load(target).samplers_of(base_model)
