"""The prompt's line: the line of a question to the language model that has the user's prompt.

"A (tiger:1.2), ink" -> "Prompt: a tiger, ink"
"""

from __future__ import annotations

from diffagent.data.prompts import plain, strip_lora_tags

READ_CHARACTERS = 320
"""Characters of a prompt that the language model reads; the prefilter and the call use all."""


def wanted(prompt: str) -> str:
    """Returns the question's line with the user's prompt: bare words, the first 320 characters.

    A first word of one letter ("A tiger") is lower-cased: after answering ``A`` a model might otherwise
    continue with the prompt instead of the candidate's line.
    """
    words = plain(strip_lora_tags(prompt)).split()
    if words and len(words[0]) == 1:
        words[0] = words[0].lower()
    return "Prompt: " + _clip(" ".join(words), READ_CHARACTERS)


def _clip(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"
