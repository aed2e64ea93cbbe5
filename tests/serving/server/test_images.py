"""``/v1/images/generations``: routed, made on the configured target, answered as OpenAI does."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from pathlib import Path

import httpx
import openai
import pytest
from image_servers import FakeA1111, FakeComfyUI, serving
from PIL import Image
from server_runs import Serve, until

from diffagent.agent.agent import Agent
from diffagent.agent.executors import images
from diffagent.data.errors import BadInput
from diffagent.data.records import T2ICall
from diffagent.serving.server.config import ServerConfig


class Studio(FakeA1111):
    """Has two of the invented checkpoints."""

    checkpoints = (("11.safetensors", "a1" * 32), ("22.safetensors", "b2" * 32))
    loras = ()


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIFFAGENT_HOME", str(tmp_path / "home"))


@pytest.fixture
def studio() -> Iterator[Studio]:
    server = Studio()
    with serving(server):
        yield server


def test_the_official_client_gets_images_with_their_call(
    agent: Agent, serve: Serve, studio: Studio, tmp_path: Path
) -> None:
    with serve(agent, target="a1111", target_url=studio.url) as client:
        with openai.OpenAI(base_url=f"{client.base_url}/v1", api_key="none", max_retries=0) as official:
            answer = official.images.generate(
                model="diffagent",
                prompt="pixel art of a fox, seed 3",
                size="512x768",
                n=2,
                response_format="b64_json",
            )
        text = client.get("/metrics").text
    assert answer.data is not None
    assert len(answer.data) == 2
    files = [base64.b64decode(image.b64_json or "") for image in answer.data]
    calls = []
    for number, content in enumerate(files):
        assert Image.open(io.BytesIO(content)).format == "PNG"
        path = tmp_path / f"{number}.png"
        path.write_bytes(content)
        calls.append(T2ICall.parse(images.read_texts(path)["diffagent"]))
    assert [(call.model, call.seed, call.width, call.height) for call in calls] == [
        ("Tiny Pixels", 3, 512, 768),
        ("Tiny Pixels", 4, 512, 768),
    ]
    assert answer.data[0].revised_prompt == calls[0].prompt
    assert 'diffagent_stage_seconds_count{stage="target"} 1.0' in text


def test_only_what_the_server_has_is_chosen_and_a_model_may_be_named(
    agent: Agent, serve: Serve, studio: Studio
) -> None:
    with serve(agent, target="a1111", target_url=studio.url) as client:
        lake = client.post("/v1/images/generations", json={"prompt": "photo of a mountain lake"})
        assert lake.json()["call"]["model"] in ("Tiny Pixels", 'Oil "Masters" {v2}')
        body = {"prompt": "a fox", "model": 'Oil "Masters" {v2}'}
        assert client.post("/v1/images/generations", json=body).json()["call"]["model"] == body["model"]
        absent = client.post("/v1/images/generations", json={"prompt": "a fox", "model": "Grand XL"})
        assert absent.status_code == 400
        assert "not installed" in absent.json()["error"]["message"]


def test_a_base_model_that_the_server_lacks_is_replaced_where_its_operator_says_so(
    agent: Agent, serve: Serve, studio: Studio
) -> None:
    lake = {"prompt": "photo of a mountain lake, SDXL"}
    with serve(agent, target="a1111", target_url=studio.url) as client:
        refused = client.post("/v1/images/generations", json=lake)
    assert refused.status_code == 400
    assert refused.json()["error"]["message"].endswith("; the nearest is SD 1.5")  # it takes no option
    with serve(agent, target="a1111", target_url=studio.url, nearest=True) as client:
        answer = client.post("/v1/images/generations", json=lake).json()
    assert answer["call"]["base_model"] == "SD 1.5"
    assert any("the nearest, SD 1.5, was taken" in note for note in answer["notes"])


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"prompt": " "}, "the prompt is empty"),
        ({"prompt": "a fox", "size": "500x500"}, "steps of 8"),
        ({"prompt": "a fox", "size": "big"}, "'big'"),
        ({"prompt": "a fox", "n": 0}, "n"),
        ({"prompt": "a fox", "n": 11}, "n"),
        ({"prompt": "a fox", "response_format": "png"}, "b64_json"),
        ({"prompt": "a fox", "model": "dall-e-9"}, "'dall-e-9'"),
    ],
)
def test_what_is_wrong_is_said(
    agent: Agent, serve: Serve, studio: Studio, body: dict[str, object], says: str
) -> None:
    with serve(agent, target="a1111", target_url=studio.url) as client:
        answer = client.post("/v1/images/generations", json=body)
    assert answer.status_code == 400
    assert says in answer.json()["error"]["message"]
    assert not [line for line in studio.seen if "txt2img" in line]


def test_a_target_that_fails_is_502_and_counted(
    agent: Agent, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("diffagent.agent.targets.installed_models.BACKOFF", 0.01)
    server = Studio(wrong=lambda number, path: (500, "text/plain", b"broken") if "txt2img" in path else None)
    with serving(server), serve(agent, target="a1111", target_url=server.url) as client:
        answer = client.post("/v1/images/generations", json={"prompt": "a fox"})
        assert answer.status_code == 502
        kind = answer.json()["error"]["type"]
        name = kind.replace("_", "")
        line = f'diffagent_target_errors_total{{kind="{name}",target="a1111"}} 1.0'
        assert line in client.get("/metrics").text
    with serve(agent, target="a1111", target_url="http://127.0.0.1:9") as client:
        answer = client.post("/v1/images/generations", json={"prompt": "a fox"})
        assert (answer.status_code, answer.json()["error"]["type"]) == (502, "unreachable")


def test_without_a_target_the_remedy_is_said(client: httpx.Client) -> None:
    answer = client.post("/v1/images/generations", json={"prompt": "a fox"})
    assert (answer.status_code, answer.json()["error"]["type"]) == (501, "not_configured")
    assert "--target" in answer.json()["error"]["message"]


class Gallery(FakeComfyUI):
    """Has two of the invented checkpoints; its jobs run until they are interrupted."""

    checkpoints = ["11.safetensors", "sub/22.safetensors"]  # noqa: RUF012
    endless = True


def test_a_client_that_leaves_ends_its_job(agent: Agent, serve: Serve) -> None:
    server = Gallery()
    with serving(server), serve(agent, target="comfyui", target_url=server.url) as client:
        with pytest.raises(httpx.ReadTimeout):
            client.post("/v1/images/generations", json={"prompt": "a fox"}, timeout=1.0)
        until(lambda: server.interrupted == ["job-1"])


def test_a_deadline_ends_the_job(agent: Agent, serve: Serve) -> None:
    server = Gallery()
    with (
        serving(server) as url,
        serve(agent, target="comfyui", target_url=url, image_deadline=0.5) as client,
    ):
        answer = client.post("/v1/images/generations", json={"prompt": "a fox"})
        assert (answer.status_code, answer.json()["error"]["type"]) == (504, "deadline")
        assert server.interrupted == ["job-1"]


def test_a_client_that_leaves_gives_its_place_back(agent: Agent, serve: Serve) -> None:
    server = Studio(wrong=lambda number, path: "hang" if "txt2img" in path else None)
    with serving(server), serve(agent, target="a1111", target_url=server.url, image_jobs=1) as client:
        with pytest.raises(httpx.ReadTimeout):
            client.post("/v1/images/generations", json={"prompt": "a fox"}, timeout=0.4)
        metric = 'endpoint="/v1/images/generations",method="POST",status="499"} 1.0'
        until(lambda: metric in client.get("/metrics").text)
        server.wrong = lambda number, path: None
        again = client.post("/v1/images/generations", json={"prompt": "a fox"})
        assert again.status_code == 200


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"target": "diffagent"}, "makes no image"),
        ({"target": "fax"}, "'fax'"),
        ({"target_url": "http://127.0.0.1:9"}, "without its kind"),
        ({"queue": 0}, "queue is 0"),
        ({"deadline": -1.0}, "deadline is -1.0"),
    ],
)
def test_settings_are_checked(settings: dict[str, object], says: str) -> None:
    with pytest.raises(BadInput, match=says):
        ServerConfig(**settings)  # type: ignore[arg-type]
