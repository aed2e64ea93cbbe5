"""ComfyUI's graphs: a call as a graph of core nodes; :mod:`diffagent.data.metadata.comfyui` reads them.

    CheckpointLoaderSimple → [LoraLoader]… → [CLIPSetLastLayer] → CLIPTextEncode ×2 ┐
                           EmptyLatentImage ───────────────────────────────→ KSampler → VAEDecode → SaveImage
    UNETLoader, CLIPLoader, VAELoader → [LoraLoaderModelOnly]… → [ModelSampling…] → CLIPTextEncode …

A base model's row names its nodes. Nodes and inputs are those of ComfyUI's ``nodes.py``; a link is
``[node id, output slot]`` (``execution.py``). Clip skip n stops at layer −n, as A1111 counts; distilled
guidance is a FluxGuidance behind the positive prompt.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from diffagent.agent.targets import parts
from diffagent.agent.targets.fitting import Fit, Resources, file_of
from diffagent.data.base_model_facts import BaseModelFacts, Nodes, Part
from diffagent.data.base_models import backend, find
from diffagent.data.errors import BadInput
from diffagent.data.records import Card, T2ICall
from diffagent.data.sampler_table import COMFYUI_OWN, COMFYUI_PLAIN
from diffagent.data.samplers import Sampler

Graph = dict[str, dict[str, Any]]
Link = list[Any]
"""A node's name and the number of its output."""

PREFIX = "diffagent"
"""The prefix of SaveImage's files."""


def spelling(sampler: Sampler) -> tuple[str, str] | None:
    """Returns ``sampler_name`` and ``scheduler`` of a KSampler node; an older ComfyUI may have fewer."""
    name = sampler.row.comfyui
    scheduler = sampler.plan.comfyui if sampler.plan else COMFYUI_OWN.get(sampler.method, COMFYUI_PLAIN)
    return (name, scheduler) if name and scheduler else None


def added(sampler: Sampler) -> bool:
    """Whether the sampler or its schedule comes from custom nodes, not ComfyUI itself."""
    return sampler.row.pack is not None or (sampler.plan is not None and sampler.plan.pack is not None)


def emit(call: T2ICall, resources: Resources, fit: Fit, names: Mapping[str, str]) -> dict[str, Any]:
    """Returns the graph of one image; KSampler needs a number, so a null seed is 0 and reported."""
    spelled = spelling(fit.sampler(call.sampler))
    assert spelled is not None
    if call.seed is None:
        fit.drop("seed", "KSampler needs a number: 0 stands for null")
    row = find(resources.checkpoint.base_model)
    nodes: Graph = {}
    negative, skip = fit.read(call, row)
    ends = _models(nodes, call, resources, fit, names)
    skip = _layer(skip, row, fit)
    if skip is not None:
        nodes["clip"] = _node("CLIPSetLastLayer", stop_at_clip_layer=-skip, clip=ends.clip)
        ends = replace(ends, clip=["clip", 0])
    shape = row.nodes if row is not None and row.nodes is not None else Nodes()
    nodes["positive"] = _node(shape.encode, **_ENCODERS[shape.encode](call), clip=ends.clip)
    if row is not None and row.dialect.negative is False:
        nodes["negative"] = _node("ConditioningZeroOut", conditioning=["positive", 0])
    else:
        nodes["negative"] = _node("CLIPTextEncode", text=negative, clip=ends.clip)
    if call.guidance is not None:
        nodes["guidance"] = _node("FluxGuidance", guidance=call.guidance, conditioning=["positive", 0])
    nodes["latent"] = _node(shape.latent, width=call.width, height=call.height, batch_size=1)
    if shape.sampling is not None:
        size = {"width": call.width, "height": call.height} if shape.sampling in _SIZED else {}
        nodes["noise levels"] = _node(shape.sampling, **dict(shape.settings), **size, model=ends.model)
    nodes["sampler"] = _node(
        "KSampler",
        seed=call.seed or 0,
        steps=call.sampling_steps,
        cfg=call.cfg_scale,
        sampler_name=spelled[0],
        scheduler=spelled[1],
        denoise=1.0,
        model=ends.model if shape.sampling is None else ["noise levels", 0],
        positive=["positive" if call.guidance is None else "guidance", 0],
        negative=["negative", 0],
        latent_image=["latent", 0],
    )
    nodes["image"] = _node("VAEDecode", samples=["sampler", 0], vae=ends.vae)
    nodes["save"] = _node("SaveImage", filename_prefix=PREFIX, images=["image", 0])
    return {"prompt": _with_numbers(nodes)}


def _layer(skip: int | None, row: BaseModelFacts | None, fit: Fit) -> int | None:
    """Returns the layer from the end, at most the one that a base model was trained on, as in A1111."""
    usual = row.clip_skip if row is not None else None
    if skip is None or usual is None or skip >= usual:
        return skip
    fit.drop("clip_skip", f"{fit.title} would take a layer that {row.name if row else ''} was not trained on")
    return None


@dataclass(frozen=True)
class _Ends:
    """Links to the outputs of the last loaders."""

    model: Link
    clip: Link
    vae: Link


