"""A user's workflow in the form of ComfyUI's API: the places for a call's fields, and filling them.

    Workflow.read(path, {"steps": "3.steps"})   ->   .fill(emitted, resources, names).request

A place is an input of a node. The search starts at the sampler that the picture comes from; the places are
the inputs of the nodes that its links lead to: its positive input holds the prompt, and so on. A node's title
("negative", "prompt", "steps") takes precedence over its type, and the user's mapping over both. A field
without a place is ``not_carried``. LoRAs fill the loaders in order from the checkpoint; unused loaders are
bypassed, and further LoRAs are appended to the chain.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from diffagent.agent.targets import graphs
from diffagent.agent.targets.fitting import Emitted, Resources, file_of
from diffagent.data.errors import BadInput
from diffagent.data.metadata.comfyui import MODEL_FILES, TEXTS, VALUES
from diffagent.data.metadata.workflow import Graph, is_node, is_workflow, link_origin
from diffagent.data.records import T2ICall

Place = tuple[str, str]
"""A node's id and an input's name."""

FIELDS = (
    "prompt", "negative_prompt", "checkpoint", "lora", "lora_weight", "seed", "steps", "cfg", "guidance",
    "sampler", "scheduler", "width", "height", "clip_skip",
)  # fmt: skip
"""The fields of places, as ``--map NAME=NODE.INPUT`` names them."""
_OF_CALL: Mapping[str, str] = {
    "prompt": "prompt", "negative_prompt": "negative_prompt", "checkpoint": "air", "seed": "seed",
    "steps": "sampling_steps", "cfg": "cfg_scale", "guidance": "guidance", "sampler": "sampling_method",
    "scheduler": "scheduler", "width": "width", "height": "height", "clip_skip": "clip_skip",
}  # fmt: skip
_SAMPLER_INPUTS: Mapping[str, tuple[str, ...]] = {
    "seed": ("seed", "noise_seed"), "steps": ("steps",), "cfg": ("cfg", "cfg_scale"),
    "sampler": ("sampler_name", "sampler"), "scheduler": ("scheduler",),
}  # fmt: skip
_LINKED_INPUTS: Mapping[str, tuple[str, ...]] = {
    "seed": ("noise",), "steps": ("sigmas",), "cfg": ("guider",), "sampler": ("sampler",),
    "scheduler": ("sigmas",),
}  # fmt: skip
"""Inputs of SamplerCustomAdvanced whose nodes hold a field in place of the sampler."""
_ALIASES = {
    "positive": "prompt", "positive_prompt": "prompt", "negative": "negative_prompt", "model": "checkpoint",
    "cfg_scale": "cfg", "sampling_steps": "steps", "sampler_name": "sampler", "sampling_method": "sampler",
    "ckpt_name": "checkpoint", "noise_seed": "seed", "schedule": "scheduler", "lora_name": "lora",
}  # fmt: skip
_MOST_HOPS = 64


@dataclass(frozen=True)
class Workflow:
    """A graph with its places: field of :data:`FIELDS` → the inputs that hold it; ``loras``: ids of the
    loaders of one LoRA each, in order from the checkpoint."""

    graph: Graph
    places: Mapping[str, tuple[Place, ...]]
    loras: tuple[str, ...] = ()
    name: str = "the workflow"

    @classmethod
    def read(cls, path: str | Path, mapping: Mapping[str, str] | None = None) -> Workflow:
        """Reads a workflow from a file; ``mapping``: field → "NODE.INPUT", where the node is an id or a
        title.

        Raises:
            BadInput: the file is not a graph in the API's form, saves no picture, or lacks a mapped place.
        """
        path = Path(path)
        try:
            value = json.loads(path.read_text("utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise BadInput(f"{path} cannot be read as a workflow ({str(error)[:80]})") from None
        if isinstance(value, Mapping) and isinstance(value.get("prompt"), Mapping):
            value = value["prompt"]
        if is_workflow(value):
            raise BadInput(f"{path} is a workflow of ComfyUI's page: save it with Workflow, Export (API)")
        if not isinstance(value, Mapping) or not value or not all(map(is_node, value.values())):
            raise BadInput(f"{path} is not a workflow of ComfyUI's API: save it with Workflow, Export (API)")
        graph = {str(key): dict(node) for key, node in value.items()}
        if not any("filename_prefix" in node["inputs"] or _saves(node) for node in graph.values()):
            raise BadInput(f"{path} saves no picture: add a node SaveImage to the workflow")
        return cls.of(graph, mapping or {}, str(path))

    @classmethod
    def of(cls, graph: Graph, mapping: Mapping[str, str], name: str = "the workflow") -> Workflow:
        """Finds the places of a graph; errors of :meth:`read`."""
        places: dict[str, tuple[Place, ...]] = {}
        loras: tuple[str, ...] = ()
        sampler = _sampler(graph)
        if sampler is not None:
            places = {field: inputs for field, inputs in _places(graph, sampler) if inputs}
            loras = tuple(_lora_nodes(graph, sampler))
        places |= dict(_title_places(graph))
        for field, place in mapping.items():
            key = _field(field)
            places[key] = (_place(graph, place, name),)
            if key == "lora":
                loras = ()
        return cls(graph, places, loras, name)

    def fill(self, emitted: Emitted, resources: Resources, names: Mapping[str, str]) -> Emitted:
        """Returns a request of ComfyUI with this graph in place of the generated one."""
        call = emitted.call
        graph = copy.deepcopy(self.graph)
        spelled = graphs.spelling(call.sampler)
        assert spelled is not None  # the request was emitted with it
        values: dict[str, Any] = {
            "prompt": call.prompt,
            "negative_prompt": call.negative_prompt,
            "checkpoint": file_of(resources.checkpoint, names),
            "seed": call.seed,
            "steps": call.sampling_steps,
            "cfg": call.cfg_scale,
            "guidance": call.guidance,
            "sampler": spelled[0],
            "scheduler": spelled[1],
            "width": call.width,
            "height": call.height,
            "clip_skip": None
            if call.clip_skip is None or "clip_skip" in emitted.dropped
            else -call.clip_skip,
        }
        reasons = dict(emitted.reasons)
        dropped = set(emitted.dropped)
        for field, value in values.items():
            if value is None or (field == "negative_prompt" and not value and field not in self.places):
                continue
            if field not in self.places:
                name = "base_checkpoint" if field == "checkpoint" and call.loras else _OF_CALL[field]
                reasons[name] = f"{self.name} has no place for it: name one with --map {field}=NODE.INPUT"
                dropped.add(name)
            for node, key in self.places.get(field, ()):
                graph[node]["inputs"][key] = value
        if lost := self._put_loras(graph, call, resources, names):
            reasons["loras"] = lost
            dropped.add("loras")
        return replace(emitted, request={"prompt": graph}, reasons=reasons, dropped=frozenset(dropped))

    def _put_loras(
        self, graph: Graph, call: T2ICall, resources: Resources, names: Mapping[str, str]
    ) -> str | None:
        """Fills the loaders; returns the reason for which a LoRA has no place, None where all have one."""
        files = [file_of(card, names) for card in resources.loras]
        weights = [lora.weight for lora in call.loras]
        if "lora" in self.places and not self.loras:
            ((node, key),) = self.places["lora"][:1]
            if files:
                graph[node]["inputs"][key] = files[0]
            for other, name in self.places.get("lora_weight", ()):
                graph[other]["inputs"][name] = weights[0] if files else 0.0
            return f"{self.name} has one place for a LoRA" if len(files) > 1 else None
        if not self.loras:
            return f"{self.name} has no node LoraLoader" if files else None
        for node, file, weight in zip(self.loras, files, weights, strict=False):
            _set_lora(graph[node]["inputs"], file, weight)
        for node in self.loras[len(files) :]:
            _bypass(graph, node)
        for file, weight in zip(files[len(self.loras) :], weights[len(self.loras) :], strict=True):
            _append_lora(graph, self.loras[-1], file, weight)
        return None


def parse_map(texts: Sequence[str]) -> dict[str, str]:
    """Parses texts such as ``steps=3.steps``.

    Raises:
        BadInput: a text is not a mapping of a field to a place.
    """
    mapping = {}
    for text in texts:
        field, equals, place = text.partition("=")
        if not equals or "." not in place:
            raise BadInput(f"{text!r} is not a place: write NAME=NODE.INPUT, such as steps=3.steps")
        mapping[_field(field.strip())] = place.strip()
    return mapping


def _field(name: str) -> str:
    key = name.casefold().replace(" ", "_").replace("-", "_")
    key = _ALIASES.get(key, key)
    if key not in FIELDS:
        raise BadInput(f"{name!r} is not a field of a workflow: choose one of {', '.join(FIELDS)}")
    return key


def _saves(node: Mapping[str, Any]) -> bool:
    return "save" in str(node["class_type"]).casefold() or node["class_type"] == "PreviewImage"


def _title(node: Mapping[str, Any]) -> str:
    meta = node.get("_meta")
    return str(meta.get("title", "")).strip() if isinstance(meta, Mapping) else ""


def _place(graph: Graph, address: str, name: str) -> Place:
    """Returns the input that "NODE.INPUT" names."""
    number, _, key = address.rpartition(".")
    node = number if number in graph else next((n for n in graph if _title(graph[n]) == number), None)
    if node is None:
        shown = ", ".join(
            f"{n} {_title(entry) or entry['class_type']}" for n, entry in list(graph.items())[:12]
        )
        raise BadInput(f"{name} has no node {number!r}: it has {shown}")
    inputs = graph[node]["inputs"]
    if key not in inputs:
        raise BadInput(f"node {number} of {name} has no input {key!r}: it has {', '.join(inputs) or 'none'}")
    return node, key


def _sampler(graph: Graph) -> str | None:
    """Returns the sampler that the picture comes from: the first with a latent image that no other sampler
    feeds."""
    able = [
        key
        for key, node in graph.items()
        if {"latent_image", "positive"} <= node["inputs"].keys()
        or {"latent_image", "guider"} <= node["inputs"].keys()
    ]
    first = [key for key in able if not set(_upstream(graph, key, ("latent_image", "samples"))) & set(able)]
    return next(iter(first or able), None)


def _upstream(graph: Graph, start: str, names: Sequence[str]) -> Iterator[str]:
    """Yields the nodes that links of the named inputs lead to, one after another."""
    node: str | None = start
    for _ in range(_MOST_HOPS):
        inputs = graph[node]["inputs"] if node is not None else {}
        node = next((source for name in names if (source := link_origin(graph, inputs.get(name)))), None)
        if node is None:
            return
        yield node


def _value_place(graph: Graph, node: str, key: str) -> Place | None:
    """Returns the place of an input's value: the input itself, or a primitive node behind its link."""
    for _ in range(_MOST_HOPS):
        value = graph[node]["inputs"].get(key)
        behind = link_origin(graph, value)
        if behind is None:
            return (node, key) if value is not None and not isinstance(value, list) else None
        inputs = graph[behind]["inputs"]
        name = next((name for name in VALUES if name in inputs), None)
        if name is None:
            return None
        node, key = behind, name
    return None


