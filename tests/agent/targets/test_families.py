"""Calls on base models of every kind, on every target: what each takes, and what it refuses beforehand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from families import PAIRS, RUN, call_of, families_catalog
from image_servers import FakeA1111, FakeComfyUI, ImageServer, serving

from diffagent.agent.choosing.scope import ChoiceScope
from diffagent.agent.targets import TABLE as TARGETS
from diffagent.agent.targets import load, parts
from diffagent.agent.targets.civitai import workflow
from diffagent.agent.targets.emitting import emit
from diffagent.agent.targets.fitting import Emitted, Resources
from diffagent.agent.targets.installed_models import read_installed
from diffagent.data.base_models import TABLE, backend, find
from diffagent.data.catalog.catalog import Catalog
from diffagent.data.errors import BadInput
from diffagent.data.metadata import comfyui
from diffagent.data.metadata.generation import recover


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Catalog]:
    opened = families_catalog(tmp_path_factory.mktemp("families") / "families.sqlite")
    yield opened
    opened.close()


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("base_model", RUN)
def test_one_call_on_every_target(base_model: str, target: str, catalog: Catalog) -> None:
    """The call is taken with its usual settings, or the error says which base models are."""
    model, _ = PAIRS[base_model]
    assert load(target).runs_base(base_model) is (target in RUN[base_model].split())
    if target in RUN[base_model].split():
        assert load(target).takes(model)
        emitted = emit(call_of(base_model), target, catalog, nearest=True)
        assert "a fox in the snow" in str(emitted.request)
        assert {"prompt", "width", "height", "sampling_steps"} & {*emitted.reasons} == set()
    else:
        with pytest.raises(BadInput, match=r"is not known to run: choose a model of SD 1\.4, SD 1\.5"):
            emit(call_of(base_model), target, catalog)


def graph(emitted: Emitted) -> dict[str, tuple[str, dict[str, Any]]]:
    """Title → class and inputs; links by title."""
    nodes = emitted.request["prompt"]
    titles = {key: node["_meta"]["title"] for key, node in nodes.items()}

    def named(value: Any) -> Any:
        return f"{titles[value[0]]} {value[1]}" if isinstance(value, list) else value

    return {
        titles[key]: (node["class_type"], {name: named(value) for name, value in node["inputs"].items()})
        for key, node in nodes.items()
    }


def test_comfyui_loads_a_transformer_and_its_parts_apart(catalog: Catalog) -> None:
    emitted = emit(call_of("Flux.1 D", lora=True, width=832, height=1216), "comfyui", catalog)
    assert graph(emitted) == {
        "model": ("UNETLoader", {"unet_name": "flux.1-d.safetensors", "weight_dtype": "default"}),
        "text encoders": (
            "DualCLIPLoader",
            {"clip_name1": "clip_l.safetensors", "clip_name2": "t5xxl_fp16.safetensors", "type": "flux"},
        ),
        "vae": ("VAELoader", {"vae_name": "ae.safetensors"}),
        "lora": (
            "LoraLoader",
            {
                "lora_name": "flux.1-d-strokes.safetensors",
                "strength_model": 0.75,
                "strength_clip": 0.75,
                "model": "model 0",
                "clip": "text encoders 0",
            },
        ),
        "positive": ("CLIPTextEncode", {"text": "a fox in the snow", "clip": "lora 1"}),
        "negative": ("ConditioningZeroOut", {"conditioning": "positive 0"}),
        "guidance": ("FluxGuidance", {"guidance": 3.5, "conditioning": "positive 0"}),
        "latent": ("EmptySD3LatentImage", {"width": 832, "height": 1216, "batch_size": 1}),
        "noise levels": (
            "ModelSamplingFlux",
            {"max_shift": 1.15, "base_shift": 0.5, "width": 832, "height": 1216, "model": "lora 0"},
        ),
        "sampler": (
            "KSampler",
            {
                "seed": 7,
                "steps": 25,
                "cfg": 1.0,
                "sampler_name": "euler",
                "scheduler": "simple",
                "denoise": 1.0,
                "model": "noise levels 0",
                "positive": "guidance 0",
                "negative": "negative 0",
                "latent_image": "latent 0",
            },
        ),
        "image": ("VAEDecode", {"samples": "sampler 0", "vae": "vae 0"}),
        "save": ("SaveImage", {"filename_prefix": "diffagent", "images": "image 0"}),
    }
    assert emitted.not_carried == []


@pytest.mark.parametrize(
    ("base_model", "nodes"),
    [
        ("Qwen", "UNETLoader CLIPLoader VAELoader LoraLoaderModelOnly CLIPTextEncode CLIPTextEncode "
                 "EmptySD3LatentImage ModelSamplingAuraFlow KSampler VAEDecode SaveImage"),
        ("ZImageTurbo", "UNETLoader CLIPLoader VAELoader LoraLoaderModelOnly CLIPTextEncode "
                        "ConditioningZeroOut EmptySD3LatentImage ModelSamplingAuraFlow KSampler VAEDecode "
                        "SaveImage"),
        ("SD 3.5 Large", "CheckpointLoaderSimple TripleCLIPLoader LoraLoader CLIPTextEncode CLIPTextEncode "
                         "EmptySD3LatentImage KSampler VAEDecode SaveImage"),
        ("HiDream", "UNETLoader QuadrupleCLIPLoader VAELoader LoraLoaderModelOnly CLIPTextEncode "
                    "CLIPTextEncode EmptySD3LatentImage ModelSamplingSD3 KSampler VAEDecode SaveImage"),
        ("Flux.2 Klein 9B", "UNETLoader CLIPLoader VAELoader LoraLoaderModelOnly CLIPTextEncode "
                            "ConditioningZeroOut EmptyFlux2LatentImage KSampler VAEDecode SaveImage"),
        ("Lumina", "CheckpointLoaderSimple LoraLoader CLIPTextEncodeLumina2 CLIPTextEncode "
                   "EmptySD3LatentImage ModelSamplingAuraFlow KSampler VAEDecode SaveImage"),
        ("NoobAI v-pred", "CheckpointLoaderSimple LoraLoader CLIPSetLastLayer CLIPTextEncode CLIPTextEncode "
                          "EmptyLatentImage ModelSamplingDiscrete KSampler VAEDecode SaveImage"),
    ],
)  # fmt: skip
def test_comfyui_takes_the_nodes_of_the_base_model(base_model: str, nodes: str, catalog: Catalog) -> None:
    request = emit(call_of(base_model, lora=True), "comfyui", catalog).request
    assert [node["class_type"] for node in request["prompt"].values()] == nodes.split()


def test_comfyui_validates_the_graph_of_every_base_model(catalog: Catalog, tmp_path: Path) -> None:
    """By a stand-in with the inputs and types of ComfyUI 0.33."""
    rows = [row for row in TABLE if row.name in PAIRS and backend(row.name, "comfyui")]
    assert len(rows) >= 45
    server = that_has(
        FakeComfyUI(),
        checkpoints=[f"sub/{PAIRS[row.name][0].file_name}" for row in rows if is_whole(row.name)],
        transformers=[str(PAIRS[row.name][0].file_name) for row in rows if not is_whole(row.name)],
        loras=[str(PAIRS[row.name][1].file_name) for row in rows],
        text_encoders=sorted({str(part.file) for row in rows for part in parts.of_role(row, "text encoder")}),
        vaes=sorted({str(part.file) for row in rows for part in parts.of_role(row, "vae") if part.file}),
        samplers=["euler", "euler_ancestral", "dpmpp_2m", "dpmpp_sde", "ddim", "ddpm", "lcm", "uni_pc"],
        schedules=["normal", "karras", "ddim_uniform", "simple", "sgm_uniform", "beta"],
    )
    with serving(server) as url:
        there = read_installed("comfyui", url, catalog, cache=tmp_path)
    assert there.lacking == {}
    for row in rows:
        for lora in (False, True):
            emitted = emit(
                call_of(row.name, lora=lora), "comfyui", catalog, names=there.names, files=there.files
            )
            nodes = emitted.request["prompt"]
            assert [fault for node in nodes.values() for fault in server.errors(node, nodes)] == []


def that_has(server: ImageServer, **values: Any) -> Any:
    """A stand-in with other files and settings than usual."""
    for name, value in values.items():
        setattr(server, name, value)
    return server


def is_whole(base_model: str) -> bool:
    row = find(base_model)
    own_vae = any(part.file is None for part in parts.of_role(row, "vae"))
    return backend(base_model, "comfyui") == "checkpoint" or own_vae


def installed(server: ImageServer, target: str, catalog: Catalog, folder: Path) -> Any:
    with serving(server) as url:
        return read_installed(target, url, catalog, cache=folder)


def test_a_servers_parts_are_used_by_its_own_names(catalog: Catalog, tmp_path: Path) -> None:
    server = that_has(
        FakeComfyUI(),
        transformers=["flux/flux.1-d.safetensors"],
        text_encoders=["clip_l.safetensors", "sd3\\t5xxl_fp8_e4m3fn.safetensors"],
        vaes=["flux/ae.safetensors"],
    )
    there = installed(server, "comfyui", catalog, tmp_path)
    nodes = graph(emit(call_of("Flux.1 D"), "comfyui", catalog, names=there.names, files=there.files))
    assert nodes["model"][1]["unet_name"] == "flux/flux.1-d.safetensors"
    assert nodes["text encoders"][1]["clip_name2"] == "sd3\\t5xxl_fp8_e4m3fn.safetensors"
    assert nodes["vae"][1]["vae_name"] == "flux/ae.safetensors"


def test_a_model_without_its_parts_is_not_there(catalog: Catalog, tmp_path: Path) -> None:
    server = that_has(
        FakeComfyUI(), transformers=["flux.1-d.safetensors"], text_encoders=["clip_l.safetensors"]
    )
    with serving(server) as url, pytest.raises(BadInput, match="none of which is in the catalog"):
        read_installed("comfyui", url, catalog, cache=tmp_path)
    server = that_has(
        FakeComfyUI(),
        transformers=["flux.1-d.safetensors"],
        text_encoders=["clip_l.safetensors"],
        checkpoints=["sd-1.5.safetensors"],
    )
    there = installed(server, "comfyui", catalog, tmp_path)
    flux, plain = PAIRS["Flux.1 D"][0], PAIRS["SD 1.5"][0]
    assert set(there.names) == {plain.air}
    with pytest.raises(BadInput, match=r"t5xxl_fp16.safetensors in text_encoders; ae.safetensors in vae"):
        there.check_present(Resources(flux))
    with pytest.raises(BadInput, match=r"t5xxl_fp16.safetensors in text_encoders; ae.safetensors in vae"):
        emit(call_of("Flux.1 D"), "comfyui", catalog, names=there.names, files=there.files)


def test_a_whole_file_among_the_checkpoints_brings_its_parts(catalog: Catalog, tmp_path: Path) -> None:
    there = installed(
        that_has(FakeComfyUI(), checkpoints=["flux.1-d.safetensors"]), "comfyui", catalog, tmp_path
    )
    nodes = graph(emit(call_of("Flux.1 D"), "comfyui", catalog, names=there.names, files=there.files))
    assert nodes["checkpoint"] == ("CheckpointLoaderSimple", {"ckpt_name": "flux.1-d.safetensors"})
    assert (nodes["positive"][1]["clip"], nodes["image"][1]["vae"]) == ("checkpoint 1", "checkpoint 2")
    assert not {"text encoders", "vae"} & set(nodes)


def test_gguf_files_have_loaders_of_their_own(tmp_path: Path) -> None:
    card = replace(PAIRS["Qwen"][0], file_name="qwen-Q4_K_M.gguf")
    with Catalog.create(tmp_path / "c.sqlite") as new_catalog:
        new_catalog.add([card])
    catalog = Catalog.open(tmp_path / "c.sqlite")
    server = that_has(
        FakeComfyUI(),
        ggufs=["qwen-Q4_K_M.gguf"],
        text_encoders=["qwen_2.5_vl_7b-Q8_0.gguf"],
        vaes=["qwen_image_vae.safetensors"],
    )
    there = installed(server, "comfyui", catalog, tmp_path)
    nodes = graph(emit(call_of("Qwen"), "comfyui", catalog, names=there.names, files=there.files))
    assert nodes["model"] == ("UnetLoaderGGUF", {"unet_name": "qwen-Q4_K_M.gguf"})
    assert nodes["text encoders"] == (
        "CLIPLoaderGGUF",
        {"clip_name": "qwen_2.5_vl_7b-Q8_0.gguf", "type": "qwen_image"},
    )
    for target in TARGETS:
        loads = target in ("comfyui", "a1111")
        assert load(target).takes(card) is (loads and load(target).runs_base("Qwen"))
        if not loads and load(target).runs_base("Qwen"):
            with pytest.raises(BadInput, match=r"is a GGUF file, .* a target that does \(a1111, comfyui\)"):
                emit(call_of("Qwen"), target, catalog)
    catalog.close()


@pytest.mark.parametrize("lists", [{"ggufs": ["sdxl-1.0.gguf"]}, {"transformers": ["sdxl-1.0.safetensors"]}])
def test_what_comfyui_loads_whole_is_not_there_as_a_part(lists: dict[str, list[str]], tmp_path: Path) -> None:
    (file,) = next(iter(lists.values()))
    card = replace(PAIRS["SDXL 1.0"][0], file_name=file)
    other = replace(PAIRS["SD 1.5"][0], file_name="whole.safetensors")
    with Catalog.create(tmp_path / "c.sqlite") as new_catalog:
        new_catalog.add([card, other])
    with Catalog.open(tmp_path / "c.sqlite") as catalog:
        there = installed(
            that_has(FakeComfyUI(), checkpoints=["whole.safetensors"], **lists), "comfyui", catalog, tmp_path
        )
    assert there.names == {other.air: "whole.safetensors"}
    assert there.lacking == {
        card.air: ("text encoders and a VAE: SDXL 1.0 is loaded from checkpoints alone",)
    }


def test_what_a_base_model_does_not_read_is_said(catalog: Catalog) -> None:
    call = call_of("ZImageTurbo", negative_prompt="blurry", clip_skip=2)
    for target in ("comfyui", "a1111", "horde"):
        reasons = emit(call, target, catalog, nearest=True).reasons
        assert reasons["negative_prompt"] == "ZImageTurbo reads none"
        assert reasons["clip_skip"] == "ZImageTurbo has no clip skip"


FORGE = {"forge_additional_modules": [], "forge_preset": "flux"}
NEO = FORGE | {"klein_t2i_width": 1024}


def test_the_choice_is_among_what_a_target_runs() -> None:
    checkpoints = [PAIRS[name][0] for name in RUN]
    for target in TARGETS:
        allowed = {card.base_model for card in checkpoints if ChoiceScope(target=target).allows(card)}
        assert allowed == {name for name, able in RUN.items() if target in able.split()}


def test_forge_takes_modules_and_distilled_guidance(catalog: Catalog, tmp_path: Path) -> None:
    request = emit(call_of("Flux.1 D", negative_prompt=""), "a1111", catalog).request
    assert request["override_settings"] == {
        "sd_model_checkpoint": "flux.1-d.safetensors",
        "forge_additional_modules": ["clip_l.safetensors", "t5xxl_fp16.safetensors", "ae.safetensors"],
    }
    assert (request["distilled_cfg_scale"], request["cfg_scale"]) == (3.5, 1.0)
    assert (request["sampler_name"], request["scheduler"]) == ("Euler", "Simple")
    server = that_has(
        FakeA1111(),
        checkpoints=(("flux.1-d.safetensors", PAIRS["Flux.1 D"][0].sha256),),
        options=FORGE,
        modules=["VAE/ae.safetensors", "te/clip_l.safetensors", "te/t5xxl_fp8_e4m3fn.safetensors"],
    )
    there = installed(server, "a1111", catalog, tmp_path)
    emitted = emit(call_of("Flux.1 D"), "a1111", catalog, names=there.names, files=there.files)
    assert emitted.request["override_settings"]["forge_additional_modules"] == [
        "/m/te/clip_l.safetensors",
        "/m/te/t5xxl_fp8_e4m3fn.safetensors",
        "/m/VAE/ae.safetensors",
    ]


@pytest.mark.parametrize(
    ("options", "modules", "base_model", "says"),
    [
        ({}, None, "Flux.1 D", "Forge in place of A1111"),
        (
            FORGE,
            ["clip_l.safetensors", "ae.safetensors"],
            "Flux.1 D",
            r"\(t5xxl_fp16.safetensors in text_enc",
        ),
        (FORGE, [], "Flux.1 D", r"\(clip_l.safetensors in text_encoders; t5xxl_fp16"),
        (FORGE, ["qwen_3_4b.safetensors", "ae.safetensors"], "ZImageTurbo", "Forge Neo in place of Forge"),
        (NEO, ["qwen_3_4b.safetensors", "ae.safetensors"], "ZImageTurbo", None),
    ],
)
def test_what_a_web_ui_does_not_run_is_said_beforehand(
    options: dict[str, Any],
    modules: list[str] | None,
    base_model: str,
    says: str | None,
    catalog: Catalog,
    tmp_path: Path,
) -> None:
    model, plain = PAIRS[base_model][0], PAIRS["SD 1.5"][0]
    checkpoints = ((f"{model.file_name}", model.sha256), (f"{plain.file_name}", plain.sha256))
    server = that_has(FakeA1111(), checkpoints=checkpoints, options=options, modules=modules)
    there = installed(server, "a1111", catalog, tmp_path)
    assert plain.air in there.names
    if says is None:
        assert model.air in there.names
    else:
        assert model.air not in there.names
        with pytest.raises(BadInput, match=says):
            there.check_present(Resources(model))


@pytest.mark.parametrize(
    ("base_model", "step"),
    [
        ("Flux.1 D", {
            "engine": "comfy", "ecosystem": "flux1", "steps": 25, "cfgScale": 3.5, "sampler": "euler",
            "scheduler": "simple", "model": PAIRS["Flux.1 D"][0].air,
        }),
        ("ZImageTurbo", {
            "engine": "sdcpp", "ecosystem": "zImage", "model": "turbo", "steps": 9, "cfgScale": 1.0,
            "sampleMethod": "euler", "schedule": "simple",
        }),
        ("Qwen", {
            "engine": "sdcpp", "ecosystem": "qwen", "model": "20b", "steps": 25, "cfgScale": 3.5,
            "sampleMethod": "euler", "schedule": "simple", "negativePrompt": "blurry",
        }),
        ("Flux.2 Klein 9B", {
            "engine": "flux2", "model": "klein", "modelVersion": "9b", "steps": 4, "cfgScale": 1.0,
            "sampleMethod": "euler", "schedule": "simple",
        }),
        ("Anima", {
            "engine": "sdcpp", "ecosystem": "anima", "steps": 30, "cfgScale": 4.0, "sampleMethod": "euler_a",
            "schedule": "simple", "negativePrompt": "blurry",
        }),
    ],
)  # fmt: skip
def test_civitai_has_a_recipe_for_each(base_model: str, step: dict[str, Any], catalog: Catalog) -> None:
    call = call_of(base_model, width=1216, height=832)
    request = emit(call, "civitai", catalog).request
    common = {"operation": "createImage", "prompt": "a fox in the snow", "width": 1216, "height": 832,
              "quantity": 1, "seed": 7}  # fmt: skip
    assert request == {
        "steps": [{"$type": "imageGen", "input": common | step}], "allowMatureContent": False
    }  # fmt: skip
    assert workflow(request) == request


def test_civitais_flux2_names_its_fields_otherwise(catalog: Catalog) -> None:
    emitted = emit(call_of("Flux.2 D", lora=True), "civitai", catalog)
    step = emitted.request["steps"][0]["input"]
    assert (step["guidanceScale"], step["numInferenceSteps"]) == (3.5, 25)
    assert step["loras"] == [{"air": PAIRS["Flux.2 D"][1].air, "strength": 0.75}]
    assert set(emitted.not_carried) == {"sampling_method", "scheduler"}


def test_civitai_runs_other_models_of_such_a_recipe_as_loras_alone(tmp_path: Path) -> None:
    model, lora = PAIRS["ZImageTurbo"]
    other = replace(model, air="urn:air:zimageturbo:checkpoint:civitai:1@2", model_id=1, version_id=2)
    assert load("civitai").takes(model)
    assert load("civitai").takes(lora)
    assert not load("civitai").takes(other)
    with Catalog.create(tmp_path / "c.sqlite") as new_catalog:
        new_catalog.add([other, lora])
    catalog = Catalog.open(tmp_path / "c.sqlite")
    with pytest.raises(BadInput, match="Civitai runs only its own ZImageTurbo model"):
        emit(call_of("ZImageTurbo", air=other.air), "civitai", catalog)
    carried = emit(call_of("ZImageTurbo", lora=True, base_checkpoint=other.air), "civitai", catalog)
    assert carried.request["steps"][0]["input"]["loras"] == {lora.air: 0.75}
    assert carried.not_carried == ["base_checkpoint"]
    catalog.close()


def test_civitais_sides_are_multiples_of_16(catalog: Catalog) -> None:
    with pytest.raises(
        BadInput, match=r"width is 712, but Civitai's sides .* steps of 16; the nearest is 720"
    ):
        emit(call_of("SD 1.5", width=712, height=512), "civitai", catalog)


def test_horde_keeps_a_flow_models_own_schedule(catalog: Catalog) -> None:
    emitted = emit(call_of("Flux.1 D", width=1216, height=832), "horde", catalog)
    params = emitted.request["params"]
    assert (params["sampler_name"], params["karras"], params["cfg_scale"]) == ("k_euler", False, 1.0)
    assert "clip_skip" not in params
    assert emitted.request["models"] == ["Horde Flux.1 D"]
    assert emitted.not_carried == ["guidance"]


def test_diffusers_loads_a_transformer_beside_its_repository(catalog: Catalog) -> None:
    request = emit(call_of("Flux.1 D", lora=True), "diffusers", catalog).request
    assert {name: request[name] for name in ("pipeline", "repository", "transformer", "dtype")} == {
        "pipeline": "FluxPipeline",
        "repository": "black-forest-labs/FLUX.1-dev",
        "transformer": "FluxTransformer2DModel",
        "dtype": "bfloat16",
    }
    assert request["scheduler"] == {"class": "FlowMatchEulerDiscreteScheduler", "kwargs": {}}
    assert (request["kwargs"]["guidance_scale"], request["kwargs"]["true_cfg_scale"]) == (3.5, 1.0)
    assert "negative_prompt" not in request["kwargs"]
    compile(request["snippet"], "snippet", "exec")
    turbo = emit(call_of("ZImageTurbo"), "diffusers", catalog).request["kwargs"]
    assert turbo["guidance_scale"] == 0.0
    for name, scale in (("ZImageBase", 3.0), ("Krea 2", 2.5)):  # pred + scale * (pred - negative)
        assert emit(call_of(name), "diffusers", catalog).request["kwargs"]["guidance_scale"] == scale
    qwen = emit(call_of("Qwen"), "diffusers", catalog).request["kwargs"]
    assert (qwen["true_cfg_scale"], qwen["negative_prompt"]) == (3.5, "blurry")


READ_BACK = [row.name for row in TABLE if row.name in PAIRS and backend(row.name, "comfyui")]


@pytest.mark.parametrize("base_model", READ_BACK)
def test_a_graph_of_parts_is_read_back_as_the_same_call(base_model: str, catalog: Catalog) -> None:
    call = call_of(base_model, lora=True)
    copy = recover(comfyui.read(emit(call, "comfyui", catalog).request["prompt"]), catalog).call
    if call.scheduler == "Normal":  # ComfyUI's own
        call = call.model_copy(update={"scheduler": None})
    assert copy == call
