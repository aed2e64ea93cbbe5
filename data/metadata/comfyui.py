"""Reads generation data from ComfyUI's graphs.

    SaveImage ← VAEDecode ← KSampler ← model ← LoraLoader ← CheckpointLoaderSimple
                                     ← positive ← FluxGuidance ← CLIPTextEncode

In: the JSON of a graph in the API's form, the page's, or both in one object. Out: a
:class:`~diffagent.data.metadata.generation.Generation`. Links are followed from the sampler of the first
pass; nodes are recognised by their inputs rather than by name, because custom nodes have the same ones.
Values may come from primitives, seeds from nodes of their own. A link is ``[node id, output slot]``; the id
``12:3`` is node 3 in subgraph 12 (``execution.py``).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from diffagent.data.errors import BadInput
from diffagent.data.metadata.generation import Generation, ModelUse, number, whole
from diffagent.data.metadata.workflow import as_api, is_node, is_workflow, link_origin
from diffagent.data.sampler_table import COMFYUI_OWN, COMFYUI_PLAIN
from diffagent.data.samplers import read as read_sampler

_BARE = re.compile(r'("(?:\\.|[^"\\])*+"?)|-?\b(?:undefined|NaN|Infinity)\b', re.S)
_SIDES = re.compile(r"(\d{2,5})\s?[xX×]\s?(\d{2,5})")
_NUMBERED = re.compile(r"(\D*+)(\d{1,3})")
MODEL_FILES = (
    "ckpt_name", "unet_name", "base_ckpt_name", "model_path", "gguf_name", "diffusion_name", "model_name"
)  # fmt: skip
TEXTS = (
    "text", "user_prompt", "prompt", "text_g", "text_l", "clip_l", "clip_g", "t5xxl", "populated_text",
    "llama", "qwen", "bert",
)  # fmt: skip
VALUES = (
    "value", "seed", "noise_seed", "text", "string", "int", "float", "number", "populated_text", "prompt",
    "Value", "Number", "Text", "String", "text_0", "widget_0",
)  # fmt: skip
"""Inputs of nodes that only hold a value."""
_MODELS = ("model", "model1", "MODEL", "unet", "base_model", "pipe", "basic_pipe", "context", "base_ctx")
_LATENTS = ("latent_image", "samples", "latent", "latents", "LATENT")
_CONDITIONINGS = (
    "conditioning", "positive", "cond", "cond1", "conditioning_to", "conditioning_1", "pipe", "basic_pipe",
    "context",
)  # fmt: skip
_OTHER_CONDITIONINGS = ("conditioning_2", "conditioning_from", "cond2")
_OFF = ("off", "disable", "disabled", "false", "none", "")
_MODULES = ("clip_name", "clip_name1", "clip_name2", "clip_name3", "clip_name4", "vae_name")
_HOPS = 32
"""The most nodes between a widget's link and its value; real graphs have fewer than ten."""

Node = Mapping[str, Any]


@dataclass
class _Graph:
    """A graph's well-formed nodes, and the notes taken while it is read."""

    nodes: dict[str, Node]
    notes: list[str] = field(default_factory=list)

    def behind(self, value: object) -> tuple[Node, int] | None:
        """The node that a link comes from, and its slot; None where the value is not a link."""
        name = link_origin(self.nodes, value)
        if name is None:
            return None
        assert isinstance(value, list)
        return self.nodes[name], value[1] if isinstance(value[1], int) else 0


def read(data: object) -> Generation:
    """Returns the generation data of a graph.

    Args:
        data: JSON text or its object; ``NaN`` and ``undefined`` are read as null.

    Raises:
        BadInput: it is not a graph, or not the graph of one text-to-image call.
    """
    graph = _Graph(_api(data))
    name, sampler = _sampler_node(graph)
    inputs = sampler["inputs"]
    guider = graph.behind(inputs.get("guider"))
    conditioned: Mapping[str, Any] = guider[0]["inputs"] if guider else inputs
    positive = next((conditioned[key] for key in _CONDITIONINGS if graph.behind(conditioned.get(key))), None)
    negative = next(
        (conditioned.get(key) for key in ("negative", "neg_conditioning") if key in conditioned), None
    )
    if positive is None and not isinstance(conditioned.get("positive"), str):
        raise BadInput(f"not the graph of one text-to-image call: no prompt is linked to the sampler {name}")
    schedule, steps = _schedule(graph, inputs)
    guidance = _guidance(graph, positive)
    checkpoint, loras, clip_skip = _models(graph, guider[0] if guider else sampler, positive)
    width, height = _size(graph, inputs)
    sampler_id = _sampler(graph, inputs)
    return Generation(
        prompt=_text(graph, positive, "positive") or _string(graph, conditioned.get("positive")),
        negative_prompt=_text(graph, negative, "negative"),
        sampler=sampler_id,
        schedule=_unless_own(sampler_id, schedule),
        steps=whole(steps),
        cfg_scale=_cfg(graph, conditioned, has_negative=negative is not None),
        guidance=guidance,
        seed=_seed(graph, inputs),
        width=width,
        height=height,
        clip_skip=clip_skip,
        checkpoint=checkpoint,
        loras=loras,
        modules=_modules(graph),
        program="ComfyUI",
        notes=tuple(graph.notes),
    )


