"""How requests ask for base models, however they name them, and which words are no request."""

from __future__ import annotations

import pytest

from diffagent.data.base_model_requests import asked, called


def named(prompt: str) -> list[str]:
    return [name for _, name in asked(prompt)]


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
    assert named(prompt)[:1] == [name]


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
    assert named(prompt) == []


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
    match = max((match for match, _ in asked(prompt)), key=lambda match: len(match[0]))
    assert (match[0].strip(), called(match)) == (words, name)
