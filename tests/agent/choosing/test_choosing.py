"""Choosing by what models are for, on an invented catalog."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from diffagent.agent.asking.reading import Reading, is_pasted, marked_names
from diffagent.agent.asking.words import is_ordinary, stem
from diffagent.agent.choosing.choosing import CardShelf
from diffagent.data.attributes import MEDIA, Attributes
from diffagent.data.errors import BadInput
from diffagent.data.media import kinship, named_media
from diffagent.data.records import Card, Stats


def card(number: int, name: str, kind: Any = "Checkpoint", description: str = "", **purpose: Any) -> Card:
    fields = {"role": "general", "media": ["photo"], "breadth": "broad", **purpose}
    return Card(
        name=name,
        type=kind,
        base_model="SD 1.5",
        air=f"urn:air:sd1:{kind.casefold()}:civitai:{number}@{number}",
        stats=Stats(downloads=1000),
        description=description or f"Makes pictures of a fox at night, said of {name} here.",
        attributes=Attributes.parse(fields),
    )


CARDS = [
    card(1, "Plain Camera", renown=3),
    card(2, "Glamour", people="young women", renown=3),
    card(3, "Brushes", media=["digital painting", "illustration"], renown=3),
    card(4, "Flat Anime", media=["anime", "illustration"], renown=3),
    card(5, "Sprites", role="style", media=["pixel art"], subjects=["pixel art scenes"], renown=2),
    card(6, "Zorblax", "LoRA", "The hero Zorblax of an old game, in armour.", role="character",
         media=["anime"], subjects=["zorblax", "star harbour", "armoured hero"], breadth="narrow"),
    card(7, "Night Fox", "LoRA", role="object", media=["photo"], subjects=["fox", "night"], breadth="narrow"),
    card(8, "Washes", "LoRA", role="style", media=["watercolor"], subjects=["watercolor", "landscapes"],
         needed=["wshs"], carrier="Brushes"),
    card(9, "Hand Fixer", "LoRA", role="tool", media=["any"], subjects=["hands", "zorblax"]),
    card(10, "Somebody", "LoRA", role="character", media=["photo"], subjects=["zorblax"],
         caution=["real person"]),
]  # fmt: skip


@pytest.fixture(scope="module")
def shelf() -> CardShelf:
    return CardShelf(CARDS)


@pytest.mark.parametrize(
    ("prompt", "name"),
    [
        ("two mugs of tea on a desk", "Plain Camera"),
        ("an old woman feeding sparrows", "Plain Camera"),
        ("a wizard in a library", "Brushes"),
        ("masterpiece, best quality, 1girl, umbrella", "Flat Anime"),
        ("tiny ramen shop, pixel art", "Sprites"),
        ("a village in watercolor", "Brushes"),
    ],
)
def test_the_checkpoint_that_a_person_would_choose(shelf: CardShelf, prompt: str, name: str) -> None:
    scores = shelf.checkpoint_scores(Reading.of(prompt))
    assert CARDS[int(np.argmax(scores))].name == name
    assert not np.isfinite(scores[5:]).any()  # LoRAs


@pytest.mark.parametrize(
    ("prompt", "name", "least"),
    [
        ("Zorblax reading a book", "Zorblax", 3.0),
        ("a village in watercolor", "Washes", 1.7),
        ("wshs, a village", "Washes", 1.7),
    ],
)
def test_a_lora_is_named_by_what_it_draws(shelf: CardShelf, prompt: str, name: str, least: float) -> None:
    evidence = shelf.lora_scores(Reading.of(prompt))
    assert CARDS[int(np.argmax(evidence))].name == name
    assert evidence.max() > least


def test_ordinary_words_name_no_lora(shelf: CardShelf) -> None:
    assert not shelf.lora_scores(Reading.of("a fox at night")).any()


def test_what_is_ordinary_does_not_hang_on_how_descriptions_write_it() -> None:
    assert all(map(is_ordinary, ("fox", "night", "armour")))
    assert not any(map(is_ordinary, ("zorblax", "pikachu")))
    composed = "SD 1.5 LoRA: fox, night, zorblax. Trigger words: zorblax."  # as of tags, which are small
    small = CardShelf([replace(card, description=composed) for card in CARDS])
    for prompt, names in (("zorblax in the rain", ["Zorblax", "Somebody"]), ("a fox at night", [])):
        evidence = small.lora_scores(Reading.of(prompt))
        assert [card.name for card, score in zip(CARDS, evidence, strict=True) if score >= 3] == names


def test_tools_and_real_persons_are_never_chosen(shelf: CardShelf) -> None:
    assert shelf.choosable.tolist() == [True] * 8 + [False] * 2


def test_loras_in_question_are_marked_or_near_in_the_role_that_is_asked_for() -> None:
    loras = [card(n, f"Thing {'abcdefghijkl'[n]}", "LoRA", role="object") for n in range(12)]
    shelf = CardShelf([card(20, "Plain Camera"), *loras])
    similarity = np.array([9, *range(12, 0, -1)], float)
    plain = Reading.of("a lamp, use the Thing l lora")
    assert np.flatnonzero(shelf.in_question(plain, similarity)).tolist() == [12]
    mask = shelf.in_question(replace(plain, special="object"), similarity)
    assert np.flatnonzero(mask).tolist() == [*range(1, 9), 12]
    assert np.flatnonzero(shelf.in_question(replace(plain, special="pose"), similarity)).tolist() == [12]


@pytest.mark.parametrize(
    ("prompt", "first", "second"),
    [
        ("Zorblax at sea, watercolor", 5, "Washes"),
        ("Zorblax at sea, watercolor", 7, "Zorblax"),
        ("Zorblax at sea", 5, None),  # no style is named
        ("a village in watercolor", 7, None),  # no character is
        ("Zorblax at sea, watercolor", 2, None),  # a checkpoint has none
    ],
)
def test_a_character_in_a_style_are_two_loras(
    shelf: CardShelf, prompt: str, first: int, second: str | None
) -> None:
    other = shelf.companion(CARDS[first], Reading.of(prompt), shelf.choosable)
    assert (other and other.name) == second
    assert shelf.companion(CARDS[first], Reading.of(prompt), np.zeros(10, bool)) is None


def test_a_lora_runs_on_what_its_author_made_it_for(shelf: CardShelf) -> None:
    reading = Reading.of("a village in watercolor")
    carrier = shelf.carrier(CARDS[7], reading, CARDS[:5])
    assert carrier is not None
    assert carrier.name == "Brushes"
    anime = shelf.carrier(CARDS[5], Reading.of("zorblax at sea"), CARDS[:5])
    assert anime is not None
    assert anime.name == "Flat Anime"
    assert shelf.carrier(CARDS[5], reading, []) is None


@pytest.mark.parametrize(
    ("text", "media"),
    [
        ("a fox as a linocut print", ["woodcut"]),
        ("pixel art illustration of a hut", ["pixel art", "illustration"]),
        ("acuarela de un pueblo", ["watercolor"]),
        ("a woman in a blue coat", []),
        ("coloring page of a dragon", ["line art"]),
    ],
)
def test_media_are_heard(text: str, media: list[str]) -> None:
    assert [mention.medium for mention in named_media(text)] == media


def test_kinship_is_whole_with_itself_and_none_with_strangers() -> None:
    assert kinship("watercolor", "watercolor") == 1.0
    assert kinship("photo", "anime") == 0.0
    assert 0 < kinship("analog photo", "photo") < 1


def test_words_are_stemmed() -> None:
    assert [stem(word) for word in ("Foxes", "berries", "glass", "cat's", "bus", "dogs")] == [
        "fox", "berry", "glass", "cat", "bus", "dog",
    ]  # fmt: skip


def test_pasted_tags_are_told_from_sentences() -> None:
    assert is_pasted("masterpiece, 1girl, solo, red hair, smile, outdoors")
    assert not is_pasted("a fox, a hare and a badger have tea, all in one long and winding sentence, at noon")


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"role": "general"}, "media"),
        ({"role": "hero", "media": ["photo"]}, "role"),
        ({"role": "style", "media": ["crayon"]}, "media"),
        ({"role": "style", "media": ["photo"], "renown": 4}, "renown"),
        ({"role": "style", "media": ["photo"], "mood": "dark"}, "mood"),
    ],
)
def test_attributes_outside_the_vocabulary_are_refused(fields: dict[str, Any], says: str) -> None:
    with pytest.raises(BadInput, match=says):
        Attributes.parse(fields)


def test_half_a_name_that_two_characters_share_names_neither() -> None:
    people = [
        card(n, name, "LoRA", "Draws the figure.", role="character", media=["anime"], subjects=[name.lower()])
        for n, name in ((1, "Sailor Quorl"), (2, "Sailor Vimm"), (3, "Tannek Brosh"))
    ]
    shelf = CardShelf([*people, *(card(100 + n, f"Camera {n}") for n in range(800))])
    assert not shelf.lora_scores(Reading.of("Sailor Ophir at a bath house")).any()
    assert np.flatnonzero(shelf.lora_scores(Reading.of("Tannek drinking tea"))).tolist() == [2]


def test_words_for_a_medium_are_nobodys_name() -> None:
    pair = card(1, "Vim and Quor", "LoRA", role="character", media=["anime"], subjects=["vim and quor"],
                needed=["vimquor", "2girls"])  # fmt: skip
    claire = card(2, "Claire", "LoRA", role="character", media=["anime"], subjects=["claire"])
    shelf = CardShelf([pair, claire, *(card(100 + n, f"Camera {n}") for n in range(400))])
    assert not shelf.lora_scores(Reading.of("chibi, 2girls, raincoats")).any()
    assert not shelf.lora_scores(Reading.of("a chase over rooftops, comic, ligne claire")).any()
    assert shelf.lora_scores(Reading.of("Claire chased over rooftops"))[1] > 3


def test_an_all_round_checkpoint_serves_every_medium_somewhat() -> None:
    shelf = CardShelf(
        [
            card(1, "All Round", role="general", media=["photo", "illustration"], breadth="broad"),
            card(2, "One Subject", role="general", media=["photo", "illustration"], breadth="genre"),
            card(3, "Camera", role="general", media=["photo"], breadth="broad"),
            card(4, "Logos", role="style", media=["logo"], breadth="broad"),
        ]
    )
    assert shelf.kinship[MEDIA.index("logo")].tolist() == pytest.approx([0.7 * 0.5, 0, 0, 1])
    assert shelf.kinship[MEDIA.index("photo")].tolist() == [1, 1, 1, 0]
    assert shelf.kinship[MEDIA.index("poster"), 0] == pytest.approx(
        0.6 * 0.85
    )  # as illustration, which is more


def figure(number: int, name: str, *series: str, **purpose: Any) -> Card:
    """A LoRA of a character."""
    return card(number, name, "LoRA", "Draws the figure.", role="character", media=["anime"],
                subjects=[name.casefold(), *series], breadth="narrow", **purpose)  # fmt: skip


NAMESAKES = CardShelf(
    [
        figure(1, "Hornet", "quorl saga", "green-haired princess"),
        figure(2, "Enterprise", "azur lane", "ship girl"),
        figure(3, "Officer Brindle", "vimmon", "police woman", needed=["officer brindle", "vimmon"]),
        figure(4, "Asuna", "blue archive"),
        figure(5, "Asuna Yuuki", "sword art online"),
        figure(6, "Velm", "quorl saga"),
        figure(7, "Velm", "azur lane"),
        figure(8, "Tressa", "quorl saga", needed=["white hair", "trssa"]),
        *(card(100 + n, f"Camera {n}") for n in range(800)),
    ]
)


@pytest.mark.parametrize(
    ("prompt", "numbers"),
    [
        ("Hornet from Hollow Knight on a bench", []),  # another game's
        ("Hollow Knight's Hornet on a bench", []),
        ("hornet (hollow knight), cloak", []),
        ("a hornet on a flower", []),
        ("Hornet of Quorl Saga on a bench", [0]),
        ("the uss enterprise over a lake", []),
        ("the enterprise in orbit", []),
        ("Star Trek's Enterprise in orbit", []),
        ("enterprise \\(azur lane\\), sea", [1]),
        ("vimmon, a campfire, tents", []),  # the series alone
        ("Officer Brindle on a motorbike", [2]),
        ("Asuna asleep in a meadow", []),  # the well-known one is of another series
        ("Asuna from Blue Archive asleep", [3]),
        ("Asuna Yuuki asleep in a meadow", [4]),
        ("Velm at a market", []),  # two have the name
        ("Velm from Quorl Saga at a market", [5]),
        ("Tressa at a market", [7]),
        ("trssa at a market", [7]),
        ("Tressa Fontblum at a market", []),  # somebody's whole name
        ("an old man with white hair", []),
    ],
)
def test_a_namesake_is_not_the_character(prompt: str, numbers: list[int]) -> None:
    evidence = NAMESAKES.lora_scores(Reading.of(prompt))
    assert np.flatnonzero(evidence >= 2).tolist() == numbers


KNOWING = CardShelf(
    [
        figure(1, "Raiden Shogun", "genshin impact"),
        figure(2, "Liliana", "fantasy heroine", needed=["raiden shogun"]),  # another by that trigger word
        figure(3, "Zorblax", "quorl saga"),
        figure(4, "Alice", "quorl saga"),
        figure(5, "Sage", "valorant"),
        figure(6, "Darth Vader", "star wars"),
        figure(7, "Misakino Kukuru", "aquatope"),
        figure(8, "japanese girl", "japanese woman portrait", "tokyo girl"),
        card(10, "Camera", role="general", media=["photo"], breadth="broad"),
        card(11, "Drawer", role="general", media=["anime"], breadth="broad"),
        card(12, "All Media", role="general", media=["photo", "illustration"], breadth="broad"),
        card(13, "Raiden Photos", "LoRA", "Draws the figure.", role="character", media=["photo"],
             subjects=["raiden shogun", "genshin impact"], breadth="narrow"),
        *(card(100 + n, f"Concept {n}", "LoRA", role="concept") for n in range(800)),
    ]
)  # fmt: skip


@pytest.mark.parametrize(
    ("prompt", "names"),
    [
        ("Raiden Shogun drinking tea", {"Raiden Shogun", "Raiden Photos", "Drawer"}),
        ("photo of Raiden Shogun in a cafe", {"Raiden Photos"}),
        ("Zorblax drinking tea", {"Zorblax"}),  # nobody else knows it
        ("Kukuru Misakino feeding penguins", {"Misakino Kukuru"}),
        ("Sage (valorant) watering her tomatoes", {"Sage"}),  # a game's, which few know
        ("darth vader walking four dogs", {"Darth Vader", "Camera", "Drawer", "All Media"}),
        ("alice with a teapot", None),  # a given name
        ("Alice of the Quorl Saga with a teapot", {"Alice"}),
        ("girl mechanic on a robot, sunset over tokyo bay", None),  # words of a subject, not in a row
        ("a fox in the snow", None),
    ],
)
def test_who_can_draw_a_named_character(prompt: str, names: set[str] | None) -> None:
    knowing = KNOWING.knowing(KNOWING.grounded(Reading.of(prompt)))
    if knowing is None:
        assert names is None
    else:
        assert {KNOWING.cards[number].name for number in np.flatnonzero(knowing).tolist()} == names


def test_a_style_runs_on_what_knows_the_character() -> None:
    style = card(20, "Wash", "LoRA", role="style", media=["watercolor"], carrier="Plain Camera")
    shelf = CardShelf([*CARDS, style])
    for prompt, name in (
        ("a lighthouse, watercolor", "Plain Camera"),
        ("Totoro on a tram, watercolor", "Flat Anime"),
        ("Guybrush Threepwood on a tram, watercolor", "Plain Camera"),  # at home in paintings
    ):
        carrier = shelf.carrier(style, Reading.of(prompt), CARDS[:5])
        assert carrier is not None
        assert carrier.name == name


def test_the_series_is_no_second_lora() -> None:
    style = card(9, "Washes", "LoRA", role="style", media=["watercolor"], subjects=["watercolor"])
    shelf = CardShelf([*NAMESAKES.cards, style])
    reading = Reading.of("vimmon, campfire, watercolor")
    assert shelf.companion(style, reading, shelf.choosable) is None
    other = shelf.companion(style, Reading.of("Officer Brindle, campfire, watercolor"), shelf.choosable)
    assert other is not None
    assert other.name == "Officer Brindle"


def test_words_for_people_and_a_medium_name_no_style() -> None:
    style = card(
        21, "Zwixel", "LoRA", role="style", media=["anime"], subjects=["zwixel style", "anime girls"]
    )
    shelf = CardShelf([*CARDS, style])
    assert not shelf.lora_scores(Reading.of("an anime girl with an umbrella")).any()
    assert shelf.lora_scores(Reading.of("zwixel style, a girl with an umbrella"))[-1] > 1.5


@pytest.mark.parametrize(
    ("prompt", "name"),
    [
        ("a mill, with the plain washes lora", "Plain Washes of Autumn"),
        ("a mill, washes lora by somebody at 0.6", "Washes"),  # the whole name goes before a part
        ("use the sd 1.5 lora, a mill", None),
        ("use the autumn lora, a mill", None),  # one ordinary word
        ("a mill, no lora", None),
    ],
)
def test_a_lora_is_marked_by_a_part_of_its_name(prompt: str, name: str | None) -> None:
    part = card(22, "Plain Washes of Autumn", "LoRA", role="style", media=["watercolor"])
    shelf = CardShelf([*CARDS, part, card(23, "Zoom for SD 1.5", "LoRA", role="concept")])
    reading = replace(Reading.of(prompt), marked_names=marked_names(prompt))
    marked = [shelf.cards[number].name for number in np.flatnonzero(shelf.marked(reading)).tolist()]
    assert marked == ([name] if name else [])
