"""diffusers: the pipeline, scheduler and keyword arguments of a call, and a script that runs them.

Clip skip: A1111 counts the layer where it stops, from 1, the last. ``encode_prompt`` of diffusers'
StableDiffusionPipeline takes ``hidden_states[-(clip_skip + 1)]`` and None for the last layer; that of
StableDiffusionXLPipeline takes ``hidden_states[-(clip_skip + 2)]``, and None for the last but one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from diffagent.agent.targets.fitting import Fit, Resources, file_of
from diffagent.agent.targets.target import Target
from diffagent.data.air import CIVITAI, source_of
from diffagent.data.base_models import backend, find
from diffagent.data.records import Card, T2ICall
from diffagent.data.samplers import Sampler

_SDE = {"algorithm_type": "sde-dpmsolver++"}
_SAMPLERS: dict[str, tuple[str, dict[str, Any]]] = {
    "Euler a": ("EulerAncestralDiscreteScheduler", {}),
    "Euler": ("EulerDiscreteScheduler", {}),
    "LMS": ("LMSDiscreteScheduler", {}),
    "Heun": ("HeunDiscreteScheduler", {}),
    "DPM2": ("KDPM2DiscreteScheduler", {}),
    "DPM2 a": ("KDPM2AncestralDiscreteScheduler", {}),
    "DPM++ 2M": ("DPMSolverMultistepScheduler", {}),
    "DPM++ SDE": ("DPMSolverSinglestepScheduler", _SDE),
    "DPM++ 2M SDE": ("DPMSolverMultistepScheduler", _SDE),
    "DPM++ 3M SDE": ("DPMSolverMultistepScheduler", _SDE | {"solver_order": 3}),
    "DDIM": ("DDIMScheduler", {}),
    "PLMS": ("PNDMScheduler", {"skip_prk_steps": True}),
    "UniPC": ("UniPCMultistepScheduler", {}),
    "LCM": ("LCMScheduler", {}),
    "DEIS": ("DEISMultistepScheduler", {}),
    "DDPM": ("DDPMScheduler", {}),
}
"""Class and configuration; the table of ``docs/source/en/api/schedulers/overview.md`` in diffusers."""
_SIGMAS = {
    "Karras": "use_karras_sigmas", "Exponential": "use_exponential_sigmas", "Beta": "use_beta_sigmas"
}  # fmt: skip
_FIXED_SIGMAS = ("Euler a", "DDIM", "PLMS", "LCM", "DDPM")
"""Samplers whose classes take none of these flags."""
_UNSPACED = ("DPM++ SDE",)
"""Samplers whose class has no ``timestep_spacing``."""
DOWNLOAD = "https://civitai.com/api/download/models/{version}"


def spelling(sampler: Sampler) -> tuple[str, dict[str, Any]] | None:
    """A scheduler's class name and what its configuration changes."""
    method, scheduler = sampler
    if method not in _SAMPLERS:
        return None
    name, kwargs = _SAMPLERS[method]
    if scheduler is None:
        return name, kwargs
    if scheduler in _SIGMAS and method not in _FIXED_SIGMAS:
        return name, kwargs | {_SIGMAS[scheduler]: True}
    if scheduler in ("SGM Uniform", "Simple") and method not in _UNSPACED:
        return name, kwargs | {"timestep_spacing": "trailing"}
    return None


