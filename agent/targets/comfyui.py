"""ComfyUI: the body of ``POST /prompt``, a graph of its core nodes, and a graph read back as a call.

    CheckpointLoaderSimple → [LoraLoader] → [CLIPSetLastLayer] → CLIPTextEncode ×2 ┐
                           EmptyLatentImage ───────────────────────────────→ KSampler → VAEDecode → SaveImage

Nodes and inputs as in ComfyUI's ``nodes.py``; a link is ``[node id, output slot]`` (``execution.py``). Clip
skip n stops at layer −n, as A1111 counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from diffagent.agent.targets import infotext, samplers
from diffagent.agent.targets.fitting import Fit, Resources, file_of
from diffagent.data.base_models import backend
from diffagent.data.catalog import Catalog
from diffagent.data.errors import BadInput, UnknownModel
from diffagent.data.records import Card, T2ICall

Graph = dict[str, dict[str, Any]]

PREFIX = "diffagent"
"""What SaveImage calls its files."""


def emit(call: T2ICall, found: Resources, fit: Fit, names: Mapping[str, str]) -> dict[str, Any]:
    """The graph of one image; KSampler wants a number, so a null seed is 0 and reported."""
    spelling = samplers.comfyui(fit.sampler(call.sampling_method))
    assert spelling is not None
    if call.seed is None:
        fit.drop("seed", "KSampler needs a number: 0 stands for null")
    nodes = _BUILDERS[backend(found.checkpoint.base_model, "comfyui") or ""](call, found, names)
    loader = "lora" if found.lora else "checkpoint"
    clip = ["clip", 0] if call.clip_skip is not None else [loader, 1]
    if any(mark in text for text in (call.prompt, call.negative_prompt) for mark in ("[", "BREAK")):
        fit.drop("prompt", "[word] and BREAK are A1111's alone; (word:1.2) is understood")
    nodes["positive"] = _node("CLIPTextEncode", text=call.prompt, clip=clip)
    nodes["negative"] = _node("CLIPTextEncode", text=call.negative_prompt, clip=clip)
    nodes["latent"] = _node("EmptyLatentImage", width=call.width, height=call.height, batch_size=1)
    nodes["sampler"] = _node(
        "KSampler",
        seed=call.seed or 0,
        steps=call.sampling_steps,
        cfg=call.cfg_scale,
        sampler_name=spelling[0],
        scheduler=spelling[1],
        denoise=1.0,
        model=[loader, 0],
        positive=["positive", 0],
        negative=["negative", 0],
        latent_image=["latent", 0],
    )
    nodes["image"] = _node("VAEDecode", samples=["sampler", 0], vae=["checkpoint", 2])
    nodes["save"] = _node("SaveImage", filename_prefix=PREFIX, images=["image", 0])
    return {"prompt": _numbered(nodes)}


def read(graph: Mapping[str, Mapping[str, Any]], catalog: Catalog) -> T2ICall:
    """The call that a graph of these nodes makes; its files are looked up by name.

    Raises:
        BadInput: no such graph, or a sampler that no call can name. UnknownModel: a file that the
        catalog does not know.
    """
    try:
        return _read(graph, catalog)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise BadInput(f"no graph of one text-to-image call: {type(error).__name__} {error}") from None


def _read(graph: Mapping[str, Mapping[str, Any]], catalog: Catalog) -> T2ICall:
    sampler = next(node["inputs"] for node in graph.values() if node["class_type"] == "KSampler")
    inputs = {name: graph[sampler[name][0]]["inputs"] for name in ("positive", "negative", "latent_image")}
    clip, lora = graph[inputs["positive"]["clip"][0]], graph[sampler["model"][0]]
    clip_skip = -clip["inputs"]["stop_at_clip_layer"] if clip["class_type"] == "CLIPSetLastLayer" else None
    card, weight, loader = None, None, lora
    if lora["class_type"] == "LoraLoader":
        card, weight = _by_file(lora["inputs"]["lora_name"], catalog), lora["inputs"]["strength_model"]
        loader = graph[lora["inputs"]["model"][0]]
    spelling = (sampler["sampler_name"], sampler["scheduler"])
    method = samplers.named("comfyui", spelling)
    if method is None:
        raise BadInput(f"no call can name the sampler {spelling[0]} with the schedule {spelling[1]}")
    return infotext.as_call(
        _by_file(loader["inputs"]["ckpt_name"], catalog),
        card,
        prompt=inputs["positive"]["text"],
        negative_prompt=inputs["negative"]["text"],
        width=inputs["latent_image"]["width"],
        height=inputs["latent_image"]["height"],
        sampling_method=method,
        sampling_steps=sampler["steps"],
        cfg_scale=sampler["cfg"],
        seed=sampler["seed"],
        clip_skip=clip_skip,
        lora_weight=weight,
    )


def _models(call: T2ICall, found: Resources, names: Mapping[str, str]) -> Graph:
    nodes: Graph = {"checkpoint": _node("CheckpointLoaderSimple", ckpt_name=file_of(found.checkpoint, names))}
    if found.lora is not None:
        nodes["lora"] = _node(
            "LoraLoader",
            lora_name=file_of(found.lora, names),
            strength_model=call.lora_weight,
            strength_clip=call.lora_weight,
            model=["checkpoint", 0],
            clip=["checkpoint", 1],
        )
    if call.clip_skip is not None:
        source = "lora" if found.lora else "checkpoint"
        nodes["clip"] = _node("CLIPSetLastLayer", stop_at_clip_layer=-call.clip_skip, clip=[source, 1])
    return nodes


_BUILDERS = {"checkpoint": _models}
"""The loaders of a graph, by a base model's row."""


def _by_file(name: str, catalog: Catalog) -> Card:
    found = catalog.by_file(name)
    if found is None:
        raise UnknownModel(f"the graph's file {name} is not in the catalog")
    return found


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
