"""A workflow of the user's: where a call's fields go, and what has no place."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from target_calls import AURORA, CHALK_OWL, INK_FOX, call_of

from diffagent.agent.targets.emitting import emit
from diffagent.agent.targets.fitting import Emitted, Resources
from diffagent.agent.targets.own_graph import Workflow, parse_map
from diffagent.data.catalog.catalog import Catalog
from diffagent.data.errors import BadInput
from diffagent.data.records import T2ICall

SPLIT: dict[str, Any] = {
    "1": {"class_type": "UNETLoader", "inputs": {"unet_name": "a.safetensors", "weight_dtype": "default"}},
    "2": {"class_type": "DualCLIPLoader", "inputs": {"clip_name1": "b", "clip_name2": "c", "type": "flux"}},
    "3": {"class_type": "VAELoader", "inputs": {"vae_name": "d.safetensors"}},
    "4": {"class_type": "CLIPTextEncode", "inputs": {"text": ["20", 0], "clip": ["2", 0]}},
    "5": {"class_type": "FluxGuidance", "inputs": {"guidance": 4.0, "conditioning": ["4", 0]}},
    "6": {"class_type": "BasicGuider", "inputs": {"model": ["30", 0], "conditioning": ["5", 0]}},
    "7": {"class_type": "RandomNoise", "inputs": {"noise_seed": 5}},
    "8": {"class_type": "KSamplerSelect", "inputs": {"sampler_name": "euler"}},
    "9": {"class_type": "BasicScheduler", "inputs": {
        "scheduler": "simple", "steps": 20, "denoise": 1.0, "model": ["30", 0]}},
    "10": {"class_type": "EmptySD3LatentImage", "inputs": {"width": 64, "height": 64, "batch_size": 1}},
    "11": {"class_type": "SamplerCustomAdvanced", "inputs": {
        "noise": ["7", 0], "guider": ["6", 0], "sampler": ["8", 0], "sigmas": ["9", 0],
        "latent_image": ["10", 0]}},
    "12": {"class_type": "VAEDecode", "inputs": {"samples": ["11", 0], "vae": ["3", 0]}},
    "13": {"class_type": "SaveImage", "inputs": {"filename_prefix": "x", "images": ["12", 0]}},
    "20": {"class_type": "PrimitiveStringMultiline", "inputs": {"value": "theirs"}},
    "30": {"class_type": "LoraLoaderModelOnly", "inputs": {
        "lora_name": "e.safetensors", "strength_model": 1.0, "model": ["1", 0]}},
}  # fmt: skip
"""A graph of separate parts, whose sampler takes everything by links."""

SIMPLE: dict[str, Any] = {
    "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "a.safetensors"}},
    "2": {"class_type": "CLIPTextEncode", "inputs": {"text": "theirs", "clip": ["1", 1]}},
    "3": {"class_type": "KSampler", "inputs": {
        "seed": ["9", 0], "steps": 9, "cfg": 4.0, "sampler_name": "euler", "scheduler": "normal",
        "denoise": 1.0, "model": ["1", 0], "positive": ["2", 0], "negative": ["2", 0],
        "latent_image": ["4", 0]}},
    "4": {"class_type": "Sizes", "inputs": {"w": 64, "h": 64}, "_meta": {"title": "my size"}},
    "5": {"class_type": "VAEDecode", "inputs": {"samples": ["3", 0], "vae": ["1", 2]}},
    "6": {"class_type": "SaveImage", "inputs": {"filename_prefix": "x", "images": ["5", 0]}},
    "9": {"class_type": "PrimitiveInt", "inputs": {"value": 3}},
}  # fmt: skip


def fill(
    graph: dict[str, Any], call: T2ICall, catalog: Catalog, places: dict[str, str] | None = None
) -> Emitted:
    flow = Workflow.of(copy.deepcopy(graph), places or {})
    emitted = emit(call, "comfyui", catalog)
    return flow.fill(emitted, Resources.of(call, catalog), {})


def test_places_behind_links_of_a_custom_sampler_are_found(catalog: Catalog) -> None:
    call = call_of(INK_FOX, sampler="Euler Simple", negative_prompt="", clip_skip=None, guidance=3.5)
    emitted = fill(SPLIT, call, catalog)
    nodes = {key: node["inputs"] for key, node in emitted.request["prompt"].items()}
    assert nodes["1"]["unet_name"] == "aurora_v2.safetensors"
    assert nodes["20"]["value"] == "a fox in the snow"
    assert nodes["4"]["text"] == ["20", 0]  # links stay
    assert nodes["7"]["noise_seed"] == 7
    assert (nodes["8"]["sampler_name"], nodes["9"]["scheduler"], nodes["9"]["steps"]) == (
        "euler",
        "simple",
        24,
    )
    assert (nodes["10"]["width"], nodes["10"]["height"]) == (512, 768)
    assert nodes["5"]["guidance"] == 3.5
    assert (nodes["30"]["lora_name"], nodes["30"]["strength_model"]) == ("ink-fox.safetensors", 0.75)
    assert emitted.not_carried == ["cfg_scale"]  # a BasicGuider has none


def test_what_has_no_place_is_not_carried_and_a_map_gives_one(catalog: Catalog) -> None:
    call = call_of(AURORA)
    emitted = fill(SIMPLE, call, catalog)
    assert emitted.request["prompt"]["9"]["inputs"]["value"] == 7  # the seed, behind its link
    assert set(emitted.not_carried) == {"negative_prompt", "width", "height", "clip_skip"}
    assert emitted.dropped == {"negative_prompt", "width", "height", "clip_skip"}
    places = parse_map(["width=my size.w", "height=4.h", "Sampling Steps=3.steps"])
    emitted = fill(SIMPLE, call, catalog, places)
    assert emitted.request["prompt"]["4"]["inputs"] == {"w": 512, "h": 768}
    assert set(emitted.not_carried) == {"negative_prompt", "clip_skip"}


def test_titles_go_before_types(catalog: Catalog) -> None:
    graph = copy.deepcopy(SIMPLE)
    graph["7"] = {"class_type": "Text", "inputs": {"string": ""}, "_meta": {"title": "Negative"}}
    graph["8"] = {"class_type": "Number", "inputs": {"value": 0}, "_meta": {"title": "Steps"}}
    nodes = fill(graph, call_of(AURORA), catalog).request["prompt"]
    assert nodes["7"]["inputs"]["string"] == "blurry, lowres"
    assert nodes["8"]["inputs"]["value"] == 24
    assert nodes["3"]["inputs"]["steps"] == 9


def test_every_encoder_of_a_text_node_reads_the_prompt(catalog: Catalog) -> None:
    graph = copy.deepcopy(SIMPLE)
    graph["2"] = {
        "class_type": "CLIPTextEncodeSD3",
        "inputs": {"clip_l": "theirs", "clip_g": "theirs", "t5xxl": "theirs", "empty_padding": "none"},
    }
    node = fill(graph, call_of(AURORA), catalog).request["prompt"]["2"]["inputs"]
    assert [node[key] for key in ("clip_l", "clip_g", "t5xxl")] == ["a fox in the snow"] * 3


def test_more_loras_than_loaders_are_put_behind_the_last_one(catalog: Catalog) -> None:
    graph = copy.deepcopy(SIMPLE)
    loader = {
        "lora_name": "e",
        "strength_model": 1.0,
        "strength_clip": 1.0,
        "model": ["1", 0],
        "clip": ["1", 1],
    }
    graph["10"] = {"class_type": "LoraLoader", "inputs": loader}
    graph["3"]["inputs"]["model"], graph["2"]["inputs"]["clip"] = ["10", 0], ["10", 1]
    emitted = fill(graph, call_of(INK_FOX, more=[(CHALK_OWL, 0.5)]), catalog)
    nodes = {key: node["inputs"] for key, node in emitted.request["prompt"].items()}
    (added,) = nodes.keys() - graph.keys()
    assert (nodes["10"]["lora_name"], nodes["10"]["model"]) == ("ink-fox.safetensors", ["1", 0])
    assert nodes[added] == {
        "lora_name": "sub/chalk_owl.safetensors", "strength_model": 0.5, "strength_clip": 0.5,
        "model": ["10", 0], "clip": ["10", 1],
    }  # fmt: skip
    assert (nodes["3"]["model"], nodes["2"]["clip"]) == ([added, 0], [added, 1])
    without = fill(SIMPLE, call_of(INK_FOX), catalog)
    assert "no node LoraLoader" in without.reasons["loras"]


def test_a_loader_that_is_left_over_is_passed_by(catalog: Catalog) -> None:
    """Its file may be one that the server does not have, which ComfyUI refuses even with the weight 0."""
    graph = copy.deepcopy(SIMPLE)
    strengths = {"strength_model": 1.0, "strength_clip": 1.0}
    graph["10"] = {"class_type": "LoraLoader", "inputs": {
        "lora_name": "here", **strengths, "model": ["1", 0], "clip": ["1", 1]}}  # fmt: skip
    graph["11"] = {"class_type": "LoraLoader", "inputs": {
        "lora_name": "absent", **strengths, "model": ["10", 0], "clip": ["10", 1]}}  # fmt: skip
    graph["3"]["inputs"]["model"], graph["2"]["inputs"]["clip"] = ["11", 0], ["11", 1]
    nodes = fill(graph, call_of(INK_FOX), catalog).request["prompt"]
    assert nodes["10"]["inputs"]["lora_name"] == "ink-fox.safetensors"
    assert (nodes["3"]["inputs"]["model"], nodes["2"]["inputs"]["clip"]) == (["10", 0], ["10", 1])
    nodes = fill(graph, call_of(AURORA), catalog).request["prompt"]
    assert (nodes["3"]["inputs"]["model"], nodes["2"]["inputs"]["clip"]) == (["1", 0], ["1", 1])
    nodes = fill(SPLIT, call_of(AURORA, clip_skip=None, negative_prompt=""), catalog).request["prompt"]
    assert (nodes["6"]["inputs"]["model"], nodes["9"]["inputs"]["model"]) == (["1", 0], ["1", 0])


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("{", "cannot be read as a workflow"),
        ({"nodes": [], "links": []}, r"Export \(API\)"),
        ([1], "not a workflow of ComfyUI's API"),
        ({"1": {"class_type": "KSampler", "inputs": {}}}, "saves no picture"),
    ],
)
def test_files_that_are_no_workflow(value: Any, says: str, tmp_path: Path) -> None:
    path = tmp_path / "flow.json"
    path.write_text(value if isinstance(value, str) else json.dumps(value), "utf-8")
    with pytest.raises(BadInput, match=says):
        Workflow.read(path)


def test_maps_that_name_nothing() -> None:
    for text, says in (
        ("steps", "write NAME=NODE.INPUT"),
        ("colour=3.steps", "choose one of prompt, negative_prompt"),
    ):
        with pytest.raises(BadInput, match=says):
            parse_map([text])
    for place, says in (("77.steps", "has no node '77'"), ("3.step", "no input 'step': it has seed, steps")):
        with pytest.raises(BadInput, match=says):
            Workflow.of(copy.deepcopy(SIMPLE), {"steps": place})
