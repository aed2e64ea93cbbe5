"""Callability: whether a T2I call, or a language model's answer, names a real API.

A call is callable when ``model``, ``air``, ``type`` and ``base_model`` name one catalog entry and every
other field is in range; an answer that is not callable is a hallucination (paper, Table 1).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeGuard

from diffagent.data.base_models import lora_fit
from diffagent.data.catalog.catalog import Catalog
from diffagent.data.errors import BadCall
from diffagent.data.records import CFG_MAX, SIDE_MAX, SIDE_MIN, SIDE_STEP, STEPS_MAX, Card, T2ICall
from diffagent.data.samplers import is_joined


def flaw(call: Mapping[str, Any], catalog: Catalog) -> str | None:
    """Returns why a call is not callable, or None."""
    try:
        t2i_call = T2ICall.parse(call)
    except BadCall as error:
        return str(error)
    card = catalog.by_air(t2i_call.air)
    if card is None:
        return f"air {t2i_call.air} is not in the catalog"
    return _identity_flaw(call, card) or _loras_flaw(t2i_call, catalog)


def _loras_flaw(call: T2ICall, catalog: Catalog) -> str | None:
    """Returns why a call's LoRAs do not run on its checkpoint, or None."""
    if call.base_checkpoint is None:
        return None
    base = catalog.by_air(call.base_checkpoint)
    if base is None or base.type != "Checkpoint":
        return f"base_checkpoint {call.base_checkpoint} is not a checkpoint of the catalog"
    for number, lora in enumerate(call.loras):
        card = catalog.by_air(lora.air)
        if card is None or card.type != "LoRA":
            return f"loras.{number}: {lora.air} is not a LoRA of the catalog"
        if card.name != lora.model:
            return f"loras.{number}: model is {lora.model!r}, but the entry's is {card.name!r}"
        if lora_fit(lora=card.base_model, checkpoint=base.base_model) is None:
            return (
                f"base_checkpoint {call.base_checkpoint} is {base.base_model}, which runs no LoRA of "
                f"{card.base_model}"
            )
    return None


def answer_flaw(fields: Mapping[str, Any], catalog: Catalog) -> str | None:
    """Returns why the fields of a language model's answer name no callable API, or None."""
    card = catalog.by_name(str(fields.get("model", "")))
    if card is None:
        return f"no model is named {fields.get('model')!r}"
    wrong = _identity_flaw(fields, card)
    if wrong:
        return wrong
    for side in (fields.get("width"), fields.get("height")):
        if not _is_whole(side) or not SIDE_MIN <= side <= SIDE_MAX or side % SIDE_STEP:
            return f"a side of {side!r} pixels is out of range"
    if not is_joined(fields.get("sampling_method")):
        return f"no sampler is named {fields.get('sampling_method')!r}"
    steps, cfg = fields.get("sampling_steps"), fields.get("cfg_scale")
    if not _is_whole(steps) or not 1 <= steps <= STEPS_MAX:
        return f"{steps!r} sampling steps are out of range"
    if not (_is_whole(cfg) or isinstance(cfg, float)) or not 1 <= cfg <= CFG_MAX:
        return f"a CFG scale of {cfg!r} is out of range"
    return None


def _is_whole(value: Any) -> TypeGuard[int]:
    """Whether a value is a whole number; JSON's true is an int in Python."""
    return isinstance(value, int) and not isinstance(value, bool)


def _identity_flaw(fields: Mapping[str, Any], card: Card) -> str | None:
    identity = {"model": card.name, "type": card.type, "base_model": card.base_model}
    for name, value in identity.items():
        if fields.get(name) != value:
            return f"{name} is {fields.get(name)!r}, but the entry's is {value!r}"
    return None
