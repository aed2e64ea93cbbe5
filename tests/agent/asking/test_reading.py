"""The reading of a request: rules on prompts, and the line that the language model writes of them."""

from __future__ import annotations

import math

import pytest

from diffagent.agent.asking.reading import PEOPLE, SYSTEM, Reading, question, without_marks
from diffagent.data.errors import EngineError


@pytest.mark.parametrize(
    ("prompt", "line", "media"),
    [
        ("a fox at night", "photo; people: none", ()),
        ("a wizard in a library", "digital painting; people: men", ()),
        ("tiny ramen shop, pixel art illustration", "pixel art; people: none", ("pixel art", "illustration")),
        ("masterpiece, best quality, 2girls, rain", "anime; people: young women", ("anime",)),
        ("best quality, a shrine in the rain", "digital painting; people: none", ()),
        ("best quality, realistic interior of a shrine", "photo; people: none", ("photo",)),
        ("photo of an old man on a bench", "photo; people: any", ("photo",)),
        ("a bride under an arch", "photo; people: young women", ()),
        ("the queen on her throne", "photo; people: women", ()),
        ("a knitted fox, cozy", "textile; people: none", ("textile",)),
        ("a mother with her baby, watercolor", "watercolor; people: children", ("watercolor",)),
        ("a bowl of soup, 35mm film", "analog photo; people: none", ("analog photo",)),
        ("a knight, digital painting", "digital painting; people: men", ("digital painting",)),
    ],
)
def test_rules_read_medium_and_people(prompt: str, line: str, media: tuple[str, ...]) -> None:
    reading = Reading.of(prompt)
    assert reading.line == f"{line}; special: none"
    assert (reading.named_media, reading.special) == (media, None)


@pytest.mark.parametrize(
    ("prompt", "line", "initials"),
    [
        ("Guybrush and LeChuck ice fishing", "digital painting; people: men; special: character", "mps"),
        ("Totoro on a tram, watercolor", "watercolor; people: none; special: character", "ps"),
        ("Homer Simpson with a little girl", "cartoon; people: children; special: character", "ms"),
        ("Shrek and Sailor Mercury at sea", "3d cartoon; people: young women; special: character", "mps"),
        ("King Boo on a sofa", "3d cartoon; people: none; special: character", "mps"),  # no king
        ("Mulan beside Batman", "cartoon; people: any; special: character", "mps"),
        ("masterpiece, best quality, chun-li, rain", "anime; people: women; special: character", "ps"),
        ("a Genshin Impact harbour", "anime; people: none; special: none", "m"),
        ("Medusa at the hairdresser", "digital painting; people: women; special: none", "mp"),
        ("a link in a rusty chain", "photo; people: none; special: none", ""),
    ],
)
def test_a_well_known_character_is_read_in_its_own_medium(prompt: str, line: str, initials: str) -> None:
    reading = Reading.of(prompt)
    assert reading.line == line
    assert sorted(slot[0] for slot in reading.known_slots) == sorted(initials)


def test_who_is_known_is_nearly_certain() -> None:
    plain, character = (Reading.of(prompt).grammar(1.0).slots for prompt in ("a fox", "Totoro"))
    assert [round(math.exp(max(slot.log_priors)), 1) for slot in plain] == [0.6, 0.6, 0.6]
    assert all(math.exp(max(slot.log_priors)) > 0.9999 for slot in character)


def test_the_words_that_name_a_medium_are_told_from_the_subject() -> None:
    reading = Reading.of("foxes in an oil painting")
    assert reading.words == ("fox", "in", "an", "oil", "painting")
    assert reading.medium_words == {"oil", "painting"}


def test_a_line_of_the_grammar_revises_the_slots_and_nothing_else() -> None:
    draft = Reading.of("a girl with a lantern, use the Night Fox lora")
    line = "ukiyo-e; people: women; special: character"
    reading = draft.revised(line)
    assert (reading.medium, reading.people, reading.special, reading.line) == (
        "ukiyo-e",
        "women",
        "character",
        line,
    )
    assert (reading.words, reading.named_media, reading.marked_names) == (draft.words, (), ("Night Fox",))
    assert draft.revised(draft.line).line == draft.line
    assert draft.revised(draft.line).special == "none"  # somebody has read it now
    assert reading.young_women
    with pytest.raises(EngineError, match="outside the request's grammar"):
        draft.revised("crayon; people: none; special: none")
    with pytest.raises(EngineError, match="outside"):
        draft.revised("any; people: none; special: none")  # no request is for a picture of any medium


def test_the_draft_is_the_most_probable_line_a_named_medium_more_so() -> None:
    plain, watercolour = Reading.of("a fox"), Reading.of("a fox, watercolor")
    assert (plain.grammar(0.5).draft(), plain.grammar(0.5).llm_weight) == (plain.line, 0.5)
    assert watercolour.grammar(1.0).draft() == watercolour.line
    for reading, certain in ((plain, 0.6), (watercolour, 0.9)):
        medium, people, special = reading.grammar(1.0).slots
        assert max(medium.log_priors) == pytest.approx(math.log(certain))
        assert people.options == PEOPLE
        for slot in (medium, people, special):
            assert math.fsum(map(math.exp, slot.log_priors)) == pytest.approx(1)
    assert min(people.log_priors) == pytest.approx(math.log(0.4 / 5))


