"""The systems that answer a request: the agent, and two baselines.

    agent      chooses by the catalog
    constant   the same model for everything
    rule       the first keyword's checkpoint, or a LoRA where two words of its name are in the request

The baselines only choose: prompt, settings and checkpoint of a LoRA are the agent's, so that only the choice
differs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Literal

from diffagent.agent.agent import Agent
from diffagent.agent.decision import Decision
from diffagent.data.errors import BadInput, DiffAgentError, UnknownModel
from diffagent.data.records import Card
from diffagent.training.evaluation.asking import AskedRequest

SystemName = Literal["agent", "constant", "rule"]
KEYWORDS: Mapping[str, str] = {
    "anime|manga|1girl|1boy|chibi|ghibli|waifu": "Counterfeit-V3.0",
    "icon|icons|logo|emblem": "Game Icon Institute_mode",
    "interior|architecture|isometric|building": "dvArch - Multi-Prompt Architecture Tuned Model",
    "3d|pixar|disney|claymation|cartoon": "Disney Pixar Cartoon Type A",
    "fantasy|dragon|wizard|castle|knight|rpg": "A-Zovya RPG Artist Tools",
    "paint|painting|watercolor|watercolour|drawing|illustration|sketch|art|poster|comic|ink": "ReV Animated",
}
"""Keywords → checkpoint; the first row with a keyword in the request decides."""
OTHERWISE = "Realistic Vision V3.0"
_WORD = re.compile(r"[^\W\d_]{3,}")
_COMMON = frozenset(("the", "and", "with", "from", "for", "style", "lora", "model", "art", "concept"))

AT_ONCE = 16
"""The number of requests in a batch."""

Progress = Callable[[Iterable[int], str], Iterable[int]]


def answers(
    agent: Agent,
    requests: Sequence[AskedRequest],
    system: SystemName,
    constant: str,
    progress: Progress,
) -> tuple[dict[str, Decision], dict[str, str]]:
    """Request's id → decision, and request's id → error.

    Raises:
        BadInput: the catalog lacks a model of a baseline.
    """
    choose = _chooser(agent, system, constant)
    decisions, errors = dict[str, Decision](), dict[str, str]()
    for start in progress(range(0, len(requests), AT_ONCE), system):
        group = requests[start : start + AT_ONCE]
        options = [
            {"prompt": request.prompt, "negative_prompt": request.negative, "model": choose(request.prompt)}
            for request in group
        ]
        for request, decision in zip(group, agent.decide_many(options), strict=True):
            if isinstance(decision, DiffAgentError):
                errors[request.id] = decision.line()
            else:
                decisions[request.id] = decision
    return decisions, errors


def rule_of_thumb(
    prompt: str, loras: Sequence[tuple[frozenset[str], str]], keywords: Mapping[str, str]
) -> str:
    """The AIR that the rule chooses.

    It is the one of ``loras`` (words of the name, AIR; most downloaded first) with most words in the prompt,
    at least two, or else the first keyword's checkpoint.
    """
    prompt_words = _words(prompt)
    overlaps = [len(words & prompt_words) for words, _ in loras]
    if max(overlaps, default=0) >= 2:
        return loras[overlaps.index(max(overlaps))][1]
    tokens = set(re.findall(r"\w+", prompt.casefold()))
    return next((air for words, air in keywords.items() if tokens & set(words.split("|"))), keywords[""])


def _chooser(agent: Agent, system: SystemName, constant: str) -> Callable[[str], str | None]:
    if system == "agent":
        return lambda prompt: None
    if system == "constant":
        return partial(_always, _air(agent, constant))
    keywords = {words: _air(agent, name) for words, name in {**KEYWORDS, "": OTHERWISE}.items()}
    cards = sorted(agent.prefilter.cards, key=lambda card: -card.stats.downloads)
    loras = [(_words(card.name), card.air) for card in cards if _may_be_chosen(card)]
    return lambda prompt: rule_of_thumb(prompt, loras, keywords)


def _always(air: str, prompt: str) -> str:
    return air


def _may_be_chosen(card: Card) -> bool:
    is_fit = card.attributes is None or card.attributes.is_choosable
    return card.type == "LoRA" and not card.is_pickle and is_fit


def _words(text: str) -> frozenset[str]:
    return frozenset(_WORD.findall(text.casefold())) - _COMMON


def _air(agent: Agent, name: str) -> str:
    try:
        return agent.catalog.find(name).air
    except UnknownModel as error:
        raise BadInput(f"a baseline answers with {name!r}, which this catalog lacks ({error})") from None
