"""OpenAI's images API: the body of ``POST /v1/images/generations``, with the fields that vLLM-Omni adds.

``model, prompt, n, size, response_format`` are OpenAI's; ``negative_prompt, seed, num_inference_steps,
guidance_scale`` stand in ``vllm_omni/entrypoints/openai/protocol/images.py``. OpenAI's own service hosts no
model of the catalog; servers that run one serve one model each. There is no sampler, no clip skip, and a LoRA
would have to lie on the server's disk.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from diffagent.agent.targets.fitting import Fit, Resources
from diffagent.agent.targets.target import Target
from diffagent.data.records import Card, T2ICall

GUIDANCE = (0.0, 20.0)


def emit(call: T2ICall, found: Resources, fit: Fit, names: Mapping[str, str]) -> dict[str, Any]:
    """One image. The model goes by its name; for a LoRA by its checkpoint's."""
    fit.drop("sampling_method", "the API has no samplers: the server's own is used")
    if call.scheduler is not None:
        fit.drop("scheduler", "the API has no schedules: the server's own is used")
    for field in ("guidance", "clip_skip"):
        if getattr(call, field) is not None:
            fit.drop(field, "the API has no such field")
    if found.loras:
        for name in ("air", "loras"):
            fit.drop(name, f"the API takes no LoRA: {found.checkpoint.name} is asked without it")
    fit.weights(call)
    request: dict[str, Any] = {
        "model": found.checkpoint.name,
        "prompt": call.prompt,
        "n": 1,
        "size": f"{call.width}x{call.height}",
        "response_format": "b64_json",
        "num_inference_steps": call.sampling_steps,
        "guidance_scale": fit.within("cfg_scale", call.cfg_scale, *GUIDANCE),
    }
    if call.negative_prompt:
        request["negative_prompt"] = call.negative_prompt
    if call.seed is not None:
        request["seed"] = call.seed
    return request


def offers(card: Card) -> bool:
    """Whether an entry is a checkpoint; a LoRA would have to lie on the server's disk."""
    return card.type == "Checkpoint"


TARGET = Target(name="openai", title="OpenAI's images API", emit=emit, offers=offers)
