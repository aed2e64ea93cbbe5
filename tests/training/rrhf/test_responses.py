"""Responses of a tiny policy: candidates become different callable calls, and nothing else is kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from graded_requests import OIL, PIXELS, XL, request

from diffagent.agent.agent import Agent
from diffagent.agent.answering.answer import LABELS, identity
from diffagent.agent.answering.choice import purpose
from diffagent.agent.asking.reading import Reading
from diffagent.agent.asking.wishes import Wishes
from diffagent.agent.engines.grammar import Grammar, Slot
from diffagent.agent.engines.transformers_engine import TransformersEngine
from diffagent.data.catalog.callability import flaw
from diffagent.data.errors import BadInput
from diffagent.training.rrhf.config import RRHFConfig
from diffagent.training.rrhf.decoder import Prefill
from diffagent.training.rrhf.policy import Policy
from diffagent.training.rrhf.queries import Query, ask, default_card, read_queries, request_queries
from diffagent.training.rrhf.responses import (
    _draw_options,
    _named_card,
    _response,
    _with_ranked_tokens,
    complete,
    respond,
    summary,
)

ROW = {
    "instruction": {"prompt": "pixel art, a small fox", "negative_prompt": "blurry"},
    "api": {},
    "air": "x",
}


@pytest.fixture(scope="module")
def policy(tiny: TransformersEngine) -> Policy:
    return Policy.from_engine(tiny)


def queries(agent: Agent, form: str = "candidates", k: int = 4) -> list[Query]:
    return list(ask([ROW], agent, form, k, default_card(agent), 0))  # type: ignore[arg-type]


def test_a_querys_key_follows_from_all_that_is_asked(agent: Agent) -> None:
    (query,), (repeat,) = queries(agent), queries(agent)
    assert query.key == repeat.key
    surer = [replace(query.candidates[0], score=5.0), *query.candidates[1:]]
    for other in (
        replace(query, candidates=tuple(surer)),  # the same models, but the question shows other matches
        replace(query, candidates=query.candidates[::-1]),
        replace(query, wishes=replace(query.wishes, negative_prompt="red")),
        Query(query.wishes, (), "memory"),
    ):
        assert other.key != query.key


def test_branches_of_a_question_do_not_disturb_each_other(policy: Policy) -> None:
    ids = [3, 4, 5, 6]
    prefill = Prefill(policy.model, ids)
    with torch.no_grad():
        whole = policy.model(torch.tensor([[*ids, 9, 8], [*ids, 7, 8]])).logits.log_softmax(-1)
    branch = prefill.branch()
    np.testing.assert_allclose(branch.first(), whole[0, 3], atol=1e-4)
    np.testing.assert_allclose(branch.extend([0, 0], [9, 7]), whole[:, 4], atol=1e-4)
    np.testing.assert_allclose(branch.extend([1, 0], [8, 8]), whole[[1, 0], 5], atol=1e-4)
    np.testing.assert_allclose(prefill.branch().extend([0], [9])[0], whole[0, 4], atol=1e-4)


def test_the_default_stands_among_the_candidates(agent: Agent) -> None:
    default = default_card(agent)
    assert default.name == 'Oil "Masters" {v2}'  # the checkpoint that LoRAs are run on most
    (query,) = queries(agent)
    assert default in query.cards
    assert len(query.cards) == 4
    assert "Old Pickle" not in {card.name for card in query.cards}
    assert query.wishes.negative_prompt == "blurry"
    with pytest.raises(BadInput, match="is a LoRA"):
        default_card(agent, "Ink Fox Style")


def test_responses_are_different_and_callable(agent: Agent, policy: Policy) -> None:
    (query,) = queries(agent)
    config = RRHFConfig(responses=4, diversity=50.0)
    outcome = respond(query, policy, agent, config, default_card(agent), np.random.default_rng(0))
    assert outcome.asked == 5
    calls = [response.call for response in outcome.responses]
    assert all(flaw(call.model_dump(), agent.catalog) is None for call in calls)
    assert len({call.model_dump_json() for call in calls}) == len(calls)
    assert outcome.responses[-1].call.air == default_card(agent).air
    assert len(calls) == outcome.asked - outcome.invalid - outcome.repeated + 1
    default = outcome.responses[-1].call
    assert (default.sampling_method, default.sampling_steps, default.cfg_scale) == ("Euler a", 20, 7.0)
    counts = summary([outcome])
    assert (counts["texts"], counts["responses"]) == (5, len(calls))
    assert outcome.ids == tuple(policy.chat.prompt_ids(query.question))


@pytest.mark.parametrize(
    ("fields", "sound", "steps"),
    [
        ('[512,768,"DDIM",33,5]', True, 33),
        ('[512,768,"DDIM",330,5]', False, None),
        ('[512,768,"Dream","20",5]', False, None),
        ('[512,768,"DDIM",33,"5"]', False, None),
        ('[512,768,"DDIM",33,5', True, None),  # no whole answer has no parameters of its own
    ],
)
def test_a_samples_own_parameters_are_kept_or_counted_as_illegal(
    agent: Agent, policy: Policy, monkeypatch: pytest.MonkeyPatch, fields: str, sound: bool, steps: int | None
) -> None:
    from diffagent.training.rrhf import responses

    (query,) = queries(agent)
    card = agent.catalog.find("Ink Fox Style")
    text = f"{LABELS[query.cards.index(card)]} {identity(card)} {fields}"
    monkeypatch.setattr(responses, "_texts", lambda *_: iter([("sample", text)]))
    default, rng = default_card(agent), np.random.default_rng(0)
    outcome = respond(query, policy, agent, RRHFConfig(ranked="whole"), default, rng)
    assert (outcome.illegal, outcome.invalid, summary([outcome])["illegal"]) == (
        int(not sound),
        0,
        int(not sound),
    )
    call = outcome.responses[0].call
    assert call.model == card.name
    assert (call.sampling_steps == 33) == (steps == 33)


def test_parameters_are_drawn_as_often_as_people_use_them() -> None:
    priors = tuple(np.log([0.25, 0.75]).tolist())
    legal = Grammar(
        ("[", Slot("sampler", ("Euler a", "DDIM"), priors), ",", Slot("steps", ("20",), (0.0,)), "]")
    )
    rng = np.random.default_rng(0)
    draws = [_draw_options(legal, rng) for _ in range(2000)]
    assert {draw["steps"] for draw in draws} == {"20"}
    assert 0.7 < np.mean([draw["sampler"] == "DDIM" for draw in draws]) < 0.8


def test_drawn_parameters_make_other_calls_of_the_same_model(agent: Agent, policy: Policy) -> None:
    (query,) = queries(agent)
    letter, rng = LABELS[query.cards.index(agent.catalog.find("Ink Fox Style"))], np.random.default_rng(0)
    usual = [_response("beam", letter, query, policy, agent, None)[0] for _ in range(2)]
    draws = [_response("beam", letter, query, policy, agent, rng)[0] for _ in range(20)]
    assert usual[0] == usual[1]
    assert len({response.call.model_dump_json() for response in draws if response}) > 2
    assert {response.call.air for response in draws if response} == {usual[0].call.air if usual[0] else None}
    assert all(response and flaw(response.call.model_dump(), agent.catalog) is None for response in draws)


def test_an_answers_tokens_spell_it(agent: Agent, policy: Policy) -> None:
    for form in ("candidates", "memory"):
        (query,) = queries(agent, form)
        card = agent.catalog.find("Ink Fox Style") if form == "memory" else query.cards[1]
        response = complete("beam", card, {}, query, policy, agent)
        text = policy.chat.decode(response.tokens[:-1])
        assert text.startswith(
            '["Ink Fox Style","LoRA","SD 1.5",' if form == "memory" else f"{LABELS[1]} {identity(card)} ["
        )
        assert response.tokens[-1] == policy.chat.end_ids[0]
        assert response.call.model == card.name
        assert response.call.prompt.endswith("pixel art, a small fox")


def test_of_a_response_the_model_part_may_count_alone(agent: Agent, policy: Policy) -> None:
    config = RRHFConfig(ranked="model")
    for form in ("candidates", "memory"):
        (query,) = queries(agent, form)
        fox = agent.catalog.find("Ink Fox Style")
        responses = [
            complete("beam", fox, options, query, policy, agent)
            for options in ({"steps": "21"}, {}, {"steps": "22"})
        ]
        responses.append(complete("default", default_card(agent), {}, query, policy, agent))
        assert _with_ranked_tokens(responses, query, policy, agent, RRHFConfig()) == tuple(responses)
        beam, default = _with_ranked_tokens(responses, query, policy, agent, config)
        assert (beam.call.model, default.call.model) == (fox.name, default_card(agent).name)
        letter = LABELS[query.cards.index(fox)] if form == "candidates" else ""
        opening = f"{letter} {identity(fox)} [" if letter else '["Ink Fox Style","LoRA","SD 1.5",'
        assert policy.chat.decode(beam.tokens).startswith(opening)
        assert not policy.chat.decode(beam.tokens[:-1]).startswith(opening)
        both = _with_ranked_tokens(
            responses, query, policy, agent, RRHFConfig(ranked="model", learnt="whole")
        )
        assert [len(response.tokens) for response in (beam, default)] == [
            response.counted for response in both
        ]
        assert all(response.tokens[-1] == policy.vocabulary.end for response in both)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ('["Tiny Pixels","Checkpoint","SD 1.5"', "Tiny Pixels"),
        ('["Tiny Pixels","Checkpoint","SD 1.5",', "Tiny Pixels"),
        ('["Tiny Pixels","Checkpoint","SD 1.5",512,512,"Euler a",20,7]', "Tiny Pixels"),
        ('["Tiny Pixels","LoRA","SD 1.5",', None),
        ('["Nobody","Checkpoint","SD 1.5",', None),
        ('["Old Pickle","Checkpoint","SD 1.5",', None),
        ('["Tiny Pixels","Check', None),
        ("a fox", None),
    ],
)  # fmt: skip
def test_what_names_no_model_of_the_catalog_is_invalid(agent: Agent, text: str, name: str | None) -> None:
    card = _named_card(text, Query(Wishes("a fox"), (), "memory"), agent)
    assert (card.name if card else None) == name


def test_letters_beyond_the_candidates_are_invalid(agent: Agent) -> None:
    (query,) = queries(agent)
    assert _named_card(LABELS[2], query, agent) == query.cards[2]
    assert _named_card(f'{LABELS[2]} = [512,512,"Euler a",20,7', query, agent) == query.cards[2]
    for text in (LABELS[4], "", "AB", "?", "The best"):
        assert _named_card(text, query, agent) is None


def test_the_choice_form_asks_as_the_agent_does_among_graded_candidates(
    make_reader: Callable[..., Agent], policy: Policy
) -> None:
    agent = make_reader()
    graded = [request(f"a harbour, no {n}", {OIL: 3, PIXELS: 0, XL: 2, "x": 3}) for n in range(6)]
    choices = request_queries(graded, agent, "choice", 4, default_card(agent), 0)
    assert len(choices) == sum(one.split != "test" for one in graded) > 0
    query = choices[0]
    assert {card.air for card in query.cards} == {OIL, PIXELS, XL}  # "x" is not in the catalog
    assert query.question.user.splitlines() == [
        f"{label} {purpose(card)}" for label, card in zip(LABELS, query.cards, strict=False)
    ]
    assert query.question.earlier[0][1] == Reading.of(query.wishes.prompt).line
    config = RRHFConfig(form="choice", responses=3, diversity=50.0)
    outcome = respond(query, policy, agent, config, default_card(agent), np.random.default_rng(0))
    assert outcome.asked == 4
    for response in outcome.responses:  # the letter alone
        letter = LABELS[[card.air for card in query.cards].index(response.call.air)]
        assert policy.chat.decode(response.tokens) == letter
        assert len(response.tokens) == 1
    with pytest.raises(BadInput, match="no graded candidates"):
        read_queries(Path("align.jsonl"), agent, "choice", 4, default_card(agent), 0)


def test_memory_form_asks_the_whole_catalog(make_agent: Callable[..., Agent], policy: Policy) -> None:
    agent = make_agent()
    (query,) = queries(agent, "memory")
    config = RRHFConfig(form="memory", responses=2, diversity=5.0)
    outcome = respond(query, policy, agent, config, default_card(agent), np.random.default_rng(1))
    assert (outcome.asked, outcome.invalid) == (3, 3)  # random weights name nobody
    assert [response.source for response in outcome.responses] == ["default"]