def _places(graph: Graph, sampler: str) -> Iterator[tuple[str, tuple[Place, ...]]]:
    inputs = graph[sampler]["inputs"]
    for field, names in _SAMPLER_INPUTS.items():
        holders = [sampler]
        holders += [
            holder for name in _LINKED_INPUTS[field] if (holder := link_origin(graph, inputs.get(name)))
        ]
        candidates = (
            place
            for holder in holders
            for name in names
            if name in graph[holder]["inputs"]
            and (holder != sampler or not (name == "sampler" and link_origin(graph, inputs[name])))
            and (place := _value_place(graph, holder, name))
        )
        place = next(candidates, None)
        yield field, (place,) if place else ()
    guider = link_origin(graph, inputs.get("guider"))
    ends = graph[guider]["inputs"] if guider else inputs
    positive = ends.get("positive", ends.get("conditioning"))
    yield "prompt", _text_places(graph, positive)
    negative = _text_places(graph, ends.get("negative"))
    yield "negative_prompt", tuple(place for place in negative if place not in _text_places(graph, positive))
    yield (
        "guidance",
        tuple(
            place
            for node in _conditionings(graph, positive)
            if "guidance" in graph[node]["inputs"] and (place := _value_place(graph, node, "guidance"))
        ),
    )
    latent = link_origin(graph, inputs.get("latent_image"))
    for side in ("width", "height"):
        place = _value_place(graph, latent, side) if latent and side in graph[latent]["inputs"] else None
        yield side, (place,) if place else ()
    chain = list(_upstream(graph, guider if guider and "model" in ends else sampler, ("model",)))
    yield (
        "checkpoint",
        tuple(
            place
            for node in chain[-1:]
            for name in MODEL_FILES
            if name in graph[node]["inputs"] and (place := _value_place(graph, node, name))
        ),
    )
    skips = [key for key, node in graph.items() if "stop_at_clip_layer" in node["inputs"]]
    yield "clip_skip", tuple((key, "stop_at_clip_layer") for key in skips)


