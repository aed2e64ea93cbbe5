"""Civitai: the input of its SDKs' text-to-image job, and the workflow that runs the same image today.

:func:`emit` gives what ``Civitai.from_text`` takes (civitai-python, ``civitai/civitai.py``;
civitai-javascript, ``ImageJobParams``). :func:`workflow` gives the body of ``POST /v2/consumer/workflows``,
which Civitai documents in its place: an ``imageGen`` step for the engine ``comfy``, whose fields stand in
civitai-developer-docs, ``orchestration/recipes/sd1.md`` and ``sdxl.md``. AIRs name the models in both.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from diffagent.agent.targets import samplers
from diffagent.agent.targets.fitting import Fit, Resources
from diffagent.data.errors import BadInput
from diffagent.data.records import Card, T2ICall

ECOSYSTEMS = ("sd1", "sdxl")
"""Those whose recipes take a checkpoint of the user's choice and LoRAs."""


def emit(call: T2ICall, found: Resources, fit: Fit, names: Mapping[str, str]) -> dict[str, Any]:
    """One image; without a seed Civitai draws one.

    Raises:
        BadInput: a model is not Civitai's.
    """
    scheduler = samplers.civitai(fit.sampler(call.sampling_method))
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
    if call.clip_skip is not None and fit.takes("clip_skip", found.checkpoint):
        params["clipSkip"] = call.clip_skip
    request: dict[str, Any] = {"model": _air(found.checkpoint), "params": params}
    if found.lora is not None:
        request["additionalNetworks"] = {_air(found.lora): {"strength": call.lora_weight}}
    return request


def workflow(request: Mapping[str, Any]) -> dict[str, Any]:
    """The workflow of an emitted request.

    Raises:
        BadInput: the workflow's engine does not have the sampler, or not the base model.
    """
    params = dict(request["params"])
    method = samplers.named("civitai", params.pop("scheduler"))
    spelling = samplers.comfyui(method) if method else None
    if spelling is None:
        raise BadInput(f"sampling_method is {method}, which Civitai's workflows do not have: use Euler a")
    ecosystem = request["model"].split(":")[2]
    if ecosystem not in ECOSYSTEMS:
        raise BadInput(f"{request['model']} is neither SD 1.x nor SDXL, which is what Civitai's recipe runs")
    step = {
        "engine": "comfy",
        "ecosystem": ecosystem,
        "operation": "createImage",
        "model": request["model"],
        **params,
        "sampler": spelling[0],
        "scheduler": spelling[1],
        "quantity": 1,
    }
    networks = request.get("additionalNetworks", {})
    if networks:
        step["loras"] = {air: network["strength"] for air, network in networks.items()}
    return {"steps": [{"$type": "imageGen", "input": step}], "allowMatureContent": False}


def is_hosted(card: Card) -> bool:
    """Whether a model is Civitai's own."""
    return card.air.split(":", 4)[4].startswith("civitai:") and card.air.split(":")[2] in ECOSYSTEMS


def _air(card: Card) -> str:
    if not card.air.split(":", 4)[4].startswith("civitai:"):
        raise BadInput(
            f"{card.name} is not on Civitai ({card.air}): let diffagent call choose with --for civitai"
        )
    return card.air
