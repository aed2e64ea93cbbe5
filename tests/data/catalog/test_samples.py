"""Generation data as people share it, and the sample it becomes."""

from __future__ import annotations

import gzip
import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from invented_items import image, item, version

from diffagent.data.catalog.samples import invoked_lora, sample, samples, stem
from diffagent.data.prompts import is_sfw, plain, strip_lora_tags, strip_trigger_words
from diffagent.data.records import LoraUse, Sample
from diffagent.data.samplers import SAMPLERS


def of(**meta: object) -> Sample:
    picture = sample(image(1, meta=meta), 10)
    assert picture is not None
    return picture


def test_a_plain_image() -> None:
    picture = of(seed=5, negativePrompt="blurry", **{"Model hash": "0xABCDEF1234", "Model": "inks_v1"})
    assert picture == Sample(
        1, 10, "a lighthouse at dawn", "blurry", "Euler a", 20, 7, 512, 768, None, 5, "abcdef1234", "inks_v1"
    )


def test_numbers_may_be_text_and_out_of_range_is_none() -> None:
    picture = of(steps="30", cfgScale="7.5", seed=-1, **{"Clip skip": "2,"})
    assert (picture.steps, picture.cfg_scale, picture.clip_skip, picture.seed) == (30, 7.5, 2, None)
    picture = of(steps=900, cfgScale=0, clipSkip=1, seed=2**32)
    assert (picture.steps, picture.cfg_scale, picture.clip_skip, picture.seed) == (None, None, 1, None)
    picture = of(steps=True, cfgScale=float("nan"), seed=None)
    assert (picture.steps, picture.cfg_scale, picture.seed) == (None, None, None)


@pytest.mark.parametrize(
    ("meta", "size"),
    [
        ({"Size": "512x640"}, (512, 640)),
        ({"Size": "524x1024"}, (520, 1024)),
        ({"Size": "512x640", "Hires upscale": "2"}, (512, 640)),
        ({"Size": None}, (1024, 1536)),
        ({"Size": None, "Hires upscale": "2"}, (512, 768)),
        ({"Size": None, "Hires resize": "1024x1536"}, (None, None)),
        ({"Size": "1024x1536", "First pass size": "512x768"}, (512, 768)),
        ({"Size": "1024x1024", "First pass size": "0x0"}, (512, 512)),
        ({"Size": "4096x4096"}, (None, None)),
        ({"Size": "garbled"}, (1024, 1536)),
    ],
)
def test_the_size_is_as_generated(meta: dict[str, Any], size: tuple[int, int]) -> None:
    picture = sample(image(1, meta=meta, width=1024, height=1536), 10)
    assert picture is not None
    assert (picture.width, picture.height) == size


@pytest.mark.parametrize(
    ("name", "schedule", "expected"),
    [
        ("Euler A", None, "Euler a"),
        ("dpm++  2m karras", None, "DPM++ 2M Karras"),
        ("DPM++ 2M Karras v2", None, "DPM++ 2M Karras"),
        ("DPM++ 2M alt Karras", None, "DPM++ 2M Karras"),
        ("DPM++ 2M Karras Sharp v1", None, "DPM++ 2M Karras"),
        ("DPM++ 2M", "Karras", "DPM++ 2M Karras"),
        ("DPM++ SDE", "Automatic", "DPM++ SDE Karras"),
        ("DPM++ 2M SDE", "Automatic", "DPM++ 2M SDE Exponential"),
        ("Euler a", "Automatic", "Euler a"),
        ("Euler", "Karras", "Euler Karras"),
        ("DPM++ 2M", "Exponential", "DPM++ 2M Exponential"),
        ("DPM++ 2M", "Normal", "DPM++ 2M"),
        ("dpmpp_2m_sde_gpu", "karras", "DPM++ 2M SDE Karras"),
        ("euler", "sgm_uniform", "Euler SGM Uniform"),
        ("res_multistep", "beta57", "Res Multistep Beta57"),
        ("er_sde_ays_30", None, None),
        ("KKW++ 2M Karras V3 qual", None, None),
        (None, "Karras", None),
        (7, None, None),
    ],
)
def test_samplers(name: str | int | None, schedule: str | None, expected: str | None) -> None:
    assert of(sampler=name, **{"Schedule type": schedule}).joined_sampler == expected


