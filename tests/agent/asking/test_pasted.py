# ruff: noqa: E501
"""What people paste and write in short: negative prompts, flags, exclusions in a list, slides, few steps."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from diffagent.agent.agent import Agent
from diffagent.agent.asking.flags import flags
from diffagent.agent.asking.foreign_exclusions import foreign_exclusions
from diffagent.agent.asking.negatives import default_negative
from diffagent.agent.asking.request import Request

MakeAgent = Callable[..., Agent]


@pytest.mark.parametrize(
    ("text", "sent", "negative"),
    [
        ("a stone bridge, Negative prompt: blurry, extra limbs", "a stone bridge", "blurry, extra limbs"),
        ("a stone bridge. negative: blurry", "a stone bridge", "blurry"),
        ("a stone bridge\nnegative: blurry\nsteps: 24, cfg: 6", "a stone bridge", "blurry"),
        ("an elf ranger, no weapon, negative: blurry", "an elf ranger", "blurry, weapon"),
        ("a desert town, without people, without flying cars", "a desert town", "people, flying cars"),
        ("a desert town without people and without flying cars", "a desert town", "people, flying cars"),
        ("a kitten, nothing shaded, line art", "a kitten, line art", "shaded"),
        ("a bride in a garden, nothing spicy please", "a bride in a garden", "spicy"),
        ("friends at a table, nobody looking into the camera", "friends at a table", "looking into the camera"),
        ("a robot in rain --no people, text --ar 16:9", "a robot in rain", "people, text"),
    ],
)  # fmt: skip
def test_what_is_left_out_goes_to_the_negative_prompt(text: str, sent: str, negative: str) -> None:
    wish = Request.from_prompt(text).wishes
    assert (wish.prompt, wish.negative_prompt) == (sent, negative)


@pytest.mark.parametrize(
    "text",
    [
        "a photo of the negative space between trees",
        'a mug that says "negative: blurry"',
        "a man who walks without looking, without wearing a coat he feels the wind",
        "a water slide in a park",
        "a man giving a presentation to his team",
    ],
)
def test_a_description_stays(text: str) -> None:
    request = Request.from_prompt(text)
    assert (request.wishes.prompt, request.wishes.aspect) == (text, None)


@pytest.mark.parametrize(
    ("text", "sent", "names"),
    [
        ("ein Dorf ohne Menschen und ohne Schrift", "ein Dorf", "people, text"),
        ("kijiji, bila watu, bila magari", "kijiji", "people, cars"),
        ("deniz feneri, renk yok", "deniz feneri", "color"),
        ("un pueblo sin gente, sin coches y sin globos", "un pueblo", "people, cars, globos"),
        ("un port sans personnes et sans texte", "un port", "people, text"),
        ("un porto senza persone, senza auto", "un porto", "people, cars"),
        ("um farol sem pessoas e sem texto", "um farol", "people, text"),
        ("een vuurtoren zonder mensen en zonder tekst", "een vuurtoren", "people, text"),
        ("деревня, без людей и без машин", "деревня", "people, cars"),
        ("wioska bez ludzi i bez napisów", "wioska", "people, text"),
        ("村庄,没有人,没有车", "村庄", "people, cars"),
        ("冬の村、人なし、車なし", "冬の村", "people, cars"),
        ("겨울 마을, 사람 없이, 글자 없이", "겨울 마을", "people, text"),
    ],
)
def test_exclusions_of_other_languages_are_read_one_and_all(text: str, sent: str, names: str) -> None:
    wish = Request.from_prompt(text).wishes
    assert (wish.prompt, wish.negative_prompt) == (sent, names)


def test_a_noun_that_nobody_leaves_out_stays_in_a_foreign_description() -> None:
    assert foreign_exclusions("ein Mann ohne Hut") == []
    assert foreign_exclusions("ein Dorf ohne Menschen") == [(9, 22, "people")]


def test_flags_leave_the_prompt_and_their_shape_is_kept() -> None:
    text = "a robot in rain --v 5 --ar 2:3 --q 2 --style raw --s 250 —niji 5"
    assert flags(text) == ("a robot in rain", ("--v 5", "--ar 2:3", "--q 2", "--style raw", "--s 250", "—niji 5"), ())  # fmt: skip
    wish = Request.from_prompt(text).wishes
    assert (wish.prompt, wish.aspect) == ("a robot in rain", (2, 3))
    assert flags("two lovers -- Venice, 1910") == ("two lovers -- Venice, 1910", (), ())


@pytest.mark.parametrize(
    ("text", "sent", "steps"),
    [
        ("a robot on the stairs, cfg 6, 28 steps, 512x768", "a robot on the stairs", 28),
        ("a heron, 6-8 steps", "a heron", 8),
        ("a heron in 6 to 8 steps", "a heron", 8),
        ("a temple with 28 steps, dusk", "a temple with 28 steps, dusk", None),
    ],
)
def test_steps_are_heard_and_leave_the_prompt(text: str, sent: str, steps: int | None) -> None:
    wish = Request.from_prompt(text).wishes
    assert (wish.prompt, wish.steps) == (sent, steps)


def test_two_shapes_are_two_pictures_of_one_and_a_note() -> None:
    request = Request.from_prompt("a heron, 2 pics, one portrait one landscape")
    assert (request.wishes.prompt, request.phrasing.n) == ("a heron", 2)
    assert '"one portrait one landscape" was asked for, but a call makes pictures of one shape' in request.phrasing.notes  # fmt: skip


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("sales of umbrellas -- slide", "sales of umbrellas"),
        ("sales of umbrellas, for a presentation", "sales of umbrellas"),
        ("powerpoint slide background: paper waves", "powerpoint slide background: paper waves"),
    ],
)
def test_slides_are_wide(text: str, sent: str) -> None:
    wish = Request.from_prompt(text).wishes
    assert (wish.prompt, wish.aspect) == (sent, (16, 9))


@pytest.mark.parametrize("ending", [" lol", " ty", ", thx lol", " haha", " plz tia"])
def test_what_people_say_last_goes(ending: str) -> None:
    assert Request.from_prompt(f"a clay fox{ending}").wishes.prompt == "a clay fox"


@pytest.mark.parametrize(
    ("prompt", "is_excluded"),
    [
        ("a neon sign over a bar", False),
        ("a cake with the inscription Ada 40", False),
        ("a clay fox with empty space for the title", True),
        ("a clay fox, room at the top for text", True),
        ("a clay fox", True),
    ],
)
def test_letters_are_excluded_unless_they_are_asked_for(prompt: str, is_excluded: bool) -> None:
    assert ("text" in default_negative("SD 1.5", prompt, 7.0)) is is_excluded


def test_a_wish_for_a_fast_model_that_cannot_be_had_is_a_note(make_agent: MakeAgent) -> None:
    decision = make_agent().decide(Request.from_prompt("a heron, lcm or turbo"))
    assert decision.call.prompt == "a heron"
    assert "no model made for few steps can be had: others were considered" in decision.notes
    assert decision.call.sampling_steps == 30
