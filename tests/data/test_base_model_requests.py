"""How requests ask for base models, however they name them, and which words are no request."""

from __future__ import annotations

import pytest

from diffagent.data.base_model_requests import bare_name, base_model_requests


def names_in(prompt: str) -> list[str]:
    return [request.name for request in base_model_requests(prompt)]


@pytest.mark.parametrize(
    ("prompt", "name"),
    [
        ("flux: a mill at dusk", "flux1"), ("flux, a mill", "flux1"), ("flux a mill at dusk", "flux1"),
        ("a mill at dusk, flux", "flux1"), ("a mill at dusk. Flux please!", "flux1"),
        ("a mill (flux)", "flux1"), ("a mill - flux", "flux1"), ("a mill #flux", "flux1"),
        ("a mill | flux", "flux1"), ("which is best? anyway: flux, a mill", "flux1"),
        ("may i have a flux picture of a mill", "flux1"), ("model: flux. A mill", "flux1"),
        ("a mill drawn with flux because it does light well", "flux1"),
        ("a mill, pony", "pony"), ("1girl, mill, apron, pony", "pony"), ("a mill [pony]", "pony"),
        ("a cat wizard in a mill, pony", "pony"), ("use pony for that mill", "Pony"),
        ("I like Pony, is pony installed? a mill", "Pony"), ("pony realism, a mill", "Pony"),
        ("pdxl, a mill", "Pony"), ("a mill in PonyDiffusionV6XL", "Pony"),
        ("a mill, illustrious", "illustrious"), ("do it in illustrious", "Illustrious"),
        ("wai illustrious: a mill", "Illustrious"), ("ilxl, a mill", "Illustrious"),
        ("noob ai, a mill", "NoobAI"), ("noobxl, a mill", "NoobAI"), ("a mill, noob", "noobai"),
        ("a mill, noobai vpred", "NoobAI v-pred"),
        ("a mill, z-image", "zimage"), ("zimage: a mill", "zimage"), ("z_image, a mill", "zimage"),
        ("with z image turbo pls, a mill", "ZImageTurbo"), ("a Z-Image of a mill", "zimage"),
        ("a mill, zit", "zimage"),
        ("qwen image, a mill", "Qwen"), ("a mill, qwen", "qwen"), ("chroma, a photo of a mill", "chroma"),
        ("trying out chroma for the first time! a mill", "Chroma"),
        ("generate with kolors a mill in snow", "Kolors"), ("1girl, mill, anima", "anima"),
        ("a mill, sd xl", "sdxl"), ("sd xl turbo, a mill", "SDXL Turbo"), ("sdxl lightning a mill",
         "SDXL Lightning"),
        ("a mill, sd3.5", "sd3"), ("sd35 medium: a mill", "SD 3.5 Medium"),
        ("made with flux.2 klein, a mill", "Flux.2 Klein 4B"), ("flux klein: a mill", "Flux.2 Klein 4B"),
        ("FLUX.1 [schnell] - a mill", "Flux.1 S"), ("flux krea: a mill", "Flux.1 Krea"),
        ("krea: a mill", "Flux.1 Krea"), ("hi dream full, a mill", "HiDream"),
    ],
)  # fmt: skip
def test_a_base_model_is_heard_however_it_is_named(prompt: str, name: str) -> None:
    assert names_in(prompt)[:1] == [name]


@pytest.mark.parametrize(
    "prompt",
    [
        "a pony in a field", "a farm with a horse, a cow, a pony", "pony, grass, fence, blue sky",
        "three animals: dog, cat, pony", "stable, hay, pony", "pony: a small horse in a meadow",
        "a girl on pony, sunset", "a girl with a pony tail", "a samurai as a pony version",
        "a flux capacitor", "a clock, time in flux", "solder and flux", "magnetic flux, diagram",
        "an illustrious professor at a desk", "the illustrious, tall knight",
        "chroma key, studio", "a dancer before a green screen, chroma key", "high chroma, glass beads",
        "an anima of the forest", "forest spirit, anima", "anima mundi", "kolors festival in spring",
        "a girl named Sana", "a girl called Chroma", "Yves Klein blue, a canvas", "a klein bottle",
        "a noob in a video game", "a lightning bolt over a mill", "a red turbo car",
    ],
)  # fmt: skip
def test_ordinary_words_are_no_request(prompt: str) -> None:
    assert names_in(prompt) == []


