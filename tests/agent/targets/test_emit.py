"""Emitters on hand-written calls: each request in full, and what is refused, replaced or reported."""

from __future__ import annotations

import ast
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from target_calls import AURORA, BASALT, GRAND_XL, INK_FOX, PICKLED, call_of

from diffagent.agent.targets import TARGETS
from diffagent.agent.targets.civitai import workflow
from diffagent.agent.targets.emitting import emit, offers
from diffagent.data.catalog.catalog import Catalog
from diffagent.data.errors import BadInput, UnknownModel
from diffagent.data.samplers import Sampler


def test_the_call_itself_is_a_target(catalog: Catalog) -> None:
    emitted = emit(call_of(INK_FOX), "diffagent", catalog)
    assert emitted.request == call_of(INK_FOX).model_dump()
    assert emitted.not_carried == []


def test_a1111(catalog: Catalog) -> None:
    emitted = emit(call_of(INK_FOX), "a1111", catalog)
    assert emitted.request == {
        "prompt": "a fox in the snow <lora:ink-fox:0.75>",
        "negative_prompt": "blurry, lowres",
        "seed": 7,
        "sampler_name": "DPM++ 2M",
        "scheduler": "Karras",
        "steps": 24,
        "cfg_scale": 6.5,
        "width": 512,
        "height": 768,
        "batch_size": 1,
        "n_iter": 1,
        "override_settings": {"sd_model_checkpoint": "aurora_v2.safetensors", "CLIP_stop_at_last_layers": 2},
        "send_images": True,
    }
    assert emitted.not_carried == []


@pytest.mark.parametrize(
    ("sampler", "spelled"),
    [
        ("DPM++ 2M", ("DPM++ 2M", "Uniform")),  # A1111's "Automatic" would make it Karras
        ("Euler a", ("Euler a", "Uniform")),
        ("DDIM", ("DDIM", "Automatic")),
        ("DPM2 a Karras", ("DPM2 a", "Karras")),
    ],
)
def test_a1111_keeps_sampler_and_schedule_apart(
    catalog: Catalog, sampler: str, spelled: tuple[str, str]
) -> None:
    request = emit(call_of(AURORA, sampler=sampler, seed=None), "a1111", catalog).request
    assert (request["sampler_name"], request["scheduler"]) == spelled
    assert request["seed"] == -1
    assert request["prompt"] == "a fox in the snow"


def test_comfyui_graph_with_lora_and_clip_skip(catalog: Catalog) -> None:
    emitted = emit(call_of(INK_FOX), "comfyui", catalog)
    graph = emitted.request["prompt"]
    bare = {key: (node["class_type"], node["inputs"]) for key, node in graph.items()}
    assert bare == {
        "1": ("CheckpointLoaderSimple", {"ckpt_name": "aurora_v2.safetensors"}),
        "2": (
            "LoraLoader",
            {
                "lora_name": "ink-fox.safetensors",
                "strength_model": 0.75,
                "strength_clip": 0.75,
                "model": ["1", 0],
                "clip": ["1", 1],
            },
        ),
        "3": ("CLIPSetLastLayer", {"stop_at_clip_layer": -2, "clip": ["2", 1]}),
        "4": ("CLIPTextEncode", {"text": "a fox in the snow", "clip": ["3", 0]}),
        "5": ("CLIPTextEncode", {"text": "blurry, lowres", "clip": ["3", 0]}),
        "6": ("EmptyLatentImage", {"width": 512, "height": 768, "batch_size": 1}),
        "7": (
            "KSampler",
            {
                "seed": 7,
                "steps": 24,
                "cfg": 6.5,
                "sampler_name": "dpmpp_2m",
                "scheduler": "karras",
                "denoise": 1.0,
                "model": ["2", 0],
                "positive": ["4", 0],
                "negative": ["5", 0],
                "latent_image": ["6", 0],
            },
        ),
        "8": ("VAEDecode", {"samples": ["7", 0], "vae": ["1", 2]}),
        "9": ("SaveImage", {"filename_prefix": "diffagent", "images": ["8", 0]}),
    }
    assert emitted.not_carried == []


def test_comfyui_graph_without_them_links_the_checkpoint(catalog: Catalog) -> None:
    emitted = emit(call_of(GRAND_XL, clip_skip=None, seed=None), "comfyui", catalog)
    graph = {node["_meta"]["title"]: node["inputs"] for node in emitted.request["prompt"].values()}
    assert graph["checkpoint"]["ckpt_name"] == "sub/grandXL.safetensors"
    assert (graph["positive"]["clip"], graph["sampler"]["model"]) == (["1", 1], ["1", 0])
    assert graph["sampler"]["seed"] == 0
    assert emitted.not_carried == ["seed"]


