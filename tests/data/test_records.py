"""T2I calls: what is refused and how that reads; sizes and families."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diffagent.data.errors import BadCall
from diffagent.data.records import Card, Licence, T2ICall, legal_side
from diffagent.data.samplers import SAMPLERS

CHECKPOINT: dict[str, Any] = {
    "model": "Fox",
    "type": "Checkpoint",
    "base_model": "SD 1.5",
    "width": 512,
    "height": 768,
    "sampling_method": "Euler a",
    "scheduler": None,
    "sampling_steps": 20,
    "cfg_scale": 7.5,
    "guidance": None,
    "model_description": "A fox.",
    "prompt": "a fox",
    "negative_prompt": "",
    "clip_skip": None,
    "seed": None,
    "air": "urn:air:sd1:checkpoint:civitai:1@2",
    "base_checkpoint": None,
    "loras": [],
}
FIRST = {
    "model": "Fox",
    "air": "urn:air:sd1:lora:civitai:3@4",
    "weight": 0.8,
    "trigger_words": ["fox"],
}
LORA = {
    **CHECKPOINT,
    "type": "LoRA",
    "air": "urn:air:sd1:lora:civitai:3@4",
    "base_checkpoint": "urn:air:sd1:checkpoint:civitai:1@2",
    "loras": [
        {"model": "Fox", "air": "urn:air:sd1:lora:civitai:3@4", "weight": 0.8, "trigger_words": ["fox"]},
    ],
}


@pytest.mark.parametrize("fields", [CHECKPOINT, LORA])
def test_a_good_call_comes_back_from_json_in_the_contracts_order(fields: dict[str, Any]) -> None:
    call = T2ICall.parse(fields)
    assert call.model_dump() == fields
    assert list(json.loads(call.to_json())) == list(fields)
    assert T2ICall.parse(call.to_json()) == T2ICall.parse(call.to_json().encode()) == call


@pytest.mark.parametrize(
    ("field", "low", "high"),
    [
        ("width", 64, 4096),
        ("height", 64, 4096),
        ("sampling_steps", 1, 150),
        ("cfg_scale", 1, 30),
        ("clip_skip", 1, 12),
        ("seed", 0, 2**64 - 1),
    ],
)
def test_numbers_are_in_range(field: str, low: int, high: int) -> None:
    for value in (low, high):
        assert getattr(T2ICall.parse({**CHECKPOINT, field: value}), field) == value
    step = 8 if field in ("width", "height") else 1
    for value in (low - step, high + step):
        with pytest.raises(BadCall, match=f"{field}: "):
            T2ICall.parse({**CHECKPOINT, field: value})


def test_a_loras_weight_is_in_range() -> None:
    for value in (-2, 0, 2.0):
        assert T2ICall.parse({**LORA, "loras": [{**FIRST, "weight": value}]}).loras[0].weight == value
    for value in (-2.01, 2.01):
        with pytest.raises(BadCall, match=r"loras\.0\.weight: "):
            T2ICall.parse({**LORA, "loras": [{**FIRST, "weight": value}]})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("width", 500),
        ("width", 512.0),
        ("width", "512"),
        ("width", True),
        ("sampling_steps", 20.5),
        ("sampling_steps", "20"),
        ("cfg_scale", "7"),
        ("cfg_scale", True),
        ("cfg_scale", float("nan")),
        ("cfg_scale", float("inf")),
        ("cfg_scale", None),
        ("seed", -1),
        ("clip_skip", 0),
        ("sampling_method", "Euler A"),
        ("sampling_method", "DDIM Karras"),
        ("type", "LORA"),
        ("model", ""),
        ("prompt", ""),
        ("prompt", None),
        ("negative_prompt", 5),
        ("air", "civitai:1@2"),
    ],
)
def test_what_is_out_of_type_or_range_is_refused_by_name(field: str, value: Any) -> None:
    with pytest.raises(BadCall) as refusal:
        T2ICall.parse({**CHECKPOINT, field: value})
    message = str(refusal.value)
    assert message.startswith(f"not a T2I call: {field}: ")
    assert f"(given: {value!r})" in message
    assert "\n" not in message


@pytest.mark.parametrize("field", ["model", "width", "sampling_method", "cfg_scale", "prompt", "air"])
def test_a_missing_field_is_named(field: str) -> None:
    with pytest.raises(BadCall, match=f"^not a T2I call: {field}: field required"):
        T2ICall.parse({key: value for key, value in CHECKPOINT.items() if key != field})


@pytest.mark.parametrize("key", ["mood", "Model", "two\nlines"])
def test_an_unknown_key_is_refused_on_one_line(key: str) -> None:
    with pytest.raises(BadCall, match="extra inputs are not permitted") as refusal:
        T2ICall.parse({**CHECKPOINT, key: 1})
    assert key.split()[0] in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "7", b"\xff", "null\n"])
def test_what_is_no_json_object_is_refused_on_one_line(text: str | bytes) -> None:
    with pytest.raises(BadCall, match=r"^not a T2I call: the call: ") as refusal:
        T2ICall.parse(text)
    assert "\n" not in str(refusal.value)


def test_a_long_value_is_cut_in_the_message() -> None:
    with pytest.raises(BadCall) as refusal:
        T2ICall.parse({**CHECKPOINT, "sampling_method": "x" * 5000})
    assert "xxx…" in str(refusal.value)
    assert "x" * 60 not in str(refusal.value)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"loras": [FIRST]}, "loras is empty for a checkpoint"),
        ({"base_checkpoint": CHECKPOINT["air"]}, "base_checkpoint is null without one"),
        ({"air": LORA["air"]}, "air names a lora, type says Checkpoint"),
        ({**LORA, "loras": []}, "holds the answering LoRA first"),
        ({**LORA, "loras": [FIRST] * 2}, "a LoRA stands in loras once"),
        ({**LORA, "model": "Owl"}, "its model and air are the call's"),
        (
            {**LORA, "loras": [{**FIRST, "air": "urn:air:sd1:lora:civitai:5@6"}]},
            "its model and air",
        ),
        ({**LORA, "loras": [{**FIRST, "air": CHECKPOINT["air"]}]}, "a LoRA's air names a lora"),
        ({**LORA, "lora_weight": 0.8}, 'a call has no lora_weight: write "loras"'),
        (
            {"sampling_method": "DPM++ 2M Karras"},
            'write "sampling_method": "DPM.. 2M", "scheduler": "Karras"',
        ),
        ({"scheduler": "karras"}, "unknown scheduler; known are null, Karras"),
        ({**LORA, "base_checkpoint": None}, "base_checkpoint is needed for a LoRA"),
        ({**LORA, "base_checkpoint": LORA["air"]}, "base_checkpoint is the AIR of a checkpoint"),
        ({**LORA, "air": CHECKPOINT["air"]}, "air names a checkpoint, type says LoRA"),
    ],
)
def test_lora_fields_belong_to_loras(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(BadCall, match=reason):
        T2ICall.parse({**CHECKPOINT, **changes})


def test_the_samplers_are_the_contracts() -> None:
    assert len(SAMPLERS) == len(set(SAMPLERS))
    assert {"Euler a", "DPM++ 2M SDE Karras", "LMS Karras", "LCM", "Euler SGM Uniform"} <= set(SAMPLERS)
    assert not {"Euler Normal", "Karras", "Undefined"} & set(SAMPLERS)


@pytest.mark.parametrize(
    ("air", "good"),
    [
        ("urn:air:sd1:checkpoint:civitai:1@2", True),
        ("urn:air:sdxl:lora:huggingface:org/repo", True),
        ("urn:air:other:checkpoint:horde:Name with spaces, (v2)", True),
        ("urn:air:sd1:checkpoint:horde:x", True),
        ("urn:air:sd1:checkpoint:horde: x", False),
        ("urn:air:sd2:checkpoint:civitai:1@2", True),
        ("urn:air:flux1:unet:civitai:1@2+3.safetensors", True),
        ("urn:air:sd1:vae:civitai:1@2", False),
        ("urn:air:sd1:checkpoint:civitai:1", False),
        ("urn:air:sd1:checkpoint:civitai:1@2 ", False),
        ("urn:air:sd1:checkpoint:civitai:1@2\n", False),
        ("urn:air:sd1:checkpoint:huggingface:org", False),
        ("urn:air:sd1:checkpoint:huggingface:org/re:po", False),
        ("x urn:air:sd1:checkpoint:civitai:1@2", False),
    ],
)
def test_the_air_of_a_call(air: str, good: bool) -> None:
    kind = "LoRA" if ":lora:" in air else "Checkpoint"
    fields = {**(LORA if kind == "LoRA" else CHECKPOINT), "air": air}
    if kind == "LoRA":
        fields["loras"] = [{**FIRST, "air": air}]
    if good:
        assert T2ICall.parse(fields).air == air
    else:
        with pytest.raises(BadCall, match=r"air: .*(not an AIR|names a vae|has no version)"):
            T2ICall.parse(fields)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@given(field=st.sampled_from([*CHECKPOINT, "extra"]), value=JSON, lora=st.booleans())
def test_any_value_gives_the_same_call_back_or_one_line(field: str, value: Any, lora: bool) -> None:
    message = ""
    try:
        call = T2ICall.parse({**(LORA if lora else CHECKPOINT), field: value})
    except BadCall as error:
        message = str(error)
    else:
        assert call.model_dump()[field] == value
        assert T2ICall.parse(call.to_json()) == call
    assert len(message.splitlines()) <= 1


@given(pixels=st.floats(-1e6, 1e6))
def test_the_legal_side_is_the_nearest(pixels: float) -> None:
    nearest = legal_side(pixels)
    legal = range(64, 4097, 8)
    assert nearest in legal
    assert abs(nearest - pixels) == min(abs(side - pixels) for side in legal)


@pytest.mark.parametrize(
    ("file_name", "pickle"),
    [
        ("a.ckpt", True),
        ("A.CKPT", True),
        ("a.pt", True),
        ("a.bin", True),
        ("a.safetensors", False),
        (None, False),
    ],
)
def test_pickles_are_told_by_their_suffix(file_name: str | None, pickle: bool) -> None:
    assert Card("Fox", "Checkpoint", "SD 1.5", CHECKPOINT["air"], file_name=file_name).is_pickle is pickle


def test_images_may_be_sold_at_three_levels() -> None:
    levels = (None, "Image", "Rent", "Sell")
    assert [Licence(commercial=level).images_may_be_sold for level in levels] == [False, True, True, True]
