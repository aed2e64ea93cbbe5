"""Civitai: the input of its SDKs' text-to-image job, and the workflow that runs the same image today.

:func:`emit` gives what ``Civitai.from_text`` takes (civitai-python, ``civitai/civitai.py``;
civitai-javascript, ``ImageJobParams``). :func:`workflow` gives the body of ``POST /v2/consumer/workflows``,
which Civitai documents in its place: an ``imageGen`` step for the engine ``comfy``, whose fields stand in
civitai-developer-docs, ``orchestration/recipes/sd1.md`` and ``sdxl.md``. AIRs name the models in both.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from diffagent.agent.targets import comfyui
from diffagent.agent.targets.fitting import Fit, Resources
from diffagent.agent.targets.target import Target
from diffagent.data.air import AIR, CIVITAI, source_of
from diffagent.data.base_models import backend, civitai_recipes, run_by
from diffagent.data.errors import BadInput
from diffagent.data.records import Card, T2ICall
from diffagent.data.samplers import Sampler

_SAMPLERS = {
    "Euler a": "EulerA", "Euler": "Euler", "LMS": "LMS", "Heun": "Heun", "DPM2": "DPM2", "DPM2 a": "DPM2A",
    "DPM++ 2S a": "DPM2SA", "DPM++ 2M": "DPM2M", "DPM++ SDE": "DPMSDE", "DPM fast": "DPMFast",
    "DPM adaptive": "DPMAdaptive", "DDIM": "DDIM", "PLMS": "PLMS", "UniPC": "UniPC", "LCM": "LCM",
}  # fmt: skip
_WITHOUT_CLIP_SKIP = ("sdxl",)
"""Recipes that refuse clipSkip: civitai-developer-docs, ``orchestration/recipes/sdxl.md``."""
_KARRAS = ("LMS", "DPM2", "DPM2 a", "DPM++ 2S a", "DPM++ 2M", "DPM++ SDE")
"""The samplers that the SDKs also have as "…Karras"."""


def spelling(sampler: Sampler) -> str | None:
    """The ``scheduler`` of Civitai's SDKs."""
    name = _SAMPLERS.get(sampler.method)
    if name is None or sampler.scheduler is None:
        return name
    return f"{name}Karras" if sampler.scheduler == "Karras" and sampler.method in _KARRAS else None


def emit(call: T2ICall, found: Resources, fit: Fit, names: Mapping[str, str]) -> dict[str, Any]:
    """One image; without a seed Civitai draws one.

    Raises:
        BadInput: a model is not Civitai's.
    """
    scheduler = spelling(fit.sampler(call.sampler))
    if call.guidance is not None:
        fit.drop("guidance", "the recipe has no such field")
    params: dict[str, Any] = {
        "prompt": call.prompt,
        "negativePrompt": call.negative_prompt,
        "scheduler": scheduler,
        "steps": call.sampling_steps,
        "cfgScale": call.cfg_scale,
        "width": call.width,
        "height": call.height,
    }
    if call.seed is not None:
        params["seed"] = call.seed
    if call.clip_skip is not None:
        if backend(found.checkpoint.base_model, "civitai") in _WITHOUT_CLIP_SKIP:
            fit.drop("clip_skip", "Civitai's recipe for SDXL refuses clipSkip, which SD 1.x alone has")
        else:
            params["clipSkip"] = call.clip_skip
    request: dict[str, Any] = {"model": _air(found.checkpoint), "params": params}
    if call.loras:
        request["additionalNetworks"] = {
            _air(card): {"strength": lora.weight} for lora, card in zip(call.loras, found.loras, strict=True)
        }
    return request


def workflow(request: Mapping[str, Any]) -> dict[str, Any]:
    """The workflow of an emitted request.

    Raises:
        BadInput: the workflow's engine does not have the sampler, or not the base model.
    """
    params = dict(request["params"])
    sampler = TARGET.sampler_of(params.pop("scheduler"))
    spelled = comfyui.spelling(sampler) if sampler else None
    if spelled is None:
        raise BadInput(f"sampling_method is {sampler}, which Civitai's workflows do not have: use Euler a")
    ecosystem = civitai_recipes().get(AIR.parse(request["model"]).ecosystem)
    if ecosystem is None:
        raise BadInput(
            f"{request['model']} is none of what Civitai's recipes run: {', '.join(run_by('civitai'))}"
        )
    step = {
        "engine": "comfy",
        "ecosystem": ecosystem,
        "operation": "createImage",
        "model": request["model"],
        **params,
        "sampler": spelled[0],
        "scheduler": spelled[1],
        "quantity": 1,
    }
    networks = request.get("additionalNetworks", {})
    if networks:
        step["loras"] = {air: network["strength"] for air, network in networks.items()}
    return {"steps": [{"$type": "imageGen", "input": step}], "allowMatureContent": False}


def is_hosted(card: Card) -> bool:
    """Whether a model is Civitai's own, and of a base model that its recipes run."""
    return source_of(card.air) == CIVITAI and backend(card.base_model, "civitai") is not None


def _air(card: Card) -> str:
    if source_of(card.air) != CIVITAI:
        raise BadInput(
            f"{card.name} is not on Civitai ({card.air}): let diffagent call choose with --for civitai"
        )
    return card.air


TARGET = Target(name="civitai", title="Civitai", emit=emit, spelling=spelling, offers=is_hosted)
