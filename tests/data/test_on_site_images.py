"""Generation data of 2024 and later: the site's own generator, ComfyUI, numbers as text; and their pairs."""

from __future__ import annotations

from typing import Any

import pytest
from civitai_2026 import drawn_image, drawn_meta, drawn_model, drawn_version, listed_model, sha

from diffagent.data.catalog.cards import entries, survey
from diffagent.data.catalog.samples import invoked_lora, sample
from diffagent.data.dabench.pairs import pair
from diffagent.data.hubs.answers import flat_meta
from diffagent.data.records import LoraUse, Sample


def of(meta: object, **changes: Any) -> Sample:
    picture = sample(drawn_image(7, **changes) | {"meta": meta}, 10)
    assert picture is not None
    return picture


UPPER_CASE = {
    "Size": "1536x2688", "seed": 3766932689, "Model": "indexed_v1", "steps": 30,
    "hashes": {"model": "692186a14a", "LORA:Jedst1": "fb4063c470", "LORA:DetailedEyes_V3": "2c1c3f889f",
               "LORA:绪儿 厚涂构图光影质感增强V3": "d9b5900a59"},
    "prompt": "test", "Version": "ComfyUI", "sampler": "er_sde_ays_30", "cfgScale": 5, "clipSkip": 2,
    "resources": [{"hash": "692186a14a", "name": "indexed_v1", "type": "model"}],
    "Model hash": "692186a14a", "negativePrompt": "bad", "baseModel": "Illustrious",
}  # fmt: skip
"""The fields that an issue of ComfyUI-Lora-Manager shows."""

ON_SITE = {
    "Size": "832x1216", "seed": 1938345220, "steps": 45, "sampler": "DPM++ 2M", "cfgScale": 5, "clipSkip": 2,
    "prompt": "a harbour in fog", "negativePrompt": "blurry", "resources": [],
    "civitaiResources": [{"type": "checkpoint", "modelVersionId": 345685},
                         {"type": "lora", "weight": 0.65, "modelVersionId": 249861}],
}  # fmt: skip
"""The fields that the developers' documentation of ``/images`` shows."""


def test_upper_case_keys_name_three_loras_of_unknown_weight() -> None:
    picture = of(UPPER_CASE)
    assert picture.loras == (
        LoraUse("Jedst1", None, "fb4063c470"),
        LoraUse("DetailedEyes_V3", None, "2c1c3f889f"),
        LoraUse("绪儿 厚涂构图光影质感增强V3", None, "d9b5900a59"),
    )
    assert (picture.checkpoint_hash, picture.checkpoint_name) == ("692186a14a", "indexed_v1")
    assert (picture.steps, picture.cfg_scale, picture.clip_skip, picture.seed) == (30, 5, 2, 3766932689)
    assert (picture.width, picture.height) == (1536, 2688)  # the empty latent image's, not an upscaler's
    assert picture.sampler is None


def test_an_on_site_image_names_checkpoint_and_lora_by_version() -> None:
    picture = of(ON_SITE)
    assert (picture.checkpoint_version_id, picture.checkpoint_hash) == (345685, None)
    assert picture.loras == (LoraUse("", 0.65, None, 249861),)
    assert (picture.steps, picture.cfg_scale, picture.width, picture.height) == (45, 5, 832, 1216)


def test_the_generators_own_table_is_read_too() -> None:
    extra = {
        "workflow": "txt2img", "ecosystem": "Illustrious",
        "aspectRatio": {"value": "3:2", "width": 1216, "height": 832}, "quantity": 1,
        "resources": [{"modelVersionId": "1714314", "strength": 1, "type": "Checkpoint"},
                      {"modelVersionId": 55, "strength": "0.7", "type": "LORA"}],
    }  # fmt: skip
    picture = of({"prompt": "a fox", "extra": extra, "width": "1216", "height": "832"})
    assert picture.checkpoint_version_id == 1714314
    assert picture.loras == (LoraUse("", 0.7, None, 55),)
    assert (picture.width, picture.height) == (1216, 832)


