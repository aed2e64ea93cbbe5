"""What a target's own metadata says of an image is read back as the call that made it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from target_calls import AURORA, BASALT, CARDS, CHALK_OWL, GRAND_XL, INK_FOX, call_of

from diffagent.agent.asking.wishes import wishes
from diffagent.agent.targets import infotext, load
from diffagent.agent.targets.civitai import workflow
from diffagent.agent.targets.emitting import emit
from diffagent.agent.targets.fitting import Resources
from diffagent.data.catalog.catalog import Catalog
from diffagent.data.errors import BadInput, UnknownModel
from diffagent.data.metadata import comfyui
from diffagent.data.metadata.generation import recover
from diffagent.data.metadata.infotext import read
from diffagent.data.records import T2ICall
from diffagent.data.samplers import ALL_SAMPLERS, Sampler, join

WORDS = ("a fox", "(snow:1.2)", "[dusk]", "château 🏰", 'say "hi"', "BREAK", "50% off", "x: y", "a\nb",
         "1024x768", "Steps", "sampler: Euler", "\\(round\\)", "--ar 3:2", "seed 5",
         "<lora:", "{a|b}")  # fmt: skip


def read_text(text: str, catalog: Catalog) -> T2ICall:
    return recover(read(text), catalog).call


def read_graph(graph: object, catalog: Catalog) -> T2ICall:
    return recover(comfyui.read(graph), catalog).call


texts = st.lists(st.sampled_from(WORDS), min_size=1, max_size=6).map(", ".join)


@st.composite
def calls(draw: st.DrawFn, samplers: tuple[Sampler, ...] = ALL_SAMPLERS) -> T2ICall:
    card = draw(st.sampled_from((AURORA, BASALT, GRAND_XL, INK_FOX, CHALK_OWL)))
    other = CHALK_OWL if card is INK_FOX else INK_FOX
    weights = st.floats(-2, 2)
    return call_of(
        card,
        base=draw(st.sampled_from((AURORA, BASALT))),
        width=draw(st.integers(8, 512)) * 8,
        height=draw(st.integers(8, 512)) * 8,
        sampler=draw(st.sampled_from(samplers)),
        sampling_steps=draw(st.integers(1, 150)),
        cfg_scale=draw(st.floats(1, 30, allow_nan=False)),
        prompt=draw(texts),
        negative_prompt=draw(st.just("") | texts),
        clip_skip=draw(st.none() | st.integers(1, 12)),
        seed=draw(st.integers(0, 2**64 - 1)),
        guidance=draw(st.none() | st.floats(0, 30)),
        weight=draw(weights),
        more=draw(st.lists(st.tuples(st.just(other), weights), max_size=1)),
    )


@settings(deadline=None, max_examples=150)
@given(call=calls())
def test_our_infotext_is_read_back_as_the_same_call(catalog: Catalog, call: T2ICall) -> None:
    text = infotext.write(call, Resources.of(call, catalog))
    assert read_text(text, catalog) == call


def as_a1111_writes_it(request: dict[str, Any]) -> str:
    """``create_infotext`` of A1111 1.10 (modules/processing.py) for a request of txt2img."""
    override = request["override_settings"]
    card = next(card for card in CARDS if card.file_name == override["sd_model_checkpoint"])
    skip = override.get("CLIP_stop_at_last_layers", 1)
    values = {
        "Steps": request["steps"],
        "Sampler": request["sampler_name"],
        "Schedule type": request["scheduler"] if request["scheduler"] != "Automatic" else None,
        "CFG scale": request["cfg_scale"],
        "Seed": request["seed"],
        "Size": f"{request['width']}x{request['height']}",
        "Model hash": card.autov2,
        "Model": str(card.file_name).rsplit("/", 1)[-1].removesuffix(".safetensors"),
        "Clip skip": skip if skip > 1 else None,
        "Lora hashes": ", ".join(
            f"{name}: {digest}"
            for name, digest in (("ink-fox", "c3" * 6), ("chalk_owl", "f6" * 6))
            if f"<lora:{name}:" in request["prompt"]
        )
        or None,
        "Distilled CFG Scale": request.get("distilled_cfg_scale"),
        "Version": "v1.10.1",
    }

    def quote(text: str) -> str:
        return json.dumps(text, ensure_ascii=False) if set(text) & set(",\n:") else text

    line = ", ".join(f"{name}: {quote(str(value))}" for name, value in values.items() if value is not None)
    negative = f"\nNegative prompt: {request['negative_prompt']}" if request["negative_prompt"] else ""
    return f"{request['prompt']}{negative}\n{line}".strip()


@settings(deadline=None, max_examples=150)
@given(call=calls(load("a1111").samplers))
def test_a1111s_infotext_is_read_back_as_the_same_call(catalog: Catalog, call: T2ICall) -> None:
    assume(call.clip_skip != 1)  # A1111 writes none for the last layer
    request = emit(call, "a1111", catalog).request
    assert read_text(as_a1111_writes_it(request), catalog) == call


SAME_IN_COMFYUI = {Sampler(sampler.method, "Normal") for sampler in ALL_SAMPLERS if sampler.method != "DDIM"}
SAME_IN_COMFYUI.add(Sampler("DDIM", "DDIM Uniform"))
"""The schedules that ComfyUI runs without one named, so that a graph does not tell them apart."""


@settings(deadline=None, max_examples=150)
@given(call=calls(tuple(sampler for sampler in load("comfyui").samplers if sampler not in SAME_IN_COMFYUI)))
def test_a_comfyui_graph_is_read_back_as_the_same_call(catalog: Catalog, call: T2ICall) -> None:
    emitted = emit(call, "comfyui", catalog)
    graph = json.loads(json.dumps(emitted.request["prompt"]))
    carried = call.model_copy(update={"clip_skip": None} if "clip_skip" in emitted.dropped else {})
    assert read_graph(graph, catalog) == carried


def test_wishes_read_the_same_infotext(catalog: Catalog) -> None:
    call = call_of(AURORA, sampler="DPM++ SDE Karras")
    wish = wishes(infotext.write(call, Resources.of(call, catalog)))
    assert (wish.prompt, wish.negative_prompt, wish.sampler, wish.steps, wish.cfg_scale, wish.seed) == (
        call.prompt, call.negative_prompt, join(call.sampler), call.sampling_steps, call.cfg_scale,
        call.seed,
    )  # fmt: skip
    assert (wish.size, wish.clip_skip) == ((512, 768), 2)


@pytest.mark.parametrize(
    ("text", "error", "says"),
    [
        ("a fox", BadInput, "not an infotext"),
        ("a fox\nSteps: 20, Sampler: Euler, CFG scale: 7, Model: nobody", UnknownModel, "nobody"),
        ("a fox\nSteps: 20, Sampler: Euler, CFG scale: 7, Model: basalt", BadInput, "Size"),
        ("a fox <lora:gone:1>\nSteps: 20, Sampler: Euler, Model: basalt", UnknownModel, "gone"),
        ("a fox\nSteps: 20, Sampler: Warp, CFG scale: 7, Size: 8x8, Model: basalt", BadInput, "Warp"),
    ],
)
def test_infotext_of_no_call_is_an_error(
    catalog: Catalog, text: str, error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        read_text(text, catalog)


def test_graphs_of_no_call_are_errors(catalog: Catalog) -> None:
    graph = emit(call_of(AURORA), "comfyui", catalog).request["prompt"]
    with pytest.raises(BadInput, match="does not name its Checkpoint"):
        read_graph({key: node for key, node in graph.items() if key != "1"}, catalog)
    with pytest.raises(BadInput, match=r"not the graph.*no known sampler"):
        read_graph({key: node for key, node in graph.items() if node["class_type"] != "KSampler"}, catalog)
    graph["1"]["inputs"]["ckpt_name"] = "nobody.safetensors"
    with pytest.raises(UnknownModel, match="nobody"):
        read_graph(graph, catalog)


TWO = call_of(INK_FOX, more=[(CHALK_OWL, -0.5)], prompt="inkfox, a fox in the snow")


def test_two_loras_go_to_every_target_in_order(catalog: Catalog) -> None:
    def request(target: str) -> dict[str, Any]:
        return emit(TWO, target, catalog).request

    assert request("diffagent")["loras"] == [
        {"model": "Ink Fox", "air": INK_FOX.air, "weight": 0.75, "trigger_words": ["inkfox"]},
        {"model": "Chalk Owl", "air": CHALK_OWL.air, "weight": -0.5, "trigger_words": []},
    ]
    assert request("a1111")["prompt"].endswith("snow <lora:ink-fox:0.75> <lora:chalk_owl:-0.5>")
    graph = request("comfyui")["prompt"]
    loaders = [node["inputs"] for node in graph.values() if node["class_type"] == "LoraLoader"]
    assert [(node["lora_name"], node["strength_model"], node["model"]) for node in loaders] == [
        ("ink-fox.safetensors", 0.75, ["1", 0]),
        ("sub/chalk_owl.safetensors", -0.5, ["2", 0]),
    ]
    assert request("horde")["params"]["loras"] == [
        {"name": "32", "is_version": True, "model": 0.75, "clip": 0.75},
        {"name": "52", "is_version": True, "model": -0.5, "clip": -0.5},
    ]
    networks = {INK_FOX.air: {"strength": 0.75}, CHALK_OWL.air: {"strength": -0.5}}
    assert request("civitai")["additionalNetworks"] == networks
    assert workflow(request("civitai"))["steps"][0]["input"]["loras"] == {
        INK_FOX.air: 0.75,
        CHALK_OWL.air: -0.5,
    }
    assert [(lora["file"], lora["weight"]) for lora in request("diffusers")["loras"]] == [
        ("ink-fox.safetensors", 0.75),
        ("sub/chalk_owl.safetensors", -0.5),
    ]
    assert "pipe.set_adapters(['lora1', 'lora2'], [0.75, -0.5])" in request("diffusers")["snippet"]
    assert "loras" in emit(TWO, "openai", catalog).not_carried


def test_two_loras_are_read_back_from_infotext_and_from_a_graph(catalog: Catalog) -> None:
    text = infotext.write(TWO, Resources.of(TWO, catalog))
    assert 'Lora hashes: "ink-fox: c3c3c3c3c3, chalk_owl: f6f6f6f6f6"' in text
    assert read_text(text, catalog) == TWO
    assert read_graph(emit(TWO, "comfyui", catalog).request["prompt"], catalog) == TWO


def test_loras_are_read_wherever_they_stand_in_the_prompt(catalog: Catalog) -> None:
    text = (
        "<lora:chalk_owl:1> a fox <lora:renamed:0.5> in snow <lora:chalk_owl:0.25>\n"
        "Steps: 20, Sampler: DPM++ 3M SDE, Schedule type: SGM Uniform, CFG scale: 7, Size: 512x512, "
        "Model: basalt, "
        'Lora hashes: "renamed: c3c3c3c3c3"'
    )
    call = read_text(text, catalog)
    assert [(lora.model, lora.weight) for lora in call.loras] == [("Chalk Owl", 1.25), ("Ink Fox", 0.5)]
    assert (call.model, call.prompt) == ("Chalk Owl", "a fox in snow")
    assert call.sampler == ("DPM++ 3M SDE", "SGM Uniform")
