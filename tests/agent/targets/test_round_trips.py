"""What a target's own metadata says of an image is read back as the call that made it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from target_calls import AURORA, BASALT, CARDS, GRAND_XL, INK_FOX, call_of

from diffagent.agent.targets import infotext
from diffagent.agent.targets.comfyui import read as read_graph
from diffagent.agent.targets.emitting import emit, supported
from diffagent.agent.targets.fitting import Resources
from diffagent.agent.wishes import wishes
from diffagent.data.catalog import Catalog
from diffagent.data.errors import BadInput, UnknownModel
from diffagent.data.records import SAMPLERS, T2ICall

WORDS = ("a fox", "(snow:1.2)", "[dusk]", "château 🏰", 'say "hi"', "BREAK", "50% off", "x: y", "a\nb",
         "1024x768", "Steps", "sampler: Euler", "\\(round\\)", "--ar 3:2", "seed 5",
         "<lora:", "{a|b}")  # fmt: skip
texts = st.lists(st.sampled_from(WORDS), min_size=1, max_size=6).map(", ".join)


@st.composite
def calls(draw: st.DrawFn, samplers: tuple[str, ...] = SAMPLERS) -> T2ICall:
    card = draw(st.sampled_from((AURORA, BASALT, GRAND_XL, INK_FOX)))
    return call_of(
        card,
        base=draw(st.sampled_from((AURORA, BASALT))),
        width=draw(st.integers(8, 256)) * 8,
        height=draw(st.integers(8, 256)) * 8,
        sampling_method=draw(st.sampled_from(samplers)),
        sampling_steps=draw(st.integers(1, 150)),
        cfg_scale=draw(st.floats(1, 30, allow_nan=False)),
        prompt=draw(texts),
        negative_prompt=draw(st.just("") | texts),
        clip_skip=draw(st.none() | st.integers(1, 12)),
        seed=draw(st.integers(0, 2**32 - 1)),
        **({"lora_weight": draw(st.floats(-2, 2))} if card is INK_FOX else {}),
    )


@settings(deadline=None, max_examples=150)
@given(call=calls())
def test_our_infotext_is_read_back_as_the_same_call(catalog: Catalog, call: T2ICall) -> None:
    written = infotext.write(call, Resources.of(call, catalog))
    assert infotext.read(written, catalog) == call


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
        "Model": card.file_name.rsplit("/", 1)[-1].removesuffix(".safetensors"),
        "Clip skip": skip if skip > 1 else None,
        "Lora hashes": f"ink-fox: {'c3' * 6}" if "<lora:ink-fox" in request["prompt"] else None,
        "Version": "v1.10.1",
    }

    def quote(text: str) -> str:
        return json.dumps(text, ensure_ascii=False) if set(text) & set(",\n:") else text

    line = ", ".join(f"{name}: {quote(str(value))}" for name, value in values.items() if value is not None)
    negative = f"\nNegative prompt: {request['negative_prompt']}" if request["negative_prompt"] else ""
    return f"{request['prompt']}{negative}\n{line}".strip()


@settings(deadline=None, max_examples=150)
@given(call=calls())
def test_a1111s_infotext_is_read_back_as_the_same_call(catalog: Catalog, call: T2ICall) -> None:
    assume(call.clip_skip != 1)  # A1111 writes none for the last layer
    request = emit(call, "a1111", catalog).request
    assert infotext.read(as_a1111_writes_it(request), catalog) == call


@settings(deadline=None, max_examples=150)
@given(call=calls(supported("comfyui")))
def test_a_comfyui_graph_is_read_back_as_the_same_call(catalog: Catalog, call: T2ICall) -> None:
    graph = json.loads(json.dumps(emit(call, "comfyui", catalog).request["prompt"]))
    assert read_graph(graph, catalog) == call


def test_wishes_read_the_same_infotext(catalog: Catalog) -> None:
    call = call_of(AURORA, sampling_method="DPM++ SDE Karras")
    found = wishes(infotext.write(call, Resources.of(call, catalog)))
    assert (found.prompt, found.negative_prompt, found.sampler, found.steps, found.cfg_scale, found.seed) == (
        call.prompt, call.negative_prompt, call.sampling_method, call.sampling_steps, call.cfg_scale,
        call.seed,
    )  # fmt: skip
    assert (found.size, found.clip_skip) == ((512, 768), 2)


@pytest.mark.parametrize(
    ("text", "error", "says"),
    [
        ("a fox", UnknownModel, "has no name"),
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
        infotext.read(text, catalog)


def test_graphs_of_no_call_are_errors(catalog: Catalog) -> None:
    graph = emit(call_of(AURORA), "comfyui", catalog).request["prompt"]
    with pytest.raises(BadInput, match="no graph"):
        read_graph({key: node for key, node in graph.items() if key != "1"}, catalog)
    graph["1"]["inputs"]["ckpt_name"] = "nobody.safetensors"
    with pytest.raises(UnknownModel, match="nobody"):
        read_graph(graph, catalog)
