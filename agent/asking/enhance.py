"""Prompt enrichment: a caption becomes a well-structured prompt, by in-context learning (paper, section 4.1).

    "a dog on a beach"  →  "a dog on a beach, photograph, golden hour, wide shot, highly detailed"

The language model sees a few invented examples and chooses, behind the user's own words, a medium, a light,
a view and a finish out of known ones. So no word of the user's is lost and none is made up, with a small
model as with a large one; where the model fails the prompt stays as it is.
"""

from __future__ import annotations

import math

from diffagent.agent.engines import Engine, Prompt
from diffagent.agent.engines.grammar import Grammar, Slot
from diffagent.data.errors import EngineError
from diffagent.data.prompts import bare_words, plain

LONGEST = 240
"""Characters from which on a prompt is taken to be structured already."""
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
"""What may stand behind the user's words, in order."""
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
"""Our own, of the kinds that people type."""
SYSTEM = "You enrich captions into image prompts: the caption, then medium, light, view and finish."


def question(prompt: str) -> Prompt:
    """The chat turn: the examples, then the caption."""
    examples = [f"{caption} -> {', '.join((caption, *rest))}" for caption, *rest in EXAMPLES]
    return Prompt(SYSTEM, "\n".join([*examples, f"{_flat(prompt)} ->"]))


def grammar(prompt: str) -> Grammar:
    """The user's words, and a choice for each part that they do not name themselves."""
    prompt_words = f" {bare_words(prompt)} "
    parts: list[str | Slot] = [_flat(prompt)]
    for name, options in CHOICES.items():
        if not any(f" {bare_words(option)} " in prompt_words for option in options):
            parts += [", ", Slot(name, options, (-math.log(len(options)),) * len(options))]
    return Grammar(tuple(parts))


def enhance(prompt: str, engine: Engine) -> str:
    """The enriched prompt; the prompt itself where it is long already or the model gives no usable answer."""
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
