"""Describing: a long message as a prompt, by an engine that can write one.

    description("Hi! My nan turns 90 and kept bees. Could you paint her garden with blue hives? …", engine)
      -> "a painting of a garden with blue hives"

The tagger (:mod:`diffagent.agent.asking.pieces`) only leaves words out. Which of several second thoughts
stands, and what of a story is to be seen, takes a model that understands it: a chat server's, where one is at
hand.
"""

from __future__ import annotations

import re

from diffagent.agent.asking.language import language, reply
from diffagent.agent.engines import Engine

SYSTEM = (
    "Somebody writes to a bot that makes pictures. Write the prompt for the image generator: what is to be "
    "seen, with its medium, style, light and mood, in the message's own words as far as they go, on one "
    "line. Leave out greetings, reasons, stories that are not to be seen, ideas that are taken back, "
    "everything that must not be in the picture, and sizes, shapes, counts and settings. Answer with the "
    "prompt alone."
)
SHARED = 0.5
"""The least share of its longer words that an answer takes from the message; a refusal takes few."""
_WORD = re.compile(r"[^\W\d_]{4,}")


def description(message: str, engine: Engine) -> str | None:
    """Returns a message's description of the picture; None where the engine cannot write or what it wrote is
    not usable: empty, longer than the message, in another language, or in other words."""
    prompt = reply(SYSTEM, message, engine)
    if not prompt or len(prompt) > len(message) or language(prompt) is not None:
        return None
    words = [word.casefold() for word in _WORD.findall(prompt)]
    own = {word.casefold() for word in _WORD.findall(message)}
    return prompt if words and sum(word in own for word in words) >= SHARED * len(words) else None
