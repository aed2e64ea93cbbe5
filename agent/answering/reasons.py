"""Reasons: short sentences that explain a call.

In: a request's reading, the candidates' cards (best first), the checkpoint that carries a LoRA. Out:
sentences with facts of their attributes only.

    No medium was named: photo suits the subject.
    Deliberate is made for photo, digital painting; any subject; among the best known.
    No LoRA was added: none is needed for what the request names.
    The runner-up is Lyriel: digital painting; any subject; among the best known.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from diffagent.agent.asking.reading import Reading
from diffagent.agent.asking.words import words
from diffagent.data.attributes import Breadth
from diffagent.data.prompts import bare_words
from diffagent.data.records import Card

Basis = Literal["read", "matched", "named", "images"]
"""The basis of a choice: the models' attributes, their sample prompts, a name given as an option, images."""

_BREADTH: dict[Breadth, str] = {
    "broad": "any subject",
    "genre": "one kind of picture",
    "narrow": "a subject or look of its own",
}
_RENOWN = {2: "well known", 3: "among the best known"}


def reasons(
    reading: Reading,
    cards: Sequence[Card],
    carrier: Card | None,
    *,
    basis: Basis = "read",
    added: Sequence[str] = (),
) -> tuple[str, ...]:
    """Returns sentences on the reading, the first card and its checkpoint, added words, and the runner-up.

    Args:
        reading: the request's reading.
        cards: the candidates, best first; at least one.
        carrier: the checkpoint of the first card, where it is a LoRA.
        basis: the basis of the choice.
        added: the words that were added to the prompt.
    """
    return tuple(_sentences(reading, cards, carrier, basis, added))


def about(card: Card) -> tuple[str, ...]:
    """Returns a model's purpose in short phrases; nothing without attributes."""
    purpose = card.attributes
    if purpose is None:
        return ()
    drawn = purpose.role if card.type == "LoRA" else ""
    subjects = ", ".join(purpose.subjects[:3]) if drawn or purpose.role != "general" else ""
    media = ", ".join(medium for medium in purpose.media if medium != "any")
    breadth = _BREADTH[purpose.breadth] if card.type == "Checkpoint" else ""
    people = "" if purpose.people in ("any", "none") else f"draws {purpose.people}"
    facts = (": ".join(filter(None, (drawn, subjects))), media, breadth, people)
    return tuple(filter(None, (*facts, _RENOWN.get(purpose.renown))))


def _sentences(
    reading: Reading, cards: Sequence[Card], carrier: Card | None, basis: Basis, added: Sequence[str]
) -> Iterator[str]:
    card = cards[0]
    if basis == "named":
        yield f"{card.name} was asked for by name."
    elif basis == "images":
        yield f"The example images look most like those of {card.name}."
    elif basis == "matched":
        yield f"The sample prompts of {card.name} are nearest to the request."
    else:
        yield _read(reading)
        if card.type == "LoRA":
            yield _lora(card, reading)
    if about(card) and (card.type == "Checkpoint" or basis != "read"):
        yield f"{card.name} is made for {'; '.join(about(card))}."
    if carrier is not None:
        yield _carrier(card, carrier)
    elif basis == "read" and reading.home is not None and reading.is_grounded:
        yield "No LoRA was added: this checkpoint knows the character that the request names."
    elif basis == "read":
        yield "No LoRA was added: none is needed for what the request names."
    if added:
        yield f"Added to the prompt: {', '.join(added)}."
    if len(cards) > 1:
        yield f"The runner-up is {cards[1].name}{_facts(cards[1])}."


def _read(reading: Reading) -> str:
    people = ", and a woman or girl is named" if reading.young_women else ""
    if reading.medium in reading.named_media:
        return f"The request names its medium, {reading.medium}{people}."
    if reading.named_media:
        return f"The request's medium was read as {reading.medium}{people}."
    return f"No medium was named: {reading.medium} suits the subject{people}."


def _lora(card: Card, reading: Reading) -> str:
    """Returns a sentence on the request's words that a LoRA draws."""
    purpose, request_words = card.attributes, set(reading.words)
    assert purpose is not None
    phrases = [text for text in (*purpose.subjects, *purpose.needed) if set(words(text)) & request_words]
    phrase = max(phrases, key=lambda text: len(set(words(text)) & request_words), default="")
    shared = " ".join(word for word in words(phrase) if word in request_words)
    return f"The request names {shared or reading.medium}: the LoRA {card.name} draws it{_facts(card)}."


def _carrier(card: Card, carrier: Card) -> str:
    author_choice = card.attributes.carrier if card.attributes else None
    if author_choice and bare_words(author_choice) in bare_words(carrier.name):
        return f"It runs on {carrier.name}, which its author names."
    return f"It runs on {carrier.name}{_facts(carrier)}."


def _facts(card: Card) -> str:
    facts = "; ".join(about(card))
    return f" ({facts})" if facts else ""
