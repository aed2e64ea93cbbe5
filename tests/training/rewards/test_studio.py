"""The studio: images of calls are made once, whoever asks."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("PIL", reason="needs pip install 'diffagent[images]'")
from image_servers import FakeA1111, FakeComfyUI, ImageServer, serving
from PIL import Image
from stand_ins import quiet

from diffagent.agent.agent import Agent
from diffagent.agent.executors import TargetImage
from diffagent.agent.executors.images import read_texts
from diffagent.data.devices import share
from diffagent.data.records import T2ICall
from diffagent.training.rewards.studio import Studio
from diffagent.training.rewards.unified import ImageMetrics


class Painter:
    """An executor whose images are of one grey, the request's steps, and note what was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int]] = []
        self.states: list[tuple[str, asyncio.AbstractEventLoop]] = []

    async def __aenter__(self) -> Painter:
        self.states.append(("open", asyncio.get_running_loop()))
        return self

    async def __aexit__(self, *_: Any) -> None:
        self.states.append(("closed", asyncio.get_running_loop()))

    async def price(self, request: Mapping[str, Any]) -> None:
        return None

    async def image(self, request: Mapping[str, Any], report: Any) -> TargetImage:
        self.asked.append((request["checkpoint"]["air"], request["seed"]))
        buffer = io.BytesIO()
        kwargs = request["kwargs"]
        grey = kwargs["num_inference_steps"] + request["seed"]
        Image.new("RGB", (kwargs["width"], kwargs["height"]), (grey,) * 3).save(buffer, "PNG")
        return TargetImage(buffer.getvalue(), request["seed"])


class Grey:
    name = "grey"

    def score(self, prompt: str, images: Any) -> list[float]:
        return [float(image.getpixel((0, 0))[0]) for image in images]


@pytest.fixture
def calls(agent: Agent) -> list[T2ICall]:
    return [agent.call("a fox", model=name) for name in ("Tiny Pixels", 'Oil "Masters" {v2}')]


def test_images_are_made_once_and_hold_their_call(agent: Agent, calls: list[T2ICall], tmp_path: Path) -> None:
    painter = Painter()
    studio = Studio(tmp_path, agent.catalog, maker=painter)
    first = studio.files(calls[0], [0, 1])
    assert studio.generated == 2
    assert Studio(tmp_path, agent.catalog, maker=painter).files(calls[0], [0, 1]) == first
    assert len(painter.asked) == 2
    assert [np.asarray(image)[0, 0, 0] for image in studio.images(calls[0], [0, 1, 2])] == [20, 21, 22]
    assert studio.generated == 3
    assert T2ICall.parse(read_texts(first[1])["diffagent"]).seed == 1
    seeded = calls[0].model_copy(update={"seed": 99})
    assert studio.files(seeded, [0, 1]) == first


class Both(FakeA1111):
    """Has the two models of the calls."""

    checkpoints = (("11.safetensors", "a1" * 32), ("sub/22.safetensors", ""))


class BothInComfyUI(FakeComfyUI):
    checkpoints = ["sub/11.safetensors", "22.safetensors"]  # noqa: RUF012


@pytest.mark.parametrize("target", ["a1111", "comfyui"])
@pytest.mark.wide
def test_a_server_is_asked_again_by_the_same_studio(
    target: str, agent: Agent, calls: list[T2ICall], tmp_path: Path
) -> None:
    server: ImageServer = Both() if target == "a1111" else BothInComfyUI()
    with serving(server) as url:
        studio = Studio(tmp_path, agent.catalog, target, url)
        reward = ImageMetrics(studio, [Grey()], range(2))
        assert reward.raw("a fox", calls[:1])["grey"].shape == (1, 2)
        assert reward.raw("a fox", calls)["grey"].shape == (2, 2)
        studio.make(calls, [0, 1, 2], quiet)
        assert studio.generated == 6
        assert all(path.is_file() for call in calls for path in studio.files(call, [0, 1, 2]))


def test_an_executor_is_opened_once_for_all_calls_and_closed_in_its_loop(
    agent: Agent, calls: list[T2ICall], tmp_path: Path
) -> None:
    painter = Painter()
    studio = Studio(tmp_path, agent.catalog, maker=painter)
    studio.make(calls, [0], quiet)
    studio.make(calls, [0], quiet)  # all there: it is not opened
    assert [state for state, _ in painter.states] == ["open", "closed"]
    with studio:
        studio.files(calls[0], [1])
        studio.files(calls[0], [2])
    assert [state for state, _ in painter.states] == ["open", "closed"] * 2
    for (_, opened), (_, closed) in zip(painter.states[::2], painter.states[1::2], strict=True):
        assert opened is closed


def test_one_size_for_all(agent: Agent, calls: list[T2ICall], tmp_path: Path) -> None:
    studio = Studio(tmp_path, agent.catalog, maker=Painter(), size=(64, 64))
    assert {image.size for call in calls for image in studio.images(call, [0])} == {(64, 64)}


def test_processes_share_the_work_out(
    agent: Agent, calls: list[T2ICall], tmp_path: Path, monkeypatch: Any
) -> None:
    images = []
    for rank in range(3):
        painter = Painter()
        Studio(tmp_path, agent.catalog, maker=painter).make([*calls, *calls], [0], quiet, (rank, 3))
        images += painter.asked
    assert sorted(images) == sorted({(call.air, 0) for call in calls})
    assert share() == (0, 1)
    monkeypatch.setenv("RANK", "2")
    monkeypatch.setenv("WORLD_SIZE", "4")
    assert share() == (2, 4)


def test_a_reward_looks_at_every_image_once(agent: Agent, calls: list[T2ICall], tmp_path: Path) -> None:
    studio = Studio(tmp_path, agent.catalog, maker=Painter())
    reward = ImageMetrics(studio, [Grey()], range(2))
    assert reward.raw("a fox", calls)["grey"].tolist() == [[20.0, 21.0], [30.0, 31.0]]
    assert reward.score("a fox", calls) == pytest.approx([0.5 / 11, 10.5 / 11])