def parse_json(text: str) -> Any:
    """Parses JSON in which ``undefined``, ``NaN`` and ``Infinity`` may occur.

    Raises:
        BadInput: the text is not JSON.
    """
    for attempt in (text, None):
        try:
            return json.loads(_without_bare(text) if attempt is None else text)
        except ValueError as error:
            reason = str(error)
        except RecursionError:
            raise BadInput("not a graph: its JSON is nested too deep") from None
    raise BadInput(f"not a graph: it is not JSON: {reason[:80]}")


def _without_bare(text: str) -> str:
    return _BARE.sub(lambda match: match[1] if match[1] is not None else "null", text)


def _api(graph: object) -> dict[str, Node]:
    """The nodes in the API's form."""
    for _ in range(4):
        if isinstance(graph, str):
            graph = parse_json(graph)
        if not isinstance(graph, Mapping):
            raise BadInput(f"not a graph: an object of nodes is needed, not {type(graph).__name__}")
        if is_workflow(graph):
            graph = as_api(graph)
            break
        inner = next(
            (graph[key] for key in ("prompt", "comfy", "workflow") if _is_graph(graph.get(key))), None
        )
        if inner is None:
            break
        graph = inner
    assert isinstance(graph, Mapping)
    nodes: dict[str, Node] = {
        str(name): {"class_type": node["class_type"], "inputs": node["inputs"]}
        for name, node in graph.items()
        if is_node(node)
    }
    if not nodes:
        raise BadInput("not a graph: it has no node with a class_type and inputs")
    return nodes


def _is_graph(value: object) -> bool:
    return isinstance(value, Mapping) or (isinstance(value, str) and value.lstrip().startswith("{"))


def _sampler_node(graph: _Graph) -> tuple[str, Node]:
    """The sampler of the first pass: one upstream of a saved picture and downstream of no other sampler."""
    drawn = _upstream(graph, [name for name, node in graph.nodes.items() if _is_output(node)])
    samplers = {name: node for name, node in graph.nodes.items() if _is_sampler(node)}
    if not samplers:
        kinds = ", ".join(sorted({node["class_type"] for node in graph.nodes.values()})[:6])
        raise BadInput(f"not the graph of one text-to-image call: it has no known sampler, only {kinds}")
    candidates = {name: node for name, node in samplers.items() if name in drawn} or samplers
    later = _downstream(graph, list(samplers))
    first = [
        name
        for name, node in candidates.items()
        if not any(
            other in samplers or other in later
            for key in _LATENTS
            if (other := link_origin(graph.nodes, node["inputs"].get(key)))
        )
    ]
    name = (first or list(candidates))[0]
    if len(candidates) > 1:
        graph.notes.append(f"the graph has {len(candidates)} samplers: the first pass, {name}, was read")
    return name, samplers[name]


def _is_output(node: Node) -> bool:
    kind = node["class_type"].casefold()
    return ("save" in kind and "image" in kind) or "previewimage" in kind or "image saver" in kind


def _is_sampler(node: Node) -> bool:
    """Whether a node samples a latent; detailers and upscalers take a picture."""
    inputs = node["inputs"]
    if "image" in inputs or "upscale_by" in inputs:
        return False
    if "guider" in inputs and "sigmas" in inputs:
        return True
    is_guided = any(key in inputs for key in ("positive", "conditioning", "pipe", "basic_pipe"))
    return is_guided and ("sigmas" in inputs or ("steps" in inputs and _has_seed(inputs)))


def _has_seed(inputs: Mapping[str, Any]) -> bool:
    return any(key in inputs for key in ("seed", "noise_seed", "sampler_name"))


