"""The choice: candidates as the language model sees them, a line each that says what a model is for.

    A Realistic Vision = general, photo: portraits, people
    B Pikachu + character, anime: pikachu, pokemon

The turn stands behind the reading of the request in one chat, so what an engine has read is kept. The answer
is a letter. Nothing of the ranker's word is shown: the two are independent evidence.
"""

from __future__ import annotations

from collections.abc import Sequence

from diffagent.agent.answering.answer import LABELS, identity
from diffagent.agent.asking.reading import question as reading_question
from diffagent.agent.engines import Prompt
from diffagent.data.records import Card

SHOWN = 6
"""How many candidates the language model sees."""
SUBJECT_CHARACTERS = 36
"""Characters of a candidate's subjects, whole ones: about eight tokens."""


def question(cards: Sequence[Card], prompt: str, reading: str) -> Prompt:
    """The turn behind a reading that asks for one of the cards, in the order of :data:`LABELS`."""
    asked = reading_question(prompt)
    lines = [f"{label} {purpose(card)}" for label, card in zip(LABELS, cards, strict=False)]
    return Prompt(asked.system, "\n".join(lines), ((asked.user, reading),))


def purpose(card: Card) -> str:
    """What a card is and what it is for, in about eighteen tokens; its identity where nobody read it."""
    if card.attributes is None:
        return identity(card)
    subjects = ""
    for subject in card.attributes.subjects:
        longer = f"{subjects}, {subject}" if subjects else subject
        if len(longer) > SUBJECT_CHARACTERS and subjects:
            break
        subjects = longer
    media = "/".join(card.attributes.media[:2])
    return f"{identity(card)} {card.attributes.role}, {media}: {subjects[: 2 * SUBJECT_CHARACTERS]}"
