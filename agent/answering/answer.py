"""The answer: the language model's question, the few tokens that it writes, and the call made from them.

The model reads the candidates, one line each, and the user's prompt; it writes the line of one up to its
bracket, followed by the parameters of the paper's call (section 3.1) as a JSON list:

    B AIO Pixel Art = [512,512,"Euler a",20,7]

A line has a letter, name, type (``+`` for a LoRA, ``=`` for a checkpoint) and, unless SD 1.5, base model. The
letter is one token, so that a choice is one row of log-probabilities on any engine; the rest up to the
bracket is a plain copy, which a small model makes reliably, since each token follows the same tokens in the
question. Keys and words in place of signs would double the tokens, and every token costs time. Identity
fields (AIR, base checkpoint, description) are never generated: :func:`expand` fills them from the catalog.
"""

from __future__ import annotations

import json
import re
import string
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from diffagent.agent.answering.settings import clip_skip, guidance, lora_weight
from diffagent.agent.answering.triggers import missing
from diffagent.agent.asking.prompt_line import wanted
from diffagent.agent.asking.wishes import Wishes
from diffagent.agent.choosing.fusion import matches
from diffagent.agent.choosing.short_names import short_name
from diffagent.agent.engines import Prompt
from diffagent.agent.engines.grammar import Grammar, Slot
from diffagent.agent.setting import Setting
from diffagent.data.base_models import USUAL
from diffagent.data.errors import BadAnswer
from diffagent.data.prompts import strip_lora_tags
from diffagent.data.records import Card, Lora, T2ICall
from diffagent.data.samplers import split

if TYPE_CHECKING:
    from diffagent.agent.choosing.prefilter import Candidate

LABELS = string.ascii_uppercase + string.ascii_lowercase
"""One letter per candidate, so at most 52 candidates."""
SYSTEM = (
    "You pick the text-to-image model that fits the user's prompt best. Each line is a letter, a model's "
    "name, + for a LoRA or = for a checkpoint, and its match from 0 to 9. Answer with a line up to its "
    "bracket and a JSON list: width, height, sampler, steps, CFG scale."
)
PARAMETERS = ("width", "height", "sampling_method", "sampling_steps", "cfg_scale")
"""The fields of an answer's list, in order."""
MARKS = {"LoRA": "+", "Checkpoint": "="}
"""A model's type → its sign in a line."""
_TYPES = {mark: kind for kind, mark in MARKS.items()}
_ANSWER = re.compile(r"(\S) (.*) ([+=])(?: ([^+=\[\]]+))? (\[\d.*\])", re.DOTALL)


def question(candidates: Sequence[Candidate], prompt: str) -> Prompt:
    """Returns the chat turn: one line per candidate (letter, identity, match), then the user's prompt."""
    scores = [candidate.score for candidate in candidates]
    lines = [
        f"{label} {describe(candidate.card, points)}"
        for label, candidate, points in zip(LABELS, candidates, matches(scores), strict=False)
    ]
    return Prompt(SYSTEM, "\n".join([*lines, wanted(prompt)]))


def describe(card: Card, match: int) -> str:
    """Returns a candidate in about seven tokens: its identity and its match.

    On a CPU without bf16 arithmetic a token costs 2 ms, so sixteen candidates get no more.
    """
    return f"{identity(card)} [{match}"


def identity(card: Card) -> str:
    """Returns short name, type and base model, the part of a line or an answer before the bracket."""
    base = "" if card.base_model == USUAL.name else f" {card.base_model}"
    return f"{short_name(card.name)} {MARKS[card.type]}{base}"


def grammar(label: str, card: Card, settings: Mapping[str, Setting], llm_weight: float) -> Grammar:
    """Returns the grammar of a chosen candidate's answers, with the prior of each setting."""
    return with_parameters(f"{label} {identity(card)} [", settings, llm_weight)


def with_parameters(opening: str, settings: Mapping[str, Setting], llm_weight: float) -> Grammar:
    """Returns the grammar of a model's name followed by its parameters to the end of the list."""
    size, sampler, steps, cfg = (settings[name] for name in ("size", "sampler", "steps", "cfg_scale"))
    return Grammar(
        (
            opening,
            Slot("size", tuple(f"{width},{height}" for width, height in size.values), size.log_priors),
            ',"',
            Slot("sampler", sampler.values, sampler.log_priors),
            '",',
            Slot("steps", tuple(map(str, steps.values)), steps.log_priors),
            ",",
            Slot("cfg", tuple(f"{value:g}" for value in cfg.values), cfg.log_priors),
            "]",
        ),
        llm_weight,
    )


