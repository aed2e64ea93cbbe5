"""AI Horde: the body of ``POST /api/v2/generate/async``.

Fields and ranges as ``ModelPayloadRootStable`` and ``GenerationInputStable`` in the AI Horde's
``horde/apis/models/stable_v2.py``: sides are multiples of 64, the seed is text, the negative prompt stands
behind ``###``, a LoRA goes by its Civitai version id (``is_version``), and models by the Horde's own names.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from diffagent.agent.targets.civitai import is_hosted
from diffagent.agent.targets.fitting import Fit, Resources
from diffagent.agent.targets.target import Target
from diffagent.data.air import AIR, CIVITAI, HORDE, source_of
from diffagent.data.errors import BadInput
from diffagent.data.records import Card, T2ICall
from diffagent.data.samplers import Sampler

SIDE = 64
SIDE_HIGH = 3072
SPLIT = "###"
_SAMPLERS = {
    "Euler a": "k_euler_a", "Euler": "k_euler", "LMS": "k_lms", "Heun": "k_heun", "DPM2": "k_dpm_2",
    "DPM2 a": "k_dpm_2_a", "DPM++ 2S a": "k_dpmpp_2s_a", "DPM++ 2M": "k_dpmpp_2m", "DPM++ SDE": "k_dpmpp_sde",
    "DPM fast": "k_dpm_fast", "DPM adaptive": "k_dpm_adaptive", "DDIM": "DDIM", "LCM": "lcm",
}  # fmt: skip
_OWN_LEVELS = ("DPM fast", "DPM adaptive", "DDIM", "LCM")
"""Samplers that bring their own noise levels, which the flag ``karras`` does not change."""


def spelling(sampler: Sampler) -> tuple[str, bool] | None:
    """``sampler_name`` and ``karras``, the Horde's only schedule."""
    name = _SAMPLERS.get(sampler.method)
    if name is None or sampler.scheduler not in (None, "Karras"):
        return None
    karras = sampler.scheduler == "Karras"
    return None if karras and sampler.method in _OWN_LEVELS else (name, karras)


def emit(call: T2ICall, found: Resources, fit: Fit, names: Mapping[str, str]) -> dict[str, Any]:
    """One image, safe for work; without a seed the Horde draws one.

    Raises:
        BadInput: the Horde does not list the checkpoint, the LoRA is not Civitai's, a prompt holds ``###``.
    """
    spelled = spelling(fit.sampler(call.sampler))
    assert spelled is not None
    if call.guidance is not None:
        fit.drop("guidance", "the API has no such field")
    params: dict[str, Any] = {
        "sampler_name": spelled[0],
        "karras": spelled[1],
        "cfg_scale": call.cfg_scale,
        "steps": call.sampling_steps,
        "width": _side("width", call.width, fit),
        "height": _side("height", call.height, fit),
        "n": 1,
    }
    if call.seed is not None:
        params["seed"] = str(call.seed)
    if call.clip_skip is not None:
        params["clip_skip"] = call.clip_skip
    if call.loras:
        params["loras"] = [
            _lora(card, lora.weight) for lora, card in zip(call.loras, found.loras, strict=True)
        ]
    return {
        "prompt": _prompt(call),
        "models": [_model(found.checkpoint, names)],
        "params": params,
        "nsfw": False,
        "censor_nsfw": True,
        "r2": True,
        "dry_run": False,
    }


def name_of(card: Card) -> str | None:
    """What the Horde calls a checkpoint, or None where the catalog knows no such name."""
    if card.type != "Checkpoint":
        return None
    air = AIR.parse(card.air)
    if air.source == HORDE:
        return air.id
    if card.aliases:
        return card.aliases[-1]
    return card.name if card.source == "horde" else None


def offers(card: Card) -> bool:
    """Whether the Horde lists a checkpoint, or its workers can fetch a LoRA."""
    return name_of(card) is not None if card.type == "Checkpoint" else is_hosted(card)


def _model(card: Card, names: Mapping[str, str]) -> str:
    name = names.get(card.air) or name_of(card)
    if name is None:
        raise BadInput(
            f"{card.name} is none of the models that AI Horde lists: "
            "let diffagent call choose with --for horde"
        )
    return name


def _lora(card: Card, weight: float) -> dict[str, Any]:
    if card.version_id is None or source_of(card.air) != CIVITAI:
        raise BadInput(f"{card.name} has no Civitai version, by which AI Horde's workers fetch a LoRA")
    return {"name": str(card.version_id), "is_version": True, "model": weight, "clip": weight}


def _side(name: str, pixels: int, fit: Fit) -> int:
    if pixels % SIDE == 0:
        return pixels
    near = max(SIDE, int(pixels / SIDE + 0.5) * SIDE)
    return fit.swap(name, pixels, min(near, SIDE_HIGH), f"AI Horde's sides are multiples of {SIDE}")


def _prompt(call: T2ICall) -> str:
    if SPLIT in call.prompt or SPLIT in call.negative_prompt:
        raise BadInput(
            f"the prompt holds {SPLIT!r}, which AI Horde reads as the start of the negative prompt"
        )
    return f"{call.prompt} {SPLIT} {call.negative_prompt}" if call.negative_prompt else call.prompt


TARGET = Target(
    name="horde",
    title="AI Horde",
    emit=emit,
    spelling=spelling,
    offers=offers,
    pickles=True,
    side_step=SIDE,
)
