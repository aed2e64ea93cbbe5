"""The memory form of an answer (paper, section 3.2): the language model names a model from the prompt alone.

    ["AIO Pixel Art","Checkpoint","SD 1.5",512,512,"Euler a",20,7]

The name comes first, because the rest depends on it. A language model that was not trained on a catalog has
nothing to recall, so this form measures what training put into the weights; the agent itself answers among
candidates (:mod:`diffagent.agent.answering.answer`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from diffagent.agent.answering.answer import PARAMETERS, with_parameters
from diffagent.agent.asking.prompt_line import wanted
from diffagent.agent.engines import Engine, Prompt
from diffagent.agent.engines.grammar import Grammar, Slot
from diffagent.agent.setting import Setting
from diffagent.data.errors import BadAnswer
from diffagent.data.records import Card

MEMORY_SYSTEM = "Name a text-to-image model and its settings as a JSON list."
ORDER = ("model", "type", "base_model", *PARAMETERS)
"""The list's fields, in order: identity, then parameters."""


def question(prompt: str) -> Prompt:
    """Returns the chat turn: the user's prompt only."""
    return Prompt(MEMORY_SYSTEM, wanted(prompt))


def names(cards: Sequence[Card]) -> Grammar:
    """Returns the grammar of a catalog's identities, equally likely, the beginnings of answers."""
    options = tuple(dict.fromkeys(_identity(card) for card in cards))
    return Grammar((Slot("identity", options, (0.0,) * len(options)),))


def grammar(card: Card, settings: Mapping[str, Setting], llm_weight: float) -> Grammar:
    """Returns the grammar of answers for a named model, with the prior of each setting."""
    return with_parameters(_identity(card) + ",", settings, llm_weight)


def recall(engine: Engine, prompt: str, every: Grammar, cards: Mapping[str, Card]) -> Card:
    """Returns the model that an engine names from memory, among the identities of :func:`names` (``every``).

    ``cards``: by identity, from :func:`by_identity`.
    """
    return cards[engine.write(question(prompt), every)]


def by_identity(cards: Sequence[Card]) -> dict[str, Card]:
    """Returns identity (the beginning of an answer) → card."""
    return {_identity(card): card for card in cards}


def read(answer: str) -> dict[str, Any]:
    """Reads the fields of an answer.

    Raises:
        BadAnswer: the text is not a list of eight (a truncated or free answer).
    """
    try:
        values = json.loads(answer)
    except json.JSONDecodeError as error:
        raise BadAnswer(
            f"the language model answered {answer[:60]!r}, which is not a call ({error})"
        ) from None
    if not isinstance(values, list) or len(values) != len(ORDER):
        raise BadAnswer(f"the language model answered {answer[:60]!r}, which is not a list of eight")
    return dict(zip(ORDER, values, strict=True))


def _identity(card: Card) -> str:
    listed = json.dumps([card.name, card.type, card.base_model], ensure_ascii=False, separators=(",", ":"))
    return listed.removesuffix("]")