def read(answer: str) -> tuple[str, dict[str, Any]]:
    """Reads the letter and the fields of an answer.

    Raises:
        BadAnswer: the text is not a line's beginning and a list of five (a truncated or free answer).
    """
    parts = _ANSWER.fullmatch(answer.strip())
    label, name, mark, base, body = parts.groups() if parts else ("", "", "", "", "[]")
    try:
        values = json.loads(body)
    except json.JSONDecodeError as error:
        raise BadAnswer(
            f"the language model answered {answer[:60]!r}, which is not a call ({error})"
        ) from None
    if not label or label not in LABELS or len(values) != len(PARAMETERS):
        raise BadAnswer(
            f"the language model answered {answer[:60]!r}, which is not a letter, name, type and list of five"
        )
    fields = {"model": name, "type": _TYPES[mark], "base_model": base or USUAL.name}
    return label, fields | dict(zip(PARAMETERS, values, strict=True))


def resolve(label: str, fields: Mapping[str, Any], cards: Sequence[Card]) -> dict[str, Any]:
    """Returns an answer's fields with the catalog's name of its letter's candidate.

    Raises:
        BadAnswer: no candidate has that letter, or its line has another name.
    """
    place = LABELS.index(label)
    if place >= len(cards):
        raise BadAnswer(f"the language model answered {label}, but only {len(cards)} candidates are listed")
    listed = short_name(cards[place].name)
    if fields["model"] != listed:
        raise BadAnswer(f"the language model answered {label} as {fields['model']!r}, but that is {listed!r}")
    return {**fields, "model": cards[place].name}


def expand(
    fields: Mapping[str, Any],
    card: Card,
    wishes: Wishes,
    *,
    carrier: Card | None = None,
    words: Sequence[str] | None = None,
    others: Sequence[tuple[Card, Sequence[str]]] = (),
    quality: Sequence[str] = (),
) -> T2ICall:
    """Returns the full call of an answer's parameters, the catalog's card and, for a LoRA, its checkpoint
    ``carrier``; a pure function.

    ``words`` are the trigger words to add to the prompt; None: those that the card needs. ``others`` are
    further LoRAs, each with its trigger words. ``quality`` are words of the base model's dialect to add to
    the prompt. Where guidance is distilled, a requested scale is its scale.
    """
    words = card.needed_words if words is None else words
    loras = [(card, words), *others] if card.type == "LoRA" else []
    sampler = split(fields["sampling_method"])
    distilled = guidance(card, carrier)
    return T2ICall(
        model=card.name,
        type=card.type,
        base_model=card.base_model,
        width=fields["width"],
        height=fields["height"],
        sampling_method=sampler.method,
        scheduler=sampler.scheduler,
        sampling_steps=fields["sampling_steps"],
        cfg_scale=fields["cfg_scale"] if distilled is None else 1.0,
        guidance=distilled if distilled is None else wishes.cfg_scale or distilled,
        model_description=card.description,
        prompt=ready(wishes.prompt, [*quality, *words, *(word for _, more in others for word in more)]),
        negative_prompt=strip_lora_tags(wishes.negative_prompt),
        clip_skip=wishes.clip_skip or clip_skip(card, carrier),
        seed=wishes.seed,
        air=card.air,
        base_checkpoint=carrier.air if carrier and card.type == "LoRA" else None,
        loras=tuple(_lora(lora, triggers) for lora, triggers in loras),
    )


def _lora(card: Card, words: Sequence[str]) -> Lora:
    """Returns the card's LoRA with its most frequent weight."""
    return Lora(model=card.name, air=card.air, weight=lora_weight(card), trigger_words=tuple(words))


def ready(prompt: str, trigger_words: Sequence[str]) -> str:
    """Returns the user's words, preceded by the trigger words that they lack."""
    words = strip_lora_tags(prompt)
    return ", ".join([*missing(words, trigger_words), words])
