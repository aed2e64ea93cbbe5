"""The table of base models, and that nothing else names one."""

from __future__ import annotations

import ast
import json
import os
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest

from diffagent.data import base_models
from diffagent.data.base_model_facts import Guidance
from diffagent.data.base_model_page import markdown, short_rows, unknown
from diffagent.data.base_models import (
    CRAWLED,
    FAMILIES,
    LISTED,
    RUNNABLE,
    TABLE,
    USUAL,
    backend,
    base_models_of,
    by_context,
    by_header,
    canonical_name,
    crosses,
    ecosystem_of,
    examples,
    families,
    family_of,
    find,
    forbids_sale,
    is_meant,
    lora_fit,
    parts_of,
    run_by,
    side_of,
)
from diffagent.data.errors import BadInput
from diffagent.data.hubs.installed import what_it_is
from diffagent.data.samplers import SAMPLERS, SAMPLING_METHODS, SCHEDULERS

ROOT = Path(__file__).resolve().parents[2]
TABLE_FILES = [ROOT / "data" / f"base_model{name}.py" for name in ("s", "_facts", "_rows")]
AIR_FILE = ROOT / "data" / "air.py"


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        ("SD 1.5", "SD 1.5"), ("sd15", "SD 1.5"), ("stable diffusion 1", "SD 1.5"), ("SD-v1.5", "SD 1.5"),
        ("stable_diffusion_xl", "SDXL 1.0"), ("SDXL", "SDXL 1.0"), ("sd xl", "SDXL 1.0"),
        ("Stable Diffusion v1.4", "SD 1.4"), ("other", "Other"),
        ("SD 1.5 LCM", "SD 1.5 LCM"), ("  Toy\n DiT ", "Toy DiT"), (None, ""), (15, ""),
        ("flux.1-dev", "Flux.1 D"), ("FLUX1_schnell", "Flux.1 S"), ("pony", "Pony"), ("illustriousXL",
         "Illustrious"),
        ("z-image-turbo", "ZImageTurbo"), ("sd3.5-large", "SD 3.5 Large"), ("Noob XL", "NoobAI"),
         ("flux_dev", "Flux.1 D"),
    ],
)  # fmt: skip
def test_a_base_model_is_known_by_its_spellings(spelling: object, name: str) -> None:
    assert canonical_name(spelling) == name


def test_spellings_are_of_one_base_model_each() -> None:
    spellings = [base_models._key(spelling) for row in TABLE for spelling in (row.name, *row.spellings)]
    assert len(spellings) == len(set(spellings))
    assert {row.family for row in TABLE} == set(FAMILIES)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("SD1", ("SD 1.4", "SD 1.5", "SD 1.5 LCM", "SD 1.5 Hyper")), ("sd 1.5", ("SD 1.5",)),
        ("sd15", ("SD 1.5",)), ("OTHER", ("Other",)), ("illustrious", ("Illustrious",)),
        ("flux", ("Flux.1 D", "Flux.1 S", "Flux.1 Krea", "Flux.1 Kontext")), ("flux dev", ("Flux.1 D",)),
        ("z-image", ("ZImageBase", "ZImageTurbo")), ("pony", ("Pony",)), ("noob", ("NoobAI",
         "NoobAI v-pred")),
        ("sd3", ("SD 3", "SD 3.5", "SD 3.5 Large", "SD 3.5 Large Turbo", "SD 3.5 Medium")),
        ("SDXL", ("SDXL 1.0", "SDXL 0.9", "SDXL 1.0 LCM", "SDXL Lightning", "SDXL Hyper", "SDXL Turbo",
                  "SDXL Distilled")),
    ],
)  # fmt: skip
def test_a_request_names_base_models_or_families(text: str, names: tuple[str, ...]) -> None:
    assert base_models_of(text) == names
    assert [name for name in LISTED if is_meant(text, name)] == list(names)


