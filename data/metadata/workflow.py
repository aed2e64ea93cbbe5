"""Converts a graph from the form of ComfyUI's page to that of its API.

    {"nodes": [{"id": 3, "type": "KSampler", "inputs": [{"name": "model", "link": 7}], "widgets_values":
     [5, …]}], "links": [[7, 1, 0, 3, 0, "MODEL"]]}
    -> {"3": {"class_type": "KSampler", "inputs": {"seed": 5, …, "model": ["1", 0]}}}

Like ComfyUI's page (``graphToPrompt``): nodes of a subgraph get ids such as ``12:3``, reroutes and bypassed
nodes are passed through, muted ones are left out. Widgets are named by :data:`WIDGETS`, or else by the node's
inputs, as saved by the page since 2025.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

Node = dict[str, Any]
Graph = dict[str, Node]

CONTROLS = ("fixed", "increment", "decrement", "randomize")
"""The values behind a seed: how the page changes it after a picture."""
WIDGETS: Mapping[str, tuple[str, ...]] = {
    "KSampler": ("seed", "steps", "cfg", "sampler_name", "scheduler", "denoise"),
    "KSamplerAdvanced": (
        "add_noise", "noise_seed", "steps", "cfg", "sampler_name", "scheduler", "start_at_step",
        "end_at_step", "return_with_leftover_noise",
    ),
    "SamplerCustom": ("add_noise", "noise_seed", "cfg"),
    "RandomNoise": ("noise_seed",),
    "KSamplerSelect": ("sampler_name",),
    "BasicScheduler": ("scheduler", "steps", "denoise"),
    "CFGGuider": ("cfg",),
    "FluxGuidance": ("guidance",),
    "CheckpointLoaderSimple": ("ckpt_name",),
    "CheckpointLoader": ("config_name", "ckpt_name"),
    "UNETLoader": ("unet_name", "weight_dtype"),
    "UnetLoaderGGUF": ("unet_name",),
    "UnetLoaderGGUFAdvanced": ("unet_name", "dequant_dtype", "patch_dtype", "patch_on_device"),
    "CLIPLoader": ("clip_name", "type", "device"),
    "CLIPLoaderGGUF": ("clip_name", "type"),
    "DualCLIPLoader": ("clip_name1", "clip_name2", "type", "device"),
    "DualCLIPLoaderGGUF": ("clip_name1", "clip_name2", "type"),
    "TripleCLIPLoader": ("clip_name1", "clip_name2", "clip_name3"),
    "VAELoader": ("vae_name",),
    "LoraLoader": ("lora_name", "strength_model", "strength_clip"),
    "LoraLoaderModelOnly": ("lora_name", "strength_model"),
    "CLIPSetLastLayer": ("stop_at_clip_layer",),
    "CLIPTextEncode": ("text",),
    "CLIPTextEncodeFlux": ("clip_l", "t5xxl", "guidance"),
    "CLIPTextEncodeSDXL": (
        "width", "height", "crop_w", "crop_h", "target_width", "target_height", "text_g", "text_l",
    ),
    "EmptyLatentImage": ("width", "height", "batch_size"),
    "EmptySD3LatentImage": ("width", "height", "batch_size"),
    "ModelSamplingFlux": ("max_shift", "base_shift", "width", "height"),
    "CR LoRA Stack": tuple(
        f"{name}_{n}" for n in (1, 2, 3) for name in ("switch", "lora_name", "model_weight", "clip_weight")
    ),
    "PrimitiveInt": ("value",),
    "PrimitiveFloat": ("value",),
    "PrimitiveString": ("value",),
    "PrimitiveStringMultiline": ("value",),
    "PrimitiveNode": ("value",),
    "Seed (rgthree)": ("seed",),
}  # fmt: skip
"""The widgets of usual nodes in order, without the controls behind seeds (ComfyUI's ``nodes.py`` and
``comfy_extras``)."""

_MUTED, _BYPASSED = 2, 4
_UNDRAWN = ("Note", "MarkdownNote", "Reroute", "PrimitiveNode", "SetNode", "GetNode")
_IN, _OUT = "-10", "-20"
"""The ids of a subgraph's own ends."""
_DEEPEST = 12
"""The most nested subgraphs."""
_MOST = 5_000
"""The most nodes of unfolded subgraphs."""