def test_horde(catalog: Catalog) -> None:
    emitted = emit(call_of(INK_FOX), "horde", catalog)
    assert emitted.request == {
        "prompt": "a fox in the snow ### blurry, lowres",
        "models": ["Aurora Horde"],
        "params": {
            "sampler_name": "k_dpmpp_2m",
            "karras": True,
            "cfg_scale": 6.5,
            "steps": 24,
            "width": 512,
            "height": 768,
            "n": 1,
            "seed": "7",
            "clip_skip": 2,
            "loras": [{"name": "32", "is_version": True, "model": 0.75, "clip": 0.75}],
        },
        "nsfw": False,
        "censor_nsfw": True,
        "r2": True,
        "dry_run": False,
    }
    assert emitted.not_carried == []
    assert emit(call_of(PICKLED, prompt="x", negative_prompt=""), "horde", catalog).request["models"] == [
        "Pickled One"
    ]


def test_civitai_and_the_workflow_that_runs_it(catalog: Catalog) -> None:
    emitted = emit(call_of(INK_FOX), "civitai", catalog)
    assert emitted.request == {
        "model": AURORA.air,
        "params": {
            "prompt": "a fox in the snow",
            "negativePrompt": "blurry, lowres",
            "scheduler": "DPM2MKarras",
            "steps": 24,
            "cfgScale": 6.5,
            "width": 512,
            "height": 768,
            "seed": 7,
            "clipSkip": 2,
        },
        "additionalNetworks": {INK_FOX.air: {"strength": 0.75}},
    }
    assert workflow(emitted.request)["steps"] == [
        {
            "$type": "imageGen",
            "input": {
                "engine": "comfy",
                "ecosystem": "sd1",
                "operation": "createImage",
                "model": AURORA.air,
                "prompt": "a fox in the snow",
                "negativePrompt": "blurry, lowres",
                "steps": 24,
                "cfgScale": 6.5,
                "width": 512,
                "height": 768,
                "seed": 7,
                "clipSkip": 2,
                "sampler": "dpmpp_2m",
                "scheduler": "karras",
                "quantity": 1,
                "loras": {INK_FOX.air: 0.75},
            },
        }
    ]


def test_openai_reports_what_it_has_no_field_for(catalog: Catalog) -> None:
    emitted = emit(call_of(INK_FOX), "openai", catalog)
    assert emitted.request == {
        "model": "Aurora",
        "prompt": "a fox in the snow",
        "n": 1,
        "size": "512x768",
        "response_format": "b64_json",
        "num_inference_steps": 24,
        "guidance_scale": 6.5,
        "negative_prompt": "blurry, lowres",
        "seed": 7,
    }
    assert emitted.not_carried == ["sampling_method", "scheduler", "clip_skip", "air", "loras"]


def test_diffusers_keyword_arguments_and_a_script(catalog: Catalog) -> None:
    request = emit(call_of(INK_FOX), "diffusers", catalog).request
    assert request["pipeline"] == "StableDiffusionPipeline"
    assert request["scheduler"] == {
        "class": "DPMSolverMultistepScheduler",
        "kwargs": {"use_karras_sigmas": True},
    }
    assert request["kwargs"]["clip_skip"] == 1  # diffusers counts from 0
    assert [lora["weight"] for lora in request["loras"]] == [0.75]
    assert request["checkpoint"]["url"] == "https://civitai.com/api/download/models/12"
    names = {node.id for node in ast.walk(ast.parse(request["snippet"])) if isinstance(node, ast.Name)}
    assert {"StableDiffusionPipeline", "DPMSolverMultistepScheduler", "generator"} <= names
    assert ".manual_seed(7)" in request["snippet"]


@pytest.mark.parametrize(("skip", "expected"), [(None, None), (1, None), (2, None), (3, 1), (12, 10)])
def test_sdxl_stops_at_the_last_layer_but_one(
    catalog: Catalog, skip: int | None, expected: int | None
) -> None:
    emitted = emit(call_of(GRAND_XL, clip_skip=skip), "diffusers", catalog)
    assert emitted.request["pipeline"] == "StableDiffusionXLPipeline"
    assert emitted.request["kwargs"].get("clip_skip") == expected
    assert emitted.not_carried == (["clip_skip"] if skip == 1 else [])


