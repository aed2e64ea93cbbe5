"""The question to a writer that follows instructions: the rules, and a model's facts cut to a budget.

Name: Kestra (Moonharbor)
Type: LoRA for SD 1.5
Tags: anime, character, moonharbor
…
"""

from __future__ import annotations

from diffagent.data.attributes import MEDIA, ROLES
from diffagent.data.descriptions.sources import Source
from diffagent.data.prompts import plain

ABOUT, PROMPTS, PROMPT = 900, 4, 240
"""Characters of the uploader's text; sample prompts; characters of each."""

_INSTRUCTIONS = f"""Say what a text-to-image model is for, for a catalog from which models are chosen by
request. You know Stable Diffusion and the models that people share. Judge by what comes out of the model,
from the facts below (name, tags, trigger words, uploader's text, sample prompts), not by a word of its
name. Answer with one JSON object alone: {{"role", "media", "subjects", "breadth", "people", "needed",
"variants", "carrier", "caution", "renown", "description"}}.
- role: one of {", ".join(ROLES)}. general: a checkpoint for most requests of its media; style: a look;
  concept: an idea, action or creature; object: a thing, vehicle, food, animal or plant; place: buildings,
  rooms, landscapes; effect: light, film, particles; tool: nothing that a request asks for (VAE, sliders,
  fixers).
- media: 1 to 3, the most typical first, of: {", ".join(MEDIA)}.
- subjects: 1 to 6 short lower-case phrases as people type them, the most particular first: of a character
  the name, then the series; of a style its name, then what it draws.
- breadth: broad (any subject in its media), genre (one kind of picture), narrow (one thing or a special
  look).
- people: any, young women, women, men, children or none: whom it draws.
- needed: trigger words that are always needed, as listed; mostly one or two; [] where there are none.
- variants: [{{"words", "draws"}}] of trigger words for different things, at most 6, as listed.
- carrier: for a LoRA the checkpoint that its author names or shows it on; else null.
- caution: [] or of: real person, photo likeness, sexualised, minor, unfinished, needs other model, low
  quality.
- renown: 3 among the first choices for what it is for, 2 known and good, 1 ordinary, 0 obscure or
  unfinished.
- description: one or two sentences of plain English on one line, 12 to 40 words: what it is for, and what
  not. Your own words: copy no sentence, no trigger words, no links, prices, thanks; no name or number that
  the facts do not have; suitable for all ages."""

_AGAIN = {
    "too short": "it was too short",
    "too long": "it was too long, or more than one line",
    "boilerplate": "it spoke about itself or the task",
    "address": "it had a link, a price or a request for support",
    "not English": "it was not in English",
    "not SFW": "it was not suitable for all ages",
    "invented": "it had a name or a trigger word that the facts do not have",
    "copied": "it copied a passage of the facts word for word",
    "not attributes": "it was not one JSON object with all keys and values of the lists",
}


def question(source: Source, attempt: int, fault: str) -> str:
    """Returns the whole question, with the reason why the last answer was refused."""
    lines = [_INSTRUCTIONS, "", *facts(source)]
    if source.about:
        lines.append(f"Uploader's text: {cut(source.about, ABOUT)}")
    lines += [f"Sample prompt: {cut(plain(prompt), PROMPT)}" for prompt in source.prompts[:PROMPTS]]
    if attempt and fault in _AGAIN:
        lines += ["", f"Your last answer was refused because {_AGAIN[fault]}. Write another one."]
    return "\n".join(lines)


def facts(source: Source, budget: int = 300) -> list[str]:
    """Returns name, type, tags and trigger words, one line each of at most ``budget`` characters."""
    card = source.card
    lines = [f"Name: {card.name}", f"Type: {card.type} for {card.base_model}"]
    if card.tags:
        lines.append(f"Tags: {', '.join(card.tags)}")
    if card.all_words:
        lines.append(f"Trigger words: {'; '.join(card.all_words)}")
    return [cut(line, budget) for line in lines]


def cut(text: str, size: int) -> str:
    """Cuts a text to one line of about ``size`` characters, between words where possible."""
    text = " ".join(text.split())
    if len(text) <= size:
        return text
    return text[:size].rsplit(" ", 1)[0] + " …"