def _upstream(graph: _Graph, names: Sequence[str]) -> set[str]:
    """The names of these nodes and of all nodes upstream."""
    names_above, queue = set(), [name for name in names if name in graph.nodes]
    while queue:
        name = queue.pop()
        if name in names_above:
            continue
        names_above.add(name)
        origins = (link_origin(graph.nodes, value) for value in graph.nodes[name]["inputs"].values())
        queue += filter(None, origins)
    return names_above


def _downstream(graph: _Graph, names: Sequence[str]) -> set[str]:
    """The names of all nodes downstream of these."""
    takers: dict[str, list[str]] = {}
    for name, node in graph.nodes.items():
        for value in node["inputs"].values():
            if origin := link_origin(graph.nodes, value):
                takers.setdefault(origin, []).append(name)
    names_below, queue = set[str](), [taker for name in names for taker in takers.get(name, ())]
    while queue:
        name = queue.pop()
        if name not in names_below:
            names_below.add(name)
            queue += takers.get(name, ())
    return names_below


def _value(graph: _Graph, value: object, *names: str) -> Any:
    """A widget's value, or the value of the node linked to it, or None."""
    visited: set[int] = set()
    while (source := graph.behind(value)) is not None:
        node, _ = source
        if id(node) in visited or len(visited) > _HOPS:
            return None
        visited.add(id(node))
        inputs = node["inputs"]
        key = next((key for key in (*names, *VALUES) if inputs.get(key) is not None), None)
        if key is None:
            alone = [input_value for input_value in inputs.values() if not isinstance(input_value, Mapping)]
            if len(alone) != 1:
                return None
            value = alone[0]
        else:
            value = inputs[key]
    return None if isinstance(value, list) else value


def _string(graph: _Graph, value: object, *names: str) -> str:
    """A widget's text, joined from its parts where nodes concatenate it."""
    pieces: list[str] = []
    queue, visited = [value], set[int]()
    while queue and len(visited) <= _HOPS:
        value = queue.pop()
        if isinstance(value, str):
            pieces.append(value)
        source = graph.behind(value)
        if source is None or id(source[0]) in visited:
            continue
        visited.add(id(source[0]))
        inputs = source[0]["inputs"]
        joined = [key for key in sorted(inputs) if re.fullmatch(r"(?:string|text)_[a-h1-9]", key)]
        if "oncat" in source[0]["class_type"] or len(joined) > 1:
            queue += [inputs[key] for key in reversed(joined)]
            continue
        key = next((key for key in (*names, *VALUES) if inputs.get(key) is not None), None)
        if key is not None:
            queue.append(inputs[key])
    return (
        " ".join(piece.strip() for piece in pieces if piece.strip()) if len(pieces) > 1 else "".join(pieces)
    )


def _text(graph: _Graph, link: object, branch: str) -> str:
    """The prompt of a conditioning; combined conditionings are joined by commas."""
    pieces: list[str] = []
    queue, visited = [link], set[int]()
    while queue:
        source = graph.behind(queue.pop())
        if source is None or id(source[0]) in visited:
            continue
        node, slot = source
        visited.add(id(node))
        inputs = node["inputs"]
        if node["class_type"] == "ConditioningZeroOut":
            continue
        texts = [text for key in TEXTS if key in inputs and (text := _string(graph, inputs[key], key))]
        if texts:
            pieces += dict.fromkeys(texts)
            continue
        if "positive" in inputs and "negative" in inputs:  # a ControlNet, or a loader with both prompts
            way = (
                {0: "positive", 1: "negative"}.get(slot, branch)
                if graph.behind(inputs["positive"])
                else branch
            )
            if isinstance(inputs[way], str):
                pieces.append(inputs[way])
            else:
                queue.append(inputs[way])
            continue
        others = [inputs[key] for key in _OTHER_CONDITIONINGS if graph.behind(inputs.get(key))]
        following = next((inputs[key] for key in _CONDITIONINGS if graph.behind(inputs.get(key))), None)
        if others:
            graph.notes.append("the graph combines several prompts; they were joined")
        queue += [*others, following]
    return (
        ", ".join(dict.fromkeys(piece.strip(" ,") for piece in pieces if piece.strip(" ,")))
        if len(pieces) > 1
        else "".join(pieces)
    )


def _guidance(graph: _Graph, link: object) -> float | None:
    for node in _chain(graph, link, _CONDITIONINGS):
        if "guidance" in node["inputs"]:
            return number(_value(graph, node["inputs"]["guidance"], "guidance"))
    return None


def _chain(graph: _Graph, link: object, keys: Sequence[str]) -> Iterator[Node]:
    """Yields the nodes along links of these names, from the end to the beginning."""
    visited: set[int] = set()
    while (source := graph.behind(link)) is not None and id(source[0]) not in visited:
        node = source[0]
        visited.add(id(node))
        yield node
        inputs = node["inputs"]
        link = next((inputs[key] for key in keys if graph.behind(inputs.get(key))), None)


