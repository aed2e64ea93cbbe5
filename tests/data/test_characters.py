"""Characters: whom a text names, and in which medium they are at home."""

from __future__ import annotations

import time
from importlib.resources import files
from typing import get_args

import pytest

from diffagent.data.attributes import MEDIA, People
from diffagent.data.characters import Character, characters

ROWS = [
    line.split("\t")
    for line in (files("diffagent.data") / "default" / "characters.tsv").read_text("ascii").splitlines()
]


def mentions_of(text: str) -> list[tuple[str, str, str | None]]:
    return [(character.name, character.medium, character.people) for character in characters(text)]


@pytest.mark.parametrize(
    ("text", "mentions"),
    [
        ("totoro's umbrella in a bus shelter", [("totoro's", "anime", "none")]),
        ("Guybrush ice fishing", [("Guybrush", "digital painting", "men")]),
        ("SPIDER-MAN and two pikachus", [("SPIDER-MAN", "comic", "men"), ("pikachus", "anime", "none")]),
        ("Monkey D. Luffy peeling potatoes", [("Monkey D. Luffy", "anime", "men")]),
        ("Uchiha Itachi on a swing", [("Uchiha Itachi", "anime", "men")]),  # the family's name first
        ("Howl’s Moving Castle in a valley", [("Howl’s Moving Castle", "anime", None)]),
        ("Bécassine at the market", [("Bécassine", "comic", "women")]),
        ("Darth Vader queues for coffee", [("Darth Vader", "photo", "men")]),
        ("Link from Zelda", [("Link", "anime", "men"), ("Zelda", "anime", None)]),
        ("a quiet harbour at dawn", []),
    ],
)
def test_names_are_found_with_their_medium(text: str, mentions: list[tuple[str, str, str | None]]) -> None:
    assert mentions_of(text) == mentions


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("a link in a rusty chain", []),
        ("link and zelda share an ice cream", ["link", "zelda"]),
        ("a rose, a spike and a venti coffee", []),
        ("Spike from Cowboy Bebop asleep", ["Spike", "Cowboy Bebop"]),
        ("venti, genshin impact", ["venti", "genshin impact"]),
        ("a man, bat in hand", []),  # a comma stands between no two words of a name
        ("Jinx of Arcane", ["Jinx"]),
        ("mordred, fate grand order", ["mordred", "fate grand order"]),
    ],
)
def test_an_ordinary_word_is_a_name_beside_another_one_only(text: str, names: list[str]) -> None:
    assert [character.name for character in characters(text)] == names


def test_a_mention_says_where_it_stands_and_what_it_is_of() -> None:
    assert characters("oh, Totoro!") == (Character("Totoro", 4, 10, "anime", "none", "Studio Ghibli"),)
    (saber, _) = characters("mordred, fate grand order")
    assert (saber.medium, saber.is_special) == ("anime", True)  # beside its series, and not of the legend
    (series,) = characters("Genshin Impact")
    (legend,) = characters("Medusa")
    assert (series.is_special, legend.is_special) == (False, False)


def test_the_file_is_of_the_closed_vocabularies() -> None:
    media = {row[1] for row in ROWS} - {""}
    assert media <= set(MEDIA[1:])
    assert {row[2] for row in ROWS} <= {*get_args(People), "-"}
    assert all(len(row) == 4 and row[0] for row in ROWS)
    assert sum(row[0].count(";") + 1 for row in ROWS if row[2] != "-") > 5000


def test_a_very_long_text_takes_time_in_proportion() -> None:
    for word in ("link ", "mr ", "the lord of the ", "super mario ", "s' "):
        start_time = time.process_time()
        characters(word * (100_000 // len(word)))
        assert time.process_time() - start_time < 5  # about 0.3 s


def test_characters_of_image_boards_are_known_to_models_of_anime() -> None:
    """Readers who did not see whose it was preferred an Illustrious checkpoint for them."""
    for name, medium in (
        ("Hornet of Hollow Knight", "anime"),
        ("Finn the Human", "anime"),
        ("Homer Simpson", "cartoon"),
        ("Batman", "comic"),
    ):
        assert characters(name)[0].medium == medium
