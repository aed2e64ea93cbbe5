"""Selection accuracy on hand-made rows, and measured on the invented catalog."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from stand_ins import RuleEngine

from diffagent.agent.agent import Agent
from diffagent.agent.fusion import Fusion, matches
from diffagent.data.errors import BadInput
from diffagent.training.selection import (
    LeaveOut,
    Pair,
    Row,
    Task,
    _interval,
    _rank,
    habits,
    measure,
    read_pairs,
    sample,
    summarise,
)

MakeAgent = Callable[..., Agent]
PIXELS, INK = "urn:air:sd1:checkpoint:civitai:11@12", "urn:air:sd1:lora:civitai:33@34"


def row(
    prefilter: float,
    baseline: float = 1,
    novel: bool = False,
    llm: tuple[float, ...] = (),
    truth: int = 0,
) -> Row:
    return Row(prefilter, baseline, novel, (-0.5, -1.0), llm, truth)


@pytest.mark.parametrize(
    ("scores", "hits", "rank"),
    [
        ([3, 2, 1], [True, False, False], 1),
        ([3, 2, 1], [False, False, True], 3),
        ([3, 2, 1], [False, True, True], 2),  # the best hit counts
        ([2, 2, 1], [True, False, False], 1.5),
        ([2, 2, 2], [True, False, False], 2),  # in the middle of three
        ([2, 2, 2], [True, True, False], 1.5),
        ([3, 2, 1], [False, False, False], math.inf),
    ],
)
def test_ties_count_half(scores: list[float], hits: list[bool], rank: float) -> None:
    assert _rank(np.array(scores), np.array(hits)) == rank


def test_recall_counts_ranks_up_to_k() -> None:
    rows = [row(1, 2), row(5, 6), row(5.5, 16), row(math.inf, 51)]
    found = summarise(rows, Fusion())
    assert found["n"] == 4
    assert found["prefilter"] == {"1": 25, "5": 50, "16": 75, "50": 75}
    assert found["baseline"] == {"1": 0, "5": 25, "16": 75, "50": 75}
    assert found["gain"] == {"1": 25, "5": 25, "16": 0, "50": 0}
    assert found["novel"] == {"n": 0}
    assert found["parameters"] is None
    assert "agent" not in found  # the language model was not asked


def test_novel_rows_are_counted_by_themselves() -> None:
    found = summarise([row(1), row(2, novel=True), row(1, novel=True), row(1)], Fusion())
    assert (found["n"], found["novel"]["n"]) == (4, 2)
    assert (found["prefilter"]["1"], found["novel"]["prefilter"]["1"]) == (75, 50)


def test_the_agent_the_language_model_alone_and_its_shuffled_scores() -> None:
    # priors say 0 is right; the language model is sure of 1, 0, 1
    sure = {0: (-0.1, -5.0), 1: (-5.0, -0.1)}
    rows = [
        row(2, llm=sure[1], truth=1),
        row(1, llm=sure[0], truth=0),
        row(1, llm=sure[1], truth=0),
        row(math.inf, llm=sure[0], truth=-1),
    ]
    heeded = summarise(rows, Fusion(choice=1.0))
    assert (heeded["agent"], heeded["llm"]) == ({"1": 50}, {"1": 50})
    assert heeded["agent_gain"] == {"1": 0}  # one won, one lost
    # shuffled, each row gets the next one's scores: 0, 1, 0, 1, of which the third is right
    assert heeded["shuffled"] == {"1": 25}
    assert heeded["llm_weight"] == 1.0
    ignored = summarise(rows, Fusion(choice=0.0))
    assert (ignored["agent"], ignored["shuffled"], ignored["llm"]) == ({"1": 50}, {"1": 50}, {"1": 50})


def test_intervals_are_percentiles_of_resampled_means() -> None:
    assert _interval(np.ones(30), 0) == [100, 100]
    assert _interval(np.zeros(30), 0) == [0, 0]
    low, high = _interval(np.repeat([0.0, 1.0], 200), 0)
    # a mean of 400 coin flips has standard error 2.5 points: 50 ± 1.96 · 2.5
    assert (low, high) == (pytest.approx(45.1, abs=0.8), pytest.approx(54.9, abs=0.8))
    assert _interval(np.repeat([0.0, 1.0], 200), 0) == [low, high]


def test_a_summary_has_an_interval_for_every_figure_and_is_json() -> None:
    found = summarise([row(1, llm=(-0.1, -2.0)), row(2, 1, True, (-0.1, -2.0), 1)], Fusion(choice=0.1))
    figures = ("prefilter", "baseline", "agent", "llm", "untuned", "shuffled", "gain", "agent_gain")
    for part in (found, found["novel"]):
        assert set(part["ci95"]) == set(figures)
        for name in figures:
            for k, value in part[name].items():
                low, high = part["ci95"][name][k]
                assert low <= value <= high
    assert json.loads(json.dumps(found)) == found


GOOD = {"prompt": "a fox", "air": PIXELS}


def test_pairs_are_plain_or_dabench_rows(tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    bench = {"instruction": {"prompt": "sea", "negative_prompt": "fog"}, "api": {"width": 512}, "air": INK}
    path.write_text("\n".join(map(json.dumps, [GOOD, {**GOOD, "negative_prompt": None}, bench])))
    assert list(read_pairs(path)) == [
        Pair("a fox", "", PIXELS),
        Pair("a fox", "", PIXELS),
        Pair("sea", "fog", INK, {"width": 512}),
    ]


@pytest.mark.parametrize(
    "bad", ["", "{", "[]", "7", '"text"', '{"prompt": "a fox"}', '{"air": "x"}', '{"instruction": "a fox"}',
            '{"prompt": 5, "air": "x"}', '{"prompt": "a fox", "air": null}']
)  # fmt: skip
def test_a_line_that_is_no_pair_is_named(tmp_path: Path, bad: str) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_text(f"{json.dumps(GOOD)}\n{bad}\n{json.dumps(GOOD)}\n")
    with pytest.raises(BadInput, match=r"pairs\.jsonl, line 2 is no pair") as refusal:
        list(read_pairs(path))
    assert "\n" not in str(refusal.value)


def test_a_file_that_is_missing_or_no_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="diffagent data build"):
        list(read_pairs(tmp_path / "none.jsonl"))
    (tmp_path / "image.jsonl").write_bytes(b"\x89PNG\xff\xfe")
    with pytest.raises(BadInput, match=r"image\.jsonl"):
        list(read_pairs(tmp_path / "image.jsonl"))


def test_a_sample_is_seeded_and_keeps_the_order() -> None:
    pairs = [Pair(str(i), "", PIXELS) for i in range(50)]
    ten = sample(pairs, 10, seed=3)
    numbers = [int(one.prompt) for one in ten]
    assert len(set(numbers)) == 10
    assert numbers == sorted(numbers)
    assert sample(pairs, 10, seed=3) == ten != sample(pairs, 10, seed=4)
    assert sample(pairs, None, 0) == sample(pairs, 50, 0) == sample(pairs, 99, 0) == pairs


def test_rows_measured_on_the_invented_catalog(make_agent: MakeAgent) -> None:
    engine = RuleEngine(prefer=lambda label: 3.0 if label == "B" else 0.0)
    pairs = [
        Pair("pixel art, a small fox", "", PIXELS),  # a catalog prompt
        Pair("inkfox, ink drawing of a hare <lora:inkfox:1>", "", INK),
        Pair("seven teapots", "", "urn:air:sd1:checkpoint:civitai:99@99"),  # not in the catalog
    ]
    known, other, missing = measure(make_agent(engine), pairs, Task(k=3))
    assert (known.prefilter, known.baseline, known.novel, known.truth) == (1, 1, False, 0)
    assert len(known.prior) == len(known.llm) == 3
    assert np.argmax(known.llm) == 1
    assert known.prior[0] == max(known.prior) < 0
    assert (other.prefilter, other.novel, other.truth) == (1, False, 0)
    assert (missing.prefilter, missing.baseline, missing.truth) == (math.inf, math.inf, -1)
    assert missing.novel  # no catalog prompt is near
    asked = engine.asked[1].user
    assert asked.endswith("Prompt: ink drawing of a hare")  # neither tag nor trigger word tells the model


def test_the_language_model_may_be_skipped(make_agent: MakeAgent) -> None:
    engine = RuleEngine()
    (found,) = measure(make_agent(engine), [Pair("a pixel art fox", "", PIXELS)], Task(llm=False))
    assert (found.llm, engine.asked) == ((), [])
    assert found.prefilter == 1


API = {"sampling_method": "DDIM", "width": 512, "height": 512, "sampling_steps": 20, "cfg_scale": 7}


def test_the_untuned_model_is_measured_beside_with_its_own_habits(make_agent: MakeAgent) -> None:
    tuned, plain = (
        RuleEngine(lambda label: 5.0 * (label == "A")),
        RuleEngine(lambda label: 5.0 * (label == "B")),
    )
    pairs = [Pair("pixel art, a small fox", "", PIXELS, API), Pair("ink drawing of a fox", "", INK, API)]
    agent = make_agent(tuned, Fusion(choice=1.0))
    rows = list(measure(agent, pairs, Task(k=3, untuned=plain)))
    assert [int(np.argmax(row.untuned)) for row in rows] == [1, 1]
    found = summarise(rows, agent.fusion)
    assert (found["agent"], found["untuned_llm"]) == ({"1": 100}, {"1": 0})
    assert found["untuned"] == {"1": 100}  # always the same letter says nothing: the prefilter decides
    assert found["parameters"]["n"] == 2
    assert set(found["ci95"]) >= {"untuned", "untuned_llm", "llm"}
    alone = summarise(list(measure(agent, pairs, Task(k=3))), agent.fusion)
    assert alone["untuned"] == alone["agent"]
    assert "untuned_llm" not in alone


def test_habits_are_what_is_said_of_each_letter_and_each_match_whatever_the_prompt() -> None:
    letters, of_match = (0.2, -0.3, 0.1), {8: 0.5, 6: 0.25, 5: -0.75}
    said = []
    for turn in range(3):  # 4/7, 2/7 and 1/7 are matches of 8, 6 and 5
        shares = np.roll([4 / 7, 2 / 7, 1 / 7], turn)
        told = [letters[i] + of_match[m] for i, m in enumerate(matches(np.log(shares)))]
        said.append((np.log(shares), np.array(told) - 3.0 - turn))  # and a constant of the row
    found = habits(said)
    assert found.bias == pytest.approx(letters, abs=2e-3)
    assert [found.match_bias[m] for m in (8, 6, 5)] == pytest.approx([0.5, 0.25, -0.75], abs=2e-3)
    assert found.match_bias[0] == 0.0  # never seen
    flat = replace(found, choice=1.0).fuse(*said[0])
    assert np.diff(flat) == pytest.approx(np.diff(said[0][0]), abs=5e-3)  # nothing is left of what it said


def test_documents_near_a_query_can_be_left_out(make_agent: MakeAgent) -> None:
    agent = make_agent()
    pairs = [Pair("pixel art, a small fox", "", PIXELS)]  # a document of the catalog, word for word
    (seen,) = measure(agent, pairs, Task(llm=False))
    (unseen,) = measure(agent, pairs, Task(llm=False, leave_out=0.9))
    assert (seen.novel, unseen.novel) == (False, True)
    without = LeaveOut.of(agent, 0.9)
    left = without(agent.prefilter.require(pairs[0].prompt))
    assert len(left.matcher.vectors) == len(agent.prefilter.matcher.vectors) - 1
    assert without(agent.prefilter.require("seven teapots")) is agent.prefilter