def _cfg(graph: _Graph, inputs: Mapping[str, Any], *, has_negative: bool) -> float | None:
    for key in ("cfg", "cfg_conds", "true_gs", "cfg_scale"):
        if key in inputs:
            return number(_value(graph, inputs[key], key))
    return None if has_negative else 1.0


def _sampler(graph: _Graph, inputs: Mapping[str, Any]) -> str | None:
    """A sampler's id, or the one in its node's name: ``SamplerEulerAncestral``."""
    if "sampler_name" in inputs:
        sampler_id = _value(graph, inputs["sampler_name"], "sampler_name")
        return sampler_id if isinstance(sampler_id, str) else None
    source = graph.behind(inputs.get("sampler"))
    if source is None:
        sampler_id = inputs.get("sampler")
        return sampler_id if isinstance(sampler_id, str) else None
    node = source[0]
    sampler_id = _value(graph, inputs["sampler"], "sampler_name", "sampler")
    if isinstance(sampler_id, str) and sampler_id:
        return sampler_id
    class_name = str(node["class_type"]).removeprefix("Sampler").removeprefix("_")
    return class_name if read_sampler(class_name) else str(node["class_type"])


def _schedule(graph: _Graph, inputs: Mapping[str, Any]) -> tuple[str | None, Any]:
    """The schedule and the number of steps, from the sampler or from the nodes of its noise levels."""
    scheduler = _value(graph, inputs.get("scheduler"), "scheduler")
    schedule = scheduler if isinstance(scheduler, str) else None
    steps = _value(graph, inputs.get("steps"), "steps")
    for node in _chain(graph, inputs.get("sigmas"), ("sigmas", "sigmas_1")):
        node_inputs = node["inputs"]
        if "steps" in node_inputs and steps is None:
            steps = _value(graph, node_inputs["steps"], "steps")
        if schedule is None and "scheduler" in node_inputs:
            node_scheduler = _value(graph, node_inputs["scheduler"], "scheduler")
            schedule = node_scheduler if isinstance(node_scheduler, str) else None
        elif schedule is None and node["class_type"].endswith("Scheduler"):
            schedule = node["class_type"].removesuffix("Scheduler")
    return schedule, steps


def _unless_own(sampler: str | None, schedule: str | None) -> str | None:
    """The schedule, or None where it is ComfyUI's default for a call without one."""
    method = read_sampler(sampler)
    own = COMFYUI_OWN.get(method.method, COMFYUI_PLAIN) if method else COMFYUI_PLAIN
    return None if schedule == own else schedule


def _seed(graph: _Graph, inputs: Mapping[str, Any]) -> int | None:
    for key in ("seed", "noise_seed"):
        if key in inputs:
            return whole(_value(graph, inputs[key], "seed", "noise_seed"))
    return whole(_value(graph, inputs.get("noise"), "noise_seed", "seed"))


def _size(graph: _Graph, inputs: Mapping[str, Any]) -> tuple[int | None, int | None]:
    """The size of the empty latent image; an encoded picture in its place is noted."""
    link = next((inputs[key] for key in _LATENTS if graph.behind(inputs.get(key))), None)
    for node in _chain(graph, link, _LATENTS):
        node_inputs = node["inputs"]
        if "width" in node_inputs and "height" in node_inputs:
            return (
                whole(_value(graph, node_inputs["width"], "width", "empty_latent_width")),
                whole(_value(graph, node_inputs["height"], "height", "empty_latent_height")),
            )
        for value in node_inputs.values():
            if isinstance(value, str) and len(value) < 100 and (sides := _SIDES.search(value)):
                return int(sides[1]), int(sides[2])
        if "pixels" in node_inputs or "image" in node_inputs:
            graph.notes.append("the picture was made from another one, which a call does not hold")
    whole_pass = (inputs.get("width"), inputs.get("height"), inputs.get("empty_latent_width"))
    return (whole(whole_pass[0] or whole_pass[2]), whole(whole_pass[1] or inputs.get("empty_latent_height")))


