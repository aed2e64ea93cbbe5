"""Infotext of A1111, Forge, SD.Next and Civitai, as rich as people share it."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diffagent.data.catalog.catalog import Catalog
from diffagent.data.errors import BadInput, DiffAgentError, UnknownModel
from diffagent.data.metadata import infotext
from diffagent.data.metadata.generation import ModelUse, recover
from diffagent.data.records import Card

CIVITAI = (
    "masterpiece, a hothouse full of ferns, glass roof, <lora:dewdrops:0.65>\n"
    "Negative prompt: blurry\n"
    "Steps: 40, Sampler: DPM++ 2M Karras, CFG scale: 7, Seed: 2027225909, Size: 1216x832, Clip skip: 2, "
    "Created Date: 2026-02-25T22:09:08.8166925Z, Civitai resources: "
    '[{"type":"checkpoint","modelVersionId":1714314,"modelName":"Green Milk \\uD83C\\uDF3F",'
    '"modelVersionName":"Hemp II"},{"type":"lora","weight":0.65,"modelVersionId":249861,'
    '"modelName":"Dew, drops: [soft]"}], Civitai metadata: {"workflow":"txt2img","ecosystem":"Illustrious",'
    '"aspectRatio":{"value":"3:2","width":1216,"height":832},"resources":[{"modelVersionId":1714314,'
    '"strength":1,"type":"Checkpoint"}]}'
)
FORGE = (
    "a ferry at dusk <lora:FluxTasticDetails:0.8> <lora:aidJourney6.1v0.4:0.5> <lora:수묵화_No2:1> "
    "<lora:FLUX-daub-DB4RZ-v2:0.7>\n"
    "Steps: 32, Sampler: Euler, Schedule type: Beta, CFG scale: 1, Distilled CFG Scale: 3.5, "
    "Seed: 3177976522, Size: 896x1152, Model hash: 3f97fdc57a, Model: flux1-dev, "
    "Denoising strength: 0.36, RNG: NV, "
    "Hires Module 1: Use same choices, Hires prompt: \\, Hires negative prompt: , Hires CFG Scale: 1, "
    "Hires Distilled CFG Scale: 5.5, Hires upscale: 1.5, Hires steps: 8, Lora hashes: "
    '"FluxTasticDetails: 4259dc3287, aidJourney6.1v0.4: 88027fe63c88, 수묵화_No2: 89256f6529f1, '
    'FLUX-daub-DB4RZ-v2: 9A6DFC274BBD", Version: f2.0.1v1.10.1-previous-637, Module 1: ae, Module 2: clip_l, '
    "Module 3: t5xxl_fp16, Diffusion in Low Bits: Automatic (fp16 LoRA)"
)
ONE_LINE = (
    "A drone shot of a harbour at night, Blade chaser movie Negative prompt: Steps: 23, Sampler: Undefined, "
    "CFG scale: 3.5, Seed: 1760020955, Size: 832x1216, Clip skip: 2, Created Date: 2026-01-01T10:00:00.1Z, "
    'Civitai resources: [{"type":"checkpoint","modelVersionId":2442439,"modelName":"Z Image",'
    '"modelVersionName":"Turbo"}], Civitai metadata: {}'
)
SDNEXT = (
    "an old tram\nNegative prompt: people\n"
    "Steps: 24, Size: 1024x768, Seed: 18446744073709551615, CFG scale: 6, CLiP-skip: 2, Sampler: DPM++ 2M, "
    "Sampler sigma: karras, App: SD.Next, Version: 4f1a2b3, Operations: txt2img, Model: basalt, "
    "Model hash: b2b2b2b2b2"
)


HASHED = (
    "x <lora:renamed:1>\nSteps: 4, Sampler: Euler, CFG scale: 1, Size: 64x64, Model: basalt, "
    'Lora hashes: "renamed: {}"'
)


def card(name: str, kind: str, base: str, air: str, *hashes: str, file: str | None = None) -> Card:
    model, version = (int(part) for part in air.rsplit(":", 1)[1].split("@"))
    return Card(name, kind, base, air, model, version, file_name=file, hashes=hashes, sha256=None)  # type: ignore[arg-type]


CARDS = (
    card("Green Milk", "Checkpoint", "Illustrious", "urn:air:sdxl:checkpoint:civitai:833@1714314"),
    card("Dewdrops", "LoRA", "Illustrious", "urn:air:sdxl:lora:civitai:221@249861"),
    card(
        "FLUX dev",
        "Checkpoint",
        "Flux.1 D",
        "urn:air:flux1:checkpoint:civitai:618@691",
        "3f97fdc57a" + "0" * 54,
    ),
    card("Tastic", "LoRA", "Flux.1 D", "urn:air:flux1:lora:civitai:1@11", "4259dc3287" + "1" * 54),
    card("Journey", "LoRA", "Flux.1 D", "urn:air:flux1:lora:civitai:2@12", "88027fe63c88"),
    card("Ink", "LoRA", "Flux.1 D", "urn:air:flux1:lora:civitai:3@13", "89256f6529f1"),
    card("Daub", "LoRA", "Flux.1 D", "urn:air:flux1:lora:civitai:4@14", "9a6dfc274bbd"),
    card(
        "Slider",
        "LoRA",
        "Flux.1 D",
        "urn:air:flux1:lora:civitai:5@15",
        "1585b50b9d7d",
        file="slider.safetensors",
    ),
    card("Nothing", "LoRA", "SD 1.5", "urn:air:sd1:lora:civitai:6@16", "e3b0c44298fc", "6" * 64),
    card(
        "Basalt",
        "Checkpoint",
        "SD 1.5",
        "urn:air:sd1:checkpoint:civitai:21@22",
        "b2" * 32,
        file="basalt.safetensors",
    ),
)


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    path = tmp_path_factory.mktemp("metadata") / "catalog.sqlite"
    with Catalog.create(path) as database:
        database.add(CARDS)
    return Catalog.open(Path(path))


def test_json_in_the_line_is_one_value() -> None:
    parts = infotext.parse(CIVITAI)
    assert list(parts.settings) == [
        "Steps", "Sampler", "CFG scale", "Seed", "Size", "Clip skip", "Created Date", "Civitai resources",
        "Civitai metadata",
    ]  # fmt: skip
    assert parts.settings["Civitai resources"].endswith('"Dew, drops: [soft]"}]')
    assert parts.negative_prompt == "blurry"


def test_civitais_resources_are_versions(catalog: Catalog) -> None:
    generation = infotext.read(CIVITAI)
    assert generation.checkpoint == ModelUse("Green Milk 🌿 Hemp II", (), 1714314)
    assert generation.loras == (ModelUse("dewdrops", (), None, 0.65),)
    assert (generation.base_model, generation.program) == ("Illustrious", "Civitai")
    bare = infotext.read(CIVITAI.replace(", <lora:dewdrops:0.65>", ""))
    assert bare.loras == (ModelUse("Dew, drops: [soft]", (), 249861, 0.65),)
    call = recover(bare, catalog).call
    assert (call.model, call.loras[0].weight, call.base_checkpoint) == (
        "Dewdrops", 0.65, "urn:air:sdxl:checkpoint:civitai:833@1714314",
    )  # fmt: skip
    assert (call.sampling_method, call.scheduler, call.width, call.height) == (
        "DPM++ 2M",
        "Karras",
        1216,
        832,
    )
    assert (call.seed, call.clip_skip, call.sampling_steps, call.cfg_scale) == (2027225909, 2, 40, 7.0)


def test_forges_flux_is_guided_by_distillation(catalog: Catalog) -> None:
    generation = infotext.read(FORGE)
    assert (generation.guidance, generation.cfg_scale, generation.sampler, generation.schedule) == (
        3.5,
        1.0,
        "Euler",
        "Beta",
    )
    assert generation.modules == ("ae", "clip_l", "t5xxl_fp16")
    assert generation.program == "Forge"
    assert generation.notes == ("Hires upscale is not in a call",)
    settings = infotext.parse(FORGE).settings
    assert (settings["Hires prompt"], settings["Hires negative prompt"]) == ("\\", "")
    assert settings["Diffusion in Low Bits"] == "Automatic (fp16 LoRA)"
    call = recover(generation, catalog).call
    assert [(lora.model, lora.weight) for lora in call.loras] == [
        ("Tastic", 0.8), ("Journey", 0.5), ("Ink", 1.0), ("Daub", 0.7),
    ]  # fmt: skip
    assert (call.guidance, call.cfg_scale, call.scheduler) == (3.5, 1.0, "Beta")
    assert call.base_checkpoint == "urn:air:flux1:checkpoint:civitai:618@691"
    assert call.prompt == "a ferry at dusk"


@pytest.mark.parametrize(
    ("digest", "model"),
    [
        ("1585b50b9d7d", "Slider"),
        ("0x1585b50b9d", "Slider"),
        ("1585B50B9D", "Slider"),
        ("0x1585b50b9d7d" + "a" * 52, "Slider"),
        ("6" * 12, "Nothing"),
    ],
)
def test_a_cut_hash_is_recognised(catalog: Catalog, digest: str, model: str) -> None:
    text = HASHED.format(digest)
    assert recover(infotext.read(text), catalog).call.loras[0].model == model


@pytest.mark.parametrize("digest", ["e3b0c44298", "e3b0c44298fc", "0xe3b0c44298", "1585b50b9e"])
def test_the_hash_of_nothing_is_nobodys(catalog: Catalog, digest: str) -> None:
    assert catalog.by_hash(digest) is None
    text = HASHED.format(digest)
    with pytest.raises(UnknownModel, match="LoRA renamed"):
        recover(infotext.read(text), catalog)
    by_name = text.replace("renamed", "slider")
    assert recover(infotext.read(by_name), catalog).call.loras[0].model == "Slider"


def test_infotext_on_one_line_has_three_parts() -> None:
    generation = infotext.read(ONE_LINE)
    assert generation.prompt == "A drone shot of a harbour at night, Blade chaser movie"
    assert (generation.negative_prompt, generation.sampler, generation.steps, generation.cfg_scale) == (
        "",
        "Undefined",
        23,
        3.5,
    )
    assert generation.checkpoint == ModelUse("Z Image Turbo", (), 2442439)


def test_a_sampler_without_a_name_is_the_usual_one(catalog: Catalog) -> None:
    recovery = recover(infotext.read(ONE_LINE.replace("2442439", "22")), catalog)
    assert (recovery.call.sampling_method, recovery.call.scheduler) == ("DPM++ 2M", "Karras")
    assert recovery.notes == ("the metadata names no sampler: DPM++ 2M Karras was taken",)


def test_a_newer_base_model_has_its_own_usual_values(catalog: Catalog) -> None:
    line = "a ferry\nSteps: 9, Sampler: Undefined, CFG scale: 1, Size: 1000x1048, Model hash: 3f97fdc57a"
    recovery = recover(infotext.read(line), catalog)
    assert (recovery.call.sampling_method, recovery.call.scheduler) == ("Euler", "Simple")
    assert (recovery.call.width, recovery.call.height) == (1008, 1056)
    assert recovery.notes == (
        "the metadata names no sampler: Euler Simple was taken",
        "the picture is 1000x1048; a call makes 1008x1056",
    )


def test_what_the_catalog_lacks_is_told_by_version(catalog: Catalog) -> None:
    with pytest.raises(UnknownModel, match=r"checkpoint Z Image Turbo \(Civitai's version 2442439\)"):
        recover(infotext.read(ONE_LINE), catalog)


def test_sdnext_spells_some_names_otherwise(catalog: Catalog) -> None:
    call = recover(infotext.read(SDNEXT), catalog).call
    assert (call.sampling_method, call.scheduler, call.clip_skip) == ("DPM++ 2M", "Karras", 2)
    assert (call.model, call.seed, call.width) == ("Basalt", 2**64 - 1, 1024)
    assert infotext.read(SDNEXT).program == "SD.Next"


@pytest.mark.parametrize(
    ("old", "new", "reason", "field", "value"),
    [
        ("1024x768", "1001x701", "1001x701; a call makes 1000x704", "height", 704),
        ("1024x768", "9000x9000", "9000x9000", "width", 4096),
        ("CFG scale: 6", "CFG scale: None", "no CFG scale: 7 was taken", "cfg_scale", 7.0),
        ("CFG scale: 6", "CFG scale: 0", "CFG scale is 0; a call takes 1 to 30", "cfg_scale", 1.0),
        ("Steps: 24", "Steps: 900", "steps is 900", "sampling_steps", 150),
        ("18446744073709551615", "18446744073709551616", "seed 18446744073709551616 is out of", "seed", None),
        ("Sampler sigma: karras", "Sampler sigma: sideways", "schedule 'sideways'", "scheduler", None),
        ("CLiP-skip: 2", "CLiP-skip: 20", "clip skip is 20", "clip_skip", 12),
    ],
)
def test_what_a_call_cannot_hold_is_said(
    catalog: Catalog, old: str, new: str, reason: str, field: str, value: object
) -> None:
    recovery = recover(infotext.read(SDNEXT.replace(old, new)), catalog)
    assert any(reason in note for note in recovery.notes)
    assert getattr(recovery.call, field) == value


def test_a_seed_of_minus_one_is_none(catalog: Catalog) -> None:
    recovery = recover(infotext.read(SDNEXT.replace("18446744073709551615", "-1")), catalog)
    assert (recovery.call.seed, recovery.notes) == (None, ())


@pytest.mark.parametrize(
    ("tag", "weight"),
    [("<lora:slider>", 1.0), ("<lyco:slider:0.4:0.2>", 0.4), ("<lora:slider:te=0.7:unet=0.5>", 0.7),
     ("<lora:slider:1.5> <lora:slider:1>", 2.0), ("<lora:slider:0.6000000000000001>", 0.6000000000000001)],
)  # fmt: skip
def test_tags_have_many_forms(catalog: Catalog, tag: str, weight: float) -> None:
    text = f"x {tag}\nSteps: 4, Sampler: Euler, CFG scale: 1, Size: 64x64, Model: basalt"
    assert recover(infotext.read(text), catalog).call.loras[0].weight == weight


def test_a_pictures_input_and_a_tables_hashes_are_read() -> None:
    generation = infotext.read(
        "x <lora:Ink:1>\nSteps: 4, Sampler: Euler, Size: 64x64, Denoising strength: 0.5, "
        'Hashes: {"model": "692186a14a", "LORA:Ink": "fb4063c470"}, Model: basalt'
    )
    assert generation.checkpoint.hashes == ("692186a14a",)
    assert generation.loras == (ModelUse("Ink", ("fb4063c470",)),)
    assert generation.notes == ("the picture was made from another one, which a call does not hold",)


@pytest.mark.parametrize(
    ("line", "settings"),
    [
        ('Steps: 1, A: [1, {"b": "]"}], C: 2', {"Steps": "1", "A": '[1, {"b": "]"}]', "C": "2"}),
        ("Steps: 1, A: [1, C: 2", {"Steps": "1", "A": "[1", "C": "2"}),
        ('Steps: 1, A: "x, y: z", C: "open, D: 3', {"Steps": "1", "A": "x, y: z", "C": '"open', "D": "3"}),
        ("Steps: 1, , stray, A: 1", {"Steps": "1", "A": "1"}),
        ('Steps: 1, A: "a" b, C: 2', {"Steps": "1", "A": '"a" b', "C": "2"}),
    ],
)
def test_values_end_where_they_should(line: str, settings: dict[str, str]) -> None:
    assert infotext.parse("x\n" + line).settings == settings


PIECES = ("Steps: 20, ", "Sampler: Euler a, ", "Seed: 5, ", "Size: 8x8, ", "CFG scale: ", "NaN", "inf",
    "1e999", '"', "[",
          "]", "{", "}", ",", ":", "\\", "\n", "Negative prompt:", "<lora:a:b>", "<lora:basalt:9>",
          "Model: basalt, ",
          "Civitai resources: ", '[{"type":"checkpoint","modelVersionId":22}]', "Hashes: ",
          '{"model":"b2b2b2b2b2"}',
          "Clip skip: 2, ", "水", "\0", "9" * 5000)  # fmt: skip


@settings(deadline=None, max_examples=300)
@given(st.lists(st.sampled_from(PIECES) | st.text(max_size=8), max_size=20).map("".join))
def test_any_text_is_a_call_or_a_typed_error(catalog: Catalog, text: str) -> None:
    with contextlib.suppress(DiffAgentError):
        recover(infotext.read(text), catalog)


def test_text_without_settings_is_no_infotext() -> None:
    with pytest.raises(BadInput, match="not an infotext"):
        infotext.read("a fox, steps: 20, sampler: Euler a")