@pytest.mark.parametrize(
    ("text", "near"),
    [("flux1x", "flux1, flux2"), ("ilustrious", "Illustrious"), ("", "base model"), ("Midjourney", "")],
)
def test_what_no_catalog_has_is_an_error_that_names_the_nearest(text: str, near: str) -> None:
    with pytest.raises(BadInput, match=rf"no base model '{text}' is supported: the nearest are .*{near}"):
        base_models_of(text)


def test_families_and_ecosystems() -> None:
    assert [family_of(name) for name in ("SD 1.4", "sd 1.5", "SDXL 1.0", "Toy DiT")] == [
        "sd1", "sd1", "sdxl", "toy dit",
    ]  # fmt: skip
    assert [ecosystem_of(name) for name in ("SD 1.5", "SDXL 1.0", "Other", "Toy DiT")] == [
        "sd1", "sdxl", "other", "other",
    ]  # fmt: skip
    assert [ecosystem_of(name) for name in ("pony", "Flux.1 Krea", "Pony V7", "klein 9b")] == [
        "sdxl", "fluxkrea", "auraflow", "flux2",
    ]  # fmt: skip
    assert list(families()) == [("sd1", "SD 1.x"), ("sdxl", "SDXL")]
    assert examples() == 'base model ("SD 1.5", "SDXL 1.0") or family (sd1, sdxl)'
    assert (CRAWLED, USUAL.name) == (("SD 1.4", "SD 1.5", "SDXL 1.0"), "SD 1.5")


def test_loras_run_on_their_group() -> None:
    assert lora_fit(lora="SD 1.4", checkpoint="SD 1.5") == "same"
    assert crosses("SDXL 1.0", "SDXL Lightning") == ("same", "")
    assert crosses("Pony", "Illustrious") == (
        "partial",
        "a LoRA of Pony has only part of its effect on a checkpoint of Illustrious: the same layers, other "
        "words and looks",
    )
    pairs = {
        (lora, checkpoint)
        for lora in LISTED
        for checkpoint in LISTED
        if crosses(lora, checkpoint).fit == "partial"
    }
    assert {("Flux.1 D", "Flux.1 Krea"), ("Flux.1 Krea", "Flux.1 D"), ("ZImageBase", "ZImageTurbo")} <= pairs
    assert {("Flux.2 Klein 4B-base", "Flux.2 Klein 4B"), ("Flux.2 Klein 9B-base", "Flux.2 Klein 9B")} <= pairs
    assert ("AuraFlow", "Pony V7") in pairs
    assert not pairs & {
        ("ZImageTurbo", "ZImageBase"), ("Flux.2 Klein 4B", "Flux.2 Klein 4B-base"), ("Pony V7", "AuraFlow"),
        ("Flux.2 Klein 4B-base", "Flux.2 Klein 9B"), ("SD 1.5", "SDXL 1.0"), ("Pony", "Pony V7"),
    }  # fmt: skip
    for lora, checkpoint in [("SD 1.5", "SDXL 1.0"), ("Other", "Other"), ("Toy DiT", "Toy DiT")]:
        assert lora_fit(lora=lora, checkpoint=checkpoint) is None


def test_a_crossing_runs_in_part_and_one_way(monkeypatch: pytest.MonkeyPatch) -> None:
    base = base_models.BaseModelFacts("Base", "base", ("base",), lora_group="base")
    child = base_models.BaseModelFacts(
        "Child", "child", ("base",), lora_group="child", crossings=(base_models.Crossing("base"),)
    )
    monkeypatch.setattr(base_models, "_by_name", lambda: {"Base": base, "Child": child})
    assert lora_fit(lora="Base", checkpoint="Child") == "partial"
    assert lora_fit(lora="Child", checkpoint="Base") is None


