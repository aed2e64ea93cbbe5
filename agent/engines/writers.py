"""The local writer of descriptions: a language model fills in the form at the end of a prompt.

    Name: Kestra (Moonharbor)
    Tags: anime, moonharbor
    An SD 1.5 LoRA of {Kestra from Moonharbor|Kestra}, an anime character.

The last line is the form (:mod:`diffagent.data.descriptions.forms`); a blank offers texts separated by bars.
The model decodes inside the form, so it can write nothing else, and forced text costs no forward pass.
"""

from __future__ import annotations

import re

from diffagent.agent.engines import Engine, Prompt
from diffagent.agent.engines.grammar import Grammar, Slot
from diffagent.agent.engines.loading import load_engine
from diffagent.data.base_models import USUAL
from diffagent.data.errors import EngineError

SYSTEM = f"""You describe image models in one sentence, from facts alone.

Name: Kestra (Moonharbor)
Tags: anime, character, moonharbor
Words: kestra, silver braid, blue cloak
An {USUAL.name} LoRA of Kestra from Moonharbor, an anime character, with silver braid and blue cloak.

Name: Charcoal Dreams
Tags: style, sketch, dark
About: Trained on 80 drawings of old houses.
An {USUAL.name} LoRA for images in the Charcoal Dreams style: dark and sketch; sample images show fog."""

RANK_PRIOR = -0.25
"""Difference of the log-priors of a blank's consecutive options: forms list the likelier first."""

_BLANK = re.compile(r"\{([^{}]*)\}")


class LocalWriter:
    """A writer that fills in forms with the model ``llm``, loaded on first use."""

    def __init__(self, llm: str | None = None, engine: Engine | None = None) -> None:
        self._llm = llm
        self._engine = engine

    def __call__(self, prompts: list[str]) -> list[str]:
        """Returns each prompt's form with its blanks filled in; empty where the model cannot spell it."""
        if self._engine is None:
            self._engine = load_engine(llm=self._llm)
        return [fill(self._engine, prompt) for prompt in prompts]


def grammar_of(form: str) -> Grammar:
    """Returns the grammar of a form; blanks become slots."""
    parts: list[str | Slot] = []
    for index, text in enumerate(_BLANK.split(form)):
        if index % 2:
            options = tuple(text.split("|"))
            parts.append(Slot(f"blank{index}", options, tuple(RANK_PRIOR * i for i in range(len(options)))))
        elif text:
            parts.append(text)
    return Grammar(tuple(parts))


def fill(engine: Engine, prompt: str) -> str:
    """Returns the prompt's last line with its blanks, if any, filled in by ``engine``."""
    facts, _, form = prompt.rpartition("\n")
    if not _BLANK.search(form):
        return form  # nothing to decide
    try:
        return engine.write(Prompt(SYSTEM, facts), grammar_of(form))
    except (EngineError, ValueError):
        return ""
