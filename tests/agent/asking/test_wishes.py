"""Wishes: natural requests, A1111's infotext, and numbers that are none."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diffagent.agent.asking.phrasing import phrasing
from diffagent.agent.asking.request import Request
from diffagent.agent.asking.wishes import Wishes, wishes


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("portrait of a fisherman", {"aspect": (2, 3), "leaning": True}),
        ("a fisherman, portrait format", {"aspect": (2, 3)}),
        ("a movie poster with a robot", {"aspect": (2, 3)}),
        ("mountain landscape at dawn", {"aspect": (3, 2), "leaning": True}),
        ("a fox, wallpaper for my phone", {"aspect": (9, 16)}),
        ("iphone wallpaper, waves", {"aspect": (9, 16)}),
        ("a wallpaper for my old desktop", {"aspect": (16, 9)}),
        ("desktop background, dunes", {"aspect": (16, 9)}),
        ("panoramic view of a valley", {"aspect": (21, 9), "leaning": True}),
        ("a vertical panorama", {"aspect": (2, 3)}),
        ("album cover, neon", {"aspect": (1, 1)}),
        ("Avatar of a knight", {"aspect": (1, 1)}),
        ("a heron, upright format", {"aspect": (2, 3)}),
        ("a heron, upright", {"aspect": (2, 3)}),
        ("A4 upright for printing: ferns", {"aspect": (210, 297)}),
        ("a map of ferns on an A4 sheet", {"aspect": (210, 297)}),
        ("ferns, landscape A4", {"aspect": (297, 210)}),
        ("ferns, US letter", {"aspect": (17, 22)}),
        ("a tall banner for a book fair", {"aspect": (9, 21)}),
        ("a wide banner for a book fair", {"aspect": (21, 9)}),
        ("ferns for my instagram story", {"aspect": (9, 16)}),
        ("lock screen for my phone: dunes", {"aspect": (9, 16)}),
        ("hero image for the website of a bakery", {"aspect": (16, 9)}),
        ("ferns, twice as wide as tall", {"aspect": (2, 1)}),
        ("a fox, square", {"aspect": (1, 1)}),
        ("a square poster of a fox", {"aspect": (1, 1)}),
        ("seamless pattern with lemons", {"aspect": (1, 1)}),
        ("a castle --ar 3:2", {"aspect": (3, 2)}),
        ("a castle, aspect ratio of 4:5", {"aspect": (4, 5)}),
        ("a castle, aspect ratio 7x5, portrait", {"aspect": (7, 5)}),
        ("a castle, 16:9", {"aspect": (16, 9)}),
        ("a castle, 1024x768", {"size": (1024, 768)}),
        ("make it 512 × 768 please", {"size": (512, 768)}),
        ("640 by 448, a harbour", {"size": (640, 448)}),
        ("a castle. 1024x768.", {"size": (1024, 768)}),
        ("1024x768 mountains in mist", {"size": (1024, 768)}),
        ("portrait, 1024x512", {"size": (1024, 512)}),
        ("a castle 770x511", {"size": (768, 512)}),
        ("3840x2160 castle", {"size": (3840, 2160)}),
        ("8000x4000 castle", {"oversize": (8000, 4000), "aspect": (8000, 4000)}),
        ("a castle, SDXL", {"base_model": "sdxl"}),
        ("use stable diffusion XL for a castle", {"base_model": "sdxl"}),
        ("SD 1.5 castle", {"base_model": "sd1"}),
        ("stable diffusion v1.5, castle", {"base_model": "sd1"}),
        ("a castle, use a LoRA", {"type": "LoRA"}),
        ("a castle with a checkpoint", {"type": "Checkpoint"}),
        ("a castle, 30 steps, cfg 5.5, seed 42, clip skip 2",
         {"steps": 30, "cfg_scale": 5.5, "seed": 42, "clip_skip": 2}),
        ("a castle, guidance scale of 9, steps: 12", {"cfg_scale": 9.0, "steps": 12}),
        ("a castle, CFG scale: 6", {"cfg_scale": 6.0}),
        ("a castle using Euler a", {"sampler": "Euler a"}),
        ("a castle, sampler: dpm++ 2m karras", {"sampler": "DPM++ 2M Karras"}),
        ("a castle with the DDIM sampler", {"sampler": "DDIM"}),
        ("use DDIM, a castle", {"sampler": "DDIM"}),
        ("a castle, UniPC", {"sampler": "UniPC"}),
        ("quick draft, a few steps is fine: a castle", {"steps": 12}),
        ("a castle, licence must allow commercial use", {"commercial": True}),
        ("a castle, use Flux", {"base_model": "flux1"}),
        ("a castle, flux.1 dev", {"base_model": "Flux.1 D"}),
        ("a castle on SD 2.1 768", {"base_model": "sd2"}),
        ("a castle, stable diffusion 3.5", {"base_model": "sd3"}),
        ("a castle, flux schnell", {"base_model": "Flux.1 S"}),
        ("a castle, sd3.5 large turbo", {"base_model": "SD 3.5 Large Turbo"}),
        ("a castle in Illustrious XL", {"base_model": "Illustrious"}),
        ("a castle, z-image", {"base_model": "zimage"}),
        ("a castle, Flux.2 Klein 4B-base", {"base_model": "Flux.2 Klein 4B-base"}),
        ("a castle, SDXL or Pony XL", {"base_model": "Pony"}),
        ("a castle, flux kontext, no wait use flux dev", {"base_model": "Flux.1 D"}),
        ("a castle, not flux, use sdxl", {"base_model": "sdxl", "avoided": ("flux1",)}),
        ("anything but pony: a castle", {"avoided": ("Pony",)}),
        ('a board that says "Pony Diffusion"', {}),
        ("a pony beside a castle under an illustrious flux of stars", {}),
    ],
)  # fmt: skip
def test_what_people_say_is_understood_and_stays_in_the_prompt(text: str, fields: dict[str, object]) -> None:
    assert wishes(text) == Wishes(prompt=text, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text",
    [
        "a fox in the snow",
        "a room of 12x14 feet",
        "a 100x120 cm carpet",
        "a 3x3 grid of foxes",
        "0x1234 in hex",
        "version 2.1024x768beta",
        "a clock at 10:15",
        "aspect ratio 0:3",
        "aspect ratio 20:1",
        "cfg 0, cfg 31, 0 steps, 151 steps, 9999 steps, clip skip 13, seed 4294967296",
        "a heron with Eulerian numbers",
        "a stone staircase with 30 steps",
        "Times Square at night",
        "a red circle on top of a blue square",
        "a silver Audi A4",
        "an upright piano",
        "a flux capacitor",
        "a pony in a meadow",
        "an oil portraiture",
        "(fox:1.2), [snow:0.8]",
    ],
)
def test_what_is_no_wish_is_not_taken_for_one(text: str) -> None:
    assert wishes(text) == Wishes(prompt=text)


def test_the_first_number_in_range_counts() -> None:
    wish = wishes("9999 steps, no, 25 steps; cfg 99, better cfg 6; seed 4294967296, seed 7; 20x20, 640x640")
    assert (wish.steps, wish.cfg_scale, wish.seed, wish.size) == (25, 6.0, 7, (640, 640))


INFOTEXT = """a castle, dusk
Negative prompt: blurry, lowres
Steps: 28, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 6.5, Seed: 12345, Size: 640x960, Clip skip: 2
"""


def test_a1111s_infotext_is_read_and_is_no_part_of_the_prompt() -> None:
    assert wishes(INFOTEXT) == Wishes(
        prompt="a castle, dusk",
        negative_prompt="blurry, lowres",
        size=(640, 960),
        sampler="DPM++ 2M Karras",
        steps=28,
        cfg_scale=6.5,
        seed=12345,
        clip_skip=2,
    )


def test_infotext_may_lack_either_line() -> None:
    negative_only = wishes("a castle\nNegative prompt: fog, portrait")
    assert (negative_only.prompt, negative_only.negative_prompt) == ("a castle", "fog, portrait")
    assert negative_only.aspect is None  # asked against, not for
    settings_only = wishes("a castle\n\nSteps: 20, Sampler: Euler a, Size: 512x512")
    assert (settings_only.prompt, settings_only.steps, settings_only.size) == ("a castle", 20, (512, 512))


def test_a_negative_prompt_alone_is_the_prompt() -> None:
    assert wishes("Negative prompt: fog") == Wishes("Negative prompt: fog")


@settings(deadline=None)
@given(text=st.text(st.characters(), max_size=200))
def test_any_text_is_understood_somehow(text: str) -> None:
    check(wishes(text))


PIECES = (
    "x", "×", " by ", " ", "\n", ":", ",", "--ar ", "ratio ", "steps", "cfg", "seed", "clip skip", "size: ",
    "0", "1", "63", "64", "512", "768", "2048", "4096", "99999", "16:9", "sampler", "Euler a", "Karras",
    "Negative prompt:", "Steps: 20,", "Size: ", "portrait", "phone wallpaper", ".", "1.5",
)  # fmt: skip


@settings(deadline=None, max_examples=300)
@given(pieces=st.lists(st.sampled_from(PIECES), max_size=12))
def test_whatever_is_understood_is_legal(pieces: list[str]) -> None:
    check(wishes("".join(pieces)))


def check(wish: Wishes) -> None:
    for side in wish.size or ():
        assert 64 <= side <= 4096
        assert side % 8 == 0
    assert wish.size is None or wish.aspect is None
    assert wish.steps is None or 1 <= wish.steps <= 150
    assert wish.cfg_scale is None or 1 <= wish.cfg_scale <= 30
    assert wish.seed is None or 0 <= wish.seed < 2**32
    assert wish.clip_skip is None or 1 <= wish.clip_skip <= 12


@pytest.mark.parametrize("filler", ["\n", " ", "\n ", "9", "steps ", "<lora:", "(", "1x", "wallpaper for "])
def test_long_prompts_are_read_in_linear_time(filler: str) -> None:
    started = time.process_time()
    wishes("a" + (filler * 100_000)[:100_000] + "b")
    assert time.process_time() - started < 2.5  # 0.1 s; with the square of the length, a minute


@pytest.mark.parametrize(
    ("text", "base_model", "avoided"),
    [
        ("a submarine, any model except SDXL", None, ("sdxl",)),
        ("a submarine, not sdxl please", None, ("sdxl",)),
        ("a submarine with SDXL", "sdxl", ()),
        ("SD 1.5, not SDXL: a submarine", "sd1", ("sdxl",)),
    ],
)
def test_a_base_model_may_be_ruled_out(text: str, base_model: str | None, avoided: tuple[str, ...]) -> None:
    wish = wishes(text)
    assert (wish.base_model, wish.avoided) == (base_model, avoided)


def test_a_small_card_is_heard_of() -> None:
    assert wishes("a cottage, my card only has 4 GB").small_card
    assert wishes("I have 6gb vram: a cottage").small_card
    assert not wishes("a 4 GB memory stick on a desk").small_card
    assert not wishes("my card has 24 GB, a cottage").small_card


def test_cfg_and_sampler_are_read_as_people_say_them() -> None:
    wish = wishes("a knight eating soup, cfg around 4.5, Euler a 25 steps")
    assert (wish.cfg_scale, wish.sampler, wish.steps) == (4.5, "Euler a", 25)


@pytest.mark.parametrize(
    ("text", "oversize", "size"),
    [
        ("a banner of wheat, 16000x400 px", (16000, 400), None),
        ("a skyline at 30000x20000 in one go", (30000, 20000), None),
        ("a comet, 3840x2160 if possible", (3840, 2160), None),
        ("a comet, 3840x2160", None, (3840, 2160)),
        ("a comet, 1024x768 if possible", None, (1024, 768)),
    ],
)
def test_a_size_that_nothing_draws_keeps_its_ratio(
    text: str, oversize: tuple[int, int] | None, size: tuple[int, int] | None
) -> None:
    wish = wishes(text)
    assert (wish.oversize, wish.size, wish.aspect) == (oversize, size, oversize)


@pytest.mark.parametrize(
    ("text", "size", "steps"),
    [
        ("a dragon round a teapot, 1024 square", (1024, 1024), None),
        ("an owl, square 768 px, steps 20", (768, 768), 20),
        ("a 600 square foot flat", None, None),
        ("stone steps 20 years old", None, None),
        ("an owl, use SDXL and dpm++ 2m karras with 28 steps", None, 28),
    ],
)
def test_settings_are_read_without_a_sign_of_equality(
    text: str, size: tuple[int, int] | None, steps: int | None
) -> None:
    wish = wishes(text)
    assert (wish.size, wish.steps) == (size, steps)
    assert (wish.sampler == "DPM++ 2M Karras") == ("dpm++" in text)


@pytest.mark.parametrize(
    ("text", "aspect"),
    [
        ("telefon duvar kağıdı, gece denizi", (9, 16)),
        ("スマホの壁紙、夜の海", (9, 16)),
        ("fondo de pantalla para el móvil, el mar", (9, 16)),
        ("une affiche art déco pour un cirque", (2, 3)),
        ("ポスター、海辺のサーカス", (2, 3)),
        ("Cover illustration for a cosy crime novel", (2, 3)),
        ("tarot card of the Sun", (2, 3)),
    ],
)
def test_shapes_are_read_in_other_languages_too(text: str, aspect: tuple[int, int]) -> None:
    wish = wishes(text)
    assert (wish.aspect, wish.leaning) == (aspect, False)


SPELLINGS = {
    "euler a": "Euler a",
    "Euler ancestral": "Euler a",
    "euler_a": "Euler a",
    "euler-a": "Euler a",
    "EulerA": "Euler a",
    "k_euler_a": "Euler a",
    "k_euler_ancestral": "Euler a",
    "k-euler": "Euler",
    "euler": "Euler",
    "ddim": "DDIM",
    "plms": "PLMS",
    "lms karras": "LMS Karras",
    "heun": "Heun",
    "dpm2": "DPM2",
    "dpm2 a karras": "DPM2 a Karras",
    "dpm2a": "DPM2 a",
    "DPM 2 Ancestral": "DPM2 a",
    "dpm++2m": "DPM++ 2M",
    "DPM++2M Karras": "DPM++ 2M Karras",
    "dpmpp 2m karras": "DPM++ 2M Karras",
    "dpmpp_2m_karras": "DPM++ 2M Karras",
    "dpm pp 2m": "DPM++ 2M",
    "DPM++ 2M SDE": "DPM++ 2M SDE",
    "dpm++ 2m sde karras": "DPM++ 2M SDE Karras",
    "DPM++ SDE": "DPM++ SDE",
    "dpm++sde": "DPM++ SDE",
    "dpmpp-sde": "DPM++ SDE",
    "dpm++ 3m sde exponential": "DPM++ 3M SDE Exponential",
    "dpm++ 3m sde exp": "DPM++ 3M SDE Exponential",
    "DPM++ 2S a Karras": "DPM++ 2S a Karras",
    "dpm++ 2s ancestral": "DPM++ 2S a",
    "dpm fast": "DPM fast",
    "dpm_fast": "DPM fast",
    "dpm adaptive": "DPM adaptive",
    "unipc": "UniPC",
    "uni pc": "UniPC",
    "uni_pc": "UniPC",
    "uni-pc": "UniPC",
    "UniPC karras": "UniPC Karras",
    "lcm": "LCM",
    "LCM sampler": "LCM",
    "k_dpm_2": "DPM2",
    "k_lms": "LMS",
    "k_heun": "Heun",
    "euler simple": "Euler Simple",
    "euler beta": "Euler Beta",
    "Euler a with karras": "Euler a Karras",
    "dpm++ 2m with karras schedule": "DPM++ 2M Karras",
    "dpm++ 2m (karras)": "DPM++ 2M Karras",
    "dpm++ 2m, karras": "DPM++ 2M Karras",
    "DPM plus plus 2M": "DPM++ 2M",
    "dpm ++ 2m": "DPM++ 2M",
    "DPM++ 2M-Karras": "DPM++ 2M Karras",
    "deis": "DEIS",
    "ipndm": "IPNDM",
    "er_sde": "ER SDE",
    "res_multistep": "Res Multistep",
    "dpm++2m sde karras": "DPM++ 2M SDE Karras",
    "euler ancestral sampler": "Euler a",
    "DPM++ 2M KARRAS SAMPLER": "DPM++ 2M Karras",
    "ddpm": "DDPM",
    "dpm++ 2m sgm uniform": "DPM++ 2M SGM Uniform",
}


@pytest.mark.parametrize("name", SPELLINGS)
@pytest.mark.parametrize("form", ["a fox, %s", "a fox, %s, 20 steps", "a fox, 20 steps %s", "use %s: a fox"])
def test_a_sampler_is_read_in_any_spelling_and_leaves_the_prompt(name: str, form: str) -> None:
    text = form % name
    assert wishes(text).sampler == SPELLINGS[name]
    assert phrasing(text).prompt == "a fox"


@pytest.mark.parametrize(
    ("text", "field", "value"),
    [
        ("seed is 5: a fox", "seed", 5),
        ("a fox, seed=5", "seed", 5),
        ("a fox, seed #5", "seed", 5),
        ("a fox, seed no. 5", "seed", 5),
        ("a fox, seed number 5", "seed", 5),
        ("a fox, seed set to 5", "seed", 5),
        ("a fox, with seed of 5", "seed", 5),
        ("a fox, the seed should be 5", "seed", 5),
        ("a fox, use 5 as the seed", "seed", 5),
        ("a fox. Seed: 5", "seed", 5),
        ("a fox, seed -> 5", "seed", 5),
        ("a fox, cfg is 6", "cfg_scale", 6.0),
        ("a fox, cfg at 6", "cfg_scale", 6.0),
        ("a fox, cfg scale set to 6.5", "cfg_scale", 6.5),
        ("a fox, guidance at 4", "cfg_scale", 4.0),
        ("a fox, 6.5 cfg", "cfg_scale", 6.5),
        ("a fox, cfg=7", "cfg_scale", 7.0),
        ("a fox, cfg_scale: 7", "cfg_scale", 7.0),
        ("a fox, steps=28", "steps", 28),
        ("a fox, steps: 28", "steps", 28),
        ("a fox, steps are 28", "steps", 28),
        ("a fox, 28-step", "steps", 28),
        ("a fox, step count 28", "steps", 28),
        ("a fox, number of steps: 28", "steps", 28),
        ("a fox, 28 sampling steps", "steps", 28),
        ("a fox, 28 iterations", "steps", 28),
        ("a fox, clip skip 2", "clip_skip", 2),
        ("a fox, clip skip: 2", "clip_skip", 2),
        ("a fox, clipskip=2", "clip_skip", 2),
        ("a fox, clip_skip 2", "clip_skip", 2),
        ("a fox, CLIP skip of 2", "clip_skip", 2),
        ("a fox, clip skip is two", "clip_skip", 2),
        ("a fox, clip skip -2", "clip_skip", 2),
        ("a fox, 1024x1024", "size", (1024, 1024)),
        ("a fox, 1024 x 768 px", "size", (1024, 768)),
        ("a fox, 1536 by 640", "size", (1536, 640)),
        ("a fox, 1024*768", "size", (1024, 768)),
        ("a fox, 1024×768", "size", (1024, 768)),
        ("a fox, width 832 height 1216", "size", (832, 1216)),
        ("a fox, width: 832, height: 1216", "size", (832, 1216)),
        ("a fox, 832 wide and 1216 tall", "size", (832, 1216)),
        ("a fox, 832 px wide, 1216 px high", "size", (832, 1216)),
        ("a fox, 832w x 1216h", "size", (832, 1216)),
        ("a fox, 832px x 1216px", "size", (832, 1216)),
        ("a fox, 1024 square", "size", (1024, 1024)),
        ("a fox, size 1024x768", "size", (1024, 768)),
        ("a fox, resolution: 1024x768", "size", (1024, 768)),
    ],
)
def test_numbers_are_read_as_people_write_them(text: str, field: str, value: object) -> None:
    assert getattr(wishes(text), field) == value
    assert phrasing(text).prompt.rstrip(".") == "a fox"


@pytest.mark.parametrize(
    "text", ["stone steps 20 years old", "a 3-step ladder", "a garden with seeds", "a guidance counsellor"]
)
def test_a_number_beside_a_word_is_no_setting(text: str) -> None:
    assert wishes(text) == Wishes(text)


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("a fox, steps 15 quick one", 15),
        ("a fox, steps 20 is ok", 20),
        ("a fox, like steps 35 please", 35),
        ("a fox, twenty steps is fine", 20),
        ("a fox, just fifteen steps", 15),
        ("a fox, 40 pasos", 40),
        ("a fox, 30 Schritte bitte", 30),
        ("a fox, 32 kroków", 32),
        ("a fox, 25 étapes", 25),
        ("a fox, 28 passi", 28),
        ("a fox, com 35 passos", 35),
        ("a fox, 20 stappen", 20),
        ("a fox, 30 шагов", 30),
        ("a fox, 31 кроків", 31),
        ("a fox, 30 adım olsun", 30),
        ("a fox, 24 steg", 24),
        ("a fox, 30 langkah", 30),
        ("a fox, 26 lépés", 26),
        ("a fox, cu 30 pași", 30),
        ("a fox、30ステップでお願いします", 30),
        ("a fox，30步", 30),
        ("a fox, 33스텝으로", 33),
        ("a fox, kroki: 22", 22),
    ],
)
def test_steps_are_read_in_casual_words_and_in_other_languages(text: str, steps: int) -> None:
    assert wishes(text).steps == steps
    assert phrasing(text).prompt == "a fox"


@pytest.mark.parametrize(
    "text", ["un duelo a 20 pasos en la niebla", "a girl, steps 15 high", "two dancers 20 passi apart"]
)
def test_steps_of_feet_are_no_setting(text: str) -> None:
    assert wishes(text).steps is None
    assert phrasing(text).prompt == text


@pytest.mark.parametrize(
    ("text", "sent", "negative"),
    [
        (
            "negative: people, cars. positive: rice fields, a buffalo",
            "rice fields, a buffalo",
            "people, cars",
        ),
        (
            "Negative prompt: people\nPositive prompt: rice fields, a buffalo",
            "rice fields, a buffalo",
            "people",
        ),
        ("rice fields, negative: people", "rice fields", "people"),
    ],
)
def test_labelled_halves_stand_in_any_order(text: str, sent: str, negative: str) -> None:
    found = wishes(text)
    assert (found.prompt, found.negative_prompt) == (sent, negative)


def test_a_sampler_between_settings_is_heard() -> None:
    found = wishes("seed 42 euler a 25 steps cfg 7 512x768 a mill")
    assert (found.sampler, found.steps, found.seed, found.size) == ("Euler a", 25, 42, (512, 768))
    assert wishes("a mill, 2 euler diagrams on the wall").sampler is None


def test_a_lora_for_few_steps_is_a_wish_for_speed() -> None:
    assert wishes("use the lightning lora, a mill").is_fast
    assert not wishes("lightning over a mill").is_fast


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("a mill. thirty-two steps & euler with karras schedule.", "sampler", "Euler Karras"),
        ("a mill. thirty-two steps & euler with karras schedule.", "steps", 32),
        ("a mill, fourty steps", "steps", 40),
        ("a mill, sampler=UniPC seed=-1", "seed", None),
        ("a mill. checkpoint only, no loras", "type", "Checkpoint"),
    ],
)
def test_settings_are_heard_in_more_spellings(text: str, name: str, value: object) -> None:
    assert getattr(Request.from_prompt(text).wishes, name) == value
