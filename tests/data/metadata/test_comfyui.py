"""ComfyUI's graphs, of its API and of its page, as people save them."""

from __future__ import annotations

import contextlib
import copy
import json
import math
import random
from pathlib import Path
from typing import Any

import pytest

from diffagent.data.catalog.catalog import Catalog
from diffagent.data.errors import BadInput, DiffAgentError
from diffagent.data.metadata import comfyui
from diffagent.data.metadata.generation import ModelUse, recover
from diffagent.data.metadata.workflow import as_api
from diffagent.data.records import Card

Graph = dict[str, Any]


def node(kind: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": kind, "inputs": inputs, "_meta": {"title": kind}}


FLUX: Graph = {
    "6": node("CLIPTextEncode", text=["40", 0], clip=["30:1", 0]),
    "8": node("VAEDecode", samples=["13", 0], vae=["10", 0]),
    "9": node("SaveImage", filename_prefix="flux", images=["8", 0]),
    "10": node("VAELoader", vae_name="ae.safetensors"),
    "11": node("DualCLIPLoaderGGUF", clip_name1="t5-v1_1-xxl-Q8_0.gguf", clip_name2="clip_l.safetensors",
            type="flux"),
    "12": node("UnetLoaderGGUF", unet_name="FLUX1\\flux1-dev-Q8_0.gguf"),
    "13": node("SamplerCustomAdvanced", noise=["25", 0], guider=["22", 0], sampler=["16", 0], sigmas=["17",
            0],
               latent_image=["27", 0]),
    "16": node("KSamplerSelect", sampler_name="res_multistep"),
    "17": node("BasicScheduler", scheduler="beta", steps=["41", 0], denoise=1, model=["31", 0]),
    "22": node("BasicGuider", model=["31", 0], conditioning=["26", 0]),
    "25": node("RandomNoise", noise_seed=["42", 0]),
    "26": node("FluxGuidance", guidance=3.5, conditioning=["6", 0]),
    "27": node("EmptySD3LatentImage", width=["43", 0], height=["43", 1], batch_size=1),
    "30": node("LoraLoaderModelOnly", lora_name="sub/brush.safetensors", strength_model=0.8, model=["12", 0]),
    "30:1": node("CLIPSetLastLayer", stop_at_clip_layer=-2, clip=["11", 0]),
    "31": node("Power Lora Loader (rgthree)",
            PowerLoraLoaderHeaderWidget={"type": "PowerLoraLoaderHeaderWidget"},
               lora_1={"on": True, "lora": "grain.safetensors", "strength": 0.4},
               lora_2={"on": False, "lora": "never.safetensors", "strength": 1}, model=["33", 0]),
    "32": node("CR LoRA Stack", switch_1="On", lora_name_1="haze.safetensors", model_weight_1=0.3,
            clip_weight_1=1,
               switch_2="Off", lora_name_2="off.safetensors", model_weight_2=1, clip_weight_2=1,
               switch_3="On",
               lora_name_3="None", model_weight_3=1, clip_weight_3=1),
    "33": node("CR Apply LoRA Stack", model=["34", 0], clip=["11", 0], lora_stack=["32", 0]),
    "34": node("ModelSamplingFlux", max_shift=1.15, base_shift=0.5, width=1024, height=1024, model=["30", 0]),
    "40": node("String Literal", string="a tram in the rain, at night"),
    "41": node("PrimitiveInt", value=28),
    "42": node("Seed (rgthree)", seed=18446744073709551615),
    "43": node("CR SDXL Aspect Ratio", width=896, height=1152, aspect_ratio="3:4 portrait 896x1152",
            batch_size=1),
}  # fmt: skip
CFG: Graph = {
    "1": node("UNETLoader", unet_name="z_image_bf16.safetensors", weight_dtype="default"),
    "2": node("CLIPLoader", clip_name="qwen_3_4b.safetensors", type="lumina2", device="default"),
    "3": node("CLIPTextEncode", text="close-up photo of a white horse.", clip=["2", 0]),
    "4": node("CLIPTextEncode", text="human.", clip=["2", 0]),
    "5": node("CFGGuider", cfg=4, model=["1", 0], positive=["3", 0], negative=["4", 0]),
    "6": node("RandomNoise", noise_seed=7),
    "7": node("SamplerEulerAncestral", eta=1.0, s_noise=1.0),
    "8": node("KarrasScheduler", steps=20, sigma_max=14.6, sigma_min=0.03, rho=7.0),
    "9": node("EmptySD3LatentImage", width=1024, height=768, batch_size=1),
    "10": node("SamplerCustomAdvanced", noise=["6", 0], guider=["5", 0], sampler=["7", 0], sigmas=["8", 0],
               latent_image=["9", 0]),
    "11": node("VAEDecode", samples=["10", 1], vae=["12", 0]),
    "12": node("VAELoader", vae_name="ae.safetensors"),
    "13": node("SaveImage", filename_prefix="z", images=["11", 0]),
}  # fmt: skip
TWO_PASSES: Graph = {
    "1": node("CheckpointLoaderSimple", ckpt_name="SDXL/grandXL.safetensors"),
    "2": node("LoraLoader", lora_name="ink-fox.safetensors", strength_model=0.7, strength_clip=0.7,
            model=["1", 0],
              clip=["1", 1]),
    "3": node("CLIPTextEncodeSDXL", width=1024, height=1024, crop_w=0, crop_h=0, target_width=1024,
              target_height=1024, text_g="a fox", text_l="in snow", clip=["2", 1]),
    "4": node("ConditioningZeroOut", conditioning=["3", 0]),
    "5": node("ControlNetApplyAdvanced", strength=1, start_percent=0, end_percent=1, positive=["3", 0],
              negative=["4", 0], control_net=["99", 0], image=["98", 0]),
    "6": node("EmptyLatentImage", width=832, height=1216, batch_size=1),
    "20": node("KSampler", seed=6, steps=12, cfg=4, sampler_name="dpmpp_2m", scheduler="karras", denoise=0.4,
               model=["2", 0], positive=["5", 0], negative=["5", 1], latent_image=["21", 0]),
    "21": node("LatentUpscaleBy", upscale_method="nearest", scale_by=1.5, samples=["7", 0]),
    "7": node("KSamplerAdvanced", add_noise="enable", noise_seed=5, steps=25, cfg=6.5,
            sampler_name="euler_ancestral",
              scheduler="normal", start_at_step=0, end_at_step=10000, return_with_leftover_noise="disable",
              model=["2", 0], positive=["5", 0], negative=["5", 1], latent_image=["6", 0]),
    "8": node("VAEDecode", samples=["20", 0], vae=["1", 2]),
    "9": node("Image Saver", images=["8", 0], filename="x"),
    "10": node("FaceDetailer", image=["8", 0], seed=1, steps=20, cfg=8, sampler_name="euler",
            scheduler="normal",
               positive=["5", 0], negative=["5", 1], model=["2", 0]),
}  # fmt: skip


def test_a_flux_graph_of_custom_samplers() -> None:
    generation = comfyui.read(FLUX)
    assert (generation.prompt, generation.negative_prompt) == ("a tram in the rain, at night", "")
    assert (generation.sampler, generation.schedule, generation.steps) == ("res_multistep", "beta", 28)
    assert (generation.cfg_scale, generation.guidance, generation.seed) == (1.0, 3.5, 2**64 - 1)
    assert (generation.width, generation.height, generation.clip_skip) == (896, 1152, 2)
    assert generation.checkpoint == ModelUse("FLUX1\\flux1-dev-Q8_0.gguf")
    assert generation.loras == (
        ModelUse("sub/brush.safetensors", weight=0.8),
        ModelUse("haze.safetensors", weight=0.3),
        ModelUse("grain.safetensors", weight=0.4),
    )
    assert generation.modules == ("ae.safetensors", "t5-v1_1-xxl-Q8_0.gguf", "clip_l.safetensors")


def test_a_guider_has_both_prompts_and_nodes_of_their_own_the_sampler() -> None:
    generation = comfyui.read(CFG)
    assert (generation.prompt, generation.negative_prompt) == ("close-up photo of a white horse.", "human.")
    assert (generation.sampler, generation.schedule, generation.steps) == ("EulerAncestral", "Karras", 20)
    assert (generation.cfg_scale, generation.guidance, generation.seed) == (4.0, None, 7)
    assert generation.checkpoint == ModelUse("z_image_bf16.safetensors")


def test_the_first_of_two_passes_is_read() -> None:
    generation = comfyui.read(TWO_PASSES)
    assert (generation.seed, generation.steps, generation.cfg_scale, generation.sampler) == (
        5,
        25,
        6.5,
        "euler_ancestral",
    )
    assert (generation.width, generation.height, generation.schedule) == (832, 1216, None)
    assert (generation.prompt, generation.negative_prompt) == ("a fox, in snow", "")
    assert generation.notes == ("the graph has 2 samplers: the first pass, 7, was read",)
    assert generation.loras == (ModelUse("ink-fox.safetensors", weight=0.7),)


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    def card(number: int, file: str, kind: Any, base: str = "Flux.1 D", eco: str = "flux1") -> Card:
        air_type = "lora" if kind == "LoRA" else "checkpoint"
        air = f"urn:air:{eco}:{air_type}:civitai:{number}@{number}"
        return Card(f"Model {number}", kind, base, air, number, number, file_name=file)

    path = tmp_path_factory.mktemp("graphs") / "catalog.sqlite"
    with Catalog.create(path) as database:
        database.add(
            [
                card(1, "flux1-dev-Q8_0.gguf", "Checkpoint"),
                card(2, "brush.safetensors", "LoRA"),
                card(3, "haze.safetensors", "LoRA"),
                card(4, "grain.safetensors", "LoRA"),
                card(5, "grandXL.safetensors", "Checkpoint", "SDXL 1.0", "sdxl"),
                card(6, "ink-fox.safetensors", "LoRA", "SDXL 1.0", "sdxl"),
            ]
        )
    return Catalog.open(Path(path))


def test_graphs_are_calls(catalog: Catalog) -> None:
    call = recover(comfyui.read(FLUX), catalog).call
    assert [(lora.model, lora.weight) for lora in call.loras] == [
        ("Model 2", 0.8),
        ("Model 3", 0.3),
        ("Model 4", 0.4),
    ]
    assert (call.sampling_method, call.scheduler, call.guidance) == ("Res Multistep", "Beta", 3.5)
    call = recover(comfyui.read(TWO_PASSES), catalog).call
    assert (call.sampling_method, call.scheduler, call.base_model) == ("Euler a", None, "SDXL 1.0")


def test_text_with_bare_words_is_read() -> None:
    graph = copy.deepcopy(CFG)
    graph["13"]["is_changed"] = [math.nan]
    text = json.dumps({"prompt": graph, "workflow": {}}).replace('"rho": 7.0', '"rho": undefined')
    text = text.replace('"sigma_max": 14.6', '"sigma_max": -Infinity, "odd": [NaN, Infinity]')
    assert "undefined" in text
    assert comfyui.read(text) == comfyui.read(CFG)
    assert comfyui.read({"comfy": text}) == comfyui.read(CFG)
    quoted = copy.deepcopy(CFG)
    quoted["3"]["inputs"]["text"] = 'undefined NaN in quotes \\"'
    text = json.dumps(quoted).replace('"rho": 7.0', '"rho": undefined')
    assert comfyui.read(text).prompt == 'undefined NaN in quotes \\"'


def test_primitives_strings_and_combined_prompts_are_followed() -> None:
    graph = copy.deepcopy(CFG)
    graph["3"]["inputs"]["text"] = ["50", 0]
    graph["50"] = node("StringConcatenate", string_a=["51", 0], string_b="at noon", delimiter=" ")
    graph["51"] = node("PrimitiveStringMultiline", value="a white horse")
    graph["5"]["inputs"]["cfg"] = ["52", 0]
    graph["52"] = node("PrimitiveFloat", value=2.5)
    graph["60"] = node("ConditioningCombine", conditioning_1=["3", 0], conditioning_2=["61", 0])
    graph["61"] = node("CLIPTextEncode", text="film grain", clip=["2", 0])
    graph["5"]["inputs"]["positive"] = ["60", 0]
    generation = comfyui.read(graph)
    assert (generation.prompt, generation.cfg_scale) == ("a white horse at noon, film grain", 2.5)
    assert generation.notes == ("the graph combines several prompts; they were joined",)


PAGE: dict[str, Any] = {
    "last_node_id": 12, "version": 0.4,
    "nodes": [
        {"id": 1, "type": "CheckpointLoaderSimple", "mode": 0, "inputs": [],
         "outputs": [{"name": "MODEL", "type": "MODEL", "links": [1]}, {"name": "CLIP", "type": "CLIP",
         "links": [2]}],
         "widgets_values": ["grandXL.safetensors"]},
        {"id": 2, "type": "LoraLoader", "mode": 0,
         "inputs": [{"name": "model", "type": "MODEL", "link": 1}, {"name": "clip", "type": "CLIP",
         "link": 2}],
         "widgets_values": ["ink-fox.safetensors", 0.7, 1]},
        {"id": 3, "type": "LoraLoader", "mode": 4,
         "inputs": [{"name": "model", "type": "MODEL", "link": 3}, {"name": "clip", "type": "CLIP",
         "link": 4}],
         "widgets_values": ["bypassed.safetensors", 1, 1]},
        {"id": 4, "type": "Reroute", "inputs": [{"name": "", "type": "*", "link": 5}], "mode": 0},
        {"id": 5, "type": "CLIPTextEncode", "inputs": [{"name": "clip", "type": "CLIP", "link": 6}],
         "mode": 0,
         "widgets_values": ["a fox in snow"]},
        {"id": 6, "type": "CLIPTextEncode", "mode": 0,
         "inputs": [{"name": "clip", "type": "CLIP", "link": 6},
                    {"name": "text", "type": "STRING", "widget": {"name": "text"}, "link": 12}],
         "widgets_values": [""]},
        {"id": 7, "type": "PrimitiveNode", "mode": 0, "widgets_values": ["blurry"]},
        {"id": 8, "type": "EmptyLatentImage", "mode": 0, "widgets_values": [832, 1216, 1]},
        {"id": 9, "type": "KSampler", "mode": 0,
         "inputs": [{"name": "model", "type": "MODEL", "link": 7}, {"name": "positive", "link": 8},
                    {"name": "negative", "link": 9}, {"name": "latent_image", "link": 10},
                    {"name": "seed", "widget": {"name": "seed"}, "link": None}],
         "widgets_values": [9007199254740993, "randomize", 30, 5.5, "dpmpp_3m_sde_gpu", "exponential", 1]},
        {"id": 10, "type": "12345678-aaaa", "mode": 0, "inputs": [{"name": "samples", "type": "LATENT",
         "link": 11}]},
        {"id": 11, "type": "Note", "widgets_values": ["not a prompt"]},
        {"id": 12, "type": "KSampler", "mode": 2, "widgets_values": [1, "fixed", 1, 1, "euler", "normal", 1]},
    ],
    "links": [
        [1, 1, 0, 2, 0, "MODEL"], [2, 1, 1, 2, 1, "CLIP"], [3, 2, 0, 3, 0, "MODEL"], [4, 2, 1, 3, 1, "CLIP"],
        [5, 3, 0, 4, 0, "MODEL"], [6, 3, 1, 5, 0, "CLIP"], [7, 4, 0, 9, 0, "MODEL"], [8, 5, 0, 9, 1,
        "CONDITIONING"],
        [9, 6, 0, 9, 2, "CONDITIONING"], [10, 8, 0, 9, 3, "LATENT"], [11, 9, 0, 10, 0, "LATENT"],
        [12, 7, 0, 6, 1, "STRING"],
    ],
    "definitions": {"subgraphs": [{
        "id": "12345678-aaaa", "name": "decode",
        "inputNode": {"id": -10}, "outputNode": {"id": -20},
        "nodes": [
            {"id": 3, "type": "VAEDecode", "mode": 0, "inputs": [{"name": "samples", "type": "LATENT",
             "link": 1}]},
            {"id": 4, "type": "SaveImage", "mode": 0, "inputs": [{"name": "images", "type": "IMAGE",
             "link": 2}],
             "widgets_values": ["x"]},
        ],
        "links": [
            {"id": 1, "origin_id": -10, "origin_slot": 0, "target_id": 3, "target_slot": 0, "type": "LATENT"},
            {"id": 2, "origin_id": 3, "origin_slot": 0, "target_id": 4, "target_slot": 0, "type": "IMAGE"},
        ],
    }]},
}  # fmt: skip


def test_the_pages_form_is_the_apis(catalog: Catalog) -> None:
    graph = as_api(PAGE)
    assert set(graph) == {"1", "2", "5", "6", "8", "9", "10:3", "10:4"}
    assert graph["10:3"]["inputs"]["samples"] == ["9", 0]
    assert graph["9"]["inputs"]["model"] == ["2", 0]
    recovery = recover(comfyui.read(PAGE), catalog)
    call = recovery.call
    assert (call.prompt, call.negative_prompt, call.seed) == ("a fox in snow", "blurry", 9007199254740993)
    assert (call.sampling_method, call.scheduler) == ("DPM++ 3M SDE", "Exponential")
    assert (call.sampling_steps, call.cfg_scale, call.width, call.height) == (30, 5.5, 832, 1216)
    assert [(lora.model, lora.weight) for lora in call.loras] == [("Model 6", 0.7)]


def test_a_subgraphs_sampler_is_read_with_what_is_linked_into_it() -> None:
    inner = [n for n in PAGE["nodes"] if n["id"] in (8, 9)]
    sampler = copy.deepcopy(inner[1])
    sampler["inputs"][4]["link"] = 5
    page = {
        "nodes": [
            *(n for n in PAGE["nodes"] if n["id"] in (1, 2, 3, 4, 5, 6, 7)),
            {"id": 20, "type": "sub", "mode": 0, "widgets_values": [77],
             "inputs": [{"name": "model", "link": 7}, {"name": "positive", "link": 8},
                        {"name": "negative", "link": 9}, {"name": "seed", "widget": {"name": "seed"}}]},
            {"id": 21, "type": "VAEDecode", "inputs": [{"name": "samples", "link": 20}]},
            {"id": 22, "type": "SaveImage", "inputs": [{"name": "images", "link": 21}]},
        ],
        "links": [*PAGE["links"][:6], [7, 4, 0, 20, 0, "MODEL"], [8, 5, 0, 20, 1, ""], [9, 6, 0, 20, 2, ""],
                  [12, 7, 0, 6, 1, "STRING"], [20, 20, 0, 21, 0, "LATENT"], [21, 21, 0, 22, 0, "IMAGE"]],
        "definitions": {"subgraphs": [{"id": "sub", "nodes": [inner[0], sampler], "links": [
            {"id": 7, "origin_id": -10, "origin_slot": 0, "target_id": 9, "target_slot": 0, "type": "MODEL"},
            {"id": 8, "origin_id": -10, "origin_slot": 1, "target_id": 9, "target_slot": 1, "type": ""},
            {"id": 9, "origin_id": -10, "origin_slot": 2, "target_id": 9, "target_slot": 2, "type": ""},
            {"id": 10, "origin_id": 8, "origin_slot": 0, "target_id": 9, "target_slot": 3, "type": "LATENT"},
            {"id": 5, "origin_id": -10, "origin_slot": 3, "target_id": 9, "target_slot": 4, "type": "INT"},
            {"id": 11, "origin_id": 9, "origin_slot": 0, "target_id": -20, "target_slot": 0,
             "type": "LATENT"},
        ]}]},
    }  # fmt: skip
    assert as_api(page)["21"]["inputs"]["samples"] == ["20:9", 0]
    generation = comfyui.read(page)
    assert (generation.prompt, generation.negative_prompt, generation.seed, generation.steps) == (
        "a fox in snow",
        "blurry",
        77,
        30,
    )
    assert generation.loras == (ModelUse("ink-fox.safetensors", weight=0.7),)


@pytest.mark.parametrize(
    ("graph", "reason"),
    [
        ({}, "no node with a class_type"),
        ([], "an object of nodes"),
        ("{", "not JSON"),
        ("[" * 100_000, "nested too deep|not JSON"),
        ({"1": node("GeminiImageNode", prompt="a fox"), "2": node("SaveImage", images=["1", 0])},
         "no known sampler, only GeminiImageNode, SaveImage"),
        ({"1": node("KSampler", seed=1, steps=1, positive=["9", 0])}, "no prompt is linked to the sampler"),
        ({"nodes": [{"id": 1, "type": "KSampler", "widgets_values": [1]}], "links": []},
         "no known sampler"),
    ],
)  # fmt: skip
def test_what_is_no_graph_of_one_picture_is_told(graph: object, reason: str) -> None:
    with pytest.raises(BadInput, match=reason):
        comfyui.read(graph)


def test_links_that_go_round_end() -> None:
    graph = copy.deepcopy(FLUX)
    graph["30"]["inputs"]["model"] = ["31", 0]
    graph["40"]["inputs"]["string"] = ["40", 0]
    graph["27"]["inputs"]["width"] = ["27", 0]
    graph["26"]["inputs"]["conditioning"] = ["26", 0]
    generation = comfyui.read(graph)
    assert generation.prompt == ""
    assert generation.checkpoint == ModelUse("FLUX1\\flux1-dev-Q8_0.gguf")


GARBAGE: tuple[Any, ...] = (
    None, True, -1, 0, 1.5, 2**64, 10**400, math.nan, math.inf, "", "x", "9" * 5000, [], ["1", 0], ["13", 0],
    ["13"], [{}, 0], [[], []], {}, {"lora": None}, {"__value__": [None, {"name": 3}]}, {"content": 5},
    [["1", 0], 0],
)  # fmt: skip


def spoiled(value: Any, chance: random.Random, depth: int = 0) -> Any:
    """The value with some of its parts replaced by garbage."""
    if chance.random() < 0.04:
        return copy.deepcopy(chance.choice(GARBAGE))
    if isinstance(value, dict):
        return {
            (chance.choice(("1", "x", key)) if chance.random() < 0.02 else key): spoiled(
                part, chance, depth + 1
            )
            for key, part in value.items()
            if chance.random() > 0.02
        }
    if isinstance(value, list):
        return [spoiled(part, chance, depth + 1) for part in value if chance.random() > 0.02]
    return value


@pytest.mark.parametrize("seed", range(40))
def test_any_graph_is_a_call_or_a_typed_error(catalog: Catalog, seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(30):
        graph = spoiled(chance.choice((FLUX, CFG, TWO_PASSES, PAGE)), chance)
        for form in (graph, json.dumps(graph)):
            with contextlib.suppress(DiffAgentError):
                recover(comfyui.read(form), catalog)


def test_a_graph_of_many_nodes_is_read_in_little_time() -> None:
    graph = copy.deepcopy(CFG)
    last = "1"
    for number in range(100, 3000):
        graph[str(number)] = node("LoraLoaderModelOnly", lora_name="a", strength_model=1, model=[last, 0])
        last = str(number)
    graph["5"]["inputs"]["model"] = [last, 0]
    assert len(comfyui.read(graph).loras) == 2900