@dataclass
class _Sheet:
    """The nodes and links of one level; ``path`` has the ids of the subgraphs around it."""

    nodes: dict[str, Node]
    links: dict[str, tuple[str, int, str, int, str]]
    """Link id → source node and slot, target node and slot, type."""
    path: str = ""
    outer: tuple[_Sheet, Node] | None = None
    inner: dict[str, _Sheet] = field(default_factory=dict)
    sources: dict[tuple[str, str], Any] = field(default_factory=dict)
    """The origins of links, by their sheet's path and their id; one table for all sheets."""

    @cached_property
    def ends(self) -> dict[int, str]:
        """The link into each output of a subgraph, by slot."""
        return {ends[3]: link for link, ends in self.links.items() if ends[2] == _OUT}

    @cached_property
    def setters(self) -> dict[str, Node]:
        """The SetNodes by their variable."""
        return {_variable(node): node for node in self.nodes.values() if node["type"] == "SetNode"}


@dataclass(frozen=True)
class _LinkEnd:
    """The value or node at the end of a chain of links."""

    value: Any = None


def is_workflow(graph: object) -> bool:
    """Whether a graph is in the page's form."""
    return isinstance(graph, Mapping) and isinstance(graph.get("nodes"), list)


def is_node(node: object) -> bool:
    """Whether a value is a node in the API's form."""
    return (
        isinstance(node, Mapping)
        and isinstance(node.get("class_type"), str)
        and isinstance(node.get("inputs"), Mapping)
    )


def link_origin(nodes: Mapping[str, Any], value: object) -> str | None:
    """Returns the id of the node that a link of the API's form comes from; None where the value is not a
    link."""
    if isinstance(value, list) and len(value) == 2 and str(value[0]) in nodes:
        return str(value[0])
    return None


def as_api(workflow: Mapping[str, Any]) -> Graph:
    """Returns the graph in the form of the API, without malformed nodes."""
    return dict(_api_nodes(_sheets(workflow)))


def _sheets(workflow: Mapping[str, Any]) -> _Sheet:
    definitions = workflow.get("definitions")
    rows = definitions.get("subgraphs") if isinstance(definitions, Mapping) else None
    subgraphs = {
        str(subgraph["id"]): subgraph
        for subgraph in _list(rows)
        if isinstance(subgraph, dict) and isinstance(subgraph.get("id"), str)
    }
    budget, sources = _MOST, dict[tuple[str, str], Any]()

    def opened(raw: Mapping[str, Any], path: str, outer: tuple[_Sheet, Node] | None, depth: int) -> _Sheet:
        nonlocal budget
        sheet = _Sheet(dict(_nodes(raw)), dict(_links(raw)), path, outer, sources=sources)
        budget -= len(sheet.nodes)
        for number, node in sheet.nodes.items():
            below = subgraphs.get(str(node.get("type")))
            if below is not None and depth < _DEEPEST and budget > 0:
                sheet.inner[number] = opened(below, f"{path}{number}:", (sheet, node), depth + 1)
        return sheet

    return opened(workflow, "", None, 0)


def _nodes(raw: Mapping[str, Any]) -> Iterator[tuple[str, Node]]:
    for node in _list(raw.get("nodes")):
        if (
            isinstance(node, dict)
            and isinstance(node.get("id"), int | str)
            and isinstance(node.get("type"), str)
        ):
            yield str(node["id"]), node


def _links(raw: Mapping[str, Any]) -> Iterator[tuple[str, tuple[str, int, str, int, str]]]:
    """Yields links, given as rows, or as objects inside subgraphs."""
    names = ("id", "origin_id", "origin_slot", "target_id", "target_slot", "type")
    for link in _list(raw.get("links")):
        row = [link.get(name) for name in names] if isinstance(link, dict) else _list(link)
        if len(row) >= 5 and all(isinstance(cell, int | str) for cell in row[:5]):
            number, origin, slot, target, target_slot = row[:5]
            if isinstance(slot, int) and isinstance(target_slot, int):
                kind = str(row[5]) if len(row) > 5 else ""
                yield str(number), (str(origin), slot, str(target), target_slot, kind)


def _api_nodes(sheet: _Sheet) -> Iterator[tuple[str, Node]]:
    stack = [sheet]
    while stack:
        level = stack.pop()
        for number, node in level.nodes.items():
            if number in level.inner:
                if node.get("mode") not in (_MUTED, _BYPASSED):
                    stack.append(level.inner[number])
                continue
            if node["type"] in _UNDRAWN or node.get("mode") in (_MUTED, _BYPASSED):
                continue
            yield level.path + number, {"class_type": node["type"], "inputs": _inputs(level, node)}


