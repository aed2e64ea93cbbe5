"""diffusers: the pipeline, scheduler and keyword arguments of a call, and a script that runs them.

Clip skip: A1111 counts the layer where it stops, from 1, the last. ``encode_prompt`` of diffusers'
StableDiffusionPipeline takes ``hidden_states[-(clip_skip + 1)]`` and None for the last layer; that of
StableDiffusionXLPipeline takes ``hidden_states[-(clip_skip + 2)]``, and None for the last but one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from diffagent.agent.targets import samplers
from diffagent.agent.targets.fitting import Fit, Resources, file_of
from diffagent.data.air import CIVITAI, source_of
from diffagent.data.base_models import backend, find
from diffagent.data.records import Card, T2ICall

DOWNLOAD = "https://civitai.com/api/download/models/{version}"


def emit(call: T2ICall, found: Resources, fit: Fit, names: Mapping[str, str]) -> dict[str, Any]:
    """``pipeline``, ``checkpoint``, ``lora``, ``scheduler``, ``kwargs`` of its call, ``snippet``."""
    spelling = samplers.diffusers(fit.sampler(call.sampling_method))
    assert spelling is not None
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
        "lora": None,
        "scheduler": {"class": spelling[0], "kwargs": spelling[1]},
        "kwargs": kwargs,
        "seed": call.seed,
    }
    if found.lora is not None:
        request["lora"] = {**_source(found.lora, names), "weight": call.lora_weight}
    request["snippet"] = snippet(request)
    return request


def snippet(request: Mapping[str, Any]) -> str:
    """A script that makes the image, from files that lie beside it."""
    checkpoint, scheduler, lora = (request[name] for name in ("checkpoint", "scheduler", "lora"))
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
    if lora is not None:
        lines += [
            *([f"# {lora['url']}"] if lora["url"] else []),
            f'pipe.load_lora_weights({lora["file"]!r}, adapter_name="lora")',
            f'pipe.set_adapters("lora", {lora["weight"]!r})',
        ]
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
