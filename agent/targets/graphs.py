"""ComfyUI's graphs: a call as a graph of its core nodes; :mod:`diffagent.data.metadata.comfyui` reads them.

    CheckpointLoaderSimple → [LoraLoader]… → [CLIPSetLastLayer] → CLIPTextEncode ×2 ┐
                           EmptyLatentImage ───────────────────────────────→ KSampler → VAEDecode → SaveImage

Nodes and inputs as in ComfyUI's ``nodes.py``; a link is ``[node id, output slot]`` (``execution.py``). Clip
skip n stops at layer −n, as A1111 counts; distilled guidance is a FluxGuidance behind the positive prompt.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from diffagent.agent.targets.fitting import Fit, Resources, file_of
from diffagent.data.base_models import backend
from diffagent.data.records import T2ICall
from diffagent.data.sampler_table import COMFYUI_OWN, COMFYUI_PLAIN
from diffagent.data.samplers import Sampler

Graph = dict[str, dict[str, Any]]

PREFIX = "diffagent"
"""What SaveImage calls its files."""


def spelling(sampler: Sampler) -> tuple[str, str] | None:
    """``sampler_name`` and ``scheduler`` of a KSampler node; a server may have fewer (older ComfyUI)."""
    name = sampler.row.comfyui
    scheduler = sampler.plan.comfyui if sampler.plan else COMFYUI_OWN.get(sampler.method, COMFYUI_PLAIN)
    return (name, scheduler) if name and scheduler else None


def added(sampler: Sampler) -> bool:
    """Whether custom nodes bring the sampler or its schedule, which ComfyUI itself lacks."""
    return sampler.row.pack is not None or (sampler.plan is not None and sampler.plan.pack is not None)


def emit(call: T2ICall, found: Resources, fit: Fit, names: Mapping[str, str]) -> dict[str, Any]:
    """The graph of one image; KSampler wants a number, so a null seed is 0 and reported."""
    spelled = spelling(fit.sampler(call.sampler))
    assert spelled is not None
    if call.seed is None:
        fit.drop("seed", "KSampler needs a number: 0 stands for null")
    nodes, loader = _BUILDERS[backend(found.checkpoint.base_model, "comfyui") or ""](call, found, names)
    clip = ["clip", 0] if call.clip_skip is not None else [loader, 1]
    if any(mark in text for text in (call.prompt, call.negative_prompt) for mark in ("[", "BREAK")):
        fit.drop("prompt", "[word] and BREAK are A1111's alone; (word:1.2) is understood")
    nodes["positive"] = _node("CLIPTextEncode", text=call.prompt, clip=clip)
    nodes["negative"] = _node("CLIPTextEncode", text=call.negative_prompt, clip=clip)
    if call.guidance is not None:
        nodes["guidance"] = _node("FluxGuidance", guidance=call.guidance, conditioning=["positive", 0])
    nodes["latent"] = _node("EmptyLatentImage", width=call.width, height=call.height, batch_size=1)
    nodes["sampler"] = _node(
        "KSampler",
        seed=call.seed or 0,
        steps=call.sampling_steps,
        cfg=call.cfg_scale,
        sampler_name=spelled[0],
        scheduler=spelled[1],
        denoise=1.0,
        model=[loader, 0],
        positive=["positive" if call.guidance is None else "guidance", 0],
        negative=["negative", 0],
        latent_image=["latent", 0],
    )
    nodes["image"] = _node("VAEDecode", samples=["sampler", 0], vae=["checkpoint", 2])
    nodes["save"] = _node("SaveImage", filename_prefix=PREFIX, images=["image", 0])
    return {"prompt": _numbered(nodes)}


def _models(call: T2ICall, found: Resources, names: Mapping[str, str]) -> tuple[Graph, str]:
    """The loaders, and the name of the last one."""
    nodes: Graph = {"checkpoint": _node("CheckpointLoaderSimple", ckpt_name=file_of(found.checkpoint, names))}
    last = "checkpoint"
    for number, (lora, card) in enumerate(zip(call.loras, found.loras, strict=True), 1):
        name = "lora" if len(call.loras) == 1 else f"lora {number}"
        nodes[name] = _node(
            "LoraLoader",
            lora_name=file_of(card, names),
            strength_model=lora.weight,
            strength_clip=lora.weight,
            model=[last, 0],
            clip=[last, 1],
        )
        last = name
    if call.clip_skip is not None:
        nodes["clip"] = _node("CLIPSetLastLayer", stop_at_clip_layer=-call.clip_skip, clip=[last, 1])
    return nodes, last


_BUILDERS = {"checkpoint": _models}
"""The loaders of a graph, by a base model's row."""


def _node(class_type: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs}


def _numbered(nodes: Graph) -> Graph:
    """The same graph with numbers for names, as ComfyUI saves them; the name stays as the title."""
    ids = {name: str(number) for number, name in enumerate(nodes, 1)}

    def linked(value: Any) -> Any:
        return [ids[value[0]], value[1]] if isinstance(value, list) else value

    return {
        ids[name]: {
            "class_type": node["class_type"],
            "inputs": {key: linked(value) for key, value in node["inputs"].items()},
            "_meta": {"title": name},
        }
        for name, node in nodes.items()
    }