def _conditionings(graph: Graph, link: object) -> Iterator[str]:
    """Yields the nodes from a sampler to the text, the text's own included."""
    node = link_origin(graph, link)
    for _ in range(_MOST_HOPS):
        if node is None:
            return
        yield node
        inputs = graph[node]["inputs"]
        following = ("conditioning", "positive", "conditioning_1", "conditioning_to")
        node = next((source for name in following if (source := link_origin(graph, inputs.get(name)))), None)


def _text_places(graph: Graph, link: object) -> tuple[Place, ...]:
    """Returns the places of the text behind a link to a conditioning."""
    nodes = list(_conditionings(graph, link))
    if any("zeroout" in str(graph[node]["class_type"]).casefold() for node in nodes):
        return ()
    for node in nodes:
        places = [
            place
            for name in TEXTS
            if name in graph[node]["inputs"] and (place := _value_place(graph, node, name))
        ]
        if places:
            return tuple(dict.fromkeys(places))
    return ()


def _lora_nodes(graph: Graph, sampler: str) -> list[str]:
    """Returns the loaders of one LoRA each between the checkpoint and the sampler, from the checkpoint on."""
    guider = link_origin(graph, graph[sampler]["inputs"].get("guider"))
    start = guider if guider and "model" in graph[guider]["inputs"] else sampler
    chain = [node for node in _upstream(graph, start, ("model",)) if "lora_name" in graph[node]["inputs"]]
    return chain[::-1]


