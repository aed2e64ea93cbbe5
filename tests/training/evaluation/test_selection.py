"""Selection accuracy on hand-made rows, and measured on the invented catalog."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
from stand_ins import RuleEngine, plain_suitability

from diffagent.agent.agent import Agent
from diffagent.agent.asking.request import Request
from diffagent.agent.choosing.fusion import Fusion
from diffagent.training.corpora.held_out_pairs import HeldOutPair
from diffagent.training.evaluation.selection import (
    LeaveOut,
    PairMeasures,
    SelectionOptions,
    _interval,
    _rank,
    measure,
    summarise,
    variant,
)

MakeAgent = Callable[..., Agent]
PIXELS, INK = "urn:air:sd1:checkpoint:civitai:11@12", "urn:air:sd1:lora:civitai:33@34"


def row(
    prefilter: float, baseline: float = 1, novel: bool = False, type_: str = "Checkpoint", **hits: bool
) -> PairMeasures:
    return PairMeasures(prefilter, baseline, novel, type_, hits)


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
    summary = summarise(rows)
    assert summary["n"] == 4
    assert summary["prefilter"] == {"1": 25, "5": 50, "16": 75, "50": 75}
    assert summary["baseline"] == {"1": 0, "5": 25, "16": 75, "50": 75}
    assert summary["gain"] == {"1": 25, "5": 25, "16": 0, "50": 0}
    assert summary["novel"] == {"n": 0}
    assert summary["parameters"] is None
    assert "agent" not in summary  # nobody decided


def test_novel_rows_are_counted_by_themselves() -> None:
    summary = summarise([row(1), row(2, novel=True), row(1, novel=True), row(1)])
    assert (summary["n"], summary["novel"]["n"]) == (4, 2)
    assert (summary["prefilter"]["1"], summary["novel"]["prefilter"]["1"]) == (75, 50)


def test_what_the_agents_decide_and_what_the_language_model_adds() -> None:
    rows = [
        row(1, agent=True, no_llm=True),
        row(1, agent=True, no_llm=False),
        row(2, agent=True, no_llm=False, type_="LoRA"),
        row(3, agent=False, no_llm=True, type_="LoRA"),
        row(1, agent=False, no_llm=False, type_="LoRA"),
    ]
    summary = summarise(rows)
    assert (summary["agent"], summary["no_llm"], summary["prefilter"]["1"]) == ({"1": 60}, {"1": 40}, 60)
    assert (summary["agent_gain"], summary["llm_gain"]) == ({"1": 0}, {"1": 20})
    assert summary["untuned"] == summary["agent"]  # no other one was asked
    assert summary["types"]["Checkpoint"] == {
        "n": 2, "prefilter": 100, "baseline": 100, "agent": 100, "no_llm": 50, "untuned": 100,
    }  # fmt: skip
    assert summary["types"]["LoRA"] == {
        "n": 3, "prefilter": 33.33, "baseline": 100, "agent": 33.33, "no_llm": 33.33, "untuned": 33.33,
    }  # fmt: skip


def test_intervals_are_percentiles_of_resampled_means() -> None:
    assert _interval(np.ones(30), 0) == [100, 100]
    assert _interval(np.zeros(30), 0) == [0, 0]
    low, high = _interval(np.repeat([0.0, 1.0], 200), 0)
    # a mean of 400 coin flips has standard error 2.5 points: 50 ± 1.96 · 2.5
    assert [low, high] == pytest.approx([45.1, 54.9], abs=0.8)
    assert _interval(np.repeat([0.0, 1.0], 200), 0) == [low, high]


def test_a_summary_has_an_interval_for_every_figure_and_is_json() -> None:
    summary = summarise([row(1, agent=True, no_llm=False), row(2, 1, True, agent=False, no_llm=True)])
    figures = ("prefilter", "baseline", "agent", "no_llm", "untuned", "gain", "agent_gain", "llm_gain")
    for part in (summary, summary["novel"]):
        assert set(part["ci95"]) == set(figures)
        for name in figures:
            for k, value in part[name].items():
                low, high = part["ci95"][name][k]
                assert low <= value <= high
    assert json.loads(json.dumps(summary)) == summary


HARBOUR, LAKE = "urn:air:sd1:checkpoint:civitai:22@23", "urn:air:sdxl:checkpoint:civitai:44@45"


def test_rows_measured_on_the_invented_catalog(make_reader: MakeAgent) -> None:
    engine = RuleEngine(like=lambda slot, option: 9.0 if option == "oil painting" else 0.0)
    pairs = [
        HeldOutPair("pixel art, a small fox", "", PIXELS),  # a catalog prompt
        HeldOutPair("inkfox, ink drawing of a hare <lora:inkfox:1>", "", INK),
        HeldOutPair("a harbour", "", HARBOUR),  # rules read a photo, the language model an oil painting
        HeldOutPair("seven teapots", "", "urn:air:sd1:lora:civitai:99@99"),  # not in the catalog
    ]
    agent = make_reader(engine, Fusion(reading_weight=1.0, choice_weight=1.0))
    pixels, other, harbour, missing = measure(agent, pairs)
    assert (pixels.prefilter, pixels.baseline, pixels.novel, pixels.type) == (1, 1, False, "Checkpoint")
    assert (other.prefilter, other.novel, other.type) == (1, False, "LoRA")
    assert harbour.hits == {"no_llm": False, "agent": True}
    assert (missing.prefilter, missing.baseline, missing.type) == (math.inf, math.inf, "LoRA")
    assert missing.hits == {"no_llm": False, "agent": False}
    assert missing.novel  # no catalog prompt is near
    questions = [prompt.earlier[0][0] for prompt in engine.asked]
    assert "Prompt: ink drawing of a hare" in questions  # neither tag nor trigger word tells the model


def test_a_hit_is_what_the_agent_decides(make_reader: MakeAgent) -> None:
    engine = RuleEngine(
        lambda label: 9.0 if label == "C" else 0.0,
        lambda slot, option: 9.0 if option == "oil painting" else 0.0,
    )
    prompts = ("a harbour", "a mountain lake", "pixel art castle", "ink drawing of a fox")
    for fusion in (
        Fusion(),
        Fusion(reading_weight=1.0),
        Fusion(choice_weight=1.0),
        Fusion(reading_weight=1.0, choice_weight=1.0),
    ):
        agent = make_reader(engine, fusion)
        for prompt in prompts:
            request = Request.from_prompt(prompt, negative_prompt="blurry")
            air = agent.decide(request).candidates[0].card.air
            (measures,) = measure(agent, [HeldOutPair(prompt, "blurry", air)])
            assert measures.hits["agent"]


def test_a_prompt_that_is_refused_is_a_miss(make_reader: MakeAgent) -> None:
    (measures,) = measure(make_reader(), [HeldOutPair("a fox, with Flux", "", PIXELS)])
    assert measures.hits == {"no_llm": False, "agent": False}
    assert measures.prefilter < math.inf


def test_the_language_model_may_be_skipped(make_reader: MakeAgent) -> None:
    engine = RuleEngine()
    agent = make_reader(engine, Fusion(reading_weight=1.0, choice_weight=1.0))
    (measures,) = measure(agent, [HeldOutPair("a pixel art fox", "", PIXELS)], SelectionOptions(llm=False))
    assert (measures.hits, engine.asked) == ({"no_llm": True}, [])
    assert measures.prefilter == 1


API = {"sampling_method": "DDIM", "width": 512, "height": 512, "sampling_steps": 20, "cfg_scale": 7}


def likes(medium: str, slot: str, option: str) -> float:
    return 9.0 if option == medium else 0.0


def test_the_untuned_model_decides_with_the_same_weights(make_reader: MakeAgent) -> None:
    tuned, plain = (RuleEngine(like=partial(likes, medium)) for medium in ("oil painting", "pixel art"))
    pairs = [HeldOutPair("a harbour", "", HARBOUR, API), HeldOutPair("a puddle", "", PIXELS, API)]
    agent = make_reader(tuned, Fusion(reading_weight=1.0))
    rows = list(measure(agent, pairs, SelectionOptions(untuned=plain)))
    assert [row.hits["agent"] for row in rows] == [True, False]
    assert [row.hits["untuned"] for row in rows] == [False, True]
    summary = summarise(rows)
    assert (summary["agent"], summary["untuned"]) == ({"1": 50}, {"1": 50})
    assert summary["parameters"]["n"] == 2
    assert summarise(list(measure(agent, pairs, SelectionOptions(parameters=False))))["parameters"] is None


def test_documents_near_a_query_can_be_left_out(make_reader: MakeAgent) -> None:
    agent = make_reader()
    agent.suitability = plain_suitability(ranked=1.0)  # the prefilter's word alone
    pairs = [HeldOutPair("a small fox", "", PIXELS)]  # a part of a document of the catalog
    (whole,) = measure(agent, pairs)
    (without_near,) = measure(agent, pairs, SelectionOptions(leave_out=0.5))
    assert (whole.hits["agent"], without_near.hits["agent"]) == (True, False)
    without = LeaveOut.from_agent(agent, 0.5)
    rest = without(agent.prefilter.require(pairs[0].prompt))
    assert len(rest.matcher.vectors) == len(agent.prefilter.matcher.vectors) - 1
    assert without(agent.prefilter.require("seven teapots")) is agent.prefilter


def test_a_variant_leaves_the_agent_as_it_is(make_reader: MakeAgent) -> None:
    agent = make_reader()
    other = variant(agent, fusion=Fusion(reading_weight=1.0))
    assert (agent.fusion.reading_weight, other.fusion.reading_weight) == (0.0, 1.0)
    assert other.facts is agent.facts