def test_numbers_as_text() -> None:
    picture = of({"prompt": "a fox", "steps": "24", "cfgScale": "5.5", "seed": "99", "width": "832",
                  "height": "1216", "clipSkip": "2"})  # fmt: skip
    assert (picture.steps, picture.cfg_scale, picture.seed, picture.clip_skip) == (24, 5.5, 99, 2)
    assert (picture.width, picture.height) == (832, 1216)


def test_a_comfyui_graph_names_its_loras_and_model() -> None:
    picture = of({
        "prompt": "a fox", "engine": "ComfyUI", "models": ["nightDrive_v2.safetensors"], "vaes": [],
        "additionalResources": [
            {"name": "inkfox.safetensors", "type": "lora", "strength": 0.8, "strengthClip": 1},
            {"name": "urn:air:sdxl:lora:civitai:12@34", "type": "lora", "strength": 0.5},
            {"name": "upscaler.pth", "type": "upscaler"},
        ],
        "sampler": "euler_ancestral", "scheduler": "karras", "comfy": '{"prompt": NaN}',
    })  # fmt: skip
    assert picture.checkpoint_name == "nightDrive_v2.safetensors"
    assert picture.loras == (LoraUse("inkfox.safetensors", 0.8), LoraUse("", 0.5, None, 34))


def test_a_tag_may_name_an_air() -> None:
    picture = of({"prompt": "a fox <lora:urn:air:sdxl:lora:civitai:12@34:0.8> <lora:ink:0.5>",
                  "civitaiResources": [{"type": "lora", "modelVersionId": 34, "weight": 1}]})  # fmt: skip
    assert picture.loras == (LoraUse("", 0.8, None, 34), LoraUse("ink", 0.5))


@pytest.mark.parametrize("depth", [0, 1, 2])
def test_data_comes_flat_nested_and_twice_nested(depth: int) -> None:
    meta: dict[str, object] = ON_SITE
    for _ in range(depth):
        meta = {"id": 7, "meta": meta}
    assert of(meta) == of(ON_SITE)
    assert flat_meta(meta) == ON_SITE


def test_data_that_nests_nothing_is_none() -> None:
    assert flat_meta({"id": 7, "meta": {"id": 7, "meta": None}}) is None
    assert flat_meta({"meta": None}) is None


def test_the_hash_of_nothing_names_nothing() -> None:
    picture = of({"prompt": "a fox", "Model hash": "e3b0c44298", "hashes": {"lora:a": "e3b0c44298fc"}})
    assert picture.checkpoint_hash is None
    assert picture.loras == (LoraUse("a"),)


@pytest.mark.parametrize("odd", [None, 5, "x", [], {}, [None, 3, {"type": 4, "modelVersionId": {}}]])
def test_odd_tables_name_nothing(odd: object) -> None:
    keys = ("civitaiResources", "resources", "hashes", "extra", "additionalResources", "models", "Model")
    picture = of({"prompt": "a fox", **dict.fromkeys(keys, odd)})
    assert (picture.loras, picture.checkpoint_version_id) == ((), None)


def test_a_lora_is_invoked_by_its_version_and_not_by_anothers() -> None:
    picture = of(ON_SITE)
    assert invoked_lora(picture, (), (), {249861, 3}) == LoraUse("", 0.65, None, 249861)
    assert invoked_lora(picture, (), (), {3}) is None


@pytest.mark.parametrize(
    ("changes", "samples"),
    [
        ({"nsfwLevel": 1}, True),
        ({"nsfwLevel": 2}, True),
        ({"nsfwLevel": 4}, False),
        ({"nsfwLevel": 0}, False),
        ({"nsfwLevel": 32}, False),
        ({"nsfwLevel": "Soft", "nsfw": True, "browsingLevel": 2}, True),
        ({"nsfwLevel": "None", "nsfw": False, "browsingLevel": 4}, False),
        ({"nsfwLevel": "None", "nsfw": False}, True),
        ({"nsfwLevel": "Soft", "nsfw": True}, False),
        ({"nsfwLevel": None, "nsfw": "None"}, True),
        ({"type": "video"}, False),
        ({"minor": True}, False),
        ({"poi": True}, False),
    ],
)
def test_which_images_are_shown_to_everybody(changes: dict[str, Any], samples: bool) -> None:
    assert (sample(drawn_image(7) | {"meta": ON_SITE} | changes, 1) is not None) is samples


