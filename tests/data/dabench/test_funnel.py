"""The funnel: what a crawl is made of, as text and as a picture."""

from __future__ import annotations

import json
import struct
import sys
from pathlib import Path

import pytest
from invented_items import file, image, item, version

from diffagent.data.dabench import funnel_plot
from diffagent.data.dabench.funnel import Census, Tally, render
from diffagent.data.errors import MissingExtra

FUNNEL = {
    "models": [
        {"stage": "models crawled", "count": 1200, "dropped": {"nsfw": 200}},
        {"stage": "callable models", "count": 1000, "dropped": {}},
    ],
    "images": [{"stage": "images crawled", "count": 5, "dropped": {}}],
}
STATS = {
    "crawled": {
        "type": {"LoRA": 900, "Checkpoint": 300},
        "base_model": {"SD 1.5": 1100, "SDXL 1.0": 60, "SD 2.1": 30, "Other": 9, "none": 1},
        "content": {"SFW": 1000, "NSFW": 200},
        "file": {"safetensors": 1200},
    },
    "funnel": FUNNEL,
}


def test_a_census_counts_each_model_by_its_newest_version() -> None:
    census = Census()
    older = version(1, baseModel="SD 2.1", files=[file("a.ckpt")])
    newer = version(2, image(1), image(2), createdAt="2031-01-01", baseModel="stable diffusion 1")
    models = [item(1, older, newer), item(2, version(3, files=[]), type="LORA", nsfw=True),
              item(3, version(4, image(3), files=[file("b.ckpt")]), modelVersions=[]), ]  # fmt: skip
    assert list(census.watching(models)) == models
    assert census.to_json() == {
        "type": {"Checkpoint": 2, "LoRA": 1},
        "base_model": {"SD 1.5": 2, "none": 1},
        "content": {"SFW": 2, "NSFW": 1},
        "file": {"none": 2, "safetensors": 1},
    }
    assert census.images == 2


def test_an_empty_tally_is_all_zero() -> None:
    stages = [stage for stages in Tally().to_json().values() for stage in stages]
    assert [(stage["count"], stage["dropped"]) for stage in stages] == [(0, {})] * 9


def test_the_table_by_hand() -> None:
    assert render(FUNNEL, {"train": 12345}).splitlines() == [
        "models crawled    1,200",
        "  nsfw             -200",
        "callable models   1,000",
        "",
        "images crawled        5",
        "",
        "train.jsonl      12,345",
    ]


def test_a_picture_is_a_png_of_some_size_and_always_the_same(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    for name in ("a", "b"):
        funnel_plot.plot(STATS, tmp_path / f"{name}.part")
    data = (tmp_path / "a.part").read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", data[16:24])
    assert width > 1000 < height
    assert data == (tmp_path / "b.part").read_bytes()


def test_nothing_crawled_can_be_drawn_too(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    empty = Tally()
    funnel_plot.plot({"crawled": empty.census.to_json(), "funnel": empty.to_json()}, tmp_path / "x.png")
    assert (tmp_path / "x.png").stat().st_size > 1000


def test_without_matplotlib_the_install_line_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtra, match=r"pip install 'diffagent\[plot\]'"):
        funnel_plot.plot(json.loads(json.dumps(STATS)), tmp_path / "x.png")
    assert not (tmp_path / "x.png").exists()