@pytest.mark.parametrize("target", sorted(set(TARGETS) - {"diffagent", "openai"}))
@pytest.mark.parametrize("base_model", ["Other", "Toy DiT"])
def test_a_base_model_that_a_target_is_not_known_to_run_is_an_error(
    tmp_path: Path, target: str, base_model: str
) -> None:
    card = replace(AURORA, name="Toy", base_model=base_model, air="urn:air:other:checkpoint:civitai:1@2")
    with Catalog.create(tmp_path / "catalog.sqlite") as catalog:
        catalog.add([card])
        with pytest.raises(BadInput, match=f"Toy is {base_model}, which .* is not known to run.*SD 1.5"):
            emit(call_of(card), target, catalog)
        assert not offers(target, card)
        assert emit(call_of(card), "diffagent", catalog).call.base_model == base_model


REFUSED: list[tuple[str, dict[str, Any], str, str, Any]] = [
    ("comfyui", {"sampler": "PLMS"}, "sampling_method", "LMS", "lms"),
    ("horde", {"sampler": "DPM++ 2M SDE Karras"},
     "sampling_method", "DPM++ SDE Karras", "k_dpmpp_sde"),
    ("civitai", {"sampler": "DPM++ 2M SDE Karras"},
     "sampling_method", "DPM++ SDE Karras", "DPMSDEKarras"),
    ("diffusers", {"sampler": "DPM++ 2S a"}, "sampling_method", "DPM++ 2M", "DPMSolverMultistep"),
    ("horde", {"sampler": "Euler Exponential"}, "scheduler", "Euler Karras", "k_euler"),
    ("comfyui", {"sampler": "Restart Align Your Steps"}, "sampling_method", "Heun Karras", "heun"),
    ("a1111", {"sampler": "Exp Heun 2 X0 Beta"}, "sampling_method", "Heun Beta", "Heun"),
    ("comfyui", {"sampler": "Res 2S Bong Tangent"}, "sampling_method", "Heun Beta", "heun"),
    ("diffusers", {"sampler": "Euler a Karras"}, "scheduler", "Euler a", "EulerAncestral"),
    ("horde", {"width": 520}, "width", "512", "512"),
    ("horde", {"height": 744}, "height", "768", "768"),
    ("openai", {"cfg_scale": 30.0}, "cfg_scale", "20", "20"),
]  # fmt: skip


@pytest.mark.parametrize(("target", "fields", "name", "near", "spelled"), REFUSED)
def test_what_a_target_lacks_is_refused_or_replaced_with_a_reason(
    catalog: Catalog, target: str, fields: dict[str, Any], name: str, near: str, spelled: str
) -> None:
    call = call_of(AURORA, **fields)
    with pytest.raises(BadInput, match=f"{name} is .*the nearest is {re.escape(near)}") as refused:
        emit(call, target, catalog)
    assert refused.value.hint == "pass --nearest to use it"
    emitted = emit(call, target, catalog, nearest=True)
    assert f"{near}" in emitted.reasons[name]
    assert str(next(iter(fields.values()))) in emitted.reasons[name]
    assert spelled in str(emitted.request)


def test_a_lora_moves_to_a_checkpoint_that_the_target_has(catalog: Catalog) -> None:
    call = call_of(INK_FOX, base=BASALT)
    with pytest.raises(BadInput, match=f"base_checkpoint is {BASALT.air}.*{AURORA.air}"):
        emit(call, "horde", catalog)
    emitted = emit(call, "horde", catalog, nearest=True)
    assert emitted.request["models"] == ["Aurora Horde"]
    assert emitted.not_carried == ["base_checkpoint"]


@pytest.mark.parametrize("target", [name for name in TARGETS if name not in ("diffagent", "horde")])
def test_pickles_go_to_horde_alone(catalog: Catalog, target: str) -> None:
    with pytest.raises(BadInput, match=r"\.ckpt"):
        emit(call_of(PICKLED), target, catalog)
    assert not offers(target, PICKLED)
    assert offers("horde", PICKLED)


def test_models_that_a_target_cannot_run_are_refused(catalog: Catalog) -> None:
    with pytest.raises(BadInput, match="Basalt is not among the models that AI Horde lists"):
        emit(call_of(BASALT), "horde", catalog)
    unknown = call_of(BASALT, air="urn:air:sd1:checkpoint:civitai:1@2", model="No")
    with pytest.raises(UnknownModel, match="1@2"):
        emit(unknown, "a1111", catalog)
    with pytest.raises(BadInput, match="unknown target 'midjourney'"):
        emit(call_of(BASALT), "midjourney", catalog)


def test_a_prompt_that_horde_would_split_is_refused(catalog: Catalog) -> None:
    with pytest.raises(BadInput, match="###"):
        emit(call_of(AURORA, prompt="a ### b"), "horde", catalog)


@pytest.mark.parametrize("target", ["openai", "diffusers"])
def test_emphasis_that_is_read_as_text_is_reported(catalog: Catalog, target: str) -> None:
    assert "prompt" in emit(call_of(AURORA, prompt="a (fox:1.2)"), target, catalog).not_carried