def test_a_header_shows_a_base_model_by_its_tensors(monkeypatch: pytest.MonkeyPatch) -> None:
    prints = base_models.Fingerprint(keys=("toy_blocks.0.attn", "toy_final"))
    toy = base_models.BaseModelFacts("Toy DiT", "toy", ("toy",), fingerprint=prints)
    monkeypatch.setattr(base_models, "TABLE", (*TABLE, toy))
    whole = {"toy_blocks.0.attn.qkv.weight": [9, 9], "toy_final.weight": [9, 9]}
    lora = {f"lora_unet_{name.replace('.', '_')}.lora_down.weight": shape for name, shape in whole.items()}
    assert what_it_is(whole) == ("Checkpoint", "Toy DiT", False)
    assert what_it_is(lora) == ("LORA", "Toy DiT", False)
    assert what_it_is({"toy_final.weight": [9, 9]}) == ("Other", None, False)
    assert [by_context(width) for width in (768, 1024, 2048, 4096)] == ["SD 1.5", "SD 2.1", "SDXL 1.0", None]


def test_targets_run_what_they_are_told_to() -> None:
    assert backend("SDXL 1.0", "diffusers") == "StableDiffusionXLPipeline"
    assert backend("SD 1.4", "horde") == "stable diffusion 1"
    assert backend("Other", "a1111") is backend("Toy DiT", "diffusers") is backend("SD 1.5", "x") is None
    assert backend("NoobAI", "comfyui") == "checkpoint"
    assert backend("Flux.1 D", "diffusers") == "FluxPipeline"
    assert backend("Krea 2", "civitai") is backend("HiDream", "diffusers") is None  # not built
    assert find("HiDream").backends.diffusers == "HiDreamImagePipeline"  # type: ignore[union-attr]
    assert {"SD 1.4", "SD 1.5", "SDXL 1.0", "Pony", "Illustrious", "NoobAI"} <= {*run_by("civitai")}
    assert not {"SD 2.1", "SD 3.5 Large", "Kolors"} & {*run_by("civitai")}
    assert (side_of("SDXL 1.0"), side_of("SD 1.5"), side_of("Toy DiT")) == (1024, 512, 512)


REQUIRED = (
    "types", "lora_group", "parts", "repository", "fingerprint", "guidance", "steps", "steps_range",
     "samplers",
    "schedules", "prediction", "area", "step", "shapes", "licence",
)  # fmt: skip


def test_of_a_runnable_base_model_everything_is_known() -> None:
    rows = [row for row in TABLE if row.grade == "runnable"]
    assert len(rows) >= 40
    for row in rows:
        missing = [column for column in REQUIRED if getattr(row, column) in (None, ())]
        assert missing == [], row.name
        assert None not in (row.dialect.form, row.dialect.negative, row.dialect.tokens), row.name
        assert any(getattr(row.backends, target) for target in ("diffusers", "comfyui", "sdnext")), row.name
        assert row.shapes[0] == (row.side, row.side)
        assert all(side % (row.step or 0) == 0 for shape in row.shapes for side in shape), row.name
        assert {*(row.samplers or ())} <= {*SAMPLING_METHODS, *SAMPLERS}, row.name
        assert {*(row.schedules or ())} <= {*SCHEDULERS, None}, row.name
        low, high = row.steps_range or (0, 0)
        assert low <= (row.steps or 0) <= high
        assert row.guidance is not None
        assert row.guidance.low <= row.guidance.usual <= row.guidance.high, row.name
    assert find("Other") is base_models.OTHER


def test_how_much_is_not_known_of_the_others() -> None:
    """A value that is found goes into its row, and its count goes down here."""
    assert {column: n for column, n in unknown("known").items() if column in REQUIRED} == COUNTS
    for row in TABLE:
        if row.grade == "hosted":
            assert (row.parts, row.fingerprint, row.guidance, row.steps) == (None, None, None, None), row.name


