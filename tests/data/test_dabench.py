"""DABench: one row an image, and which file it belongs to."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from diffagent.data.cards import Entry
from diffagent.data.dabench import FILES, pair, rows, write
from diffagent.data.records import Card, Sample

CARD = Card(
    name="Ink Fox",
    type="LoRA",
    base_model="SD 1.5",
    air="urn:air:sd1:lora:civitai:7@72",
    trigger_words=("inkfox",),
    description="SD 1.5 LoRA: ink.",
)
SAMPLE = Sample(
    image_id=500,
    version_id=72,
    prompt="inkfox, a fox <lora:inkfox:0.8>, snow",
    negative_prompt="blurry <lora:neg:1>",
    sampler="DDIM",
    steps=25,
    cfg_scale=6.5,
    width=512,
    height=768,
)
ROW = {
    "instruction": {"prompt": "a fox, snow", "negative_prompt": "blurry"},
    "api": {
        "model": "Ink Fox",
        "type": "LoRA",
        "base_model": "SD 1.5",
        "width": 512,
        "height": 768,
        "sampling_method": "DDIM",
        "sampling_steps": 25,
        "cfg_scale": 6.5,
        "model_description": "SD 1.5 LoRA: ink.",
    },
    "air": "urn:air:sd1:lora:civitai:7@72",
    "source": {"image": 500, "version": 72},
}


def test_a_row_has_the_nine_fields_and_a_prompt_that_does_not_tell_the_model() -> None:
    assert pair(CARD, SAMPLE) == ROW


def test_optional_trigger_words_do_not_tell_the_model_either() -> None:
    card = replace(CARD, trigger_words=(), optional_words=("inkfox", "snow"))
    row = pair(card, SAMPLE)
    assert row is not None
    assert row["instruction"]["prompt"] == "a fox"


@pytest.mark.parametrize(
    "changes",
    [
        {"prompt": "inkfox <lora:x:1>"},
        {"prompt": "inkfox, ab"},
        {"inpainting": True},
        {"sampler": None},
        {"steps": None},
        {"cfg_scale": None},
        {"width": None},
        {"height": None},
    ],
)
def test_images_that_say_too_little_have_no_row(changes: dict[str, Any]) -> None:
    assert pair(CARD, replace(SAMPLE, **changes)) is None


def entry(*image_ids: int) -> Entry:
    return Entry(CARD, tuple(replace(SAMPLE, image_id=one) for one in image_ids))


def test_rows_follow_the_cluster_rule_and_overall_the_image_rule() -> None:
    splits = {
        1: ("train", "train"),
        2: ("train", "test"),
        3: ("test", "train"),
        4: ("test", "test"),
        5: ("align", "align"),
    }
    found = [(name, row["source"]["image"]) for name, row in rows([entry(1, 2, 3), entry(4, 5)], splits)]  # type: ignore[arg-type]
    assert found == [
        ("train", 1),
        ("train", 2),
        ("overall", 2),
        ("test", 3),
        ("test", 4),
        ("overall", 4),
        ("align", 5),
    ]


def test_files_hold_a_json_line_a_row(tmp_path: Path) -> None:
    accent = {**ROW, "instruction": {"prompt": "un château\n🏰", "negative_prompt": ""}}
    counts = write([("train", ROW), ("test", accent), ("train", accent)], tmp_path / "new" / "bench")
    assert counts == {"train": 2, "align": 0, "test": 1, "overall": 0}
    folder = tmp_path / "new" / "bench"
    assert sorted(path.name for path in folder.iterdir()) == sorted(f"{name}.jsonl" for name in FILES)
    lines = (folder / "train.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line) for line in lines] == [ROW, accent]
    assert "château" in lines[1]
    assert (folder / "align.jsonl").read_bytes() == b""


def test_an_interrupted_build_leaves_the_old_files(tmp_path: Path) -> None:
    write([("train", ROW)], tmp_path)

    def breaks() -> Iterator[tuple[str, dict[str, Any]]]:
        yield "test", ROW
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="disk"):
        write(breaks(), tmp_path)
    assert len((tmp_path / "train.jsonl").read_text().splitlines()) == 1
    assert (tmp_path / "test.jsonl").read_bytes() == b""
