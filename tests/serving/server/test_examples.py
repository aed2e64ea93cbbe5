"""Example images over HTTP, on image specifications: identification, and routing by prompt and images."""

from __future__ import annotations

import base64
import io
import math
from typing import Any

import httpx
import pytest
from invented_images import STYLES, picture
from server_runs import ROUTED, Serve, error_of
from stand_ins import ByteIdentifier

from diffagent.agent.agent import Agent
from diffagent.agent.asking.request import Request

NEW = 50
"""A prompt that no specification was made with."""


def png(model: str, prompt_id: int = NEW) -> bytes:
    buffer = io.BytesIO()
    picture(model, prompt_id).save(buffer, "PNG")
    return buffer.getvalue()


def encoded(*files: bytes) -> list[str]:
    return [base64.b64encode(file).decode() for file in files]


def test_images_are_identified_as_json_and_as_a_form(seeing: Agent, serve: Serve) -> None:
    files = [png("blue"), png("blue", NEW + 1)]
    with serve(seeing) as client:
        plain, other = encoded(*files)
        body = client.post(
            "/v1/identify", json={"images": [plain, f"data:image/png;base64,{other}"], "k": 3}
        ).json()
        form = [("images", (f"{n}.png", file, "image/png")) for n, file in enumerate(files)]
        same = client.post("/v1/identify", files=form, data={"k": "3"}).json()
    assert list(body) == ["models", "unsure", "timings_ms"]
    assert (same["models"], same["unsure"]) == (body["models"], body["unsure"])
    identification = seeing.identify(files)
    assert [entry["air"] for entry in body["models"]] == [air for air, _ in identification.best(3)]
    scores = sorted(identification.log_probabilities, reverse=True)
    assert [entry["score"] for entry in body["models"]] == pytest.approx(scores, abs=1e-4)
    assert (body["models"][0]["model"], body["unsure"]) == ("blue", False)
    assert sum(math.exp(entry["score"]) for entry in body["models"]) == pytest.approx(1, abs=1e-3)
    assert body["timings_ms"]["total"] > 0


def test_scores_are_numbers_however_improbable_and_unknown_models_are_left_out(
    agent: Agent, serve: Serve
) -> None:
    agent.identifier = ByteIdentifier(agent.catalog, 1e-300)  # type: ignore[assignment]
    with serve(agent) as client:
        body = client.post("/v1/identify", json={"images": encoded(png("blue")), "k": 52}).json()
    scores = [entry["score"] for entry in body["models"]]
    unit = math.log(1e-300)
    assert scores == pytest.approx([2 * unit, 3 * unit, 4 * unit, 5 * unit, 6 * unit])  # the first it lacks


def test_images_and_prompt_choose_together(seeing: Agent, serve: Serve) -> None:
    with serve(seeing) as client:
        for model in STYLES:
            body = client.post("/v1/route", json={"prompt": "a fox", "images": encoded(png(model))}).json()
            decision = seeing.decide(Request.from_prompt("a fox", images=[png(model)]))
            assert list(body) == list(ROUTED)
            assert body["call"] == decision.call.model_dump()
            assert body["call"]["model"] == model
            assert body["candidates"] == decision.to_dict()["candidates"]


def test_what_is_wrong_is_said(seeing: Agent, serve: Serve) -> None:
    form = [("images", ("a.png", png("blue"), "image/png"))]
    broken = b"\x89PNG\r\n\x1a\n"
    with serve(seeing) as client:

        def error(**content: Any) -> tuple[int, str, str]:
            return error_of(client.post("/v1/identify", **content))

        assert error(files=form, data={"k": "many"}) == (
            400,
            "bad_input",
            "k is not a number of models: give 1 to 52",
        )
        many = (400, "bad_input", "8 images were given, but at most 6 are read: leave some out")
        assert error(files=form * 8) == error(json={"images": encoded(png("blue")) * 8}) == many
        assert error(json={"images": []})[:2] == (400, "bad_input")
        assert error(json={"images": encoded(broken)})[:2] == (400, "bad_image")
        assert error(files=[("images", ("a.png", b"<svg/>", "image/png"))])[:2] == (400, "bad_input")
        assert error(data={"k": "2"})[0] == 415
        boundary = {"Content-Type": "multipart/form-data; boundary=x"}
        assert error(content=b"--x\r\nnonsense", headers=boundary)[0] == 400
        routed = client.post("/v1/route", json={"prompt": "a fox", "images": encoded(broken)})
        assert error_of(routed)[:2] == (400, "bad_image")


def test_without_image_specifications_the_remedy_is_said(client: httpx.Client) -> None:
    images = encoded(png("blue"))
    status, kind, message = error_of(client.post("/v1/identify", json={"images": images}))
    assert (status, kind) == (501, "no_image_specifications")
    assert "diffagent pmi build" in message
    routed = error_of(client.post("/v1/route", json={"prompt": "a fox", "images": images}))
    assert routed[:2] == (400, "bad_input")
    assert "diffagent pmi build" in routed[2]