@pytest.mark.parametrize(
    ("prompt", "words", "name"),
    [
        ("could you use z-image turbo and make a mill", "could you use z-image turbo and make",
         "z-image turbo"),
        ("use anima for an old mill", "use anima for", "anima"),
        ("i'd like it done with Illustrious as it does mills well",
         "i'd like it done with Illustrious as it does mills well", "Illustrious"),
        ("a mill, with a flux lora for sketches", "with a flux lora for sketches",
         "with a flux lora for sketches"),
        ("checkpoint: pony v6", "checkpoint: pony v6", "pony v6"),
    ],
)  # fmt: skip
def test_the_words_around_a_name_belong_to_it(prompt: str, words: str, name: str) -> None:
    longest = max((request.words for request in base_model_requests(prompt)), key=len)
    assert (longest.strip(), bare_name(longest)) == (words, name)


@pytest.mark.parametrize(
    ("prompt", "name", "words"),
    [
        ("illustrios model, a mill", "Illustrious", "illustrios model"),
        ("use ilustrious for a mill", "Illustrious", "use ilustrious for "),
        ("a mill, noobia", "NoobAI", "noobia"), ("flux shnell pls, a mill", "Flux.1 S", "flux shnell"),
        ("flux klien 9b: a mill", "Flux.2 Klein 9B", "flux klien 9b"),
        ("quen image: a mill", "Qwen", "quen image"), ("z imge turbo, a mill", "ZImageTurbo", "z imge turbo"),
        ("a mill, stable difusion xl", "sdxl", "stable difusion xl"), ("a mill, fluxx", "flux1", "fluxx"),
        ("sdxl lightening: a mill", "SDXL Lightning", "sdxl lightening"),
        ("a mill, hidreem", "hidream", "hidreem"),
    ],
)  # fmt: skip
def test_a_typo_of_a_name_is_heard_where_a_model_is_named(prompt: str, name: str, words: str) -> None:
    first = base_model_requests(prompt)[0]
    assert (first.name, prompt[first.start : first.end].lstrip()) == (name, words.lstrip())


@pytest.mark.parametrize(
    "prompt",
    [
        "an illustrios professor", "industrious: ants on a hill", "a car in chrome, chrome", "use pixar",
        "poney, grass", "an anime girl, anime", "a queen, an image of snow", "kline, a tailor",
    ],
)  # fmt: skip
def test_a_word_like_a_name_is_no_typo(prompt: str) -> None:
    assert names_in(prompt) == []


@pytest.mark.parametrize(
    ("prompt", "name"),
    [
        ("anima, an old man at a mill", "anima"), ("lumina, a mill", "lumina"),
        ("krea, a mill", "Flux.1 Krea"), ("schnell: a mill", "Flux.1 S"),
        ("a mill, pony or any anime mix", "pony"),
        ("a mill, chroma if you have it", "chroma"),
    ],
)  # fmt: skip
def test_a_family_is_heard_before_the_first_comma_and_before_a_plea(prompt: str, name: str) -> None:
    assert names_in(prompt)[:1] == [name]


@pytest.mark.parametrize("prompt", ["Sana, a girl at a mill", "Klein, a tailor", "anima mundi, a tree"])
def test_the_name_of_somebody_is_not(prompt: str) -> None:
    assert names_in(prompt) == []


@pytest.mark.parametrize(
    ("prompt", "name", "words"),
    [
        ("illustrious v2.0: a mill", "Illustrious", "illustrious v2.0"),
        ("noobai xl v1.1 - a mill", "NoobAI", "noobai xl v1.1"),
        ("noobai 1.1, a mill", "NoobAI", "noobai 1.1"),
        ("a mill, chroma v48", "Chroma", "chroma v48"), ("a mill, pony v5", "Pony", "pony v5"),
        ("pony v7, a mill", "Pony V7", "pony v7"),
    ],
)  # fmt: skip
def test_a_version_belongs_to_the_name(prompt: str, name: str, words: str) -> None:
    assert [(request.name, request.words.strip()) for request in base_model_requests(prompt)][:1] == [
        (name, words)
    ]


def test_a_number_behind_an_adjective_is_no_version() -> None:
    assert names_in("an illustrious 3.5 mile road") == []