@given(st.sampled_from(SAMPLERS))
def test_every_known_sampler_keeps_its_name(name: str) -> None:
    assert of(sampler=name).joined_sampler == name
    assert of(sampler=name.upper()).joined_sampler == name


def test_loras_from_every_place_once_each() -> None:
    picture = of(
        prompt="a fox <lora:Ink:0.8> <lyco:Wash:0.5:0.7>, <lora:bare>, <hypernet:h:1>, <lora:far:9>",
        resources=[
            {"type": "lora", "name": "ink", "weight": 0.3, "hash": "AABBCCDDEE"},
            {"type": "lora"},
            {"type": "model", "name": "base", "hash": "1122334455"},
        ],
        hashes={"model": "ffffffffff", "lora:Wash": "0x99887766ff"},
        **{"AddNet Module 1": "LoRA", "AddNet Model 1": "Old(0123456789ab)", "AddNet Weight A 1": "0.6"},
    )
    assert picture.loras == (
        LoraUse("Ink", 0.8, "aabbccddee"),
        LoraUse("Wash", 0.5, "99887766ff"),
        LoraUse("bare", 1.0),
        LoraUse("far", None),
        LoraUse("Old", 0.6, "0123456789ab"),
    )
    assert picture.checkpoint_hash == "ffffffffff"
    assert picture.checkpoint_name == "base"


def test_which_lora_is_invoked() -> None:
    two = of(prompt="x <lora:Ink_v2:0.8> <lora:other:1>")
    assert invoked_lora(two, (), {stem("folder/ink-V2.safetensors")}) == LoraUse("Ink_v2", 0.8)
    assert invoked_lora(two, (), {"third"}) is None
    assert invoked_lora(of(prompt="x <lora:renamed:1>"), (), {"ink"}) == LoraUse("renamed", 1.0)
    assert invoked_lora(of(prompt="x <lora:ink:0>"), (), {"ink"}) is None
    hashed = of(prompt="x <lora:a:1> <lora:b:1>", hashes={"lora:b": "aabbccddee"})
    assert invoked_lora(hashed, {"aabbccddee"}, {"a"}) == LoraUse("b", 1.0, "aabbccddee")


def test_masks_and_image_inputs() -> None:
    assert of(**{"Mask blur": 4, "Denoising strength": 0.5}).inpainting
    assert not of(**{"Mask blur": 4, "Ultimate SD upscale padding": 32}).inpainting
    assert of(Model="inks-inpainting").inpainting
    assert of(Model={"name": "inks-inpainting"}).inpainting
    assert of(**{"Denoising strength": 0.5}).img2img
    assert not of(**{"Denoising strength": 0.5, "Hires upscale": 2}).img2img


def test_images_that_are_no_samples() -> None:
    assert sample(image(1, nsfw="Soft"), 1) is None
    assert sample(image(1, nsfwLevel="Mature"), 1) is None
    assert sample({**image(1), "meta": None}, 1) is None
    assert sample(image(1, prompt="  <lora:x:1> "), 1) is None
    assert sample(image(1, prompt="a nude statue"), 1) is None
    assert sample({**image(1), "id": None}, 1) is None
    nested = image(1)
    assert sample({**nested, "meta": {"id": 1, "meta": nested["meta"]}}, 1) == sample(nested, 1)


def test_samples_of_an_item_in_order() -> None:
    model = item(1, version(7, image(3), image(1, nsfw="X")), version(6, image(2)), {"id": 5})
    assert [(s.image_id, s.version_id) for s in samples(model)] == [(3, 7), (2, 6)]


