"""What a writer that follows instructions is asked: the facts of a model cut to a budget, and the rules.

Name: Kestra (Moonharbor)
Type: LoRA for SD 1.5
Tags: anime, character, moonharbor
…
"""

from __future__ import annotations

from diffagent.data.prompts import plain
from diffagent.data.sources import Source

ABOUT, PROMPTS, PROMPT = 900, 4, 240
"""Characters of the uploader's text; sample prompts; characters of each."""

_INSTRUCTIONS = """Write the description of a text-to-image model for a catalog, from the facts below alone.
- One or two sentences of plain English on one line, 12 to 45 words: what the model draws, in which style.
- Only what the facts say; no name, place or trigger word that they do not have. Do not quote trigger words.
- Your own words: copy no sentence. No settings, links, prices, thanks or requests; nothing about yourself.
- Sample prompts show what people make with it: say what they have in common, not one picture's details.
- Suitable for all ages. Answer with the description only."""

_AGAIN = {
    "too short": "it was too short",
    "too long": "it was too long, or more than one line",
    "boilerplate": "it spoke about itself or the task",
    "address": "it had a link, a price or a request for support",
    "not English": "it was not in English",
    "not SFW": "it was not suitable for all ages",
    "invented": "it had a name or a trigger word that the facts do not have",
    "copied": "it copied a passage of the facts word for word",
}


def question(source: Source, attempt: int, fault: str) -> str:
    """The whole question for a model that follows instructions; says why the last answer was refused."""
    lines = [_INSTRUCTIONS, "", *facts(source)]
    if source.about:
        lines.append(f"Uploader's text: {cut(source.about, ABOUT)}")
    lines += [f"Sample prompt: {cut(plain(prompt), PROMPT)}" for prompt in source.prompts[:PROMPTS]]
    if attempt and fault in _AGAIN:
        lines += ["", f"Your last answer was refused because {_AGAIN[fault]}. Write another one."]
    return "\n".join(lines)


def facts(source: Source, budget: int = 300) -> list[str]:
    """Name, type, tags and trigger words, a line each, of at most ``budget`` characters."""
    card = source.card
    lines = [f"Name: {card.name}", f"Type: {card.type} for {card.base_model}"]
    if card.tags:
        lines.append(f"Tags: {', '.join(card.tags)}")
    if card.all_words:
        lines.append(f"Trigger words: {'; '.join(card.all_words)}")
    return [cut(line, budget) for line in lines]


def cut(text: str, size: int) -> str:
    """The beginning of a text on one line, at most ``size`` characters, whole words where they are short."""
    text = " ".join(text.split())
    if len(text) <= size:
        return text
    return text[:size].rsplit(" ", 1)[0] + " …"
