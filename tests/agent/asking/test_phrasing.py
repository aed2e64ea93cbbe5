"""Phrasing: what is drawn, what is left out of the picture, and how many pictures are asked for."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diffagent.agent.asking.negatives import default_negative
from diffagent.agent.asking.phrasing import phrasing
from diffagent.agent.asking.request import Request


@pytest.mark.parametrize(
    ("text", "prompt", "left_out"),
    [
        (
            "i run ComfyUI with flux dev. need a photo of a mug",
            "a photo of a mug",
            "i run ComfyUI with flux dev",
        ),
        (
            "I've got SDXL and Pony installed, use pony. i want a dragon",
            "a dragon",
            "I've got SDXL and Pony installed",
        ),
        (
            "so i've been playing with z image lately. can you make a portrait of a sailor with it?",
            "a portrait of a sailor",
            "so i've been playing with z image lately",
        ),
        (
            "we use Qwen Image for posters. a poster for a book fair",
            "a poster for a book fair",
            "we use Qwen Image for posters",
        ),
    ],
)
def test_talk_of_base_models_is_no_part_of_the_prompt(text: str, prompt: str, left_out: str) -> None:
    read = phrasing(text)
    assert (read.prompt, read.notes[0]) == (prompt, f'"{left_out}" was left out of the prompt')


@pytest.mark.parametrize("text", ["my cat in a spacesuit", "my pony in a field", "I love my dog in the snow"])
def test_what_is_ones_own_is_drawn(text: str) -> None:
    assert phrasing(text).prompt.endswith(text.removeprefix("I love "))


@pytest.mark.parametrize(
    ("text", "prompt"),
    [
        ("paint me a samurai in the snow", "a samurai in the snow"),
        ("please write a prompt for a viking with an axe", "a viking with an axe"),
        ("hey, can you make me a picture of a frog wearing a crown? thanks!!", "a frog wearing a crown"),
        ("Can you draw a heron", "a heron"),
        ("could you please generate an image of a heron in reeds?", "a heron in reeds"),
        ("please draw a cat on a roof", "a cat on a roof"),
        ("pls draw my cat, she loves boxes", "my cat, she loves boxes"),
        ("I'd like a picture of a lighthouse", "a lighthouse"),
        ("I would like to see an image of a lighthouse", "a lighthouse"),
        ("hi! i need a logo for a bakery", "a logo for a bakery"),
        ("I want you to draw a wolf", "a wolf"),
        ("gimme wizard", "wizard"),
        ("give me a watercolor of a wolf", "a watercolor of a wolf"),
        ("make me a photo of a wolf, thank you", "a photo of a wolf"),
        ("Create an oil painting of a harbour", "an oil painting of a harbour"),
        ("design a logo for a bakery please", "a logo for a bakery"),
        ("ok so imagine a city upside down", "a city upside down"),
        ("hello! I teach year 4 and I need a picture of a volcano cut in half", "a volcano cut in half"),
        ("we're looking for food photos of ramen", "food photos of ramen"),
        ("a heron in reeds, thanks in advance!", "a heron in reeds"),
        ("a heron in reeds please", "a heron in reeds"),
        ("Show me a heron", "a heron"),
        ("Would you generate a poster of a heron for me?", "a poster of a heron"),
    ],
)
def test_instructions_are_no_part_of_the_prompt(text: str, prompt: str) -> None:
    read = phrasing(text)
    assert (read.prompt, read.avoid, read.n) == (prompt, (), None)


@pytest.mark.parametrize(
    ("text", "prompt", "n"),
    [
        ("can i get like 4 pics of a goth teapot", "a goth teapot", 4),
        ("a robot like 4 pics of a fox on a wall", "a robot like 4 pics of a fox on a wall", None),
        ("generate 4 versions of a fox", "a fox", 4),
        ("give me three different images of a fox in snow", "a fox in snow", 3),
        ("2 images of a fox", "a fox", 2),
        ("a fox in snow, 4 versions please", "a fox in snow", 4),
        ("a fox in snow, in three variations", "a fox in snow", 3),
        ("a fox. give me a couple of options", "a fox.", 2),
        ("can you make me a few pictures of a fox?", "a fox", 3),
        ("make three watercolors of a fox", "a watercolor of a fox", 3),
        ("give me 500 images of a fox", "a fox", 64),
        ("a planet with two moons, 9:16, two pics", "a planet with two moons", 2),
        ("four variations of a chair for a small kitchen", "a chair for a small kitchen", 4),
    ],
)
def test_counts_of_pictures_become_n(text: str, prompt: str, n: int) -> None:
    read = phrasing(text)
    assert (read.prompt, read.n) == (prompt, n)


@pytest.mark.parametrize(
    ("text", "prompt", "avoid"),
    [
        ("a beach at dawn, no people", "a beach at dawn", ("people",)),
        ("a beach, without text, dusk", "a beach, dusk", ("text",)),
        ("not anime, a girl in the rain", "a girl in the rain", ("anime",)),
        ("a red fox, no watermark please", "a red fox", ("watermark",)),
        ("avoid blur, a red fox", "a red fox", ("blur",)),
        ("a street. I don't want any cars", "a street.", ("cars",)),
        ("no cars or people, a quiet street", "a quiet street", ("cars", "people")),
        ("a quiet street, no cars, people or dogs.", "a quiet street.", ("cars", "people", "dogs")),
        ("a cowboy minus the hat", "a cowboy", ("hat",)),
        ("an empty plaza, nobody in sight", "an empty plaza", ("people",)),
        ("no people and no animals: an old fair", "an old fair", ("people", "animals")),
        ("hero image, abstract, not cheesy", "hero image, abstract", ("cheesy",)),
        ("a house, spooky but not scary", "a house, spooky", ("scary",)),
        ("a man, not looking at the camera", "a man", ("looking at the camera",)),
        ("logo poster no text", "logo poster", ("text",)),
        ("birthday card, no text, watermark, logo", "birthday card", ("text", "watermark", "logo")),
        ("a fox (no text:1.2), snow", "a fox, snow", ("text",)),
        ("red panda, no humans, pastel colors", "red panda, pastel colors", ("humans",)),
        ("a text-free poster of a fox", "a poster of a fox", ("text",)),
        ("don't add any text, a bakery's sign", "a bakery's sign", ("text",)),
        ("NO TEXT, a cat", "a cat", ("text",)),
        ("logo de una panadería, sin texto", "logo de una panadería", ("text",)),
        ("ein Hafen, ohne Menschen", "ein Hafen", ("people",)),
        ("un port, sans texte", "un port", ("text",)),
        ("кот на окне, без текста", "кот на окне", ("text",)),
        ("一只猫，不要文字", "一只猫", ("text",)),
    ],
)
def test_exclusions_go_to_the_negative_prompt(text: str, prompt: str, avoid: tuple[str, ...]) -> None:
    read = phrasing(text)
    assert (read.prompt, read.avoid) == (prompt, avoid)
    assert read.notes == tuple(f'"{name}" went to the negative prompt' for name in avoid)


@pytest.mark.parametrize(
    ("text", "prompt", "avoid"),
    [
        (
            "a dragon curled round a teapot, painted not anime",
            "a dragon curled round a teapot, painted",
            ("anime",),
        ),
        ("a woman with short hair, but not anime style", "a woman with short hair", ("anime style",)),
        ("a knight, realistic not cartoon please", "a knight, realistic", ("cartoon",)),
        ("photo of a fox, no text please", "photo of a fox", ("text",)),
        ("a hermit as a tortoise, no border no letters", "a hermit as a tortoise", ("border", "letters")),
        ("a garage, no text no watermark", "a garage", ("text", "watermark")),
        ("a submarine, and no 3d look please", "a submarine", ("3d look",)),
        ("a vampire, painterly, nothing nsfw", "a vampire, painterly", ("nsfw",)),
        ("a kitchen, nothing too modern", "a kitchen", ("modern",)),
        ("a portrait, anything but anime", "a portrait", ("anime",)),
        ("a hero like a real person, not 3d", "a hero like a real person", ("3d",)),
        ("a robot (not anime), desert", "a robot, desert", ("anime",)),
        ("a church. There should be no people in it.", "a church.", ("people",)),
        ("a dog. Please do not include any leashes or collars.", "a dog.", ("leashes", "collars")),
        ("I don't want it to look like a cartoon, a bear", "a bear", ("cartoon",)),
        ("a bear. Don't give him a hat", "a bear.", ("hat",)),
        (
            "a pirate, no hat, no eyepatch, and definitely no parrot",
            "a pirate",
            ("hat", "eyepatch", "parrot"),
        ),
        ("a monk under a waterfall. no hats pls", "a monk under a waterfall.", ("hats",)),
        ("can you draw a train, not too childish", "a train", ("childish",)),
        ("a garden, never anime", "a garden", ("anime",)),
        ("a skyline, no upscaler", "a skyline", ()),
        ("a poster of a fox without any text on it", "a poster of a fox", ("text",)),
        ("please draw a man with no hat on a horse", "a man on a horse", ("hat",)),
        ("the bath house, 人物なし", "the bath house", ("people",)),
    ],
)
def test_wishes_inside_a_clause_go_to_the_negative_prompt(
    text: str, prompt: str, avoid: tuple[str, ...]
) -> None:
    read = phrasing(text)
    assert (read.prompt, read.avoid) == (prompt, avoid)


@pytest.mark.parametrize(
    ("text", "sent", "avoid"),
    [
        ("a room that has no windows", "a room", ("windows",)),
        ("a man with no shirt", "a man", ("shirt",)),
        (
            "a professor in front of a hall without any students",
            "a professor in front of a hall",
            ("students",),
        ),
        ("man without a hat on a horse", "man on a horse", ("hat",)),
        ("an empty plaza with no one in sight at dusk", "an empty plaza at dusk", ("people",)),
        ("a beach with nobody on it", "a beach", ("people",)),
        ("a bridge in fog without anyone on it", "a bridge in fog", ("people",)),
        ("empty road with no cars on a rainy night", "empty road on a rainy night", ("cars",)),
        ("a room without windows or doors in a tower", "a room in a tower", ("windows", "doors")),
        ("a wizard with a beard but no hat", "a wizard with a beard", ("hat",)),
        ("a street that does not have cars", "a street that does not have cars", ("cars",)),
        ("a boy not wearing shoes", "a boy not wearing shoes", ("shoes",)),
        ("wet grass, nobody else up yet", "wet grass, nobody else up yet", ()),
        ("a cat that is not black", "a cat that is not black", ()),
        ("t-shirt print: I hate mondays", "t-shirt print: I hate mondays", ()),
    ],
)
def test_what_a_description_lacks_goes_to_the_negative_prompt(
    text: str, sent: str, avoid: tuple[str, ...]
) -> None:
    read = phrasing(text)
    assert (read.prompt, read.avoid) == (sent, avoid)


@pytest.mark.parametrize(
    ("text", "prompt"),
    [
        ("a castle, 1024x768", "a castle"),
        ("a castle, 30 steps, cfg 7, seed 5", "a castle"),
        ("a castle using Euler a", "a castle"),
        ("a castle, DPM++ 2M Karras", "a castle"),
        ("a castle --ar 16:9", "a castle"),
        ("a castle in 16:9", "a castle"),
        ("with SDXL: a glass greenhouse", "a glass greenhouse"),
        ("a castle on SD 1.5", "a castle"),
        ("sd 1.5 only - a witch's kitchen", "a witch's kitchen"),
        ("seed 12345 please: a teapot", "a teapot"),
        ("an old bicycle, portrait format, 2:3", "an old bicycle"),
        ("A4 upright for printing, 300 dpi: a botanical poster", "a botanical poster"),
        ("use DDIM, 50 steps, guidance scale 9, a stormy sea", "a stormy sea"),
        ("a castle, square", "a castle"),
        ("only a model whose licence allows commercial use: mushrooms", "mushrooms"),
        ("a 1024x768 photo of a castle", "a photo of a castle"),
        ("a wet street, 3:2 landscape", "a wet street"),
        ("a boy on a roof, same seed 88 for the first and 89 for the second, steps 20", "a boy on a roof"),
        ("a submarine, any model except SDXL my card only has 4 GB", "a submarine"),
        ("I have a 4 GB graphics card so keep it small: a cottage", "a cottage"),
        ("render me a skyline at 30000x20000 in one go, 150 steps", "a skyline"),
        ("hey could somebody run this on flux dev, i need it fast: a kite", "a kite"),
        ("hello there, could you run this through sdxl please: a kite", "a kite"),
        ("sdxl turbo quick test: a kite", "a kite"),
        ("just testing, flux dev: a kite", "a kite"),
        ("pls run it on qwen: a kite: red, big", "a kite: red, big"),
        ("a kite, pony or any anime checkpoint works", "a kite"),
        ("a kite, noobai or any illustrious merge is fine", "a kite"),
        ("a kite, flux dev or something similar", "a kite"),
        ("a kite, flux shnell pls", "a kite"),
        ("a kite, juggernaut if possible", "a kite"),
        ("a kite, wai illustrious v11", "a kite"),
    ],
)
def test_settings_leave_the_prompt(text: str, prompt: str) -> None:
    assert phrasing(text).prompt == prompt


PLAIN = """\
a fox in the snow
A picture of a large building with a clock tower.
an image of a man wearing a tie
a photo of a teddy bear made of water
two mugs of tea on a table
set of 9 icons for a weather app
a 4 panel comic about a cat
three hot air balloons over a valley
a no-smoking sign in a corridor
No Country for Old Men, poster
Rebel Without a Cause
the end of no man's land
a house not far from the sea
without a doubt the best cake in town
an old railway that is no longer used
a place nobody has ever been
a sign that says "no people allowed"
a wall with the words “without you”
make love not war poster
to be or not to be, skull in hand
lighthouse but spooky, not too spooky
a man trying to avoid a puddle
Hello Kitty in a garden
a staircase with 30 steps in a temple
Times Square at night
a red circle on top of a blue square
phone wallpaper of jellyfish
a movie poster with a robot
sticker of a grumpy avocado
a wide banner for a bookshop
portrait of a samurai
fantasy landscape, castle, (volumetric fog:1.3), epic
masterpiece, best quality, 1girl, umbrella, rain
surprise me
what would loneliness look like?
make it look like an old painting
bottle no. 5 of a perfume
a flux capacitor on a desk
a pony in a meadow
a draw bridge over a moat
two pictures of a man hang on a wall
a thank you card with roses
I love you written in sand
a woman reading, her reflection in the window
a room of 12x14 feet
Show jumping horse over a fence
a please do not disturb sign on a door
a Leica camera and seeds on a table
RAW photo, close up of a fisherman, 8k uhd, dslr
un gato negro sentado en la ventana""".splitlines()


@pytest.mark.parametrize("text", PLAIN)
def test_a_plain_request_stays_as_it_is(text: str) -> None:
    read = phrasing(text)
    assert (read.prompt, read.avoid, read.n, read.notes) == (text, (), None, ())


@pytest.mark.parametrize(
    "text", ["no people", "30 steps", "SDXL", "please", "can you make me a picture?", "no"]
)
def test_what_would_leave_nothing_stays(text: str) -> None:
    assert phrasing(text).prompt == text


def test_what_was_left_out_is_said() -> None:
    read = phrasing("hi! can you make me 4 pictures of a fox, no people, 30 steps? thanks")
    assert (read.prompt, read.avoid, read.n) == ("a fox", ("people",), 4)
    assert read.notes == (
        '"30 steps" was read as a setting and left out of the prompt',
        '"hi", "can you make me", "thanks" were left out of the prompt',
        '"4 pictures of" was left out of the prompt',
        '"people" went to the negative prompt',
    )


PIECES = (
    "no ", "without ", "not ", "people", "text", "a fox", ", ", ". ", "and ", "or ", "please ", "can you ",
    "make me ",
    "4 ", "images of ", "versions", "30 steps", "SDXL", "(", ")", ":1.2)", '"', "\n", " - ", "thanks", "?",
)  # fmt: skip


@settings(deadline=None, max_examples=100)
@given(pieces=st.lists(st.sampled_from(PIECES), min_size=1, max_size=14))
def test_a_prompt_never_ends_up_empty(pieces: list[str]) -> None:
    text = "".join(pieces)
    read = phrasing(text)
    assert read.prompt.strip() or not text.strip()
    assert read.n is None or 1 <= read.n <= 64


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("Dear Sir or Madam, I would be most grateful for a picture of a kite", "a kite"),
        ("I'd be happy with a watercolor of two goats", "a watercolor of two goats"),
        ("a cottage, my card only has 4 GB", "a cottage"),
        ("quick sketch, 15 steps max Euler a, 512x768, a teapot", "quick sketch, a teapot"),
        ("two cards, my favourite card on top", "two cards, my favourite card on top"),
        ("six stone steps max out the view", "six stone steps max out the view"),
    ],
)
def test_letters_and_talk_of_the_machine_are_no_part_of_the_picture(text: str, sent: str) -> None:
    assert Request.from_prompt(text).wishes.prompt == sent


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("thumbnail: a shocked plumber, keep the left side free for my text", "the left side free"),
        ("a volcano, leave the bottom third empty so we can print the date", "the bottom third empty"),
        (
            "a volcano, leave room for the title on top, a black cat",
            "a volcano, a black cat, copy space at the top",
        ),
        ("a map of an island with room for labels", "a map of an island"),
        ("a volcano, so I can write the labels on it myself, flat colours", "a volcano, flat colours"),
        ("a heron, with some space at the top for a headline", "a heron, copy space at the top"),
        ("a heron, empty space on the right to write a poem", "a heron, empty space on the right"),
        ("a room with space for two beds", "a room with space for two beds"),
        ("a room for rent sign", "a room for rent sign"),
        ("a bowl of laksa, no chopsticks sticking up!!", "a bowl of laksa"),
    ],
)
def test_room_for_letters_is_no_part_of_the_picture(text: str, sent: str) -> None:
    assert phrasing(text).prompt.endswith(sent)
    assert "for my text" not in phrasing(text).prompt


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "hi, will you make me an ink drawing of a retired boxer washing the dishes? he should look "
            "worn but cheerful. vertical, and without gloves or audience",
            ("an ink drawing of a retired boxer", "he should look worn but cheerful"),
        ),
        (
            "Could you make me a logo for my little candle workshop? A moth above a single flame, simple, "
            "two colours at most, please without any lettering.",
            ("a logo for my little candle workshop", "A moth above a single flame"),
        ),
        (
            "Hello, I run a small hotel near the sea and we need a poster for the breakfast room. A heron "
            "with a croissant in its beak, morning light. Thank you so much!",
            ("a poster for the breakfast room", "A heron with a croissant"),
        ),
        ("a knight at a table. make him look proud but cold", ("make him look proud but cold",)),
        ("draw a queen, she should look proud please", ("she should look proud",)),
        ("can you draw a knight? let it feel old.", ("let it feel old",)),
    ],
)
def test_looks_and_the_thing_asked_for_stay(text: str, words: tuple[str, ...]) -> None:
    prompt = phrasing(text).prompt
    assert all(part in prompt for part in words)


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("book cover, a lone rider, I add the title later", "book cover, a lone rider"),
        ("book cover, a lone rider, the designer adds text", "book cover, a lone rider"),
        ("book cover, a lone rider, title will be added later", "book cover, a lone rider"),
        ("book cover, a lone rider. we'll put our names on it", "book cover, a lone rider."),
        ("book cover, a lone rider, my friend will do the lettering", "book cover, a lone rider"),
        (
            "book cover, a lone rider. Leave the top third calm and empty, the title goes there and "
            "the designer will set it.",
            "book cover, a lone rider. the top third calm and empty.",
        ),
        (
            "book cover, dragon. Keep the lower part dark so the name is readable",
            "book cover, dragon. Keep the lower part dark",
        ),
        (
            "wedding invite, ferns, lots of blank space in the middle for text",
            "wedding invite, ferns, lots of blank space in the middle",
        ),
        ("book cover, peaks, left third empty for my logo", "book cover, peaks, left third empty"),
    ],
)
def test_letters_that_others_set_later_are_no_part_of_the_picture(text: str, sent: str) -> None:
    prompt = phrasing(text).prompt
    assert prompt == sent
    assert "text" in default_negative("SD 1.5", prompt, 7.0, request=text)


@pytest.mark.parametrize(
    "text",
    [
        "a signwriter adds letters to a shop front",
        "the title of the book is on the top of the spine",
        "names are written in the sand",
        "a sign that was painted over so the name is changed",
        "a designer and a printer in a workshop",
    ],
)
def test_letters_in_a_scene_stay(text: str) -> None:
    assert phrasing(text).prompt == text
