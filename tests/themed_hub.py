"""An invented hub with a model a theme, whose prompts have the theme's words."""

from __future__ import annotations

import numpy as np
from stand_ins import invented

from diffagent.data.catalog.cards import Entry

THEMES = {
    "Ink": "ink brush monochrome paper stroke",
    "Pixel": "pixel sprite retro arcade dither",
    "Oil": "oil canvas impasto baroque varnish",
    "Robot": "robot chrome gears circuit android",
    "Forest": "forest moss fern canopy trail",
    "Harbour": "harbour boats gulls pier lighthouse",
    "Food": "ramen broth noodles bowl chopsticks",
    "Space": "nebula galaxy astronaut orbit comet",
    "Clay": "clay plasticine stopmotion thumbprint puppet",
    "Glass": "glass stained mosaic cathedral lead",
}
THINGS = ["fox", "castle", "hare", "door", "lamp", "river", "tower", "bird", "horse", "kettle"]


def hub(prompts: int = 6) -> list[Entry]:
    """A model a theme; each prompt holds three of the theme's words and a thing."""
    rng = np.random.default_rng(0)

    def prompt(words: list[str], i: int) -> str:
        places = rng.choice(len(words), 3, replace=False)
        return f"a {THINGS[i]}, " + ", ".join(words[w] for w in places)

    return [
        invented(n, name, [prompt(words.split(), i) for i in range(prompts)], tags=(words.split()[0],))
        for n, (name, words) in enumerate(THEMES.items(), 1)
    ]
