"""The text inside pictures: PNG chunks, Exif of JPEG and WebP, in every encoding that programs write."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diffagent.data.errors import BadImage, BadInput, DiffAgentError
from diffagent.data.metadata import picture
from diffagent.data.metadata.generation import ModelUse

pytest.importorskip("PIL")

TEXT = "a fox 中\nSteps: 4, Sampler: Euler, Character: 中"
GRAPH: dict[str, Any] = {
    "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "basalt.safetensors"}},
    "2": {"class_type": "CLIPTextEncode", "inputs": {"text": "a tram", "clip": ["1", 1]}},
    "3": {"class_type": "EmptyLatentImage", "inputs": {"width": 640, "height": 512}},
    "4": {
        "class_type": "KSampler",
        "inputs": {
            "seed": 3, "steps": 9, "cfg": 2, "sampler_name": "lcm", "scheduler": "sgm_uniform",
            "model": ["1", 0],
            "positive": ["2", 0], "negative": ["2", 0], "latent_image": ["3", 0],
        },
    },
}  # fmt: skip
SWARM: dict[str, Any] = {
    "sui_image_params": {
        "prompt": "a desert", "negativeprompt": "fog", "model": "sub/basalt", "seed": 5, "steps": 12,
        "cfgscale": 4.5,
        "width": 768, "height": 512, "sampler": "dpmpp_3m_sde_gpu", "scheduler": "karras", "loras": ["ink",
        "chalk"],
        "loraweights": ["0.55", "-1"], "fluxguidancescale": 3.5, "clipstopatlayer": -2,
    },
    "sui_models": [{"name": "sub/basalt", "param": "model", "hash": "0x" + "b2" * 32}],
}  # fmt: skip


def saved(
    form: str, *, size: tuple[int, int] = (64, 48), chunks: dict[str, str] | None = None, **tags: Any
) -> bytes:
    """A picture with text chunks or Exif: ``comment`` is its UserComment, ``make`` and ``model`` tags."""
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    image, buffer = Image.new("RGB", size), io.BytesIO()
    exif = image.getexif()
    exif[0x0131] = "a test"  # Pillow writes no Exif into a PNG without a tag of its own
    for name, tag in (("make", 0x010F), ("model", 0x0110)):
        if name in tags:
            exif[tag] = tags[name]
    if "comment" in tags:
        exif.get_ifd(0x8769)[0x9286] = tags["comment"]
    if form == "PNG":
        info = PngInfo()
        for name, text in (chunks or {}).items():
            info.add_itxt(name, text) if "中" in text else info.add_text(name, text)
        image.save(buffer, form, pnginfo=info, exif=exif)
    else:
        image.save(buffer, form, exif=exif)
    return buffer.getvalue()


@pytest.mark.parametrize("form", ["JPEG", "WEBP", "PNG"])
@pytest.mark.parametrize(
    "comment",
    [
        b"UNICODE\0" + TEXT.encode("utf-16-be"),
        b"UNICODE\0" + TEXT.encode("utf-16-le"),
        b"UNICODE\0\xfe\xff" + TEXT.encode("utf-16-be"),
        b"UNICODE\0\xff\xfe" + TEXT.encode("utf-16-le"),
        b"ASCII\0\0\0" + TEXT.encode(),
        b"\0" * 8 + TEXT.encode(),
        TEXT.encode(),
    ],
)
def test_a_user_comment_is_read_in_any_encoding(form: str, comment: bytes) -> None:
    generation = picture.read(saved(form, comment=comment))
    assert (generation.prompt, generation.steps, generation.sampler) == ("a fox 中", 4, "Euler")
    assert (generation.width, generation.height) == (64, 48)
    assert generation.notes == ("the metadata does not give the size: the picture's own was taken",)


def test_a_png_has_infotext_or_a_graph() -> None:
    assert picture.read(saved("PNG", chunks={"parameters": TEXT})).prompt == "a fox 中"
    generation = picture.read(saved("PNG", chunks={"prompt": json.dumps(GRAPH), "workflow": '{"nodes": []}'}))
    assert (generation.prompt, generation.sampler, generation.schedule, generation.width) == (
        "a tram",
        "lcm",
        "sgm_uniform",
        640,
    )
    both = picture.read(saved("PNG", chunks={"prompt": json.dumps(GRAPH), "parameters": TEXT}))
    assert both.prompt == "a fox 中"
    odd = picture.read(
        saved("PNG", chunks={"prompt": json.dumps(GRAPH), "Software": "none", "parameters": "{}"})
    )
    assert odd.prompt == "a tram"


def test_a_webp_has_its_graph_in_the_cameras_fields() -> None:
    tags: dict[str, Any] = {
        "model": "prompt:" + json.dumps(GRAPH),
        "make": "workflow:" + json.dumps({"nodes": []}),
    }
    assert picture.read(saved("WEBP", **tags)).checkpoint == ModelUse("basalt.safetensors")


def test_swarmuis_parameters_are_read() -> None:
    generation = picture.read(saved("PNG", chunks={"parameters": json.dumps(SWARM)}))
    assert (generation.prompt, generation.negative_prompt, generation.seed, generation.clip_skip) == (
        "a desert",
        "fog",
        5,
        2,
    )
    assert (generation.sampler, generation.schedule, generation.guidance) == (
        "dpmpp_3m_sde_gpu",
        "karras",
        3.5,
    )
    assert generation.loras == (ModelUse("ink", weight=0.55), ModelUse("chalk", weight=-1.0))


def test_a_picture_that_tells_nothing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no metadata"):
        picture.read(saved("PNG"))
    with pytest.raises(BadInput, match="not an infotext"):
        picture.read(saved("PNG", chunks={"Comment": "holiday"}))
    with pytest.raises(BadImage, match="7 bytes"):
        picture.read(b"no file")
    with pytest.raises(BadImage, match=r"gone\.png"):
        picture.read(tmp_path / "gone.png")


@given(
    st.binary(max_size=60) | st.text(max_size=60).map(lambda text: b"UNICODE\0" + text.encode("utf-16-le"))
)
def test_any_comment_is_text(data: bytes) -> None:
    assert isinstance(picture.user_comment(data), str)


@given(
    st.recursive(
        st.none() | st.floats() | st.text(max_size=5), lambda children: st.lists(children, max_size=3)
    )
)
def test_any_value_of_swarmui_is_read_or_refused(value: Any) -> None:
    for name in SWARM["sui_image_params"]:
        parameters = {"sui_image_params": {**SWARM["sui_image_params"], name: value}}
        with contextlib.suppress(DiffAgentError):
            picture.from_text(json.dumps(parameters))