def emit(call: T2ICall, found: Resources, fit: Fit, names: Mapping[str, str]) -> dict[str, Any]:
    """``pipeline``, ``checkpoint``, ``loras``, ``scheduler``, ``kwargs`` of its call, ``snippet``."""
    spelled = spelling(fit.sampler(call.sampler))
    assert spelled is not None
    if call.guidance is not None:
        fit.drop("guidance", "the pipeline has one guidance scale, which is cfg_scale")
    fit.weights(call)
    base = found.checkpoint.base_model
    pipeline = backend(base, "diffusers")
    assert pipeline is not None  # emit refuses others
    kwargs: dict[str, Any] = {
        "prompt": call.prompt,
        "negative_prompt": call.negative_prompt,
        "width": call.width,
        "height": call.height,
        "num_inference_steps": call.sampling_steps,
        "guidance_scale": call.cfg_scale,
        "num_images_per_prompt": 1,
    }
    skip = _clip_skip(call.clip_skip, base, fit)
    if skip is not None:
        kwargs["clip_skip"] = skip
    request: dict[str, Any] = {
        "pipeline": pipeline,
        "checkpoint": _source(found.checkpoint, names),
        "loras": [
            {**_source(card, names), "weight": lora.weight}
            for lora, card in zip(call.loras, found.loras, strict=True)
        ],
        "scheduler": {"class": spelled[0], "kwargs": spelled[1]},
        "kwargs": kwargs,
        "seed": call.seed,
    }
    request["snippet"] = snippet(request)
    return request


def snippet(request: Mapping[str, Any]) -> str:
    """A script that makes the image, from files that lie beside it."""
    checkpoint, scheduler, loras = (request[name] for name in ("checkpoint", "scheduler", "loras"))
    options = "".join(f", {name}={value!r}" for name, value in scheduler["kwargs"].items())
    lines = [
        "import torch",
        f"from diffusers import {request['pipeline']}, {scheduler['class']}",
        "",
        'device = "cuda" if torch.cuda.is_available() else "cpu"',
        'dtype = torch.float16 if device == "cuda" else torch.float32',
        *([f"# {checkpoint['url']}"] if checkpoint["url"] else []),
        f"pipe = {request['pipeline']}.from_single_file({checkpoint['file']!r}, torch_dtype=dtype)",
        f"pipe.scheduler = {scheduler['class']}.from_config(pipe.scheduler.config{options})",
    ]
    for name, lora in zip(adapter_names(loras), loras, strict=True):
        lines += [
            *([f"# {lora['url']}"] if lora["url"] else []),
            f"pipe.load_lora_weights({lora['file']!r}, adapter_name={name!r})",
        ]
    if loras:
        lines.append(f"pipe.set_adapters({adapter_names(loras)!r}, {[lora['weight'] for lora in loras]!r})")
    if "clip_skip" in request["kwargs"]:
        lines += [
            'if not hasattr(pipe.text_encoder, "text_model"):  # transformers 5.6 and later',
            '    object.__setattr__(pipe.text_encoder, "text_model", pipe.text_encoder)',
        ]
    seed = "" if request["seed"] is None else f".manual_seed({request['seed']})"
    arguments = "".join(f"\n    {name}={value!r}," for name, value in request["kwargs"].items())
    lines += [
        "pipe.to(device)",
        f'generator = torch.Generator("cpu"){seed}',
        f"image = pipe(generator=generator,{arguments}\n).images[0]",
        'image.save("image.png")',
    ]
    return "\n".join(lines) + "\n"


def adapter_names(loras: Sequence[object]) -> list[str]:
    """A name for each LoRA: lora1, lora2, …"""
    return [f"lora{number}" for number in range(1, len(loras) + 1)]


def is_runnable(card: Card) -> bool:
    """Whether a model's file is safetensors that Civitai hands out."""
    return card.version_id is not None and source_of(card.air) == CIVITAI


def _source(card: Card, names: Mapping[str, str]) -> dict[str, Any]:
    on_civitai = is_runnable(card)
    return {
        "air": card.air,
        "file": file_of(card, names),
        "sha256": card.sha256,
        "url": DOWNLOAD.format(version=card.version_id) if on_civitai else None,
    }


def _clip_skip(skip: int | None, base: str, fit: Fit) -> int | None:
    if skip is None:
        return None
    row = find(base)
    usual = row.clip_skip if row is not None else None
    if usual is None:
        fit.drop("clip_skip", f"{base} has no clip skip")
        return None
    if skip < usual:
        fit.drop("clip_skip", f"{base}'s pipeline stops at layer {usual} from the end or earlier")
    return max(0, skip - usual) or None


TARGET = Target(name="diffusers", title="diffusers", emit=emit, spelling=spelling, offers=is_runnable)
