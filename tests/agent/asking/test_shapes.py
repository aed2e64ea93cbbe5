"""Shapes: the ordinary names of pictures and their uses, and what only sounds like one."""

from __future__ import annotations

import pytest

from diffagent.agent.asking.phrasing import phrasing
from diffagent.agent.asking.shapes import aspect_of

TALL = """\
tall picture of a geyser
the cover of a book about sailing
a book cover with a dragon
the cover of a book called 'Salt'
one camel. It'll be printed 5x7 upright.
tarot card of a fox
A tarot card style drawing of the sun
coral lamps for my phone
a lighthouse in fog, needs to fit my phone
a birthday card with a hedgehog
wedding invitation with wildflowers
flyer for a dog walking service
event flyer, jazz night, saxophone
bookmark with pressed ferns
t-shirt design: skull with roses
a wolf howling, to be printed on a t-shirt
door hanger for a hotel, sleeping bear
poster of a heron
instagram story, sunset yoga
a fox dancing, for my reels
tiktok story background of rain
a cat on the moon for tiktok
movie poster, giant snail
magazine cover with an astronaut chef
comic book cover, moth hero
cover for my novel about salt miners
cover art for a fantasy novel
playing card, queen of foxes
pokemon card of a snail
roll-up banner for a dental clinic
a heron, vertical please
a heron, in portrait orientation
a heron, upright format
a heron, taller than wide
a heron 9x16
a heron, 24x36 inch poster
a heron, 8x10 print
a heron, 30x40 cm print
lockscreen with a koi
homescreen wallpaper of tulips
phone-sized picture of tulips
pinterest pin about sourdough
brochure cover for a museum
menu for a ramen bar, dragon border
comic page, detective in rain
wall scroll with a crane
book jacket for a thriller
cover of a magazine about knitting
can you make it taller? a heron, make it tall
un renard dans la neige, vertical
ein Fuchs im Schnee, bitte im Hochformat
雪の狐、縦長
눈 속의 여우, 세로로
วัดเก่าริมแม่น้ำ ภาพถ่ายแนวตั้ง
tilki, dikey""".splitlines()
WIDE = """\
canyon, fog, wide_shot, rope_bridge
canyon, fog, wide shot, rope bridge
pottery blog header: hands on clay
I need a header image for my newsletter about bees
my desk as a castle. Wide please, it's for my Meet background
a beach scene for my desktop background
business card for a florist with peonies
make me a postcard of Lisbon trams
mug design with sleepy cats
a print for a mug, mountains
youtube thumbnail of a shocked plumber
banner for a bakery
twitch banner with neon fox
facebook cover photo of a harbour
a slide about photosynthesis, for my presentation
gift card for a spa
zoom background of a library
stream overlay with candy theme
title card for a western
featured image for my article about moss
a certificate for the best grandma
a heron, wider than tall
landscape version please: a heron
a heron in widescreen
a heron, 16 by 9
a heron 16x9
a heron, 2.39:1
a heron, print 7x5
a heron, 5x7 landscape
a panorama of the alps
bumper sticker: honk if you love geese
email header for a garden centre
place mat for kids with dinosaurs
loading screen for my rpg, ruined bridge
homepage banner with mountain bikes
a heron. please make it wide so it fits
ein Fuchs im Schnee, Querformat
лиса в снегу, горизонтально
лиса в снегу, горизонтальный формат
夜明けの港町。横長でお願いします。
雪地里的狐狸，横版
een vos, liggend
lis w śniegu, poziomo""".splitlines()
SQUARE = """\
a walrus barber, silk cape. 3d like a toy film. make it square and do 3 of it so i can take the best
album cover for a folk band
podcast cover about true crime
insta post with a matcha latte
a matcha latte for my instagram
discord pfp, sleepy badger
app icon for a tide tracker
a coaster with art deco pattern
sticker of an cross radish
patch for a scout troop, badger
enamel pin of a frog
profile picture of an otter
un zorro en la nieve, cuadrado
лиса в снегу, квадрат
viola caipira na chuva, linogravura, quadrada""".splitlines()
NONE = """\
a tall man in a coat
a man, tall, slim, in a suit
a wide river with rafts
two wide steps to a door
a square table with four chairs
Times Square at night
an upright piano in a bar
a man talking on his phone
a phone case in a shop
a man holding a business card
a woman writing a postcard
a coffee mug on a table
a black t-shirt on a hanger
a man scoring with a header
a room of 12x14 feet
a 4x4 jeep in mud
a 2x4 on a workbench
a 3x3 grid of foxes
a train leaving at 16:10
a scoreboard showing 3:1
someone signs a certificate
a stand for my laptop in oak
a wide-eyed owl
a tall ship
a fox, not wide
dog sleeping in a square
a flyer on a lamp post
the story of a fox for my kids
he made it wide of the post
a bookshop""".splitlines()