def test_an_image_may_have_its_number_in_its_url_alone() -> None:
    image = drawn_image(77) | {"meta": ON_SITE}
    del image["id"]
    picture = sample(image, 1)
    assert picture is not None
    assert picture.image_id == 77


def crawled(meta: dict[str, Any], image_level: int = 1) -> tuple[dict[str, Any], dict[str, Any]]:
    """A checkpoint with the versions 12 and 11, and a LoRA, version 22, whose image has the data."""
    base = listed_model(drawn_model(1, drawn_version(12), drawn_version(11)))
    image = drawn_image(900, image_level, meta)
    lora = listed_model(drawn_model(2, drawn_version(22, image), type="LORA", name="Ink"))
    lora["modelVersions"][0]["images"][0]["meta"] = meta
    return base, lora


def test_usage_and_pairs_of_on_site_images() -> None:
    resources = [{"type": "checkpoint", "modelVersionId": 11},
                 {"type": "lora", "weight": 0.65, "modelVersionId": 22}]  # fmt: skip
    rows = crawled(drawn_meta(1, civitaiResources=resources))
    summary = survey(rows)
    entry = list(entries(rows, summary))[1]
    assert entry.card.usage.checkpoints == {"urn:air:sdxl:checkpoint:civitai:1@12": 1}
    assert entry.card.usage.lora_weight == {0.65: 1}
    row = pair(entry, entry.samples[0], summary.checkpoints)
    assert isinstance(row, dict)
    assert row["api"] == {
        "model": "Ink", "type": "LoRA", "base_model": "SDXL 1.0", "width": 832, "height": 1216,
        "sampling_method": "Euler a", "sampling_steps": 24, "cfg_scale": 5.0,
        "model_description": "SDXL 1.0 LoRA: scenery, lighthouse.",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("resources", "reason"),
    [
        ([{"type": "checkpoint", "modelVersionId": 11}], "LoRA not invoked"),
        ([{"type": "lora", "modelVersionId": 22}], "base checkpoint not named"),
        ([{"type": "checkpoint", "modelVersionId": 5}, {"type": "lora", "modelVersionId": 22}],
         "base checkpoint unavailable"),
        ([{"type": "checkpoint", "modelVersionId": 11}, {"type": "lora", "modelVersionId": 99}],
         "LoRA not invoked"),
    ],
)  # fmt: skip
def test_why_an_on_site_image_is_no_pair(resources: object, reason: str) -> None:
    rows = crawled(drawn_meta(1, civitaiResources=resources))
    summary = survey(rows)
    entry = list(entries(rows, summary))[1]
    assert pair(entry, entry.samples[0], summary.checkpoints) == reason


def test_a_checkpoints_own_image_names_any_of_its_versions() -> None:
    meta = drawn_meta(1, civitaiResources=[{"type": "checkpoint", "modelVersionId": 11}])
    other = drawn_meta(2, civitaiResources=[{"type": "checkpoint", "modelVersionId": 99}])
    images = [drawn_image(1, 1, meta), drawn_image(2, 1, other), drawn_image(3, 1, {"prompt": "a fox"})]
    row = listed_model(drawn_model(1, drawn_version(12, *images), drawn_version(11)))
    for image, data in zip(
        row["modelVersions"][0]["images"], (meta, other, {"prompt": "a fox"}), strict=True
    ):
        image["meta"] = data
    summary = survey([row])
    (entry,) = entries([row], summary)
    outcomes = [pair(entry, picture, summary.checkpoints) for picture in entry.samples]
    assert isinstance(outcomes[0], dict)
    assert outcomes[1:] == ["another checkpoint", "checkpoint not named"]


def test_a_hash_holds_before_a_version() -> None:
    meta = drawn_meta(1, **{"Model hash": sha("drawn11.safetensors")[:10]})
    meta["civitaiResources"] = [{"type": "checkpoint", "modelVersionId": 5},
                                {"type": "lora", "modelVersionId": 22}]  # fmt: skip
    rows = crawled(meta)
    entry = list(entries(rows, survey(rows)))[1]
    assert entry.card.usage.checkpoints == {"urn:air:sdxl:checkpoint:civitai:1@12": 1}