def _models(nodes: Graph, call: T2ICall, resources: Resources, fit: Fit, names: Mapping[str, str]) -> _Ends:
    """Adds the loaders of the model, its parts and the LoRAs to ``nodes``.

    Raises:
        BadInput: the server lacks a part.
    """
    row = find(resources.checkpoint.base_model)
    ends = _loaders(nodes, row, resources.checkpoint, fit, names)
    lora_node = (row.nodes.lora if row is not None and row.nodes is not None else None) or Nodes.lora
    for number, (lora, card) in enumerate(zip(call.loras, resources.loras, strict=True), 1):
        name = "lora" if len(call.loras) == 1 else f"lora {number}"
        inputs: dict[str, Any] = {"lora_name": file_of(card, names), "strength_model": lora.weight}
        if lora_node == Nodes.lora:
            inputs |= {"strength_clip": lora.weight, "model": ends.model, "clip": ends.clip}
            ends = replace(ends, model=[name, 0], clip=[name, 1])
        else:
            inputs |= {"model": ends.model}
            ends = replace(ends, model=[name, 0])
        nodes[name] = _node(lora_node, **inputs)
    return ends


def _loaders(
    nodes: Graph, row: BaseModelFacts | None, card: Card, fit: Fit, names: Mapping[str, str]
) -> _Ends:
    """Adds the loaders of a model's file and of the parts that the file does not contain.

    A file among a server's checkpoints is whole, but for the parts that the server has apart.
    """
    file = file_of(card, names)
    encoders, vaes = parts.of_role(row, "text encoder"), parts.of_role(row, "vae")
    is_gguf = file.casefold().endswith(parts.GGUF)
    if fit.files:
        is_whole = file in fit.files.get("checkpoints", ())
    else:
        is_whole = not is_gguf and any(part.file is None for part in vaes)
        vaes = () if is_whole else vaes
    is_whole = is_whole or row is None or backend(row.name, "comfyui") == "checkpoint"
    if is_whole:
        nodes["checkpoint"] = _node("CheckpointLoaderSimple", ckpt_name=file)
    elif is_gguf:
        nodes["model"] = _node("UnetLoaderGGUF", unet_name=file)
    else:
        nodes["model"] = _node("UNETLoader", unet_name=file, weight_dtype="default")
    ends = _Ends(*(["checkpoint", slot] for slot in range(3))) if is_whole else _Ends(["model", 0], [], [])
    absent = [
        part
        for kind in (encoders, vaes)
        if any(parts.server_name(part, fit.files) is None for part in kind)
        for part in kind
    ]
    if not is_whole and (absent or not encoders or not vaes):
        lack = "; ".join(parts.missing(absent, fit.files)) or "the table does not say what else it runs with"
        raise BadInput(
            f"{card.name} runs with files that the server does not have ({lack})",
            "put them there, or choose among what it has with diffagent call --installed",
        )
    if encoders and not set(encoders) & set(absent):
        nodes["text encoders"] = _text_encoders(encoders, fit.files)
        ends = replace(ends, clip=["text encoders", 0])
    if vaes and not set(vaes) & set(absent):
        nodes["vae"] = _node("VAELoader", vae_name=parts.server_name(vaes[0], fit.files))
        ends = replace(ends, vae=["vae", 0])
    return ends


def _text_encoders(encoders: Sequence[Part], files: parts.Files) -> dict[str, Any]:
    """Returns the loader of all text encoders; one or two encoders need the model's kind."""
    there = [str(parts.server_name(part, files)) for part in encoders]
    inputs: dict[str, Any] = {f"clip_name{n}": name for n, name in enumerate(there, 1)}
    if len(there) == 1:
        inputs = {"clip_name": there[0]}
    if len(there) <= 2:
        inputs["type"] = encoders[0].kind or _ANY_KIND
    is_gguf = any(name.casefold().endswith(parts.GGUF) for name in there)
    return _node(_CLIP_LOADERS[len(there) - 1] + ("GGUF" if is_gguf else ""), **inputs)


_CLIP_LOADERS = ("CLIPLoader", "DualCLIPLoader", "TripleCLIPLoader", "QuadrupleCLIPLoader")
_ANY_KIND = "stable_diffusion"
"""The kind for a loader that recognises the text encoder by its tensors."""
_SIZED = ("ModelSamplingFlux",)
"""The nodes of noise levels that take the picture's size."""
_ENCODERS: dict[str, Callable[[T2ICall], dict[str, Any]]] = {
    "CLIPTextEncode": lambda call: {"text": call.prompt},
    "CLIPTextEncodePixArtAlpha": lambda call: {
        "width": call.width, "height": call.height, "text": call.prompt,
    },
    "CLIPTextEncodeLumina2": lambda call: {"system_prompt": "superior", "user_prompt": call.prompt},
}  # fmt: skip
"""Node that encodes the prompt → its inputs except the text encoder."""


def _node(class_type: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs}


def _with_numbers(nodes: Graph) -> Graph:
    """Returns the graph with numbers as node ids, as ComfyUI saves it; the names become titles."""
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
