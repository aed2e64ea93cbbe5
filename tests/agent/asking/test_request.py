"""The request: every way in takes every option, checked by one class."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_type_hints

import click
import pytest

from diffagent.agent.agent import Agent
from diffagent.agent.asking.request import Request, RequestOptions
from diffagent.data.errors import BadInput, BadPrompt
from diffagent.serving.batch.rows import COLUMNS, open_source
from diffagent.serving.commands.call import call as call_command
from diffagent.serving.commands.route import route as route_command
from diffagent.serving.server.schemas import RouteRequest
from diffagent.serving.tools.route import RouteArguments

FIELDS = set(Request.model_fields)
OPERATOR = {"target_url"}
"""What a client over a network or a language model may not say: where a server stands."""


def test_the_options_of_type_checkers_are_the_fields() -> None:
    from diffagent.agent.targets.installed import Installed

    names = {"Installed": Installed}
    assert set(get_type_hints(RequestOptions, localns=names)) == FIELDS - {"prompt"}


def test_every_way_in_takes_every_option() -> None:
    def named(command: click.Command) -> set[str]:
        return {str(parameter.name) for parameter in command.params}

    assert named(call_command) >= {*FIELDS - {"prompt"}, "words"}
    assert named(route_command) >= FIELDS - {"prompt", "images"}  # rows have those
    assert COLUMNS >= FIELDS - OPERATOR
    for arguments in (RouteRequest, RouteArguments):
        assert set(arguments.model_json_schema()["properties"]) == FIELDS - OPERATOR


def test_every_option_is_described_on_the_command_line() -> None:
    options = {
        parameter.name: parameter for parameter in call_command.params if isinstance(parameter, click.Option)
    }
    assert all(options[name].help for name in FIELDS - {"prompt"})
    assert options["commercial"].is_flag
    assert options["seed"].type.name == "integer"
    assert options["cfg_scale"].opts == ["--cfg"]
    assert options["target"].opts == ["--target"]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"k": 0}, "k: input should be greater than or equal to 1 (given: 0)"),
        ({"k": 53}, "k: input should be less than or equal to 52 (given: 53)"),
        ({"seed": -1}, "(given: -1)"),
        ({"seed": 2**64}, "(given: 18446744073709551616)"),
        ({"width": 513}, "the nearest is 512"),
        ({"sampling_steps": 0}, "sampling_steps: input should be greater than or equal to 1"),
        ({"cfg_scale": float("nan")}, "cfg_scale: input should be a finite number (given: nan)"),
        ({"n": 101}, "n: input should be less than or equal to 100"),
        ({"images": "a.png"}, "images: input should be a valid tuple (given: 'a.png')"),
        ({"images": ["a.png"] * 7}, "7 example images were given: give 1 to 6"),
        ({"type": "Hypernetwork"}, "'Checkpoint' or 'LoRA'"),
        ({"target": "dalle"}, "(given: 'dalle')"),
        ({"model": "x" * 401}, "at most 400 characters"),
        ({"base_model": "x" * 2_000_000}, "at most 400 characters"),
        ({"colour": "red"}, "there is no option 'colour': the options are prompt, negative_prompt"),
    ],
)
def test_what_is_out_of_range_is_one_short_line(options: dict[str, Any], says: str) -> None:
    with pytest.raises(BadInput) as error:
        Request.parse({"prompt": "a fox", **options})
    assert says in str(error.value)
    assert len(str(error.value)) < 400


@pytest.mark.parametrize("prompt", ["", "  \n", None, 7, "<lora:a:1>", "x" * 20_001])
def test_prompts_that_say_nothing_are_refused(prompt: Any) -> None:
    with pytest.raises(BadPrompt):
        Request.parse({"prompt": prompt})


def test_an_option_goes_before_the_prompts_words() -> None:
    wish = Request.from_prompt("a fox, 512x768, 20 steps, seed 3").wishes
    assert (wish.size, wish.steps, wish.seed) == ((512, 768), 20, 3)
    override = Request.from_prompt(
        "a fox, 512x768, 20 steps, seed 3", height=640, sampling_steps=30, seed=0, clip_skip=2
    ).wishes
    assert (override.size, override.steps, override.seed, override.clip_skip) == ((512, 640), 30, 0, 2)
    choice = Request.from_prompt(
        "a fox, using Euler a", sampling_method="DPM++ 2M", scheduler="Karras"
    ).wishes
    assert choice.sampler == "DPM++ 2M Karras"
    with pytest.raises(BadInput, match="no sampler is named 'Dreamy'"):
        _ = Request.from_prompt("a fox", sampling_method="Dreamy").wishes
    with pytest.raises(BadInput, match="give sampling_method"):
        _ = Request.from_prompt("a fox", scheduler="Karras").wishes


def test_one_side_keeps_the_area_that_the_model_is_used_at(make_agent: Any) -> None:
    agent: Agent = make_agent()
    usual = agent.call("pixel art of a fox")
    wide = agent.call("pixel art of a fox", width=1024)
    assert wide.width == 1024
    assert wide.width * wide.height == pytest.approx(usual.width * usual.height, rel=0.15)
    assert (agent.call("a fox", width=640, height=448).width, agent.call("a fox", height=448).height) == (
        640,
        448,
    )


def test_a_decision_says_what_could_not_be_had(make_agent: Any) -> None:
    agent: Agent = make_agent()
    decision = agent.decide(Request.from_prompt("pixel art of a fox <lora:ink fox:0.8>", n=4))
    assert decision.n == 4
    assert decision.notes == (
        "the tag <lora:ink fox:0.8> was left out of the prompt: name a LoRA with the option model",
    )
    assert decision.to_dict()["notes"] == list(decision.notes)
    assert agent.decide(Request.from_prompt("pixel art of a fox")).notes == ()


def test_a_row_has_options_of_its_own(tmp_path: Path) -> None:
    table = tmp_path / "in.csv"
    table.write_text(
        "prompt,width,commercial,base_model,cfg_scale\na fox,640,true,SD 1.5,6.5\n", encoding="utf-8"
    )
    (row,) = open_source(str(table))
    assert row.options == {
        "prompt": "a fox", "width": 640, "commercial": True, "base_model": "SD 1.5", "cfg_scale": 6.5,
    }  # fmt: skip
    assert json.loads(json.dumps(dict(row.options))) == row.options