def _models(graph: _Graph, node: Node, positive: object) -> tuple[ModelUse, tuple[ModelUse, ...], int | None]:
    """The checkpoint, the LoRAs in order of application, and the clip skip of a sampler or guider."""
    checkpoint, loras, stacks = ModelUse(), list[ModelUse](), set[int]()
    start = [node] if "model" not in node["inputs"] else []
    link = next((node["inputs"][key] for key in _MODELS if graph.behind(node["inputs"].get(key))), None)
    for step in (*start, *_chain(graph, link, _MODELS)):
        loras[:0] = _loras(graph, step, stacks)
        if "model2" in step["inputs"]:
            graph.notes.append("the graph merges two models; the first one was read")
        file = _file(graph, step)
        if file and "lora" not in step["class_type"].casefold():
            checkpoint = ModelUse(file)
            break
    if not checkpoint.name:
        files = (_file(graph, loader) for loader in graph.nodes.values() if "oader" in loader["class_type"])
        checkpoint = ModelUse(next(filter(None, files), ""))
    return checkpoint, tuple(loras), _clip_skip(graph, positive)


def _file(graph: _Graph, node: Node) -> str | None:
    for key in MODEL_FILES:
        value = _value(graph, node["inputs"].get(key), key) if key in node["inputs"] else None
        if isinstance(value, Mapping):
            value = value.get("content")
        if isinstance(value, str) and value and value.casefold() not in _OFF:
            return value
    return None


def _clip_skip(graph: _Graph, positive: object) -> int | None:
    encoders = (node for node in _chain(graph, positive, _CONDITIONINGS) if "clip" in node["inputs"])
    encoder = next(encoders, None)
    for node in () if encoder is None else _chain(graph, encoder["inputs"]["clip"], ("clip",)):
        if "stop_at_clip_layer" in node["inputs"]:
            layer = whole(_value(graph, node["inputs"]["stop_at_clip_layer"], "stop_at_clip_layer"))
            return None if layer is None else -layer
    return None


def _loras(graph: _Graph, node: Node, stacks: set[int]) -> list[ModelUse]:
    """The LoRAs of one node: its own, its rows, or its linked stacks."""
    uses = _rows(graph, node)
    for stack in _chain(graph, node["inputs"].get("lora_stack"), ("lora_stack",)):
        if id(stack) in stacks:
            break
        stacks.add(id(stack))
        uses[:0] = _rows(graph, stack)
    return uses


def _rows(graph: _Graph, node: Node) -> list[ModelUse]:
    inputs = node["inputs"]
    uses = []
    alone = _value(graph, inputs.get("lora_name"), "lora_name") if "lora_name" in inputs else None
    if alone is not None:
        weight = next(
            (inputs[key] for key in ("strength_model", "lora_model_strength", "strength") if key in inputs),
            1.0,
        )
        uses.append(_lora(alone, _value(graph, weight, "strength_model"), True))
    for key, value in inputs.items():
        if isinstance(value, Mapping) and "lora" in value:  # rgthree's Power Lora Loader
            uses.append(_lora(value["lora"], value.get("strength"), value.get("on", True)))
            continue
        rows = value.get("__value__") if isinstance(value, Mapping) else value
        if key == "loras" and isinstance(rows, list):  # LoRA Manager
            uses += [
                _lora(row.get("name"), row.get("strength"), row.get("active", True))
                for row in rows
                if isinstance(row, Mapping)
            ]
            continue
        match = _NUMBERED.fullmatch(key) if len(key) < 40 else None
        if match and match[1].removesuffix("_") in ("lora_name", "lora") and isinstance(value, str):
            uses.append(_numbered(inputs, match[2], value))
    return [use for use in uses if use is not None]


def _numbered(inputs: Mapping[str, Any], row: str, name: str) -> ModelUse | None:
    """The LoRA of one row of a stack, whose weight and switch have the same number."""
    weights = (
        f"{key}_{row}" for key in ("model_weight", "model_str", "lora_wt", "strength", "strength_model")
    )
    weight = next((inputs[key] for key in weights if isinstance(inputs.get(key), int | float)), 1.0)
    count = whole(inputs.get("lora_count"))
    is_on = inputs.get(f"switch_{row}", True) if count is None else int(row) <= count
    return _lora(name, weight, is_on)


def _lora(name: object, weight: object, is_on: object) -> ModelUse | None:
    if isinstance(name, Mapping):
        name = name.get("content")
    if not isinstance(name, str) or name.casefold() in _OFF or str(is_on).casefold() in _OFF:
        return None
    strength = number(weight)
    return ModelUse(name, weight=1.0 if strength is None else strength)


def _modules(graph: _Graph) -> tuple[str, ...]:
    """The files of text encoders and VAEs."""
    names = (node["inputs"].get(key) for node in graph.nodes.values() for key in _MODULES)
    return tuple(dict.fromkeys(name for name in names if isinstance(name, str)))