def test_a_servers_own_names_are_used(catalog: Catalog) -> None:
    names = {AURORA.air: "sd15/Aurora Final.safetensors", INK_FOX.air: "styles/inkfox2.safetensors"}
    a1111 = emit(call_of(INK_FOX), "a1111", catalog, names=names).request
    assert a1111["override_settings"]["sd_model_checkpoint"] == "sd15/Aurora Final.safetensors"
    assert a1111["prompt"].endswith("<lora:inkfox2:0.75>")
    graph = emit(call_of(INK_FOX), "comfyui", catalog, names=names).request["prompt"]
    assert graph["2"]["inputs"]["lora_name"] == "styles/inkfox2.safetensors"


def test_a_servers_own_samplers_are_all_there_is(catalog: Catalog) -> None:
    with pytest.raises(BadInput, match="the nearest is Euler"):
        emit(call_of(AURORA), "comfyui", catalog, known_samplers=(Sampler("Euler"), Sampler("LCM")))


PLAIN, WEIGHTS, OWN = ("openai", "diffusers"), ("horde", "civitai"), ("comfyui",)


@pytest.mark.parametrize(
    ("prompt", "by", "shown"),
    [
        ("a fox <lora:ink:0.8> AND snow", (*PLAIN, *WEIGHTS, *OWN), "A1111's <lora:ink:0.8>, AND"),
        ("<LyCo:ink> a fox", (*PLAIN, *WEIGHTS, *OWN), "A1111's <LyCo:ink>"),
        ("a fox BREAK, snow", (*PLAIN, *WEIGHTS, *OWN), "A1111's BREAK"),
        ("a [red:blue:0.5] fox", (*PLAIN, *WEIGHTS, *OWN), "A1111's [red:blue:0.5]"),
        ("a (red:1.2) fox", PLAIN, "the emphasis of (red:1.2)"),
        ("a fox, embedding:easy.pt", (*PLAIN, *WEIGHTS, "a1111"), "ComfyUI's embedding:easy.pt"),
        ("a {red|blue} fox, __place__", (*PLAIN, *WEIGHTS, *OWN, "a1111"), "{red|blue}, __place__ is drawn"),
        (r"HANDS AND\nFEET", (), ""),
        (r"a fox \(animal\), \[x\], BREAKFAST, band and break, a_b {x}", (), ""),
    ],
)
def test_syntax_that_a_target_reads_as_words_is_told(
    prompt: str, by: tuple[str, ...], shown: str, catalog: Catalog
) -> None:
    call = call_of(AURORA, height=704).model_copy(update={"prompt": prompt})
    for target in (*PLAIN, *WEIGHTS, *OWN, "a1111"):
        reasons = emit(call, target, catalog).reasons
        if target in by:
            assert shown in reasons["prompt"], target
        else:
            assert "prompt" not in reasons, target


@pytest.mark.parametrize(("skip", "layer"), [(1, None), (2, -2), (3, -3)])
def test_comfyui_stops_at_no_later_layer_than_the_base_model_was_trained_on(
    skip: int, layer: int | None, catalog: Catalog
) -> None:
    """SDXL reads the last layer but one; A1111 and Forge go no further either."""
    emitted = emit(call_of(GRAND_XL, clip_skip=skip), "comfyui", catalog)
    nodes = [
        node["inputs"]
        for node in emitted.request["prompt"].values()
        if "stop_at_clip_layer" in node["inputs"]
    ]
    assert [inputs["stop_at_clip_layer"] for inputs in nodes] == ([] if layer is None else [layer])
    assert emitted.not_carried == (["clip_skip"] if layer is None else [])
    first = emit(call_of(AURORA, clip_skip=1), "comfyui", catalog)
    assert first.not_carried == []


def test_prompts_that_are_surely_too_long_are_told_where_nobody_takes_chunks(catalog: Catalog) -> None:
    short, long = (call_of(AURORA, prompt=", ".join(["fox"] * number)) for number in (38, 39))
    assert "prompt" not in emit(short, "openai", catalog).reasons  # 75 words and commas
    assert emit(long, "openai", catalog).reasons["prompt"] == "a server may read no more than 75 tokens of it"
    both = call_of(AURORA, prompt=", ".join(["(fox)"] * 39))
    assert "of it; OpenAI's images API reads the emphasis" in emit(both, "openai", catalog).reasons["prompt"]
    scripts = [emit(call, "diffusers", catalog).request["snippet"] for call in (short, long)]
    assert ["75 tokens are read here" in script for script in scripts] == [False, True]
    compile(scripts[1], "script", "exec")
