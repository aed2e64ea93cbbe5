from __future__ import annotations

import re
from functools import cache
from math import inf, log
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diffagent.agent.engines.chat import Chat
from diffagent.agent.engines.decode import Vocabulary
from diffagent.agent.engines.grammar import Grammar, Slot
from diffagent.data.errors import EngineError
from diffagent.data.weights.weights import DEFAULT_LLM, resolve

texts = st.text(st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs", "Cc"]), min_size=1, max_size=8)
awkward = st.sampled_from(
    ['"', "\\", '\\"', "[x]", "(y:1.2)", "{z}", "/re/", "%json", "<|im_end|>", "日本 😀", "a\nb", "|"]
)
options = st.lists(texts | awkward, min_size=1, max_size=6, unique=True)


@st.composite
def grammars(draw: st.DrawFn) -> Grammar:
    parts: list[str | Slot] = [draw(texts)]
    for name in "abc"[: draw(st.integers(1, 3))]:
        chosen = draw(options)
        priors = draw(st.lists(st.floats(-9, 0), min_size=len(chosen), max_size=len(chosen)))
        parts += [Slot(name, tuple(chosen), tuple(priors)), draw(texts)]
    return Grammar(tuple(parts))


@cache
def vocabulary() -> Vocabulary:
    return Vocabulary(Chat(resolve(DEFAULT_LLM).path))


def accepts(grammar: Grammar, text: str) -> bool:
    matcher: Any = vocabulary().matcher(grammar)
    pieces = re.split("(<)", text)  # so that the name of a special token is spelled, not meant
    tokens = [token for piece in pieces for token in vocabulary()._tokenizer.tokenize_bytes(piece.encode())]
    return bool(matcher.try_consume_tokens(tokens) == len(tokens) and matcher.is_accepting())


SAMPLE = Grammar(
    (
        '{"model":"',
        Slot("model", ("Pixel", "Pixel Art", "Dream"), (log(0.2), log(0.5), log(0.3))),
        '","steps":',
        Slot("steps", ("2", "20", "30"), (log(0.2), log(0.35), log(0.45))),
        "}",
    )
)


def test_draft_takes_the_most_probable_option_everywhere() -> None:
    assert SAMPLE.draft() == '{"model":"Pixel Art","steps":30}'
    assert SAMPLE.render({"steps": "2"}) == '{"model":"Pixel Art","steps":2}'


def test_the_tail_is_what_follows_the_last_open_place() -> None:
    assert SAMPLE.tail == "}"
    assert Grammar(("a", Slot("b", ("c", "d"), (0.0, 0.0)))).tail == ""
    assert Grammar(("all ", "forced")).tail == "all forced"


def test_parse_gives_the_slots() -> None:
    assert SAMPLE.parse('{"model":"Pixel","steps":20}') == {"model": "Pixel", "steps": "20"}


@pytest.mark.parametrize(
    "text", ["", '{"model":"Pixel","steps":21}', '{"model":"Pixel","steps":20} ', "I cannot"]
)
def test_parse_refuses_what_is_outside(text: str) -> None:
    with pytest.raises(EngineError, match="outside the request's grammar"):
        SAMPLE.parse(text)


def test_branches_are_the_options_of_the_slot_that_comes_next() -> None:
    branches = SAMPLE.branches(b'{"model":"Pixel Art","st')
    assert [(round(prior, 6), text.decode()[-10:]) for prior, text in branches] == [
        (round(log(0.5) + log(p), 6), end)
        for p, end in ((0.2, '"steps":2}'), (0.35, 'steps":20}'), (0.45, 'steps":30}'))
    ]
    assert [text for _, text in SAMPLE.branches(b'{"model":"Pixel')] == [
        b'{"model":"Pixel","steps":2}',
        b'{"model":"Pixel","steps":20}',
        b'{"model":"Pixel","steps":30}',
        b'{"model":"Pixel Art","steps":30}',
    ]
    assert SAMPLE.branches(b"nothing") == []


@given(grammars(), st.data())
def test_parse_inverts_render(grammar: Grammar, data: st.DataObject) -> None:
    choice = {slot.name: data.draw(st.sampled_from(slot.options)) for slot in grammar.slots}
    text = grammar.render(choice)
    assert grammar.render(grammar.parse(text)) == text
    if sum(grammar.render({**choice, **other}) == text for other in every_choice(grammar)) == 1:
        assert grammar.parse(text) == choice


def every_choice(grammar: Grammar) -> list[dict[str, str]]:
    choices: list[dict[str, str]] = [{}]
    for slot in grammar.slots:
        choices = [{**choice, slot.name: option} for choice in choices for option in slot.options]
    return choices


@settings(deadline=None)
@given(grammars(), st.data())
def test_llguidance_accepts_every_rendering_and_nothing_else(grammar: Grammar, data: st.DataObject) -> None:
    choices = every_choice(grammar)
    text = grammar.render(data.draw(st.sampled_from(choices)))
    assert accepts(grammar, text)
    assert text.encode() in [answer for _, answer in grammar.branches(text.encode())]
    at = data.draw(st.integers(0, len(text)))
    damaged = data.draw(st.sampled_from([text[:at] + "x" + text[at:], text[:at], text[at:] + text[:at]]))
    allowed = {grammar.render(choice) for choice in choices}
    assert accepts(grammar, damaged) == (damaged in allowed)


def test_an_option_that_starts_another_is_told_apart_by_what_follows() -> None:
    grammar = Grammar(("x", Slot("n", ("1", "12", "121"), (0.0, 0.0, 0.0)), "2y"))
    assert [accepts(grammar, text) for text in ("x12y", "x122y", "x1212y", "x112y")] == [
        True,
        True,
        True,
        False,
    ]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Slot("s", (), ()), "0 options"),
        (lambda: Slot("s", ("a", "b"), (0.0,)), "2 options and 1"),
        (lambda: Slot("s", ("a", "a"), (0.0, 0.0)), "equal or empty"),
        (lambda: Slot("s", ("a", ""), (0.0, 0.0)), "equal or empty"),
        (lambda: Slot("s", ("a",), (inf,)), "not a number"),
        (lambda: Slot("s", ("a",), (-inf,)), "only impossible"),
        (lambda: Grammar(("x",), llm_weight=-1), "llm_weight is -1"),
        (lambda: Grammar(("",)), "without text"),
        (lambda: Grammar((Slot("s", ("a",), (0.0,)),) * 2), "equal names"),
    ],
)
def test_nonsense_is_refused_when_made(make: object, message: str) -> None:
    assert callable(make)
    with pytest.raises(ValueError, match=message):
        make()
