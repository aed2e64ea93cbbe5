"""The table of base models, and that nothing else names one."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest

from diffagent.data import base_models
from diffagent.data.base_models import (
    CRAWLED,
    FAMILIES,
    LISTED,
    TABLE,
    USUAL,
    backend,
    by_context,
    ecosystem_of,
    examples,
    families,
    family_of,
    find,
    is_meant,
    lora_fit,
    named,
    run_by,
    side_of,
    spelled,
)
from diffagent.data.errors import BadInput
from diffagent.data.installed import what_it_is

ROOT = Path(__file__).resolve().parents[2]
TABLE_FILE = ROOT / "data" / "base_models.py"
AIR_FILE = ROOT / "data" / "air.py"


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("SD 1.5", "SD 1.5"), ("sd15", "SD 1.5"), ("stable diffusion 1", "SD 1.5"), ("SD-v1.5", "SD 1.5"),
        ("stable_diffusion_xl", "SDXL 1.0"), ("SDXL", "SDXL 1.0"), ("sd xl", "SDXL 1.0"),
        ("Stable Diffusion v1.4", "SD 1.4"), ("other", "Other"),
        ("SD 1.5 LCM", "SD 1.5 LCM"), ("  Toy\n DiT ", "Toy DiT"), (None, ""), (15, ""),
    ],
)  # fmt: skip
def test_a_base_model_is_known_by_its_spellings(given: object, name: str) -> None:
    assert spelled(given) == name


def test_spellings_are_of_one_base_model_each() -> None:
    spellings = [base_models._key(one) for row in TABLE for one in (row.name, *row.spellings)]
    assert len(spellings) == len(set(spellings))
    assert {row.family for row in TABLE} == set(FAMILIES)


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ("SD1", ("SD 1.4", "SD 1.5")), ("sdxl", ("SDXL 1.0",)), ("sd 1.5", ("SD 1.5",)),
        ("sd15", ("SD 1.5",)), ("OTHER", ("Other",)),
    ],
)  # fmt: skip
def test_a_request_names_base_models_or_families(given: str, names: tuple[str, ...]) -> None:
    assert named(given) == names
    assert [name for name in LISTED if is_meant(given, name)] == list(names)


@pytest.mark.parametrize("given", ["sd3", "", "SD 2.1", "sd2"])
def test_what_no_catalog_has_is_an_error_that_lists_what_there_is(given: str) -> None:
    with pytest.raises(BadInput, match=rf"'{given}' is supported: give one of SD 1\.4.*Other, sd1, sdxl$"):
        named(given)


def test_families_and_ecosystems() -> None:
    assert [family_of(name) for name in ("SD 1.4", "sd 1.5", "SDXL 1.0", "Toy DiT")] == [
        "sd1", "sd1", "sdxl", "toy dit",
    ]  # fmt: skip
    assert [ecosystem_of(name) for name in ("SD 1.5", "SDXL 1.0", "Other", "Toy DiT")] == [
        "sd1", "sdxl", "other", "other",
    ]  # fmt: skip
    assert list(families()) == [("sd1", "SD 1.x"), ("sdxl", "SDXL")]
    assert examples() == 'base model ("SD 1.5", "SDXL 1.0") or family (sd1, sdxl)'
    assert (CRAWLED, USUAL.name) == (("SD 1.4", "SD 1.5", "SDXL 1.0"), "SD 1.5")


def test_loras_run_on_their_group() -> None:
    assert lora_fit(lora="SD 1.4", checkpoint="SD 1.5") == "full"
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
    assert run_by("civitai") == ("SD 1.4", "SD 1.5", "SDXL 1.0")
    assert (side_of("SDXL 1.0"), side_of("SD 1.5"), side_of("Toy DiT")) == (1024, 512, 512)


def test_what_models_are_listed_of_is_whole() -> None:
    for row in TABLE:
        missing = [field.name for field in fields(row) if getattr(row, field.name) in (None, (), "")]
        if row.entries == "crawled":
            assert set(missing) <= {"crossings", "drawn_clip_skip", "schedules", "fingerprint"}, row.name
            assert row.shapes[0] == (row.side, row.side)
            assert all(side % (row.step or 0) == 0 for shape in row.shapes for side in shape)
    assert find("Other") is base_models.OTHER


NAMES = re.compile(
    r"urn:air:|^(?:civitai|huggingface|horde|local):"
    r"|\bsd ?-?_?(?:1|2|3|xl)(?![0-9a-z])(?:[ .]?\d)*"
    r"|\bsd ?v?\d\.\d|\bsd1[45]\b|\bsd2[01]\b|\bsdxl|stable[ _-]diffusion[ _-](?:xl|v?\d)"
    r"|\bstablediffusion(?:xl)?(?:img2img)?pipeline\b|\bdiffusionpipeline\b"
    r"|\b(?:pony|illustrious|noobai|flux|hidream|kolors|pixart|lumina|auraflow|chroma1?|z-?image\w*)\b",
    re.I,
)
"""Base models, families, pipelines and AIRs, those of tomorrow too."""


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
            if path in (TABLE_FILE, AIR_FILE) or path.suffix not in (".py", ".js", ".html"):
                continue
            names = python_names(path) if path.suffix == ".py" else page_names(path)
            strays += [f"{path.relative_to(ROOT)}:{line}: {name}" for line, name in names]
    assert strays == []


def test_nothing_else_takes_an_air_apart() -> None:
    apart = re.compile(r"\bair\w*\)?\.(?:r?split|r?partition|startswith|remove(?:pre|suf)fix)\(")
    for floor in ("data", "agent", "training", "serving"):
        for path in (ROOT / floor).rglob("*.py"):
            found = apart.search(path.read_text("utf-8"))
            assert path == AIR_FILE or found is None, f"{path.relative_to(ROOT)}: {found and found[0]}"


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
