"""Negative prompts: the default of a base model, and what a prompt asks for never in it."""

from __future__ import annotations

import pytest

from diffagent.agent.asking.negatives import default_negative, join_negative
from diffagent.agent.asking.phrasing import phrasing
from diffagent.data.base_models import TABLE


def test_the_default_is_the_base_models_where_it_reads_one() -> None:
    usual = default_negative("SD 1.5", "a fox", 7.0)
    assert usual[:3] == ("worst quality", "low quality", "blurry")
    assert {"text", "watermark"} <= set(usual)
    assert default_negative("SD 1.5", "a fox", 1.0) == ()
    assert default_negative("Other", "a fox", 7.0) == ()
    assert default_negative("no such base model", "a fox", 7.0) == ()


@pytest.mark.parametrize(
    ("prompt", "phrase"),
    [
        ('a sign that says "open"', "text"),
        ("a fox with the title of the book above", "text"),
        ("a banner wishes her a happy anniversary", "text"),
        ("the cover of a book about sailing", "text"),
        ("a jar with a label reading plum", "text"),
        ("tattoo lettering of a swallow", "text"),
        ("a boat with the name Marta", "text"),
        ("business card of a florist", "text"),
        ("neon signage above a bar", "text"),
        ("merry christmas in red wool", "text"),
        ("a watermark of a stag in old paper", "watermark"),
        ("an autographed baseball, signed", "signature"),
        ("blurry pink flowers", "blurry"),
        ("a fox, bokeh", "blurry"),
        ("pixel art of a fox", "lowres"),
        ("bad anatomy study by an amateur", "bad anatomy"),
    ],
)
def test_what_the_prompt_asks_for_is_not_excluded(prompt: str, phrase: str) -> None:
    assert phrase in default_negative("SD 1.5", "a fox", 7.0)
    assert phrase not in default_negative("SD 1.5", prompt, 7.0)


def test_every_base_model_with_a_default_reads_a_negative_prompt() -> None:
    assert all(row.dialect.negative for row in TABLE if row.negative)


def test_phrases_are_joined_once() -> None:
    assert join_negative("fog, people", ("people", "text", "text")) == "fog, people, text"
    assert join_negative("", ("text",)) == "text"
    assert join_negative("fog,", ()) == "fog,"


def test_room_for_letters_is_left_empty() -> None:
    request = "book cover, a lone rider, space at the top for the title"
    assert "text" in default_negative("SD 1.5", "book cover, a lone rider", 7.0, request=request)
    assert "text" not in default_negative("SD 1.5", "book cover, a lone rider", 7.0)
    assert "text" in default_negative("SD 1.5", "a surfer with a white board", 7.0)


def test_letters_that_are_left_out_are_excluded_with_what_they_stand_on() -> None:
    phrase = phrasing("a hand cream tube with no label")
    assert phrase.avoid == ("label",)
    assert "text" in default_negative("SDXL 1.0", phrase.prompt, 7.0)


@pytest.mark.parametrize(
    ("prompt", "phrase"),
    [
        ("wax crayon drawing of our flat as a 6 year old drew it", "bad anatomy"),
        ("crayon drawing of a goose", "bad anatomy"),
        ("a house drawn by my daughter", "bad hands"),
        ("stick figures on a hill", "bad anatomy"),
        ("a badly drawn horse", "low quality"),
        ("a cow with 5 legs", "bad anatomy"),
        ("a two-headed calf", "bad anatomy"),
        ("the alphabet made of vegetables", "text"),
        ("complex numbers", "text"),
        ("roman numerals cut in marble", "text"),
        ("a player with the number 9 on his shirt", "text"),
        ("chalk equations on a wall", "text"),
    ],
)
def test_crude_bodies_and_signs_that_are_wanted_are_not_excluded(prompt: str, phrase: str) -> None:
    assert phrase in default_negative("SD 1.5", "a fox", 7.0)
    assert phrase not in default_negative("SD 1.5", prompt, 7.0)


@pytest.mark.parametrize(
    "prompt", ["a woman holds a cup with two hands", "a table with four legs", "large numbers of geese"]
)
def test_usual_bodies_and_crowds_keep_the_default(prompt: str) -> None:
    assert {"bad anatomy", "text"} <= set(default_negative("SD 1.5", prompt, 7.0))
