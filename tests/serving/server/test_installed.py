"""``serve --target … --installed``: every endpoint chooses among what the target's server has."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import openai
import pytest
from image_servers import FakeComfyUI, serving
from server_runs import Serve

from diffagent.agent.agent import Agent
from diffagent.data.errors import BadInput
from diffagent.data.records import T2ICall
from diffagent.serving.server.config import ServerConfig


class Studio(FakeComfyUI):
    """Has one of the invented checkpoints: not the one that pixel art would choose."""

    checkpoints = ["mine/22.safetensors"]  # noqa: RUF012
    loras = []  # noqa: RUF012


@pytest.fixture
def client(
    agent: Agent, serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[httpx.Client]:
    monkeypatch.setenv("DIFFAGENT_HOME", str(tmp_path / "home"))
    with (
        serving(Studio()) as url,
        serve(agent, target="comfyui", target_url=url, installed=True) as opened,
    ):
        yield opened


OIL = 'Oil "Masters" {v2}'


def test_route_answers_with_a_call_of_what_is_there(client: httpx.Client) -> None:
    answer = client.post("/v1/route", json={"prompt": "pixel art of a fox"}).json()
    assert answer["call"] == answer["request"]
    assert answer["call"]["model"] == OIL
    assert answer["call"]["seed"] is not None
    answer = client.post("/v1/route", json={"prompt": "pixel art of a fox", "target": "comfyui"}).json()
    assert answer["request"]["prompt"]["1"]["inputs"]["ckpt_name"] == "mine/22.safetensors"
    answer = client.post("/v1/route", json={"prompt": "pixel art of a fox", "installed": True}).json()
    assert answer["call"]["model"] == OIL


def test_other_targets_are_not_narrowed(client: httpx.Client) -> None:
    answer = client.post("/v1/route", json={"prompt": "pixel art of a fox", "target": "a1111"}).json()
    assert answer["call"]["model"] == "Tiny Pixels"


def test_emit_spells_files_as_the_server_does(client: httpx.Client) -> None:
    call = client.post("/v1/route", json={"prompt": "a harbour"}).json()["call"]
    answer = client.post("/v1/emit", json={"call": call, "target": "comfyui"}).json()
    assert answer["request"]["prompt"]["1"]["inputs"]["ckpt_name"] == "mine/22.safetensors"


def test_chat_and_images_choose_there_too(client: httpx.Client) -> None:
    with openai.OpenAI(base_url=f"{client.base_url}/v1", api_key="none", max_retries=0) as official:
        completion = official.chat.completions.create(
            model="diffagent", messages=[{"role": "user", "content": "pixel art of a fox"}]
        )
        assert T2ICall.parse(completion.choices[0].message.content or "").model == OIL
        images = official.images.generate(
            model="gpt-image-1", prompt="pixel art of a fox", response_format="url"
        )
    assert images.data is not None
    assert (images.data[0].url or "").startswith("data:image/png;base64,")


def test_allowed_tools_are_heard(client: httpx.Client) -> None:
    tool = {"type": "function", "function": {"name": "text_to_image", "parameters": {}}}
    allowed = {"mode": "required", "tools": [{"type": "function", "function": {"name": "text_to_image"}}]}
    body = {
        "model": "diffagent",
        "messages": [{"role": "user", "content": "pixel art of a fox"}],
        "tools": [tool],
        "tool_choice": {"type": "allowed_tools", "allowed_tools": allowed},
    }
    choice = client.post("/v1/chat/completions", json=body).json()["choices"][0]
    assert json.loads(choice["message"]["tool_calls"][0]["function"]["arguments"])["model"] == OIL
    allowed["tools"] = [{"type": "function", "function": {"name": "other"}}]
    choice = client.post("/v1/chat/completions", json=body).json()["choices"][0]
    assert T2ICall.parse(choice["message"]["content"]).model == OIL


def test_the_page_says_so(client: httpx.Client, agent: Agent, serve: Serve) -> None:
    assert "installed on this server's ComfyUI" in client.get("/").text
    with serve(agent) as plain:
        assert "installed on" not in plain.get("/").text


def test_installed_needs_a_target_that_has_lists() -> None:
    with pytest.raises(BadInput, match="the target None has no list of them") as error:
        ServerConfig(installed=True)
    assert error.value.hint == "name the target of the server with --target a1111, comfyui, horde"
    with pytest.raises(BadInput, match="the target civitai has no list"):
        ServerConfig(target="civitai", installed=True)
