"""Callability: which calls and answers name something that can be run, on the invented catalog."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from diffagent.data.catalog.callability import answer_flaw, flaw
from diffagent.data.catalog.catalog import Catalog
from diffagent.data.records import T2ICall

CALL: dict[str, Any] = {
    "model": "Tiny Pixels",
    "type": "Checkpoint",
    "base_model": "SD 1.5",
    "width": 512,
    "height": 512,
    "sampling_method": "Euler a",
    "sampling_steps": 20,
    "cfg_scale": 7,
    "model_description": "",
    "prompt": "a fox",
    "air": "urn:air:sd1:checkpoint:civitai:11@12",
}
LORA: dict[str, Any] = {
    **CALL,
    "model": "Ink Fox Style",
    "type": "LoRA",
    "air": "urn:air:sd1:lora:civitai:33@34",
    "base_checkpoint": "urn:air:sd1:checkpoint:civitai:22@23",
    "loras": [
        {
            "model": "Ink Fox Style",
            "air": "urn:air:sd1:lora:civitai:33@34",
            "weight": 0.7,
            "trigger_words": [],
        }
    ],
}
STRANGE = {"model": "Strange", "air": "", "weight": 1.0}


@pytest.fixture
def catalog(catalog_path: Path) -> Iterator[Catalog]:
    with Catalog.open(catalog_path) as database:
        yield database


@pytest.mark.parametrize("call", [CALL, LORA])
def test_a_call_that_names_an_entry_is_callable(catalog: Catalog, call: dict[str, Any]) -> None:
    assert flaw(call, catalog) is None
    assert flaw(T2ICall.parse(call).model_dump(), catalog) is None


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        ({**CALL, "model": "Tiny"}, "model is 'Tiny', but the entry's is 'Tiny Pixels'"),
        ({**CALL, "model": "tiny pixels"}, "model is"),
        ({**CALL, "model": "Grand XL"}, "model is"),
        ({**CALL, "base_model": "SD 1.4"}, "base_model is 'SD 1.4', but the entry's is 'SD 1.5'"),
        ({**CALL, "air": "urn:air:sd1:checkpoint:civitai:11@99"}, "is not in the catalog"),
        ({**CALL, "type": "LoRA"}, "not a T2I call"),
        ({**CALL, "width": 100}, "not a T2I call: width"),
        ({**CALL, "prompt": ""}, "not a T2I call: prompt"),
        ({**CALL, "mood": "good"}, "not a T2I call: mood"),
        ({}, "not a T2I call: model: field required"),
        ({**LORA, "loras": [*LORA["loras"], {**STRANGE, "air": "urn:air:sd1:lora:civitai:7@8"}]},
         "loras.1: urn:air:sd1:lora:civitai:7@8 is not a LoRA of the catalog"),
        ({**LORA, "base_checkpoint": "urn:air:sd1:checkpoint:civitai:7@8"}, "is not a checkpoint of"),
        ({**LORA, "base_checkpoint": "urn:air:sdxl:checkpoint:civitai:44@45"}, "runs no LoRA of SD 1.5"),
    ],
)  # fmt: skip
def test_a_call_that_does_not_is_told_why(catalog: Catalog, call: dict[str, Any], reason: str) -> None:
    assert reason in str(flaw(call, catalog))


ANSWER = {key: CALL[key] for key in list(CALL)[:8]}


def test_an_answer_needs_no_more_than_the_eight_fields(catalog: Catalog) -> None:
    assert answer_flaw(ANSWER, catalog) is None
    assert answer_flaw({**ANSWER, "cfg_scale": 7.5}, catalog) is None


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"model": "Dreamy Dream 9"}, "no model is named 'Dreamy Dream 9'"),
        ({"model": None}, "no model is named None"),
        ({"model": "TINY PIXELS"}, "model is 'TINY PIXELS'"),
        ({"type": "LoRA"}, "type is 'LoRA'"),
        ({"base_model": "SDXL 1.0"}, "base_model is"),
        ({"width": 511}, "a side of 511 pixels"),
        ({"width": 32}, "a side of 32 pixels"),
        ({"height": 4104}, "a side of 4104 pixels"),
        ({"height": "512"}, "a side of '512' pixels"),
        ({"height": 512.0}, "a side of 512.0 pixels"),
        ({"sampling_method": "Euler A"}, "no sampler is named 'Euler A'"),
        ({"sampling_method": ["Euler a"]}, "no sampler"),
        ({"sampling_steps": 0}, "0 sampling steps"),
        ({"sampling_steps": True}, "True sampling steps"),
        ({"sampling_steps": 20.5}, "20.5 sampling steps"),
        ({"cfg_scale": 31}, "a CFG scale of 31"),
        ({"cfg_scale": True}, "a CFG scale of True"),
        ({"cfg_scale": float("nan")}, "a CFG scale of nan"),
        ({"cfg_scale": "7"}, "a CFG scale of '7'"),
    ],
)
def test_an_answer_that_names_nothing_callable_is_told_why(
    catalog: Catalog, changes: dict[str, Any], reason: str
) -> None:
    assert reason in str(answer_flaw({**ANSWER, **changes}, catalog))


def test_a_missing_field_is_a_flaw(catalog: Catalog) -> None:
    for field in ANSWER:
        assert answer_flaw({key: value for key, value in ANSWER.items() if key != field}, catalog), field