def _bypass(graph: Graph, loader: str) -> None:
    """Links a loader's consumers to its sources, since its file may be missing."""
    inputs = graph[loader]["inputs"]
    sources = (inputs["model"], inputs.get("clip"))
    for node in graph.values():
        for name, value in node["inputs"].items():
            if link_origin(graph, value) == loader and (source := sources[min(int(value[1]), 1)]) is not None:
                node["inputs"][name] = copy.copy(source)


def _set_lora(inputs: dict[str, Any], file: str, weight: float) -> None:
    inputs["lora_name"] = file
    for name in ("strength_model", "strength_clip", "strength"):
        if name in inputs:
            inputs[name] = weight


def _append_lora(graph: Graph, last: str, file: str, weight: float) -> None:
    """Appends a copy of a chain's last loader, and links the last loader's consumers to the copy."""
    while (behind := _follower(graph, last)) is not None:
        last = behind
    key = next(str(n) for n in range(len(graph) + 1, 10**6) if str(n) not in graph)
    added = copy.deepcopy(graph[last])
    for node in graph.values():
        for name, value in node["inputs"].items():
            if link_origin(graph, value) == last:
                node["inputs"][name] = [key, value[1]]
    added["inputs"] |= {"model": [last, 0]} | ({"clip": [last, 1]} if "clip" in added["inputs"] else {})
    _set_lora(added["inputs"], file, weight)
    graph[key] = added


def _follower(graph: Graph, node: str) -> str | None:
    """Returns the LoRA loader that takes a loader's model."""
    return next(
        (
            key
            for key, loader in graph.items()
            if "lora_name" in loader["inputs"] and link_origin(graph, loader["inputs"].get("model")) == node
        ),
        None,
    )


def _title_places(graph: Graph) -> Iterator[tuple[str, tuple[Place, ...]]]:
    """Yields the places of nodes whose title is a field's name."""
    for key, node in graph.items():
        title = _title(node).casefold().replace(" ", "_").replace("-", "_")
        field = _ALIASES.get(title, title)
        if field not in _OF_CALL or title == "model":
            continue
        usual = {"checkpoint": MODEL_FILES, "prompt": TEXTS, "negative_prompt": TEXTS}.get(field)
        names = (*(usual or (field, *_SAMPLER_INPUTS.get(field, ()))), *VALUES)
        place = next(
            (
                (key, name)
                for name in names
                if name in node["inputs"] and not isinstance(node["inputs"][name], list)
            ),
            None,
        )
        if place is not None:
            yield field, (place,)