@pytest.mark.parametrize(
    ("prompt", "marked"),
    [
        ("a castle <lora:Old Sprites:0.8>", ("Old Sprites",)),
        ("a village, use the Night Fox lora", ("Night Fox",)),
        ("with the Brushes model: a lamp", ("Brushes",)),
        ("a lamp using Brushes v2.1 checkpoint", ("Brushes v2.1",)),
        ("a model of a ship", ()),
        ("a fashion model with a fox", ()),
    ],
)
def test_names_are_marked_as_a_models(prompt: str, marked: tuple[str, ...]) -> None:
    assert Reading.of(prompt).marked_names == marked


def test_lists_of_tags_are_pasted() -> None:
    assert Reading.of("masterpiece, 1girl, solo, red hair, smile, outdoors").pasted
    assert not Reading.of("a girl with red hair smiles outdoors, alone").pasted


@pytest.mark.parametrize(
    ("prompt", "source", "medium"),
    [
        ("no humans, scenery, harbour, cloudy sky, vending machine, puddle", "", "anime"),
        ("scenery, harbour, cloudy sky, vending machine, puddle", "no humans, scenery, harbour, …", "anime"),
        ("RAW photo, solo, harbour, cloudy sky, vending machine, puddle", "", "photo"),
        ("landscape, no humans, harbour, cloudy sky, vending machine, puddle", "", "photo"),
        ("a harbour with no humans in it", "", "photo"),
    ],
)
def test_words_of_image_boards_tell_the_medium(prompt: str, source: str, medium: str) -> None:
    reading = Reading.of(prompt, source and source.replace("…", "cloudy sky, vending machine, puddle"))
    assert (reading.medium, reading.is_tagged) == (medium, medium == "anime")
    if reading.is_tagged:  # the language model is not asked for it
        assert reading.revised(reading.grammar(5.0).draft()).medium == "anime"
        with pytest.raises(EngineError):
            reading.revised("photo; people: none; special: none")


def test_the_question_is_the_prompt_alone() -> None:
    prompt = question("A fox (at night:1.2)")
    assert (prompt.system, prompt.user, prompt.earlier) == (SYSTEM, "Prompt: a fox at night", ())


def test_the_mark_of_a_model_is_no_word_of_the_picture() -> None:
    assert without_marks("a harbour, use the Tiny Pixels lora, at dawn") == "a harbour, at dawn"
    assert without_marks("use the Tiny Pixels model") == "use the Tiny Pixels model"


def test_a_medium_that_a_thing_is_about_is_not_how_the_picture_is_made() -> None:
    assert Reading.of("queue at an anime convention, documentary photo").medium == "photo"
    assert Reading.of("owner of a comic shop at the till").named_media == ()
    assert Reading.of("anime picture of a shop").medium == "anime"


@pytest.mark.parametrize(
    ("prompt", "medium"),
    [
        ("(masterpiece:1.2), (best quality), bowl of plums, steam, table, lamp, dusk", "digital painting"),
        ("(masterpiece:1.2), (vanitas still life:1.3), skull, candle, grapes, goblet", "oil painting"),
        ("masterpiece, best quality, baroque, chiaroscuro, musicians, lutes, candles", "oil painting"),
        ("masterpiece, a girl with a lantern", "anime"),
        ("1other, robot, rust, junkyard, sunset, sparrows", "anime"),
        ("long_hair, school_uniform, window, desk, rain, smile", "anime"),
        ("solo, chair, window, desk, rain, smile", "anime"),
    ],
)
def test_words_of_praise_alone_do_not_say_anime(prompt: str, medium: str) -> None:
    assert Reading.of(prompt).medium == medium


def test_what_is_in_the_picture_is_no_medium_whatever_the_language_model_says() -> None:
    reading = Reading.of("a cat reading a comic book")
    assert (reading.medium, reading.named_media, "medium" in reading.known_slots) == ("photo", (), True)
    assert {"comic", "manga", "cartoon"} <= reading.barred_media
    assert "comic" not in reading.grammar(3.0).slots[0].options


def test_a_painting_is_no_photo_whatever_the_language_model_says() -> None:
    options = Reading.of("a painting of a man under a tree").grammar(3.0).slots[0].options
    assert not {"photo", "analog photo", "3d render"} & set(options)
    assert {"digital painting", "illustration", "fantasy art"} <= set(options)


def test_a_character_that_nobody_knows_is_drawn() -> None:
    reading = Reading.of("Pippa Quorl from Lantern Hollowmere baking bread")
    assert (reading.medium, reading.home, reading.special) == ("digital painting", "illustration", None)
    assert Reading.of("Totoro on a tram, watercolor").home == "anime"
    assert Reading.of("a baker from Lisbon").home is None


def test_a_medium_that_is_excluded_is_not_read() -> None:
    reading = Reading.of("a girl fishing off a boat").without(["photo"])
    assert reading.medium == "digital painting"
    assert {"photo", "analog photo"} <= reading.barred_media
    named = Reading.of("photo of a girl").without(["anime", "photo"])  # what is named stays
    assert (named.medium, "anime" in named.barred_media) == ("photo", True)
    assert Reading.of("a girl").without([]) == Reading.of("a girl")