def test_of_how_many_the_range_of_guidance_is_not_known() -> None:
    """Such a range is the whole of what a call takes: a value that is found takes its row off this list."""
    guided = ((row.name, row.guidance) for row in TABLE if row.guidance is not None)
    assert [name for name, guidance in guided if (guidance.low, guidance.high) == (1, 30)] == [
        "Stable Cascade", "Lumina", "Sana", "Ideogram 4.0",
    ]  # fmt: skip


COUNTS = {
    "types": 18, "lora_group": 13, "parts": 17, "repository": 12, "fingerprint": 12, "guidance": 12,
    "steps": 14, "steps_range": 16, "samplers": 17, "schedules": 18, "prediction": 19, "area": 14, "step":
    17, "shapes": 14, "licence": 8,
}  # fmt: skip


def test_the_hubs_image_base_models_are_all_here() -> None:
    path = Path(os.environ.get("DIFFAGENT_DATA", "")) / "hub2026" / "base_models.json"
    if not path.is_file():
        pytest.skip("DIFFAGENT_DATA names no folder with the hub's list")
    hub = {
        entry["name"]
        for entry in json.loads(path.read_text("utf-8"))["base_models"]
        if entry["type"] in ("image", None)
    }
    assert hub - {row.name for row in TABLE} == set()


def test_every_value_says_where_it_is_from() -> None:
    for row in TABLE:
        for column in (field.name for field in fields(row)):
            if column not in ("sources", "grade", "parent") and getattr(row, column) not in (None, (), ""):
                assert row.source(column), f"{row.name}: {column}"
    assert find("SDXL Lightning").source("steps") == "SDXL-Lightning model card"  # type: ignore[union-attr]
    assert find("SDXL Lightning").source("area") == "SDXL's report"  # type: ignore[union-attr]


def test_a_variant_is_its_parent_but_for_what_it_says() -> None:
    parent, lightning = find("SDXL 1.0"), find("SDXL Lightning")
    assert parent is not None
    assert lightning is not None
    assert lightning.parent == "SDXL 1.0"
    assert (lightning.parts, lightning.shapes, lightning.lora_group) == (parent.parts, parent.shapes, "sdxl")
    assert (lightning.steps, lightning.steps_range, lightning.guidance) == (
        4,
        (2, 8),
        Guidance("cfg", 1.0, 2.0, 1.0),
    )
    assert lightning.fingerprint == base_models.Fingerprint(names=("lightning",))


def test_facts_that_users_feel() -> None:
    pony, flux, turbo = find("Pony"), find("flux dev"), find("z image turbo")
    assert pony is not None
    assert flux is not None
    assert turbo is not None
    assert (pony.ecosystem, pony.dialect.form, pony.dialect.quality_words[0]) == (
        "sdxl",
        "score words",
        "score_9",
    )
    assert (flux.guidance, flux.dialect.negative) == (Guidance("distilled", 2.0, 20.0, 3.5), False)
    assert (turbo.steps, turbo.guidance and turbo.guidance.kind) == (9, "none")
    assert [forbids_sale(name) for name in ("Flux.1 D", "Flux.1 S", "Anima", "SDXL Turbo", "Toy DiT")] == [
        True, False, True, True, False,
    ]  # fmt: skip
    assert [(part.folder, part.file) for part in parts_of("Flux.1 D")] == [
        ("diffusion_models", None), ("text_encoders", "clip_l.safetensors"),
        ("text_encoders", "t5xxl_fp16.safetensors"), ("vae", "ae.safetensors"),
    ]  # fmt: skip
    assert parts_of("Grok") == ()


def lora(*layers: tuple[str, int, int], prefix: str = "lora_unet_") -> dict[str, list[int]]:
    """A kohya LoRA of rank 4 on layers that read and write some widths."""
    tensors: dict[str, list[int]] = {}
    for name, reads, writes in layers:
        tensors[f"{prefix}{name}.lora_down.weight"] = [4, reads]
        tensors[f"{prefix}{name}.lora_up.weight"] = [writes, 4]
    return tensors