@pytest.mark.parametrize(
    ("prompt", "sfw"),
    [
        ("a classic assassin in a grass field, analog photo", True),
        ("a child flying a kite", True),
        ("a woman in a bikini on the beach", True),
        ("young girl, bikini", False),
        ("17 years old, lingerie", False),
        ("NSFW", False),
        ("long_hair, naked_apron", False),
    ],
)
def test_sfw(prompt: str, sfw: bool) -> None:
    assert is_sfw(prompt) is sfw


@pytest.mark.parametrize(
    ("prompt", "clean"),
    [
        ("a fox,<lora:ink:0.8>, snow", "a fox, snow"),
        ("<LORA:ink:1:0.5>a fox (<lyco:w:1>:1.2)", "a fox"),
        ("I <3 foxes,, (really) ", "I <3 foxes,, (really)"),
    ],
)
def test_lora_tags_go_and_the_rest_stays(prompt: str, clean: str) -> None:
    assert strip_lora_tags(prompt) == clean


@pytest.mark.parametrize(
    ("prompt", "words", "clean"),
    [
        ("(InkFox:1.2), a fox", ["inkfox"], "a fox"),
        ("inkfoxes and a fox", ["inkfox"], "inkfoxes and a fox"),
        ("ink style fox, ink", ["ink, ink style"], "fox"),
        ("a ((ink_style)), [b]", ["ink style"], "a, [b]"),
        ("a fox in c++ (c++)", ["c++"], "a fox in"),
        ("a fox", ["", " , ", "a"], "a fox"),
        ("水墨, a fox", ["水墨"], "a fox"),
    ],
)
def test_trigger_words_go_as_whole_phrases(prompt: str, words: list[str], clean: str) -> None:
    assert strip_trigger_words(prompt, words) == clean


def test_plain_words() -> None:
    assert (
        plain("a (red:1.3) [fox] BREAK {snow}, ((very cold:.5)) <lora:x:1>") == "a red fox, snow, very cold"
    )
    assert plain(r"emma \(series\), 16:9") == "emma (series), 16:9"


def letters(text: str) -> str:
    return "".join(filter(str.isalpha, text))


@given(st.text("ab é水_-.,()[]{}", max_size=60))
def test_plain_words_keep_every_letter_and_no_bracket(text: str) -> None:
    clean = plain(text)
    assert letters(clean) == letters(text)
    assert not set(clean) & set("()[]{}")


@given(st.text(max_size=200))
def test_cleaning_survives_any_text(text: str) -> None:
    is_sfw(text)
    plain(text)
    assert "<lora:" not in strip_lora_tags(text + "<lora:a:1>")


@pytest.mark.parametrize(
    "piece", ["(", ")", "<lora:", " ", ", ", ":", "[:", "a_", "\\(", ":1", "((", "young ", "(a:1) "]
)
def test_long_prompts_take_linear_time(piece: str) -> None:
    prompt = piece * (100_000 // len(piece))
    start_time = time.process_time()
    is_sfw(prompt), strip_lora_tags(prompt), plain(prompt), strip_trigger_words(prompt, ["young", "a b"])
    assert time.process_time() - start_time < 5


def test_the_snapshot() -> None:
    """Real generation data is understood nearly always."""
    root = os.environ.get("DIFFAGENT_DATA")
    if not root:
        pytest.skip("DIFFAGENT_DATA is not set: it names the folder with the shared data")
    rows: list[Sample] = []
    with gzip.open(Path(root) / "civitai" / "models.jsonl.gz") as lines:
        for _, line in zip(range(400), lines, strict=False):
            rows.extend(samples(json.loads(line)))
    assert len(rows) > 2000
    for name in ("sampler", "steps", "cfg_scale", "width"):
        assert sum(getattr(row, name) is None for row in rows) < 0.05 * len(rows), name
