"""Explicit wishes: which of them a call keeps, and what lies outside its base model's table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from diffagent.data.errors import BadInput
from diffagent.data.records import T2ICall
from diffagent.training.evaluation.asking import read_requests
from diffagent.training.evaluation.wish_check import WishRow, check, lines, read_wishes, wishes_file

SETS = Path(__file__).parents[3] / "datasets" / "asked"


def call(**changes: Any) -> T2ICall:
    fields = {
        "model": "M", "type": "Checkpoint", "base_model": "SD 1.5", "width": 768, "height": 512,
        "sampling_method": "DDIM", "sampling_steps": 30, "cfg_scale": 6.0, "model_description": "M.",
        "prompt": "a fox", "negative_prompt": "text, horned helmets", "seed": 8,
        "air": "urn:air:sd1:checkpoint:civitai:1@2",
    }  # fmt: skip
    return T2ICall(**fields | changes)  # type: ignore[arg-type]


KEPT: tuple[dict[str, Any], ...] = (
    {"size": [768, 512]}, {"ratio": [3, 2]}, {"shape": "wide"}, {"steps": 30}, {"most_steps": 30},
    {"sampler": "ddim"}, {"cfg_scale": 6}, {"seed": 8}, {"base_model": "SD 1.5"},
    {"not_base_model": "SDXL 1.0"}, {"exclude": ["lettering|text", "horned helmets"]}, {"n": 2},
)  # fmt: skip
BROKEN: tuple[tuple[dict[str, Any], str], ...] = (
    ({"size": [512, 768]}, "size is 768x512, not 512x768"),
    ({"ratio": [16, 9]}, "size is 768x512, not 16:9"),
    ({"shape": "square"}, "size is 768x512, not square"),
    ({"most_steps": 15}, "steps are 30, more than 15"),
    ({"sampler": "Euler a"}, "sampler is DDIM, not Euler a"),
    ({"seed": 9}, "seed is 8, not 9"),
    ({"n": 4}, "n is 2, not 4"),
    ({"base_model": "SDXL 1.0"}, "base model is SD 1.5, not SDXL 1.0"),
    ({"not_base_model": "SD 1.5"}, "base model is SD 1.5"),
    ({"exclude": ["hats"]}, "hats is not in the negative prompt"),
)


@pytest.mark.parametrize("wish", KEPT)
def test_a_wish_that_the_call_keeps(wish: dict[str, Any]) -> None:
    row = WishRow(id="a", **wish)
    summary = check([row], {"a": call()}, {"a": 2}, {})
    assert (summary["kept"], summary["of"], summary["broken"]) == (row.count, row.count, {})


@pytest.mark.parametrize(("wish", "fault"), BROKEN)
def test_a_wish_that_it_breaks_is_named(wish: dict[str, Any], fault: str) -> None:
    summary = check([WishRow(id="a", **wish)], {"a": call()}, {"a": 2}, {})
    assert (summary["kept"], summary["of"], summary["broken"]) == (0, 1, {"a": [fault]})


def test_an_error_is_right_only_where_refusing_is() -> None:
    rows = [WishRow(id="a", base_model="Flux.1 D", refused=True), WishRow(id="b", steps=3, seed=1)]
    summary = check(rows, {}, {}, {"a": "no Flux", "b": "gone"})
    assert (summary["kept"], summary["of"], list(summary["broken"])) == (1, 3, ["b"])


def test_what_nobody_asked_for_is_held_against_the_table() -> None:
    odd = call(width=640, height=384, sampling_steps=8, cfg_scale=20.0, sampling_method="LMS")
    wish = WishRow(id="b", size=(640, 384), steps=8, cfg_scale=20, sampler="LMS")
    summary = check([wish], {"a": odd, "b": odd, "c": call()}, {}, {})
    faults = ["8 steps, of 15 to 50", "cfg_scale 20.0, of 3.0 to 12.0", "sampler LMS", "size 640x384"]
    assert (summary["kept"], summary["outside"]) == (4, {"a": faults})
    assert lines(summary).split("\n") == [
        "explicit wishes kept: 4 of 4; outside the table: 1",
        "  a: " + "; ".join(faults),
    ]


def test_a_sampler_and_its_schedule_are_looked_up_apart() -> None:
    flux = call(
        base_model="Flux.1 D", sampling_method="Euler", scheduler="Simple", sampling_steps=25, cfg_scale=1.0,
        guidance=3.5, width=1024, height=1024,
    )  # fmt: skip
    assert check([], {"a": flux}, {}, {})["outside"] == {}
    beta = flux.model_copy(update={"scheduler": "Beta"})
    assert check([], {"a": beta}, {}, {})["outside"] == {"a": ["sampler Euler Beta"]}


def test_a_row_with_an_unknown_wish_is_named(tmp_path: Path) -> None:
    path = tmp_path / "w.jsonl"
    path.write_text(json.dumps({"id": "a", "colour": "red"}), encoding="utf-8")
    with pytest.raises(BadInput, match=r"w\.jsonl:1: not a wish row: colour"):
        read_wishes(path)


@pytest.mark.parametrize(("name", "count"), [("first", 30), ("second", 39)])
def test_the_wishes_that_ship_belong_to_their_requests(name: str, count: int) -> None:
    requests = SETS / f"{name}.jsonl"
    ids = {request.id for request in read_requests(requests)}
    rows = read_wishes(wishes_file(requests))
    assert len({row.id for row in rows} & ids) == len(rows) == count
