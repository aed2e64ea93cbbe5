"""Fitting the fusion: a language model that knows something is heeded, one that does not is not."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stand_ins import RuleEngine

from diffagent.agent.agent import Agent
from diffagent.agent.fusion import Fusion
from diffagent.data.errors import BadInput
from diffagent.training.fusion import CHOICE, STANDING, WRITE, fit_choice, fit_write, save
from diffagent.training.selection import Pair, Row

MakeAgent = Callable[..., Agent]
PIXELS = "urn:air:sd1:checkpoint:civitai:11@12"


def quiet(items: Iterable[Any], label: str) -> Iterable[Any]:
    return items


def row(prior: Sequence[float], llm: Sequence[float], truth: int) -> Row:
    def log(shares: Sequence[float]) -> tuple[float, ...]:
        return tuple(map(math.log, shares))

    return Row(1.0, 1.0, False, log(prior), log(llm), truth)


def test_an_informed_language_model_gets_weight() -> None:
    rows = [row((0.5, 0.5), (0.9, 0.1), 0), row((0.5, 0.5), (0.1, 0.9), 1)] * 5
    fusion, tried = fit_choice(rows)
    assert fusion.choice == 3.0  # the largest that is tried
    assert fusion.bias == pytest.approx((0.0, 0.0))  # it says A as often as B
    assert [one["standing"] for one in tried[: len(STANDING)]] == list(STANDING)
    tried = tried[len(STANDING) :]
    assert [one["choice"] for one in tried] == list(CHOICE)
    even = pytest.approx(math.log(0.5))
    assert tried[0] == {"standing": 0.0, "choice": 0.0, "log_likelihood": even, "recall@1": 0.5}
    # at weight 0.5 the odds are (0.9 / 0.1)^0.5 = 3, a probability of 0.75
    half = next(one for one in tried if one["choice"] == 0.5)
    assert half["log_likelihood"] == pytest.approx(math.log(0.75))
    assert half["recall@1"] == 1.0


def test_standing_is_heeded_as_far_as_it_tells_the_truth() -> None:
    def stood(first: float, second: float, truth: int) -> Row:
        return replace(row((0.5, 0.5), (0.5, 0.5), truth), standing=(first, second))

    # of four rows three have the better standing one: the odds are 3, so the weight is ln 3 / 0.4 = 2.75
    rows = [stood(0.9, 0.5, 0), stood(0.1, 0.5, 1), stood(0.8, 0.4, 0), stood(0.3, 0.7, 0)]
    fusion, tried = fit_choice(rows * 3)
    assert (fusion.standing, fusion.choice) == (3.0, 0.0)
    assert fusion.fuse([0.0, 0.0], [0.0, 0.0], [0.9, 0.5])[0] == pytest.approx(-math.log1p(math.exp(-1.2)))
    assert tried[len(STANDING)]["standing"] == 3.0
    misled = [stood(0.9, 0.5, 1), stood(0.1, 0.5, 0)]
    assert fit_choice(misled)[0].standing == 0.0


def test_a_language_model_that_contradicts_the_truth_gets_none() -> None:
    rows = [row((0.6, 0.4), (0.1, 0.9), 0), row((0.4, 0.6), (0.9, 0.1), 1)]
    assert fit_choice(rows)[0].choice == 0.0


def test_more_likelihood_at_the_price_of_recall_is_no_gain() -> None:
    # three rows come out right by a hair without it, and just wrong with it; a fourth becomes far likelier
    rows = [row((0.501, 0.499), (0.45, 0.55), 0)] * 3 + [row((0.001, 0.999), (0.99, 0.01), 0)]
    rows += [row(prior, llm, 1) for prior, llm in (((0.499, 0.501), (0.55, 0.45)),) * 3]  # no letter is liked
    rows += [row((0.999, 0.001), (0.01, 0.99), 1)]
    rows += [row((0.001, 0.999), (0.01, 0.99), 1), row((0.999, 0.001), (0.99, 0.01), 0)]  # nor a match
    fusion, tried = fit_choice(rows)
    assert max(fusion.bias + fusion.match_bias, key=abs) == pytest.approx(0.0, abs=0.01)
    assert fusion.choice == 0.0
    assert max(tried, key=lambda one: one["log_likelihood"])["choice"] > 0


def test_noise_gets_next_to_nothing() -> None:
    rng = np.random.default_rng(1)

    def noisy() -> Row:
        truth = int(rng.integers(4))
        prior = rng.dirichlet(np.ones(4)) + 1.0 * (np.arange(4) == truth)
        return row(prior / prior.sum(), rng.dirichlet(np.ones(4)) * 0.96 + 0.01, truth)

    assert fit_choice([noisy() for _ in range(600)])[0].choice <= 0.05


def test_of_weights_that_cannot_be_told_apart_the_smallest_counts() -> None:
    # a model that says the same of every candidate changes nothing at any weight
    rows = [row((0.5, 0.5), (0.5, 0.5), 0), row((0.3, 0.7), (0.5, 0.5), 1)]
    assert fit_choice(rows)[0].choice == 0.0


def test_what_it_answers_whatever_the_prompt_is_taken_off() -> None:
    # it always says A, but a little less so where B is right
    rows = [row((0.5, 0.5), (0.95, 0.05), 0), row((0.5, 0.5), (0.9, 0.1), 1)] * 5
    fusion, tried = fit_choice(rows)
    assert fusion.choice == 3.0
    assert tried[-1]["recall@1"] == 1.0


def test_rows_without_the_true_candidate_do_not_count() -> None:
    good = [row((0.5, 0.5), (0.9, 0.1), 0), row((0.5, 0.5), (0.1, 0.9), 1)]
    lost = [row((0.5, 0.5), (0.9, 0.1), -1)] * 9
    assert fit_choice(good + lost) == fit_choice(good)
    with pytest.raises(BadInput, match="9 pairs none has its model among the candidates"):
        fit_choice(lost)


def test_a_fusion_pads_its_bias_with_the_mean() -> None:
    fusion = Fusion(choice=1.0, bias=(-1.0, -3.0))
    # three letters, of which the third has the mean bias of -2: scores -1, 1 and 0, then normalised
    total = math.log(math.exp(-1) + math.exp(1) + 1)
    assert fusion.fuse([0.0, 0.0, 0.0], [-2.0, -2.0, -2.0]) == pytest.approx([-1 - total, 1 - total, -total])
    # one letter alone is certain
    assert fusion.fuse([-0.3], [0.0]) == [0.0]


def test_what_it_says_of_a_match_is_taken_off() -> None:
    prior = [math.log(0.8), math.log(0.2)]  # matches of 9 and 9 - round(1.609 / 0.5) = 6
    fusion = Fusion(choice=2.0, match_bias=(0, 0, 0, 0, 0, 0, -1.0, 0, 0, 0.5))
    # the first: log 0.8 + 2 (-0.1 - 0.5), the second: log 0.2 + 2 (-2.4 + 1)
    scores = [math.log(0.8) - 1.2, math.log(0.2) - 2.8]
    total = math.log(sum(map(math.exp, scores)))
    assert fusion.fuse(prior, [-0.1, -2.4]) == pytest.approx([one - total for one in scores])


def test_a_saved_fusion_comes_back_with_rounded_biases(tmp_path: Path) -> None:
    save(Fusion(0.3, 0.1, (-1.23456, -2.0), (0.5, -0.12345), 4.0), tmp_path / "f.json")
    assert Fusion.load(tmp_path / "f.json") == Fusion(0.3, 0.1, (-1.235, -2.0), (0.5, -0.123), 4.0)
    names = {"choice", "write", "bias", "match_bias", "standing"}
    assert set(json.loads((tmp_path / "f.json").read_text())) == names


API = {"sampling_method": "DDIM", "width": 512, "height": 512, "sampling_steps": 20, "cfg_scale": 7.0}


def test_parameters_are_weighed_by_how_many_come_out_right(make_agent: MakeAgent) -> None:
    likes_ddim = RuleEngine(like=lambda slot, option: 30.0 if option == "DDIM" else 0.0)
    pairs = [Pair("a fox", "", PIXELS, API)]
    weight, tried = fit_write(make_agent(likes_ddim), pairs, quiet)
    assert [one["write"] for one in tried] == list(WRITE)
    # people use Euler a about nine times as often; from a weight of 0.1 on, 3 nats outweigh log 9 = 2.2
    assert [one["sampler"] for one in tried] == [0, 0, 1, 1, 1, 1, 1, 1]
    assert all((one["size"], one["steps"], one["cfg"]) == (1, 1, 1) for one in tried)
    assert weight == 0.1  # no larger one is better


def test_pairs_of_unknown_models_or_without_parameters_cannot_weigh_them(make_agent: MakeAgent) -> None:
    unknown = [Pair("a fox", "", "urn:air:sd1:checkpoint:civitai:9@9", API), Pair("a fox", "", PIXELS)]
    with pytest.raises(BadInput, match="of 2 pairs none has parameters"):
        fit_write(make_agent(), unknown, quiet)
    known = Pair("a fox", "", PIXELS, API)
    agent = make_agent()
    assert fit_write(agent, [*unknown, known], quiet) == fit_write(agent, [known], quiet)
