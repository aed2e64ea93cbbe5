"""The forms of a call: itself, a row, a target's request; each is read back as what was asked for."""

from __future__ import annotations

import json
from typing import Any

import pytest
from target_calls import AURORA, CHALK_OWL, INK_FOX, call_of, invented_catalog

from diffagent.agent.answering.call_forms import from_json, from_text, request_target
from diffagent.agent.targets import TABLE
from diffagent.agent.targets.emitting import emit
from diffagent.data.catalog.catalog import Catalog
from diffagent.data.errors import BadCall, UnknownModel


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    return invented_catalog(tmp_path_factory.mktemp("forms") / "invented.sqlite")


@pytest.mark.parametrize("target", [name for name in TABLE if name != "openai"])
def test_a_request_is_read_back_as_its_call(target: str, catalog: Catalog) -> None:
    call = call_of(INK_FOX, height=704, more=[(CHALK_OWL, 0.5)])
    request = json.loads(json.dumps(emit(call, target, catalog).request))
    form = from_json(request, catalog)
    assert (form.call, form.target, form.notes) == (call, target, ())


def test_what_openais_request_does_not_hold_is_said(catalog: Catalog) -> None:
    request = emit(call_of(AURORA), "openai", catalog).request
    form = from_json(request, catalog)
    assert (form.call.model, form.call.seed, form.call.sampling_steps) == ("Aurora", 7, 24)
    assert any("names no sampler" in note for note in form.notes)


def test_a_call_beside_other_things_is_taken(catalog: Catalog) -> None:
    call = call_of(AURORA)
    for value in (
        call.model_dump(),
        {"call": call.model_dump(), "n": 1},
        {"id": 3, "call": call.model_dump()},
    ):
        assert from_text(json.dumps(value), catalog).call == call
        assert request_target(value) is None


@pytest.mark.parametrize(
    ("value", "error", "says"),
    [
        ([1], BadCall, "it is list, not an object"),
        ({"id": 1, "error": {"message": "it is empty"}}, BadCall, "a row without a call: it is empty"),
        ({"models": [], "params": {}}, BadCall, "looks like a request of horde"),
        ({"prompt": "a fox"}, BadCall, "c.json: "),
    ],
)
def test_what_is_no_call(value: Any, error: type[Exception], says: str, catalog: Catalog) -> None:
    with pytest.raises(error, match=says):
        from_text(json.dumps(value), catalog, "c.json")


def test_a_model_that_nobody_knows_is_named_by_its_file(catalog: Catalog) -> None:
    request = emit(call_of(AURORA), "a1111", catalog).request
    request["override_settings"]["sd_model_checkpoint"] = "sub/lost.safetensors [1234567890]"
    with pytest.raises(UnknownModel, match=r"the request's checkpoint sub/lost\.safetensors"):
        from_json(request, catalog)
