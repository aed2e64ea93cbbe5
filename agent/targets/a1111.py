"""A1111 and Forge: the body of ``POST /sdapi/v1/txt2img``.

Fields as ``StableDiffusionTxt2ImgProcessingAPI`` in A1111's ``modules/api/models.py`` has them, and Forge's
``distilled_cfg_scale``; the checkpoint and the clip skip go through ``override_settings``, LoRAs through
their tags in the prompt. Forge takes the same body and replaces an unknown sampler by its first one, so what
a server lacks has to be found out before.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from diffagent.agent.targets import infotext
from diffagent.agent.targets.fitting import Fit, Resources, file_of
from diffagent.agent.targets.target import Target
from diffagent.data.records import T2ICall
from diffagent.data.samplers import Sampler

_ELSEWHERE = (
    "Res Multistep a", "Gradient Estimation", "ER SDE", "SA Solver", "Seeds 2", "Seeds 3", "Linear Quadratic"
)  # fmt: skip
"""Samplers and schedules that neither A1111 nor a Forge has."""


def spelling(sampler: Sampler) -> tuple[str, str] | None:
    """``sampler_name`` and ``scheduler``; what one server of them lacks, its own list tells."""
    return None if set(sampler) & set(_ELSEWHERE) else infotext.labels(sampler)


def emit(call: T2ICall, found: Resources, fit: Fit, names: Mapping[str, str]) -> dict[str, Any]:
    """One image; a null seed is −1, which A1111 draws."""
    spelled = spelling(fit.sampler(call.sampler))
    assert spelled is not None
    override: dict[str, Any] = {"sd_model_checkpoint": file_of(found.checkpoint, names)}
    if call.clip_skip is not None:
        override["CLIP_stop_at_last_layers"] = call.clip_skip
    request = {
        "prompt": infotext.with_loras(call, found, names),
        "negative_prompt": call.negative_prompt,
        "seed": -1 if call.seed is None else call.seed,
        "sampler_name": spelled[0],
        "scheduler": spelled[1],
        "steps": call.sampling_steps,
        "cfg_scale": call.cfg_scale,
        "width": call.width,
        "height": call.height,
        "batch_size": 1,
        "n_iter": 1,
        "override_settings": override,
        "send_images": True,
    }
    if call.guidance is not None:
        request["distilled_cfg_scale"] = call.guidance
    return request


TARGET = Target(name="a1111", title="A1111", emit=emit, spelling=spelling)
