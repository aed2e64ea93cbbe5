"""The choice: the language model's question about candidates, one line on each model's purpose.

    A Realistic Vision = general, photo: portraits, people
    B Pikachu + character, anime: pikachu, pokemon

The turn follows the reading of the request in one chat, so an engine's cache stays valid. The answer is a
letter. The ranker's scores are not shown: the two are independent evidence.
"""

from __future__ import annotations

from collections.abc import Sequence

from diffagent.agent.answering.answer import LABELS, identity
from diffagent.agent.asking.reading import question as reading_question
from diffagent.agent.engines import Prompt
from diffagent.data.records import Card

SHOWN = 6
"""The number of candidates that the language model sees."""
SUBJECT_CHARACTERS = 36
"""Characters of a candidate's subjects, cut between subjects: about eight tokens."""


def question(cards: Sequence[Card], prompt: str, reading: str) -> Prompt:
    """Returns the turn after a reading that asks for one of the cards, in the order of :data:`LABELS`."""
    turn = reading_question(prompt)
    lines = [f"{label} {purpose(card)}" for label, card in zip(LABELS, cards, strict=False)]
    return Prompt(turn.system, "\n".join(lines), ((turn.user, reading),))


def purpose(card: Card) -> str:
    """Returns a card's identity and purpose, in about eighteen tokens; its identity without attributes."""
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
