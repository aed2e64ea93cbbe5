"""Prompt enrichment: a caption becomes a well-structured prompt, by in-context learning (paper, section 4.1).

    "a dog on a beach"  →  "a dog on a beach, photograph, golden hour, wide shot, highly detailed"

The language model sees a few invented examples and adds a medium, a light, a view and a finish out of known
ones to the user's words. No word of the user's is lost and none is made up, with a small model as with a
large one. Where the model fails, the prompt stays as it is.
"""

from __future__ import annotations

import math

from diffagent.agent.engines import Engine, Prompt
from diffagent.agent.engines.grammar import Grammar, Slot
from diffagent.data.errors import EngineError
from diffagent.data.prompts import bare_words, plain

LONGEST = 240
"""The most characters of a prompt to enrich; longer ones are structured already."""
CHOICES = {
    "medium": (
        "photograph", "oil painting", "watercolor", "digital painting", "ink drawing", "anime illustration",
        "3d render", "pixel art", "pencil sketch", "flat vector illustration",
    ),
    "light": (
        "soft light", "golden hour", "dramatic lighting", "studio lighting", "overcast daylight",
        "night, neon lights", "candlelight", "bright sunlight",
    ),
    "view": ("close-up", "portrait", "full body", "wide shot", "from above", "centered composition"),
    "finish": (
        "highly detailed", "sharp focus", "vivid colors", "muted colors", "minimalist", "intricate details",
    ),
}  # fmt: skip
"""The additions to the user's words, in order."""
EXAMPLES = (
    ("a kettle on a stove", "photograph", "soft light", "close-up", "sharp focus"),
    (
        "a dragon guarding its hoard",
        "digital painting",
        "dramatic lighting",
        "wide shot",
        "intricate details",
    ),
    (
        "girl reading under a cherry tree",
        "anime illustration",
        "bright sunlight",
        "full body",
        "vivid colors",
    ),
    ("an old miller, watercolor", "watercolor", "overcast daylight", "portrait", "muted colors"),
    ("map of an imaginary island", "ink drawing", "soft light", "from above", "highly detailed"),
)
"""Invented captions of the kinds that people type, with their additions."""
SYSTEM = "You enrich captions into image prompts: the caption, then medium, light, view and finish."


def question(prompt: str) -> Prompt:
    """Returns the chat turn: the examples, then the caption."""
    examples = [f"{caption} -> {', '.join((caption, *rest))}" for caption, *rest in EXAMPLES]
    return Prompt(SYSTEM, "\n".join([*examples, f"{_flat(prompt)} ->"]))


def grammar(prompt: str) -> Grammar:
    """Returns a grammar of the user's words and a slot for each part that they lack."""
    prompt_words = f" {bare_words(prompt)} "
    parts: list[str | Slot] = [_flat(prompt)]
    for name, options in CHOICES.items():
        if not any(f" {bare_words(option)} " in prompt_words for option in options):
            parts += [", ", Slot(name, options, (-math.log(len(options)),) * len(options))]
    return Grammar(tuple(parts))


def enhance(prompt: str, engine: Engine) -> str:
    """Returns the enriched prompt; the prompt itself where it is long or the answer is not usable."""
    legal = grammar(prompt)
    if len(plain(prompt)) > LONGEST or not legal.slots:
        return prompt
    try:
        answer = engine.write(question(prompt), legal)
        legal.parse(answer)
    except EngineError:
        return prompt
    return answer


def _flat(prompt: str) -> str:
    return " ".join(prompt.split()).rstrip(" ,.")