def _inputs(sheet: _Sheet, node: Node) -> dict[str, Any]:
    inputs = _widgets(node)
    for socket in _list(node.get("inputs")):
        if (
            not isinstance(socket, dict)
            or not isinstance(socket.get("name"), str)
            or socket.get("link") is None
        ):
            continue
        source = _source(sheet, str(socket["link"]))
        if source is not None:
            inputs[socket["name"]] = source
        else:
            inputs.setdefault(socket["name"], None)
    return inputs


def _widgets(node: Node) -> dict[str, Any]:
    """The values of a node's widgets by name; unnamed ones are ``widget_N``."""
    values = node.get("widgets_values")
    if isinstance(values, Mapping):
        return dict(values)
    rest = list(_list(values))
    names = list(WIDGETS.get(node["type"], ())) or [
        socket["widget"]["name"]
        for socket in _list(node.get("inputs"))
        if isinstance(socket, dict)
        and isinstance(socket.get("widget"), dict)
        and isinstance(socket["widget"].get("name"), str)
    ]
    widgets: dict[str, Any] = {}
    at = 0
    for name in names:
        if at >= len(rest):
            break
        widgets[name] = rest[at]
        at += 1
        is_control = at < len(rest) and isinstance(rest[at], str) and rest[at] in CONTROLS
        if is_control and ("seed" in name or name == "value"):
            at += 1
    widgets |= {f"widget_{n}": value for n, value in enumerate(rest[at:], at)}
    return widgets


def _source(sheet: _Sheet, link: str) -> list[Any] | Any | None:
    """A link's origin: ``[id, slot]`` of a node, or a primitive's value; None where the link is broken."""
    keys: list[tuple[str, str]] = []
    origin: Any = None
    while (key := (sheet.path, link)) not in sheet.sources:
        sheet.sources[key] = None  # a circle brings nothing
        keys.append(key)
        step = _step(sheet, link)
        if isinstance(step, _LinkEnd):
            origin = step.value
            break
        sheet, link = step
    else:
        origin = sheet.sources[key]
    sheet.sources.update(dict.fromkeys(keys, origin))
    return origin


def _step(sheet: _Sheet, link: str) -> tuple[_Sheet, str] | _LinkEnd:
    """The end of a link, or else the sheet and link behind a node that the API's form lacks."""
    if link not in sheet.links:
        return _LinkEnd()
    number, slot, *_, kind = sheet.links[link]
    if number == _IN:
        return _LinkEnd() if sheet.outer is None else _outside(*sheet.outer, slot)
    node = sheet.nodes.get(number, {})
    if not node or node.get("mode") == _MUTED:
        return _LinkEnd()
    if node["type"] == "PrimitiveNode":
        return _LinkEnd(_widgets(node).get("value"))
    if number in sheet.inner and node.get("mode") != _BYPASSED:
        sheet = sheet.inner[number]
        following = sheet.ends.get(slot)
    elif node["type"] == "Reroute" or node.get("mode") == _BYPASSED:
        following = _passed_link(node, kind)
    elif node["type"] == "GetNode":
        setter = sheet.setters.get(_variable(node))
        following = None if setter is None else _passed_link(setter, "")
    elif node["type"] == "SetNode":
        following = _passed_link(node, "")
    else:
        return _LinkEnd([sheet.path + number, slot])
    return _LinkEnd() if following is None else (sheet, following)


def _outside(sheet: _Sheet, node: Node, slot: int) -> tuple[_Sheet, str] | _LinkEnd:
    """A subgraph's input: the link to its node, or the node's widget value."""
    inputs = _list(node.get("inputs"))
    entry = inputs[slot] if 0 <= slot < len(inputs) else None
    if not isinstance(entry, dict):
        return _LinkEnd()
    if entry.get("link") is None:
        return _LinkEnd(_widgets(node).get(str(entry.get("name"))))
    return sheet, str(entry["link"])


def _passed_link(node: Node, kind: str) -> str | None:
    """The link into a node that its output of this type passes on, or None."""
    linked = [
        candidate
        for candidate in _list(node.get("inputs"))
        if isinstance(candidate, dict) and candidate.get("link") is not None
    ]
    same = (
        candidate
        for candidate in linked
        if not kind or candidate.get("type") in (kind, "*") or node["type"] == "Reroute"
    )
    socket = next(same, None)
    return None if socket is None else str(socket["link"])


def _variable(node: Node) -> str:
    """The variable of a SetNode or GetNode."""
    return str(next(iter(_list(node.get("widgets_values"))), ""))


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
