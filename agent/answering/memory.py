"""The memory form of an answer (paper, section 3.2): the prompt alone is read, the model names the model.

    ["AIO Pixel Art","Checkpoint","SD 1.5",512,512,"Euler a",20,7]

The name comes first, because everything behind it follows from it. A model that was not trained on a
catalog has nothing to remember, so this form measures what training put into the weights; the agent itself
answers among candidates (:mod:`diffagent.agent.answering.answer`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from diffagent.agent.answering.answer import PARAMETERS, wanted, with_parameters
from diffagent.agent.answering.settings import Setting
from diffagent.agent.engines import Engine, Prompt
from diffagent.agent.engines.grammar import Grammar, Slot
from diffagent.data.errors import BadAnswer
from diffagent.data.records import Card

MEMORY_SYSTEM = "Name a text-to-image model and its settings as a JSON list."
ORDER = ("model", "type", "base_model", *PARAMETERS)
"""What the list holds, in order: identity, then parameters."""


def question(prompt: str) -> Prompt:
    """The chat turn: the user's prompt and nothing else."""
    return Prompt(MEMORY_SYSTEM, wanted(prompt))


def names(cards: Sequence[Card]) -> Grammar:
    """The beginnings of answers that are legal over a catalog: every model's identity, equally likely."""
    options = tuple(dict.fromkeys(_identity(card) for card in cards))
    return Grammar((Slot("identity", options, (0.0,) * len(options)),))


def grammar(card: Card, settings: Mapping[str, Setting], llm_weight: float) -> Grammar:
    """The answers that are legal once the model is named, with the prior of each setting."""
    return with_parameters(_identity(card) + ",", settings, llm_weight)


def recall(engine: Engine, prompt: str, every: Grammar, cards: Mapping[str, Card]) -> Card:
    """The model that an engine names from memory, out of the identities of :func:`names` (``every``).

    ``cards``: by identity, as :func:`by_identity` gives them.
    """
    return cards[engine.write(question(prompt), every)]


def by_identity(cards: Sequence[Card]) -> dict[str, Card]:
    """Identity (the beginning of an answer) → card."""
    return {_identity(card): card for card in cards}


def read(answer: str) -> dict[str, Any]:
    """The fields of an answer.

    Raises:
        BadAnswer: the text is no list of eight (a cut-off or unconstrained answer).
    """
    try:
        values = json.loads(answer)
    except json.JSONDecodeError as error:
        raise BadAnswer(f"the language model answered {answer[:60]!r}, which is no call ({error})") from None
    if not isinstance(values, list) or len(values) != len(ORDER):
        raise BadAnswer(f"the language model answered {answer[:60]!r}, which is no list of eight")
    return dict(zip(ORDER, values, strict=True))


def _identity(card: Card) -> str:
    listed = json.dumps([card.name, card.type, card.base_model], ensure_ascii=False, separators=(",", ":"))
    return listed.removesuffix("]")
