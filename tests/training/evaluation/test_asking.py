"""Grades: which of them belong to a call, what is counted, and what is said of bad rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from stand_ins import ENTRIES

from diffagent.agent.agent import Agent
from diffagent.data.errors import BadInput
from diffagent.data.records import Lora, T2ICall
from diffagent.training.evaluation.asking import Grades, read_requests, rows, summarise, table
from diffagent.training.evaluation.systems import answers, rule_of_thumb

CHECKPOINT = "urn:air:sd1:checkpoint:civitai:1@2"
OTHER = "urn:air:sd1:checkpoint:civitai:3@4"
LORA = "urn:air:sd1:lora:civitai:5@6"
SECOND = "urn:air:sd1:lora:civitai:7@8"


def call(prompt: str, checkpoint: str = CHECKPOINT, loras: tuple[str, ...] = ()) -> T2ICall:
    return T2ICall(
        model="M",
        type="LoRA" if loras else "Checkpoint",
        base_model="SD 1.5",
        width=512,
        height=512,
        sampling_method="Euler a",
        sampling_steps=20,
        cfg_scale=7.0,
        model_description="M.",
        prompt=prompt,
        air=loras[0] if loras else checkpoint,
        base_checkpoint=checkpoint if loras else None,
        loras=tuple(Lora(model="M", air=air, weight=1.0) for air in loras),
    )


def write_lines(path: Path, *lines: dict[str, Any] | str) -> Path:
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    return path


@pytest.fixture
def grades(tmp_path: Path) -> Grades:
    lora = {"air": LORA, "base_checkpoint": CHECKPOINT}
    return Grades.read(
        write_lines(
            tmp_path / "grades.jsonl",
            {"id": "a", "air": CHECKPOINT, "base_checkpoint": None, "sent": "A  fox", "g": 3, "s": 1, "p": 1},
            {"id": "b", **lora, "prompt": "ink, a fox", "g": 2},
            {"id": "c", **lora, "loras": [LORA, {"air": SECOND}], "prompt": "ink, a fox", "g": 0},
            {"id": "d", "air": OTHER, "prompt": "a fox", "g": 1},
        )
    )


@pytest.mark.parametrize(
    ("request_id", "call_", "grade"),
    [
        ("a", call("a fox"), 3),  # case and blanks are folded
        ("a", call("a red fox"), None),  # graded with another prompt
        ("a", call("a fox", OTHER), None),
        ("b", call("ink, a fox", loras=(LORA,)), 2),
        ("b", call("ink, a fox", loras=(LORA, SECOND)), None),
        ("b", call("ink, a fox", OTHER, (LORA,)), None),
        ("c", call("ink, a fox", loras=(SECOND, LORA)), 0),  # a set: the order does not matter
        ("c", call("ink, a fox", loras=(LORA,)), None),
        ("d", call("a fox"), None),
    ],
)
def test_a_grade_belongs_to_checkpoint_loras_and_prompt(
    grades: Grades, request_id: str, call_: T2ICall, grade: int | None
) -> None:
    grade_, _ = grades.find(request_id, call_)
    assert (grade_ and grade_.g) == grade


def test_shares_are_of_the_judged_and_the_rest_is_counted(tmp_path: Path, grades: Grades) -> None:
    kinds = {"a": "plain", "b": "plain", "c": "plain", "d": "wishes", "e": "wishes"}
    path = write_lines(
        tmp_path / "requests.jsonl",
        *({"id": id_, "prompt": "a fox", "kind": kind, "note": "n"} for id_, kind in kinds.items()),
    )
    calls = {
        "a": call("a fox"),
        "b": call("ink, a fox", loras=(LORA,)),
        "c": call("ink, a fox", loras=(LORA, SECOND)),
        "d": call("a red fox", OTHER),
    }
    summary = summarise(read_requests(path), calls, grades)
    plain = {"n": 3, "good": 0.3333, "ok": 0.6667, "wrong": 0.3333}
    none = {"unjudged": 0, "other_prompt": 0, "errors": 0}
    assert summary["kinds"]["plain"] == plain | none
    assert summary["kinds"]["wishes"] == {
        "n": 2, "good": None, "ok": None, "wrong": None, "unjudged": 2, "other_prompt": 1, "errors": 1,
    }  # fmt: skip
    assert {**summary, "kinds": None} == plain | {
        "n": 5, "unjudged": 2, "other_prompt": 1, "errors": 1, "kinds": None,
    }  # fmt: skip
    lines = table(summary).split("\n")
    assert lines[1].split() == ["all", "5", "33.3", "%", "66.7", "%", "33.3", "%", "2", "1", "1"]
    assert lines[3].split() == ["wishes", "2", "-", "-", "-", "2", "1", "1"]


def test_calls_are_written_as_route_writes_them(tmp_path: Path) -> None:
    requests = read_requests(write_lines(tmp_path / "r.jsonl", *({"id": i, "prompt": "fox"} for i in "ab")))
    first, second = rows(requests, {"a": call("fox")}, {"b": "no such base model"})
    assert T2ICall.parse(json.loads(first)["call"]) == call("fox")
    assert json.loads(second) == {"id": "b", "error": "no such base model"}


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (['{"id": "a", "prompt": "x"}', "", "{"], r"r\.jsonl:3: not a request: not JSON"),
        (['{"id": "a"}'], r"r\.jsonl:1: not a request: prompt: field required$"),
        (['{"id": "a", "prompt": "x"}'] * 2, r"r\.jsonl:2: the id 'a' is also in line 1"),
        (["[]"], r"r\.jsonl:1: not a request"),
        ([""], "holds no requests"),
    ],
)
def test_bad_requests_are_named_by_line(tmp_path: Path, lines: list[str], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        read_requests(write_lines(tmp_path / "r.jsonl", *lines))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"id": "a", "air": OTHER, "prompt": "x"}, "g.jsonl:1: not a grade: g: field required"),
        ({"id": "a", "air": OTHER, "prompt": "x", "g": 4}, r"g: .*less than or equal to 3 \(given: 4\)"),
        ({"id": "a", "prompt": "x", "g": 1}, "not a grade: air"),
    ],
)
def test_bad_grades_are_named_by_line(tmp_path: Path, row: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        Grades.read(write_lines(tmp_path / "g.jsonl", row))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"cannot read .*nowhere\.jsonl"):
        read_requests(tmp_path / "nowhere.jsonl")


def test_the_rule_takes_a_lora_for_two_words_of_its_name_else_a_keywords_checkpoint() -> None:
    loras = [(frozenset(("ink", "fox")), "two"), (frozenset(("old", "ink", "castle")), "three")]
    keywords = {"anime|manga": "drawn", "fox": "animal", "": "photo"}
    answer = {
        "an ink fox": "two",
        "an old ink castle and a fox": "three",
        "manga fox": "drawn",
        "Fox!": "animal",
        "a castle": "photo",
    }
    assert {prompt: rule_of_thumb(prompt, loras, keywords) for prompt in answer} == answer


def test_the_constant_answers_everything_and_the_agents_settings_come_with_it(
    tmp_path: Path, agent: Agent
) -> None:
    name = ENTRIES[1].card.name
    requests = read_requests(
        write_lines(
            tmp_path / "r.jsonl", {"id": "a", "prompt": "pixel art, 768x512"}, {"id": "b", "prompt": "fox"}
        )
    )
    decisions, errors = answers(agent, requests, "constant", name, lambda items, label: items)
    calls = {key: decision.call for key, decision in decisions.items()}
    assert {call_.model for call_ in calls.values()} == {name}
    assert (calls["a"].width, calls["a"].height, errors) == (768, 512, {})
    with pytest.raises(BadInput, match="which this catalog lacks"):
        answers(agent, requests, "rule", name, lambda items, label: items)