FLUX = {
    "double_blocks.0.img_attn.norm.key_norm.scale": [128], "img_in.weight": [3072, 64],
    "vector_in.in_layer.weight": [3072, 768],
}  # fmt: skip
SDXL = {"model.diffusion_model.input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight": [640, 2048]}


@pytest.mark.parametrize(
    ("tensors", "metadata", "name"),
    [
        (FLUX | {"guidance_in.in_layer.weight": [3072, 256]}, {}, "Flux.1 D"),
        (FLUX | {"guidance_in.in_layer.weight": [3072, 256]}, {"modelspec.title": "flux1-krea-dev"},
         "Flux.1 Krea"),
        (FLUX, {}, "Flux.1 S"),
        (FLUX | {"distilled_guidance_layer.norms.0.scale": [5120]}, {}, "Chroma"),
        ({"double_blocks.0.img_attn.norm.key_norm.scale": [128],
         "double_stream_modulation_img.lin.weight": [1, 1],
          "img_in.weight": [4096, 128], "txt_in.weight": [4096, 12288]}, {}, "Flux.2 Klein 9B"),
        (lora(("double_blocks_0_img_attn_qkv", 3072, 9216)), {}, "Flux.1 D"),
        (lora(("single_blocks_0_linear1", 3072, 21504)), {}, "Flux.1 D"),
        (lora(("single_blocks_0_linear1", 3072, 27648)), {}, "Flux.2 Klein 4B"),
        (lora(("layers_0_attention_qkv", 3840, 11520)), {}, "ZImageTurbo"),
        (lora(("layers_0_attention_qkv", 2304, 3840)), {}, "Lumina"),
        ({"transformer.transformer_blocks.0.img_mlp.net.0.proj.lora_A.weight": [4, 3072],
          "transformer.transformer_blocks.0.img_mlp.net.0.proj.lora_B.weight": [12288, 4]}, {}, "Qwen"),
        (lora(("blocks_0_self_attn_q_proj", 2048, 2048)), {}, "Anima"),
        ({"cap_embedder.1.weight": [3840, 2560], "noise_refiner.0.attention.k_norm.weight": [128]}, {},
         "ZImageTurbo"),
        ({"joint_blocks.0.context_block.attn.qkv.weight": [9, 9], "x_embedder.proj.weight": [2432, 16, 2,
         2]}, {},
         "SD 3.5 Large"),
        ({"joint_blocks.0.context_block.attn.qkv.weight": [9, 9], "x_embedder.proj.weight": [1536, 16, 2, 2],
          "joint_blocks.0.x_block.attn2.qkv.weight": [9, 9]}, {}, "SD 3.5 Medium"),
        (SDXL, {}, "SDXL 1.0"),
        (SDXL | {"v_pred": [0], "ztsnr": [0]}, {}, "NoobAI v-pred"),
        (SDXL, {"modelspec.title": "Illustrious-XL v1"}, "Illustrious"),
        ({"lora_unet_a_attn2_to_k.lora_down.weight": [4, 2048]}, {}, "SDXL 1.0"),
        ({"lora_unet_a_attn2_to_k.lora_down.weight": [4, 2048]},
         {"ss_base_model_version": "sdxl_base_v1-0",
          "ss_sd_model_name": "ponyDiffusionV6XL_v6.safetensors"}, "Pony"),
        ({"lora_unet_a_attn1_to_k.lora_down.weight": [4, 640]},
         {"ss_base_model_version": "sdxl_base_v1-0"}, "SDXL 1.0"),
        ({"lora_unet_a_attn1_to_k.lora_down.weight": [4, 640]}, {}, None),
        ({"lora_unet_a_attn2_to_k.lora_down.weight": [4, 768]},
         {"modelspec.architecture": "flux-1-dev/lora"}, "SD 1.5"),
    ],
)  # fmt: skip
def test_a_header_shows_a_base_model(
    tensors: dict[str, list[int]], metadata: dict[str, str], name: str | None
) -> None:
    assert by_header(tensors, metadata) == name


