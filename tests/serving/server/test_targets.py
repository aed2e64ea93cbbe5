"""Every target over HTTP: the request of a LoRA's call, and of a prompt that is routed to a LoRA."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from server_runs import error_of
from stand_ins import RuleEngine, WordEncoder, plain_ranker
from target_calls import BASALT, CARDS, INK_FOX, call_of

from diffagent.agent.agent import Agent
from diffagent.agent.asking.request import Request
from diffagent.agent.choosing.fusion import Fusion
from diffagent.agent.choosing.prefilter import Prefilter
from diffagent.agent.targets import ITSELF, TARGETS
from diffagent.agent.targets.emitting import emit
from diffagent.data.catalog.cards import Entry
from diffagent.data.catalog.catalog import Catalog
from diffagent.data.catalog.importing import add_entries
from diffagent.data.records import Sample

LORA = {
    "diffagent": INK_FOX.air,
    "a1111": "<lora:ink-fox:0.75>",
    "comfyui": "ink-fox.safetensors",
    "horde": '"name": "32"',
    "civitai": INK_FOX.air,
    "diffusers": INK_FOX.air,
}
"""What names the LoRA in each target's request; OpenAI's API carries none."""
REFUSED = {
    "horde": "AI Horde does not have Basalt",
    "civitai": "in steps of 16; the nearest is 528",
    "openai": "takes 0 to 20",
}
"""What targets lack of an odd call, and do not take without ``nearest``."""


@pytest.fixture
def agent(tmp_path: Path, encoder: WordEncoder) -> Iterator[Agent]:
    """An agent of models that every target can run."""
    with Catalog.create(tmp_path / "targets.sqlite") as catalog:
        entries = [Entry(card, (Sample(n, n, f"{card.name}, a fox"),)) for n, card in enumerate(CARDS)]
        add_entries(catalog, entries, encoder)
    with Catalog.open(tmp_path / "targets.sqlite") as catalog:
        yield Agent(catalog, Prefilter.of(catalog, encoder, plain_ranker()), RuleEngine(), Fusion())


@pytest.mark.parametrize("target", TARGETS)
def test_a_loras_call_is_emitted(client: httpx.Client, agent: Agent, target: str) -> None:
    call = call_of(INK_FOX)
    body = client.post("/v1/emit", json={"call": call.model_dump(), "target": target}).json()
    emitted = emit(call, target, agent.catalog)
    assert body == {"request": emitted.request, "not_carried": emitted.not_carried}
    if target in LORA:
        assert LORA[target] in json.dumps(body["request"])
        assert "loras" not in body["not_carried"]
    else:
        assert "loras" in body["not_carried"]


@pytest.mark.parametrize("target", TARGETS)
def test_nearest_replaces_what_a_target_lacks(client: httpx.Client, agent: Agent, target: str) -> None:
    call = call_of(INK_FOX, base=BASALT, width=520, height=776, cfg_scale=25.0)
    request = {"call": call.model_dump(), "target": target}
    plain = client.post("/v1/emit", json=request)
    nearest = client.post("/v1/emit", json={**request, "nearest": True}).json()
    emitted = emit(call, target, agent.catalog, nearest=True)
    assert nearest == {"request": emitted.request, "not_carried": emitted.not_carried}
    if target in REFUSED:
        assert error_of(plain)[:2] == (400, "bad_input")
        assert REFUSED[target] in plain.json()["error"]["message"]
        assert "--" not in plain.json()["error"]["message"]  # no option of the command line
        assert {"base_checkpoint", "cfg_scale", "width"} & set(nearest["not_carried"])
    else:
        assert plain.json() == nearest


@pytest.mark.parametrize("target", TARGETS)
def test_a_prompt_is_routed_to_the_request(client: httpx.Client, agent: Agent, target: str) -> None:
    kind = "Checkpoint" if target == "openai" else "LoRA"
    prompt = "Ink Fox, a fox, 20 steps"
    request = {"prompt": prompt, "type": kind, "target": target, "nearest": True}
    body = client.post("/v1/route", json=request).json()
    decision = agent.decide(Request.from_prompt(prompt, type=kind, target=target))
    call = decision.call
    if target != ITSELF:  # a seed is drawn for the request, and is the call's too
        assert call.seed is None
        assert 0 <= body["call"]["seed"] < 2**32
        call = call.model_copy(update={"seed": body["call"]["seed"]})
    emitted = emit(call, target, agent.catalog, nearest=True)
    assert body["call"] == call.model_dump()
    assert (body["request"], body["not_carried"]) == (emitted.request, emitted.not_carried)
    assert body["call"]["type"] == kind


def test_the_page_offers_the_families_of_base_models(client: httpx.Client) -> None:
    page = client.get("/").text
    chosen = page[page.index('<select id="base">') :].partition("</select>")[0]
    assert chosen == (
        '<select id="base"><option value="">any</option>'
        '<option value="sd1">SD 1.x</option><option value="sdxl">SDXL</option>'
    )
