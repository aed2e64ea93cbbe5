"""A1111 and Forge: the body of ``POST /sdapi/v1/txt2img``.

Fields as ``StableDiffusionTxt2ImgProcessingAPI`` in A1111's ``modules/api/models.py`` has them; the
checkpoint and the clip skip go through ``override_settings``, a LoRA through its tag in the prompt. Forge
takes the same body and replaces an unknown sampler by its first one, so what a server lacks has to be found
out before.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from diffagent.agent.targets import infotext, samplers
from diffagent.agent.targets.fitting import Fit, Resources, file_of
from diffagent.data.records import T2ICall


def emit(call: T2ICall, found: Resources, fit: Fit, names: Mapping[str, str]) -> dict[str, Any]:
    """One image; a null seed is −1, which A1111 draws."""
    sampler, schedule = samplers.a1111(fit.sampler(call.sampling_method))
    override: dict[str, Any] = {"sd_model_checkpoint": file_of(found.checkpoint, names)}
    if call.clip_skip is not None:
        override["CLIP_stop_at_last_layers"] = call.clip_skip
    return {
        "prompt": infotext.with_lora(call, found, names),
        "negative_prompt": call.negative_prompt,
        "seed": -1 if call.seed is None else call.seed,
        "sampler_name": sampler,
        "scheduler": schedule,
        "steps": call.sampling_steps,
        "cfg_scale": call.cfg_scale,
        "width": call.width,
        "height": call.height,
        "batch_size": 1,
        "n_iter": 1,
        "override_settings": override,
        "send_images": True,
    }
