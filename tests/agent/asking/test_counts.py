"""Counts: how many pictures are asked for, in eighteen languages, and what only has a number in it."""

from __future__ import annotations

import pytest

from diffagent.agent.asking.phrasing import phrasing


@pytest.mark.parametrize(
    ("text", "prompt", "n"),
    [
        ("Two pictures of a lily pond from above. no text", "a lily pond from above.", 2),
        (
            "six pics of odd lamps made from fruit, 768x768 each, unipc 12 steps",
            "odd lamps made from fruit",
            6,
        ),
        ("give me 4 versions of a shell house, square", "a shell house", 4),
        ("a shell house, 4 versions", "a shell house", 4),
        ("a walrus as a barber, do 3 of it", "a walrus as a barber", 3),
        (
            "a walrus as a barber. make it square and do 3 of it so i can take the best",
            "a walrus as a barber.",
            3,
        ),
        ("a walrus as a barber, two versions so I can pick", "a walrus as a barber", 2),
        ("A walrus as a barber. Two versions please, so we can vote.", "A walrus as a barber.", 2),
        ("a crab, give me three options", "a crab", 3),
        ("a crab. Could you send me five of these?", "a crab.", 5),
        ("a crab, make it 3 times", "a crab", 3),
        ("a crab, x4", "a crab", 4),
        ("a crab, 4x", "a crab", 4),
        ("a crab, i'd like two", "a crab", 2),
        ("a crab, batch of 4", "a crab", 4),
        ("a crab, batch size 4", "a crab", 4),
        ("a crab, a couple of versions", "a crab", 2),
        ("I need 3 images of a crab in armour", "a crab in armour", 3),
        ("half a dozen takes on a crab", "a crab", 6),
        ("a crab, in four variations", "a crab", 4),
        ("3 pics pls of a crab", "a crab", 3),
        ("a crab, 2 alternatives please", "a crab", 2),
        ("8 images of a crab", "a crab", 8),
        ("a crab, couple of options", "a crab", 2),
        ("please do three different ones, a crab on a drum", "a crab on a drum", 3),
        ("雪山古寺，水墨画，给我两张", "雪山古寺，水墨画", 2),
        ("一只猫，来三张图", "一只猫", 3),
        ("雪地里的狐狸，要4张", "雪地里的狐狸", 4),
        ("雪の中の狐、2枚お願いします", "雪の中の狐", 2),
        ("雪の中の狐、3パターン", "雪の中の狐", 3),
        ("눈 속의 여우, 두 장 그려줘", "눈 속의 여우", 2),
        ("un zorro en la nieve, tres versiones", "un zorro en la nieve", 3),
        ("un renard dans la neige, deux versions s'il vous plaît", "un renard dans la neige", 2),
        ("ein Fuchs im Schnee, drei Varianten bitte", "ein Fuchs im Schnee", 3),
        ("una volpe nella neve, quattro immagini", "una volpe nella neve", 4),
        ("uma raposa na neve, duas versões", "uma raposa na neve", 2),
        ("een vos in de sneeuw, twee versies", "een vos in de sneeuw", 2),
        ("lis na śniegu, trzy wersje", "lis na śniegu", 3),
        ("лиса в снегу, два варианта", "лиса в снегу", 2),
        ("лиса в снегу, 3 картинки", "лиса в снегу", 3),
        ("karda bir tilki, iki versiyon", "karda bir tilki", 2),
        ("en räv i snön, två versioner", "en räv i snön", 2),
        ("rubah di salju, tiga gambar", "rubah di salju", 3),
        ("ثعلب في الثلج، صورتين", "ثعلب في الثلج", 2),
        ("שועל בשלג, שתי תמונות", "שועל בשלג", 2),
        ("बर्फ में लोमड़ी, दो तस्वीरें", "बर्फ में लोमड़ी", 2),
        ("con cáo trong tuyết, ba phiên bản", "con cáo trong tuyết", 3),
        ("จิ้งจอกในหิมะ 2 ภาพ", "จิ้งจอกในหิมะ", 2),
        ("a mill on a hill and a batch of 6", "a mill on a hill", 6),
        ("a mill on a hill, batch of four please", "a mill on a hill", 4),
    ],
)
def test_a_count_is_heard_and_leaves_the_prompt(text: str, prompt: str, n: int) -> None:
    phrase = phrasing(text)
    assert (phrase.prompt, phrase.n) == (prompt, n)


@pytest.mark.parametrize(
    "text",
    [
        "two pictures of a man hang on a wall",
        "two pictures on a wall",
        "There are three pictures of a clock and one picture of a woman.",
        "four dogs, two of them black",
        "three crabs on a beach",
        "a pair of headphones",
        "set of 9 icons for a weather app",
        "a couple, hand in hand",
        "Two pictures of a man facing each other.",
        "a room with two paintings",
        "he fell three times, on ice",
        "a clock with two versions of the hands",
        "un homme avec deux images",
        "a stage where the children stand, 23 of them, one is a mushroom",
        "a baker with a batch of six loaves on a tray",
    ],
)
def test_what_a_scene_holds_is_no_count(text: str) -> None:
    phrase = phrasing(text)
    assert (phrase.prompt, phrase.n) == (text, None)


@pytest.mark.parametrize(
    ("text", "prompt", "n"),
    [
        ("Please generate a reef of buttons. Square, two images.", "a reef of buttons.", 2),
        ("a shell house. two images.", "a shell house.", 2),
        ("a shell house, 2 imgs", "a shell house", 2),
        ("a shell house, images: 2", "a shell house", 2),
        ("a shell house, imgs 3, square", "a shell house", 3),
        ("a shell house, number of images 4", "a shell house", 4),
        ("draw me a shell house, three pictures", "a shell house", 3),
        ("a shell house. One image is enough.", "a shell house.", 1),
        ("a shell house, just one picture please", "a shell house", 1),
        ("a wall, two pictures, a lamp", "a wall, two pictures, a lamp", None),
        ("A gallery. Two pictures.", "A gallery. Two pictures.", None),
        ("a shelf of jars, only one blue", "a shelf of jars, only one blue", None),
    ],
)
def test_a_clause_of_its_own_counts(text: str, prompt: str, n: int | None) -> None:
    phrase = phrasing(text)
    assert (phrase.prompt, phrase.n) == (prompt, n)
