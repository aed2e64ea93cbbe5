"""Exclusions in whole phrases: "leave the dog out", "nothing with wings", "not at night", tags of boards."""

from __future__ import annotations

import pytest

from diffagent.agent.asking.exclusions import exclusions, is_tags, labelled_exclusions
from diffagent.agent.asking.phrasing import phrasing
from diffagent.agent.asking.refusals import forbidden_looks


@pytest.mark.parametrize(
    ("text", "prompt", "avoid"),
    [
        ("a shepherd in a field, so leave the dog out", "a shepherd in a field", ("dog",)),
        ("Could you draw a shepherd? leave the dog out please", "a shepherd.", ("dog",)),
        ("a shepherd. Please keep the dog out of it.", "a shepherd.", ("dog",)),
        ("a shepherd, leave out the dog", "a shepherd", ("dog",)),
        ("can you draw a shepherd, lose the hat", "a shepherd", ("hat",)),
        ("a shepherd, ditch the veil and gloves", "a shepherd", ("veil", "gloves")),
        ("a shepherd. No need for a dog.", "a shepherd.", ("dog",)),
        ("a shepherd, the dog should not be in it", "a shepherd", ("dog",)),
        ("a shepherd. Dogs are not needed.", "a shepherd.", ("dogs",)),
        ("a shepherd, we can do without the dog", "a shepherd", ("dog",)),
        ("a shepherd, get rid of the fence please", "a shepherd", ("fence",)),
        ("a shepherd, spare me the halo", "a shepherd", ("halo",)),
        ("a shepherd, and take the dog out", "a shepherd", ("dog",)),
        (
            "the Hermit but with two otters instead of the lamp and staff, snow below",
            "the Hermit but with two otters, snow below",
            ("lamp", "staff"),
        ),
        ("can you make a chess set with cats instead of pawns?", "a chess set with cats", ("pawns",)),
        ("draw me a pirate with a spoon rather than a hook", "a pirate with a spoon", ("hook",)),
        ("draw a knight on a snail in place of a horse", "a knight on a snail", ("horse",)),
        (
            "a cat asleep. Please nothing with wings or rainbows or halos.",
            "a cat asleep.",
            ("wings", "rainbows", "halos"),
        ),
        ("a cat asleep, nothing with text", "a cat asleep", ("text",)),
        ("a cat asleep, absolutely nothing like a unicorn", "a cat asleep", ("unicorn",)),
        ("a cat asleep, none of the usual hearts", "a cat asleep", ("hearts",)),
        ("a cat asleep. nothing that has glitter please", "a cat asleep.", ("glitter",)),
        ("harbour crane with a swing, not at night", "harbour crane with a swing", ("night",)),
        ("harbour crane, but not in winter please", "harbour crane", ("winter",)),
        ("harbour crane, not during the day", "harbour crane", ("day",)),
        ("harbour crane, definitely not at sunset", "harbour crane", ("sunset",)),
        ("harbour crane. It should not be at night.", "harbour crane.", ("night",)),
        ("harbour crane, not in black and white", "harbour crane", ("black and white",)),
        ("harbour crane, anything but night", "harbour crane", ("night",)),
        ("harbour crane, not indoors", "harbour crane", ("indoors",)),
        ("harbour crane, not a night scene", "harbour crane", ("night",)),
        ("harbour crane, not in the rain", "harbour crane", ("rain",)),
        ("harbour crane but not at night", "harbour crane", ("night",)),
        (
            "no_humans, landscape, canyon, rope_bridge, red_kite",
            "no_humans, landscape, canyon, rope_bridge, red_kite",
            ("humans",),
        ),
        (
            "eevee, no humans, river, tent, lantern, night, sky",
            "eevee, no humans, river, tent, lantern, night, sky",
            ("humans",),
        ),
        ("red panda, no humans, pastel colors", "red panda, pastel colors", ("humans",)),
        ("my lamp. No wait, a kettle", "my lamp. a kettle", ()),
        (
            "a fountain that has milk instead of water.",
            "a fountain that has milk.",
            ("water",),
        ),
        ("tiger's heads instead of circles", "tiger's heads", ("circles",)),
        ("a man walking instead of driving", "a man walking instead of driving", ()),
        ("the dog keeps out of the rain", "the dog keeps out of the rain", ()),
        ("people leave the train", "people leave the train", ()),
        ("a dog that does not need a leash", "a dog that does not need a leash", ()),
        ("nothing like the sun", "nothing like the sun", ()),
        ("a shop at night, not far from the sea", "a shop at night, not far from the sea", ()),
        ("a waiter holds the door", "a waiter holds the door", ()),
        ("lose the battle, win the war", "lose the battle, win the war", ()),
        ("two men take the trash out", "two men take the trash out", ()),
        ("Forget the past, neon sign", "Forget the past, neon sign", ()),
        ("a girl who hates the rain", "a girl who hates the rain", ()),
    ],
)
def test_what_a_phrase_leaves_out_is_named(text: str, prompt: str, avoid: tuple[str, ...]) -> None:
    phrase = phrasing(text)
    assert (phrase.prompt, phrase.avoid) == (prompt, avoid)


