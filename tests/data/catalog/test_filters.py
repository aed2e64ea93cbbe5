"""Which models can be called, and the reason for every one that cannot."""

from __future__ import annotations

from typing import Any

import pytest
from invented_items import file, item, version

from diffagent.data.catalog.filters import Funnel, Scope, is_flagged, judge, passing
from diffagent.data.errors import BadInput


def test_a_usable_model_passes() -> None:
    (version_,) = judge(item(1)).passed
    assert (version_.type, version_.base_model, version_.version["id"]) == ("Checkpoint", "SD 1.5", 10)
    assert version_.file["name"] == "file10.safetensors"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"type": "Controlnet"}, "type"),
        ({"nsfw": True}, "nsfw"),
        ({"poi": True}, "real person"),
        ({"tags": ["Celebrity"]}, "real person"),
        ({"tags": ["japanese actress"]}, "real person"),
        ({"name": "Hentai mix"}, "explicit words"),
        ({"tags": ["foo", "nude"]}, "explicit words"),
        ({"modelVersions": []}, "no version"),
        ({"name": "Fox Inpainting"}, "inpainting"),
    ],
)
def test_why_a_model_is_dropped(changes: dict[str, Any], reason: str) -> None:
    verdict = judge({**item(1), **changes})
    assert (verdict.passed, verdict.reason) == ((), reason)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"baseModel": "Wan Video 14B t2v"}, "base model"),
        ({"baseModel": "Sora 2"}, "base model"),
        ({"baseModel": None}, "base model"),
        ({"name": "v1-inpainting"}, "inpainting"),
        ({"files": [file("a-inpainting.safetensors")]}, "inpainting"),
        ({"files": []}, "no model file"),
        ({"files": [file("x.vae.safetensors", type="VAE")]}, "no model file"),
        ({"files": [file("a.ckpt")]}, "not safetensors"),
        ({"files": [file("a.safetensors", pickleScanResult="Danger")]}, "scan"),
        ({"files": [file("a.safetensors", hashes={"AutoV2": "12"})]}, "no sha256"),
        ({"files": [file("a.safetensors", hashes={"SHA256": "short"})]}, "no sha256"),
    ],
)
def test_why_a_version_is_dropped(changes: dict[str, Any], reason: str) -> None:
    verdict = judge(item(1, version(5, **changes)))
    assert (verdict.passed, verdict.reason, verdict.versions) == ((), reason, {reason: 1})


def test_fictional_people_stay() -> None:
    assert not is_flagged(item(1, tags=["virtual youtuber", "idolmaster", "persona 5", "actions"]))


def test_the_newest_passing_version_of_each_base_model() -> None:
    model = item(
        1,
        version(4, files=[file("new.ckpt")]),
        version(3),
        version(2, baseModel="SDXL 1.0"),
        version(1, name="old-inpainting"),
        version(0),
    )
    first, second = judge(model).passed
    assert (first.base_model, first.version["id"]) == ("SD 1.5", 3)
    assert [v["id"] for v in first.family_versions] == [4, 3, 0]
    assert (second.base_model, second.version["id"]) == ("SDXL 1.0", 2)
    assert [p.base_model for p in judge(model, Scope.of(["sdxl"])).passed] == ["SDXL 1.0"]


def test_the_reason_is_of_the_version_that_came_furthest() -> None:
    model = item(1, version(1, baseModel="Mochi"), version(2, files=[file("a.ckpt")]))
    verdict = judge(model)
    assert verdict.reason == "not safetensors"
    assert verdict.versions == {"base model": 1, "not safetensors": 1}


def test_the_primary_file_is_the_one_to_call() -> None:
    files = [file("a.safetensors"), file("b.safetensors", primary=True), file("c.ckpt")]
    assert judge(item(1, version(1, files=files))).passed[0].file["name"] == "b.safetensors"


def test_the_funnel_counts_everything_once() -> None:
    funnel = Funnel()
    models = [item(1), item(2, nsfw=True), item(3, version(1), version(2, baseModel="SDXL 1.0"))]
    assert [p.version["id"] for _, p in passing(models, Scope(), funnel)] == [10, 1, 2]
    assert funnel.to_json() == {
        "models": 3,
        "dropped": {"nsfw": 1},
        "kept": 2,
        "entries": 3,
        "dropped_versions": {},
    }


def test_a_scope_is_of_base_models_that_can_be_run() -> None:
    names = Scope.of(()).base_models
    assert names[:3] == ("SD 1.4", "SD 1.5", "SDXL 1.0")
    assert {"SD 2.1", "Pony", "Illustrious", "NoobAI", "Flux.1 D", "ZImageTurbo", "Qwen"} <= set(names)
    assert not {"Other", "Wan Video 14B t2v", "Sora 2", "OpenAI"} & set(names)
    assert Scope.of(["sdxl 1.0", "sd 1.5"]).base_models == ("SDXL 1.0", "SD 1.5")
    with pytest.raises(BadInput, match="'Other' is added by hand"):
        Scope.of(["other"])
