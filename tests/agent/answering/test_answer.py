"""The answer: what the language model reads, what it may write, and the call that comes of it."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stand_ins import ENTRIES

from diffagent.agent.answering.answer import (
    LABELS,
    PARAMETERS,
    expand,
    grammar,
    question,
    read,
    ready,
)
from diffagent.agent.asking.prompt_line import wanted
from diffagent.agent.asking.wishes import Wishes
from diffagent.agent.choosing.prefilter import Candidate
from diffagent.agent.choosing.short_names import short_name
from diffagent.agent.setting import Setting
from diffagent.data.errors import EngineError
from diffagent.data.records import Card, ModelType, T2ICall, Usage
from diffagent.data.samplers import SAMPLERS

CHOICES = {
    "size": Setting(((512, 768), (768, 512)), (-0.1, -2.0)),
    "sampler": Setting(("DPM++ 2M Karras", "Euler a"), (-0.2, -1.5)),
    "steps": Setting((30, 20), (-0.3, -1.2)),
    "cfg_scale": Setting((7.0, 6.5), (-0.4, -1.1)),
}
AWKWARD_NAMES = [
    'Oil "Masters"',
    "back\\slash\\n",
    "[brackets] {and} (more)",
    "emoji 🎨🦊",
    "日本画 كلب",
    "a, b\", 1, 2]",
    "tab\there",
    " B [\"x\"]",
    "\u2028line",
]  # fmt: skip
NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)


def card(name: str = "Fox", **facts: object) -> Card:
    return Card(name, "Checkpoint", "SD 1.5", "urn:air:sd1:checkpoint:civitai:1@2", **facts)  # type: ignore[arg-type]


def test_the_question_has_a_line_for_each_candidate_then_the_prompt() -> None:
    shares = (0.8, 0.1, 0.05, 0.03, 0.02)
    listed = [
        Candidate(entry.card, math.log(share) - 1) for entry, share in zip(ENTRIES, shares, strict=True)
    ]
    prompt = question(listed, "a fox,\n(red:1.2) <lora:ink:1> snow")
    assert prompt.user.splitlines() == [
        "A Tiny Pixels = [9",
        'B Oil "Masters" = [4',
        "C Ink Fox Style + [3",
        "D Grand XL = SDXL 1.0 [2",
        "E Old Pickle = [1",
        "Prompt: a fox, red snow",
    ]
    assert question(listed[:1], "a fox").system == prompt.system


@pytest.mark.parametrize(
    ("prompt", "line"),
    [
        ("A tiger", "Prompt: a tiger"),
        ("a tiger on A", "Prompt: a tiger on A"),
        ("(A:1.2) tiger", "Prompt: a tiger"),
        ("AB tiger", "Prompt: AB tiger"),
    ],
)
def test_a_prompt_does_not_begin_as_a_candidates_line_does(prompt: str, line: str) -> None:
    assert wanted(prompt) == line


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("[Somebody] Pixel art LORA", "Pixel art"),
        ("Ink Fox (Ink Style, 2nd try", "Ink Fox"),
        ("Foxes v2.1", "Foxes"),
        ("Fox - by Somebody | 狐狸", "Fox"),
        ("狐狸丨Red Fox 狐", "Red Fox"),
        ("狐狸", "狐狸"),
        ("*FOX MODEL + +", "FOX MODEL"),
        ("A very long name of a fox", "A very long name"),
        ("Foxfoxfoxfoxfoxfoxfoxfox", "Foxfoxfoxfoxfoxf"),
        ("1.5", "1.5"),
    ],
)
def test_a_short_name_keeps_what_says_something(name: str, short: str) -> None:
    assert short_name(name) == short


@given(names=st.lists(NAMES, min_size=1, max_size=52), prompt=st.text(max_size=400))
def test_the_question_has_one_line_each_whatever_names_and_prompt(names: list[str], prompt: str) -> None:
    listed = [Candidate(card(name), -float(n)) for n, name in enumerate(names)]
    lines = question(listed, prompt).user.split("\n")
    assert [line[0] for line in lines[:-1]] == list(LABELS[: len(names)])
    assert all(len(line) <= 2 + 16 + 5 for line in lines[:-1])
    assert lines[-1].startswith("Prompt: ")
    assert len(lines[-1]) <= 8 + 320


@pytest.mark.parametrize("name", AWKWARD_NAMES)
def test_the_grammar_spells_awkward_names(name: str) -> None:
    legal = grammar("Q", card(name), CHOICES, 0.5)
    label, fields = read(legal.draft())
    assert (label, fields["model"], fields["type"], fields["base_model"]) == (
        "Q",
        short_name(name),
        "Checkpoint",
        "SD 1.5",
    )
    assert legal.llm_weight == 0.5


@given(
    name=NAMES,
    kind=st.sampled_from(["Checkpoint", "LoRA"]),
    base=st.sampled_from(["SD 1.5", "SDXL 1.0", "Other"]),
    label=st.sampled_from(LABELS),
    size=st.sampled_from(CHOICES["size"].values),
    sampler=st.sampled_from(CHOICES["sampler"].values),
    steps=st.sampled_from(CHOICES["steps"].values),
    cfg=st.sampled_from(CHOICES["cfg_scale"].values),
)
def test_every_answer_of_the_grammar_reads_back(
    name: str,
    kind: ModelType,
    base: str,
    label: str,
    size: tuple[int, int],
    sampler: str,
    steps: int,
    cfg: float,
) -> None:
    legal = grammar(label, replace(card(name), type=kind, base_model=base), CHOICES, 1.0)
    chosen = {"size": f"{size[0]},{size[1]}", "sampler": sampler, "steps": str(steps), "cfg": f"{cfg:g}"}
    text = legal.render(chosen)
    assert legal.parse(text) == chosen
    identity = {"model": short_name(name), "type": kind, "base_model": base}
    assert read(text) == (label, identity | dict(zip(PARAMETERS, (*size, sampler, steps, cfg), strict=True)))


def test_a_name_that_says_nothing_reads_back() -> None:
    assert short_name("\r") == ""
    assert read(grammar("A", card("\r"), CHOICES, 1.0).draft())[1]["model"] == ""


def test_an_answer_looks_as_documented() -> None:
    pixels = card("AIO Pixel Art")
    draft = grammar("B", pixels, CHOICES, 1.0).draft()
    assert draft == 'B AIO Pixel Art = [512,768,"DPM++ 2M Karras",30,7]'
    large = replace(pixels, type="LoRA", base_model="SDXL 1.0")
    assert grammar("B", large, CHOICES, 1.0).draft().startswith("B AIO Pixel Art + SDXL 1.0 [512,")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "A",
        "A [1,2",
        "A {}",
        "A = [1,2,3]",
        "A Fox = [1,2,3]",
        "A Fox [1,2,3,4,5]",
        "A Fox = [1,2,3,4,5,6]",
        "AB Fox = [1,2,3,4,5]",
        "1 Fox = [1,2,3,4,5]",
        "[1,2,3,4,5,6,7,8]",
        "Sure! Here is the call.",
    ],
)
def test_what_is_no_answer_is_refused(text: str) -> None:
    with pytest.raises(EngineError, match="the language model answered") as refusal:
        read(text)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("prompt", "words", "expected"),
    [
        ("a fox", ("inkfox",), "inkfox, a fox"),
        ("a fox, InkFox", ("inkfox",), "a fox, InkFox"),
        ("a fox, (inkfox:1.2)", ("inkfox",), "a fox, (inkfox:1.2)"),
        ("an inkfoxes", ("inkfox",), "inkfox, an inkfoxes"),
        ("a fox", ("ink style, sumi", "Sumi"), "ink style, sumi, a fox"),
        ("sumi, a fox", ("ink  style, sumi",), "ink style, sumi, a fox"),
        ("a fox", ("<lora:ink:1>", " , "), "a fox"),
        ("a <lora:other:1> fox", ("inkfox <lora:ink:1>",), "inkfox, a fox"),
        ("ink_style fox", ("ink style",), "ink_style fox"),
    ],
)
def test_trigger_words_are_there_once(prompt: str, words: tuple[str, ...], expected: str) -> None:
    assert ready(prompt, words) == expected


WORDS = st.lists(st.sampled_from(["ink", "fox", "sumi", "Ink", "FOX", "snow"]), min_size=1, max_size=4).map(
    " ".join
)


@given(prompt=WORDS, words=st.lists(WORDS, max_size=4))
def test_a_prompt_that_is_ready_stays_as_it_is(prompt: str, words: list[str]) -> None:
    once = ready(prompt, words)
    assert ready(once, words) == once
    assert once.endswith(prompt)
    for word in words:
        assert word.casefold() in once.casefold()


FIELDS_OF_A_CALL = {
    "width": 512,
    "height": 768,
    "sampling_method": "Euler a",
    "sampling_steps": 20,
    "cfg_scale": 7,
}


def test_a_checkpoints_call() -> None:
    fox = card("Fox", description="A fox.", trigger_words=("vixen",), usage=Usage(clip_skip={2: 5}))
    wished = Wishes("a den <lora:x:1>", negative_prompt="blurry <lora:neg:1>", seed=7)
    call = expand(FIELDS_OF_A_CALL, fox, wished)
    assert call == T2ICall(
        model="Fox",
        type="Checkpoint",
        base_model="SD 1.5",
        width=512,
        height=768,
        sampling_method="Euler a",
        sampling_steps=20,
        cfg_scale=7.0,
        model_description="A fox.",
        prompt="vixen, a den",
        negative_prompt="blurry",
        clip_skip=2,
        seed=7,
        air="urn:air:sd1:checkpoint:civitai:1@2",
    )


def test_what_the_user_wishes_goes_before_what_people_use() -> None:
    fox = card("Fox", usage=Usage(clip_skip={2: 5}))
    call = expand(FIELDS_OF_A_CALL, fox, Wishes("a den", clip_skip=1, seed=0))
    assert (call.clip_skip, call.seed) == (1, 0)


def test_a_loras_call_has_a_checkpoint_and_a_weight() -> None:
    lora = ENTRIES[2].card
    carrier = card("Oil", usage=Usage(clip_skip={2: 5}))
    call = expand(FIELDS_OF_A_CALL, lora, Wishes("a den"), carrier=carrier)
    assert (call.type, call.base_checkpoint, call.clip_skip) == ("LoRA", carrier.air, 2)
    assert [adapter.weight for adapter in call.loras] == [0.7]
    plain = expand(FIELDS_OF_A_CALL, card(), Wishes("a den"), carrier=carrier)
    assert (plain.base_checkpoint, plain.loras) == (None, ())


@given(
    prompt=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=80).filter(str.strip),
    negative=st.text(st.characters(exclude_categories=["Cs"]), max_size=80),
    sampler=st.sampled_from(SAMPLERS),
)
def test_every_expanded_answer_is_a_valid_call(prompt: str, negative: str, sampler: str) -> None:
    fields = {**FIELDS_OF_A_CALL, "sampling_method": sampler}
    call = expand(fields, card(trigger_words=("vixen",)), Wishes(prompt, negative))
    assert T2ICall.parse(json.loads(call.to_json())) == call
    assert "vixen" in call.prompt.casefold()
