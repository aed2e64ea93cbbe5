"""AI Horde's models and styles, from files of the shape that the docstring shows."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from diffagent.data.errors import BadInput
from diffagent.data.hubs.horde import a1111_sampler, civitai_ids, read_horde
from diffagent.data.hubs.raw import RawFolder
from diffagent.data.samplers import SAMPLERS
from diffagent.serving.commands.data import data

MODELS = [
    {"name": "Zeta", "baseline": "stable_diffusion_xl", "style": "anime", "homepage": None, "file": "z.ckpt",
     "sha256": None, "requirements": None, "trigger": None},
    {"name": "Alpha", "baseline": "stable diffusion 1", "style": "other", "file": "alpha_inpainting.ckpt",
     "homepage": "https://civitai.com/models/12/alpha?modelVersionId=34", "sha256": "AB" * 32,
     "requirements": {"clip_skip": 2}, "trigger": ["alphastyle"]},
]  # fmt: skip
STYLES = {
    "bright": {"prompt": "{p}, bright{np}", "model": "Alpha", "steps": 30, "cfg_scale": 7, "width": 512,
               "height": 768, "karras": True, "sampler_name": "k_dpmpp_2m"},
    "fast": {"prompt": "{p}", "model": "Alpha", "sampler_name": "k_euler_a", "karras": True,
             "loras": [{"name": "56", "is_version": True}]},
    "elsewhere": {"prompt": "{p}", "model": "Unknown"},
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "models.jsonl").write_text("\n".join(json.dumps(model) for model in MODELS) + "\n")
    (tmp_path / "styles.json").write_text(json.dumps(STYLES))
    return tmp_path


def test_models_come_by_name_with_their_styles(folder: Path) -> None:
    alpha, zeta = read_horde(folder)
    assert (alpha.name, alpha.sha256, alpha.inpainting) == ("Alpha", "ab" * 32, True)
    assert (alpha.civitai_model, alpha.civitai_version) == (12, 34)
    assert (alpha.trigger_words, alpha.requirements) == (("alphastyle",), {"clip_skip": 2})
    bright, fast = alpha.styles
    assert (bright.sampler, bright.karras, bright.steps) == ("DPM++ 2M Karras", True, 30)
    assert (bright.cfg_scale, bright.width, bright.height) == (7, 512, 768)
    assert (fast.sampler, fast.steps, fast.loras) == ("Euler a", None, ("56",))
    assert (zeta.sha256, zeta.styles, zeta.inpainting, zeta.requirements) == (None, (), False, {})


def test_samplers_are_spelled_as_a_call_spells_them() -> None:
    assert a1111_sampler("k_dpmpp_sde", karras=True) == "DPM++ SDE Karras"
    assert a1111_sampler("DDIM", karras=True) == "DDIM"
    assert a1111_sampler("lcm") == "LCM"
    assert a1111_sampler("dpmsolver") is None
    assert a1111_sampler(None) is None
    names = (
        "k_lms k_heun k_euler k_euler_a k_dpm_2 k_dpm_2_a k_dpm_fast k_dpm_adaptive k_dpmpp_2s_a k_dpmpp_2m"
    )
    read = {a1111_sampler(name, karras) for name in names.split() for karras in (False, True)}
    assert read <= set(SAMPLERS)


@pytest.mark.parametrize(
    ("homepage", "ids"),
    [
        ("https://civitai.com/models/12", (12, None)),
        ("https://www.civitai.com/models/12/a-name?modelVersionId=34", (12, 34)),
        ("https://civitai.red/models/12?modelVersionId=x", (12, None)),
        ("https://huggingface.co/models/12", (None, None)),
        ("https://notcivitai.com/models/12", (None, None)),
        (None, (None, None)),
    ],
)
def test_ids_are_read_from_the_home_page(homepage: str | None, ids: tuple[int | None, int | None]) -> None:
    assert civitai_ids(homepage) == ids


def test_the_command_keeps_them_in_the_raw_folder(folder: Path, tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    outcome = CliRunner().invoke(data, ["crawl", "--source", "horde", "--url", str(folder), "-o", str(raw)])
    assert outcome.exit_code == 0, outcome.output
    assert json.loads(outcome.stdout)["models"] == 2
    assert list(RawFolder(raw).horde()) == list(read_horde(folder))


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("models.jsonl", None, "cannot read .*models.jsonl: give a folder with"),
        ("styles.json", None, "cannot read .*styles.json: give a folder with"),
        ("models.jsonl", "nonsense\n", "'nonsense' is not a JSON object"),
        ("models.jsonl", '{"name": "a"}\n', "lacks or garbles 'baseline'"),
        ("styles.json", "[]", "is not a JSON object"),
    ],
)
def test_what_is_missing_or_garbled_is_named(folder: Path, name: str, text: str | None, message: str) -> None:
    (folder / name).unlink()
    if text is not None:
        (folder / name).write_text(text)
    with pytest.raises(BadInput, match=message):
        list(read_horde(folder))


def test_the_shared_copy_is_read_whole() -> None:
    shared = Path(os.environ.get("DIFFAGENT_DATA") or "nowhere") / "horde"
    if not shared.is_dir():
        pytest.skip("needs the shared data: set DIFFAGENT_DATA to its folder")
    models = list(read_horde(shared))
    assert len(models) == 95
    assert sum(model.inpainting for model in models) == 5
    assert all(style.sampler is None or style.sampler in SAMPLERS for m in models for style in m.styles)