@pytest.mark.parametrize(
    ("text", "prompt", "avoid"),
    [
        ("un bombero, sin sangre ni público", "un bombero", ("blood", "público")),
        ("雪山古寺，不要印章", "雪山古寺", ("印章",)),
        ("夜明けの港町。人物なしで。", "夜明けの港町。", ("people",)),
        ("호수의 학. 글자는 넣지 마", "호수의 학.", ("text",)),
    ],
)
def test_other_languages_leave_out_too(text: str, prompt: str, avoid: tuple[str, ...]) -> None:
    phrase = phrasing(text)
    assert (phrase.prompt, phrase.avoid) == (prompt, avoid)


def test_a_list_of_tags_is_told_from_a_sentence() -> None:
    assert is_tags("1girl, solo, silver hair, scarf, snowing, upper body")
    assert not is_tags("1girl, solo, silver hair")
    assert not is_tags("a girl with silver hair stands in the snow, and a dog runs to her, at night, a, b, c")


@pytest.mark.parametrize(
    ("text", "prompt", "avoid"),
    [
        (
            "A pirate's larder. Please avoid spoons (too modern!), glasses and napkins.",
            "A pirate's larder.",
            ("spoons", "glasses", "napkins"),
        ),
        ("A larder. Avoid bananas, mangos and plastic.", "A larder.", ("bananas", "mangos", "plastic")),
        ("A stone circle. Avoid sheep (too many already).", "A stone circle.", ("sheep",)),
        ("a keeper, exclude boats (there were none), gulls and fog", "a keeper", ("boats", "gulls", "fog")),
        ("a fox, avoid people, soft light and mist", "a fox, soft light and mist", ("people",)),
        ("a mole barista. no apron cuz it covers the belly lol", "a mole barista.", ("apron",)),
        ("a mole barista, no glasses since he sees nothing", "a mole barista", ("glasses",)),
        ("a mole with no shoes cuz he lost them", "a mole with no shoes cuz he lost them", ("shoes",)),
        ("a mole. please no beetles hehe", "a mole.", ("beetles",)),
        ("a jar with no label, on slate", "a jar, on slate", ("label",)),
        ("a bottle without branding on moss", "a bottle on moss", ("branding",)),
        ("a harbour, ink drawing rather than photo", "a harbour, ink drawing", ("photo",)),
        ("lights over a barn, not that neon green", "lights over a barn", ("neon green",)),
        ("a dog, not that blue everyone uses. soft light", "a dog. soft light", ("blue",)),
        ("a tea room. Kindly leave out any labels as we add them.", "a tea room.", ("labels",)),
        ("draw me a vole but not wide, not tall", "a vole", ()),
        ("a beach at dawn, a dog running, oh wait no dog", "a beach at dawn", ("dog",)),
        ("a heap of radios, a man pointing at it.. no wait no man", "a heap of radios", ("man",)),
        ("a heap of bananas, not that ripe", "a heap of bananas, not that ripe", ()),
    ],
)
def test_lists_reasons_and_second_thoughts_of_exclusions(
    text: str, prompt: str, avoid: tuple[str, ...]
) -> None:
    phrase = phrasing(text)
    assert (phrase.prompt, phrase.avoid) == (prompt, avoid)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("a garden, no people, no cats, no bunting", ("people", "cats", "bunting")),
        ("a volcano, no ash ha", ("ash",)),
        ("a harbour, no gulls please lol", ("gulls",)),
        ("a woman at a desk, no the shoe one", ()),  # a choice
        ("a quay at noon, no labels on it, no words from you", ("labels", "words")),
        ("a quay at noon, 512x768 not bigger because my tablet crashes", ()),
        ("a quay at noon, checkpoint only, no loras", ()),
        ("a quay at noon, no postcard sky one", ("postcard sky",)),
        ("a quay at noon, no gulls obviously", ("gulls",)),
        ("a quay at noon, no picture frame thxxx", ("picture frame",)),
        ("our old van on a beach, without us", ("people",)),
        ("A knight eats soup. No Guinevere.", ("Guinevere",)),
        ("A film poster. No Country for Old Men", ()),  # a title
    ],
)
def test_names_are_those_of_things(text: str, names: tuple[str, ...]) -> None:
    assert exclusions(text, is_spoken=True)[1] == names


