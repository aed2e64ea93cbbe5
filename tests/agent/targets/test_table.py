"""The table of targets: a new target is a module and a row, and nothing else names a target."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from PIL import Image
from target_calls import AURORA, GRAND_XL, INK_FOX, call_of

from diffagent.agent import targets
from diffagent.agent.asking.wishes import Wishes
from diffagent.agent.choosing.scope import ChoiceScope
from diffagent.agent.setting import Setting
from diffagent.agent.targets.emitting import emit, offers, supported
from diffagent.agent.targets.generation import generate
from diffagent.agent.targets.installed_models import read_installed
from diffagent.data.catalog.catalog import Catalog
from diffagent.data.errors import BadInput

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def painter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(targets.TABLE, "paint", "paint_target")


def test_a_row_makes_a_module_a_target(catalog: Catalog, tmp_path: Path) -> None:
    call = call_of(AURORA, sampler="Euler a", width=64, height=96)
    emitted = emit(call, "paint", catalog)
    assert emitted.request == {"size": [64, 96], "colour": [2, 24, 7]}
    assert emitted.not_carried == ["clip_skip"]
    (path,) = generate(call, tmp_path, "paint", catalog)
    with Image.open(path) as picture:
        assert (picture.size, picture.convert("RGB").getpixel((5, 5))) == ((64, 96), (2, 24, 7))


def test_its_file_says_what_it_takes(catalog: Catalog) -> None:
    assert [str(sampler) for sampler in supported("paint", "SD 1.5")] == ["Euler a", "Euler"]
    assert [offers("paint", card) for card in (AURORA, INK_FOX, GRAND_XL)] == [True, False, False]
    with pytest.raises(BadInput, match=r"scheduler is Euler Karras, but the painter has.*nearest is Euler$"):
        emit(call_of(AURORA, sampler="Euler Karras"), "paint", catalog)
    with pytest.raises(BadInput, match=r"which the painter is not known to run: choose a model of SD 1\.5$"):
        emit(call_of(GRAND_XL, sampler="Euler"), "paint", catalog)
    with pytest.raises(BadInput, match="paint has no list of installed models") as error:
        read_installed("paint", None, catalog)
    assert error.value.hint == "--installed goes with a1111, comfyui, horde"


def test_the_agent_chooses_what_it_takes() -> None:
    scope = ChoiceScope(target="paint")
    usual = {
        "sampler": Setting(("DPM++ 2M Karras", "Euler"), (-0.1, -2.0)),
        "size": Setting(((520, 512),), (0.0,)),
    }
    fitted = scope.fitted(usual, Wishes("a fox"), "SD 1.5")
    assert fitted["sampler"].values == ("Euler",)
    assert fitted["size"].values == ((512, 512),)


def test_targets_of_other_names_are_refused(catalog: Catalog) -> None:
    with pytest.raises(BadInput, match=r"unknown target 'dalle': choose one of diffagent, a1111, .*, paint$"):
        emit(call_of(AURORA), "dalle", catalog)


def test_each_row_is_the_target_of_its_name() -> None:
    assert {name: targets.load(name).name for name in targets.TABLE} == {name: name for name in targets.TABLE}


def test_no_other_file_names_a_target() -> None:
    uses = [
        f"{file.relative_to(ROOT)}:{node.lineno}"
        for floor in ("agent", "training", "serving")
        for file in (ROOT / floor).rglob("*.py")
        if file.parent != ROOT / "agent" / "targets"
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.Constant) and node.value in ("a1111", "comfyui", "openai")
    ]
    assert uses == []