@pytest.mark.parametrize("text", TALL)
def test_what_is_tall_is_made_tall(text: str) -> None:
    aspect, _ = aspect_of(text)
    assert aspect is not None
    assert aspect[0] < aspect[1]


@pytest.mark.parametrize("text", WIDE)
def test_what_is_wide_is_made_wide(text: str) -> None:
    aspect, _ = aspect_of(text)
    assert aspect is not None
    assert aspect[0] > aspect[1]


@pytest.mark.parametrize("text", SQUARE)
def test_what_is_square_is_made_square(text: str) -> None:
    assert aspect_of(text) == ((1, 1), False)


@pytest.mark.parametrize("text", NONE)
def test_what_a_scene_holds_is_no_shape(text: str) -> None:
    assert aspect_of(text) == (None, False)
    assert phrasing(text).prompt == text or "not wide" in text


@pytest.mark.parametrize(
    ("text", "aspect"),
    [
        ("a heron, printed 5x7 upright", (10, 14)),
        ("a heron, print 7x5 portrait", (10, 14)),
        ("a heron, 8x10 print", (16, 20)),
        ("a heron, 2.39:1", (239, 100)),
        ("a heron 16x9", (16, 9)),
        ("a heron, aspect ratio of 4 to 5", (4, 5)),
        ("a heron, not wide, 4:5", (4, 5)),
        ("business card for a florist", (7, 4)),
        ("a birthday card with a hedgehog", (5, 7)),
        ("a heron for my phone", (9, 16)),
        ("a heron for my zoom background", (16, 9)),
        ("bookmark with pressed ferns", (9, 21)),
    ],
)
def test_a_shape_has_its_own_ratio(text: str, aspect: tuple[int, int]) -> None:
    assert aspect_of(text) == (aspect, False)


@pytest.mark.parametrize(
    ("text", "prompt"),
    [
        ("vertical 9:16 for my phone, flooded opera house", "flooded opera house"),
        ("a heron for my phone", "a heron"),
        ("not too wide, 4:5 for insta, a bowl of laksa", "a bowl of laksa"),
        ("a portrait of a dancer. make it a portrait orientation as well haha", "a portrait of a dancer."),
        ("a frog king, make it square too lol", "a frog king"),
        ("a heron. Wide please, it is for my slides", "a heron."),
        ("a heron, print 5x7 upright", "a heron"),
        ("ein Fuchs im Schnee, bitte im Hochformat", "ein Fuchs im Schnee"),
        ("夜明けの港町。横長でお願いします。", "夜明けの港町。"),
        ("a logo for my mobile bike repair van", "a logo for my mobile bike repair van"),
        ("a tall picture of a geyser", "a tall picture of a geyser"),
    ],
)
def test_words_of_shape_alone_leave_the_prompt(text: str, prompt: str) -> None:
    assert phrasing(text).prompt == prompt


@pytest.mark.parametrize(
    ("text", "shape"),
    [
        ("a fox, super tall picture like 1:2", (1, 2)),
        ("a fox, really wide image around 3:1 please", (3, 1)),
        ("a fox, 2:1 ish", (2, 1)),
        ("a fox, proportions 4:5", (4, 5)),
        ("a fox. Proporcje 2:3", (2, 3)),
        ("a fox, formato 16:9", (16, 9)),
        ("a fox, Seitenverhältnis 3:2", (3, 2)),
        ("a fox，比例 3:4", (3, 4)),
    ],
)
def test_a_ratio_leaves_the_prompt_with_the_words_for_it(text: str, shape: tuple[int, int]) -> None:
    assert aspect_of(text) == (shape, False)
    assert phrasing(text).prompt.rstrip(".") == "a fox"


@pytest.mark.parametrize(
    ("text", "shape"),
    [
        ("a lotería card of an axolotl", (2, 3)),
        ("a card in the style of Mexican lotería, a heron", (2, 3)),
        ("una carta de la lotería con un pez", (2, 3)),
        ("the ace of spades playing card, a fox", (2, 3)),
        ("tattoo for inside of forearm, a broken pencil", (9, 16)),
        ("forearm tattoo of a fern", (9, 16)),
        ("Hi, could you design a tattoo for my forearm of a pine tree?", (9, 16)),
        ("tattoo of a snake along the spine", (9, 16)),
        ("tattoo of a swallow", None),
        ("a man with a tattoo on his forearm", None),
        ("1girl, arm tattoo, cafe", None),
        ("a forearm tattoo artist at work", None),
        ("a clock at 9:15", None),
    ],
)
def test_cards_of_games_and_tattoos_of_limbs_are_tall(text: str, shape: tuple[int, int] | None) -> None:
    assert aspect_of(text)[0] == shape