def test_the_page_is_what_the_table_says() -> None:
    assert (ROOT / "docs" / "base-models.md").read_text("utf-8") == markdown()
    assert {*RUNNABLE} <= {name for name, grade, *_ in short_rows() if grade == "runnable"}


NAMES = re.compile(
    r"urn:air:|^(?:civitai|huggingface|horde|local):"
    r"|(?<!ays )\bsd ?-?_?(?:1|2|3|xl)(?![0-9a-z])(?:[ .]?\d)*"
    r"|\bsd ?v?\d\.\d|\bsd1[45]\b|\bsd2[01]\b|(?<!ays )\bsdxl|stable[ _-]diffusion[ _-](?:xl|v?\d)"
    r"|\bstablediffusion(?:xl)?(?:img2img)?pipeline\b|\bdiffusionpipeline\b"
    r"|\b(?:pony|illustrious|noobai|flux|hidream|kolors|pixart|lumina|auraflow|chroma1?|z-?image\w*)\b",
    re.I,
)
"""Base models, families, pipelines and AIRs, those of tomorrow too; "AYS SDXL" is a schedule."""


def python_names(path: Path) -> Iterator[tuple[int, str]]:
    """Where a module's strings name a base model; docstrings, and strings that are statements, may."""
    tree = ast.parse(path.read_text("utf-8"))
    prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
            yield from ((node.lineno, match[0]) for match in NAMES.finditer(node.value))


def page_names(path: Path) -> Iterator[tuple[int, str]]:
    """Where the page names one, outside comments."""
    text = re.sub(r"<!--.*?-->|/\*.*?\*/|(?m:^\s*//.*$)", "", path.read_text("utf-8"), flags=re.S)
    yield from ((text[: match.start()].count("\n") + 1, match[0]) for match in NAMES.finditer(text))


def test_nothing_else_names_a_base_model() -> None:
    strays = []
    for floor in ("data", "agent", "training", "serving"):
        for path in sorted((ROOT / floor).rglob("*")):
            if path in (*TABLE_FILES, AIR_FILE) or path.suffix not in (".py", ".js", ".html"):
                continue
            names = python_names(path) if path.suffix == ".py" else page_names(path)
            strays += [f"{path.relative_to(ROOT)}:{line}: {name}" for line, name in names]
    assert strays == []


def test_nothing_else_takes_an_air_apart() -> None:
    apart = re.compile(r"\bair\w*\)?\.(?:r?split|r?partition|startswith|remove(?:pre|suf)fix)\(")
    for floor in ("data", "agent", "training", "serving"):
        for path in (ROOT / floor).rglob("*.py"):
            match = apart.search(path.read_text("utf-8"))
            assert path == AIR_FILE or match is None, f"{path.relative_to(ROOT)}: {match and match[0]}"


def test_the_search_finds_what_it_is_for(tmp_path: Path) -> None:
    path = tmp_path / "module.py"
    path.write_text(
        '"""SD 1.5 in a docstring."""\n'
        "a = 1  # SDXL in a comment\n"
        "def f(x='sd1'):\n"
        '    """An SDXL LoRA."""\n'
        "    return f'{x} urn:air:x', 'SDXL 1.0', 'Flux.1 D', 'StableDiffusionPipeline'\n"
    )
    assert sorted(python_names(path)) == [
        (3, "sd1"), (5, "Flux"), (5, "SDXL 1.0"), (5, "StableDiffusionPipeline"), (5, "urn:air:"),
    ]  # fmt: skip
    page = tmp_path / "page.html"
    page.write_text("<!-- SDXL -->\n<option>SDXL</option>")
    assert list(page_names(page)) == [(2, "SDXL")]