@pytest.mark.parametrize(
    ("text", "prompt", "avoid"),
    [
        ("an old dog asleep, no wings, haloes, rainbow bridges, none of that", "an old dog asleep",
         ("wings", "haloes", "rainbow bridges")),
        ("a page to color in, thick outlines only no shading no grey: a yak on skates",
         "a page to color in, thick outlines only: a yak on skates", ("shading", "grey")),
        ("A detective on a scooter, engraving. Don't make him look like an actor",
         "A detective on a scooter, engraving.", ("actor",)),
        ("coloring page for kids a yak on skates thick lines no shading white background",
         "coloring page for kids a yak on skates thick lines, white background", ("shading",)),
        ("a map of an island. not too many steps", "a map of an island. not too many steps", ()),
        ("a lad with no fear no hope on a stage", "a lad with no fear no hope on a stage", ()),
    ],
)  # fmt: skip
def test_each_member_of_a_list_is_excluded(text: str, prompt: str, avoid: tuple[str, ...]) -> None:
    phrase = phrasing(text)
    assert (phrase.prompt, phrase.avoid) == (prompt, avoid)


@pytest.mark.parametrize(
    ("text", "prompt", "avoid"),
    [
        ("a horse in a field, grainy. my drummer wants a ufo in it but we are NOT doing the ufo",
         "a horse in a field, grainy.", ("ufo",)),
        ("A bus that flies above the city. Please not too modern, the other tool gave me a yellow tram.",
         "A bus that flies above the city.", ("yellow tram",)),
        ("a watering can, dented. i tried it on another site and it kept adding a hand and sparkles, dont",
         "a watering can, dented.", ("hand", "sparkles")),
        ("a lamp and my mother wants a dog and we agree", "a lamp", ()),
    ],
)  # fmt: skip
def test_what_others_want_or_got_wrong_is_excluded(text: str, prompt: str, avoid: tuple[str, ...]) -> None:
    found = phrasing(text)
    assert found.prompt.startswith(prompt)
    assert set(avoid) <= set(found.avoid)


@pytest.mark.parametrize(
    ("text", "looks"),
    [
        ("It must not look poor or ruined, the pupils are tired of that", ("poor", "ruined")),
        ("and it shouldn't be scary, she is four", ("scary",)),
        ("he must not be late again for the bus", ()),
        ("it cannot be that hard", ()),
    ],
)
def test_a_forbidden_look_is_excluded(text: str, looks: tuple[str, ...]) -> None:
    assert forbidden_looks(text) == looks


def test_an_order_behind_and_needs_no_comma() -> None:
    assert exclusions("a barn at dusk and please don't add any cars") == ("a barn at dusk", ("cars",))
    sign = "a sign that says look and don't show any fear"
    assert exclusions(sign) == (sign, ())


@pytest.mark.parametrize(
    ("text", "rest", "names"),
    [
        (
            "a lighthouse. don't want: sea gulls, blur, frames",
            "a lighthouse.",
            ("sea gulls", "blur", "frames"),
        ),
        ("a lighthouse. No: people, boats, text", "a lighthouse.", ("people", "boats", "text")),
        ("avoid: text, people. a barn owl", "a barn owl", ("text", "people")),
        ("a sign, house no: 5, ivy", "a sign, house no: 5, ivy", ()),
        ("a casino: roulette, cards", "a casino: roulette, cards", ()),
    ],
)
def test_a_list_behind_a_label_is_excluded(text: str, rest: str, names: tuple[str, ...]) -> None:
    assert labelled_exclusions(text) == (rest, names)
