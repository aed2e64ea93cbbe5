"""Responses: what a fine-tuned model answers a query, made into n different calls that can be executed.

    one multinomial sample + diverse beams → model part → catalog → whole calls, the default call added

As in the paper only the model part of a response is kept (the letter, or the model's identity in the memory
form), because the format of many different texts cannot be relied on; the call is then completed with the
catalog's facts and the settings that people use the model with. A sampled answer that is whole keeps its own
parameters; where these are out of range it is counted as illegal, and the usual ones stand in. What names no
model is counted as invalid.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from diffagent.agent.agent import Agent
from diffagent.agent.answering import answer, memory
from diffagent.agent.answering.answer import LABELS, expand
from diffagent.agent.answering.settings import FALLBACK, settings
from diffagent.agent.choosing.eligible import ANY
from diffagent.agent.engines.decode import spell
from diffagent.agent.engines.grammar import Grammar
from diffagent.data.base_models import family_of
from diffagent.data.catalog.callability import answer_flaw
from diffagent.data.errors import BadAnswer
from diffagent.data.records import Card, T2ICall, Usage
from diffagent.training.rrhf.beams import diverse_beams, multinomial
from diffagent.training.rrhf.config import RRHFConfig
from diffagent.training.rrhf.policy import Policy
from diffagent.training.rrhf.queries import Query
from diffagent.training.sft.dialogues import own_settings, with_options

Source = Literal["sample", "beam", "default"]
ANSWER_TOKENS = 64
IDENTITY_TOKENS = 40


@dataclass(frozen=True)
class Response:
    """One answer that can be executed: its token ids, as many as are learnt, and the call it stands for. Of a
    whole answer the end token is the last. ``counted``: how many of the first are ranked, where not all."""

    source: Source
    tokens: tuple[int, ...]
    call: T2ICall
    counted: int | None = None


@dataclass(frozen=True)
class Answered:
    """A query's token ids with its different responses. ``invalid`` of ``asked`` texts named no model;
    ``repeated`` named a call that was there already, and ``illegal`` were samples whose own parameters were
    out of range."""

    key: str
    prompt: str
    ids: tuple[int, ...]
    responses: tuple[Response, ...]
    asked: int
    invalid: int
    repeated: int
    illegal: int = 0


def respond(
    query: Query, policy: Policy, agent: Agent, config: RRHFConfig, default: Card, rng: np.random.Generator
) -> Answered:
    """The responses to one query: the sample first, the default call last."""
    texts = list(_texts(query, policy, config, rng))
    found: dict[str, Response] = {}
    invalid = repeated = illegal = 0
    for source, text in texts:
        draws = rng if config.parameters == "drawn" else None
        made, sound = _response(source, text, query, policy, agent, draws)
        illegal += not sound
        if made is None:
            invalid += 1
            continue
        repeated += call_digest(made.call) in found
        found.setdefault(call_digest(made.call), made)
    usual = complete("default", default, _default_settings(default, agent, query), query, policy, agent)
    found.setdefault(call_digest(usual.call), usual)
    ids = tuple(policy.chat.prompt_ids(query.question))
    kept = _counting(found.values(), query, policy, agent, config)
    return Answered(query.key, query.wishes.prompt, ids, kept, len(texts), invalid, repeated, illegal)


def _counting(
    responses: Iterable[Response], query: Query, policy: Policy, agent: Agent, config: RRHFConfig
) -> tuple[Response, ...]:
    """The responses with the tokens that count; where the model part alone counts, one a model."""
    if config.ranked == "whole":
        return tuple(responses)
    by_model = {one.call.air: one for one in responses}
    openings = [_opening(one, query, policy, agent) for one in by_model.values()]
    if config.learnt == "whole":
        counts = map(len, openings)
        return tuple(replace(one, counted=n) for one, n in zip(by_model.values(), counts, strict=True))
    return tuple(replace(one, tokens=ids) for one, ids in zip(by_model.values(), openings, strict=True))


def _opening(one: Response, query: Query, policy: Policy, agent: Agent) -> tuple[int, ...]:
    """The tokens of a whole answer that name the model: all up to the parameters."""
    card = agent.catalog.by_air(one.call.air)
    assert card is not None
    opening = len(str(_grammar(card, query, agent).parts[0]).encode())
    ends = range(1, len(one.tokens) + 1)
    return one.tokens[: next(n for n in ends if len(policy.vocabulary.text(one.tokens[:n])) >= opening)]


def _texts(
    query: Query, policy: Policy, config: RRHFConfig, rng: np.random.Generator
) -> Iterator[tuple[Source, str]]:
    """What the model says: a whole answer, then the model parts of diverse beams."""
    asked = policy.ask(query.question)
    drawn = multinomial(asked.branch(), rng, config.temperature, ANSWER_TOKENS, policy.chat.end_ids)
    yield "sample", policy.chat.decode(drawn)

    def finished(tokens: tuple[int, ...]) -> bool:
        if query.form == "candidates":
            return len(tokens) == 1
        return tokens[-1] in policy.chat.end_ids or _identity(policy.chat.decode(tokens)) is not None

    most = 1 if query.form == "candidates" else IDENTITY_TOKENS
    for beam in diverse_beams(asked.branch(), config.responses, 1, config.diversity, most, finished):
        yield "beam", policy.chat.decode(beam.tokens)


def _response(
    source: Source, text: str, query: Query, policy: Policy, agent: Agent, draws: np.random.Generator | None
) -> tuple[Response | None, bool]:
    """What a text stands for, and whether its own parameters are in range where it is a whole answer."""
    card = _named(text, query, agent)
    if card is None:
        return None, True
    own = _own(text, query, card) if source == "sample" else None
    sound = own is None or answer_flaw(own, agent.catalog) is None
    if own is not None and sound:
        return complete(source, card, own_settings(own), query, policy, agent), True
    drawn = _drawn(_grammar(card, query, agent), draws) if draws is not None else {}
    return complete(source, card, drawn, query, policy, agent), sound


def _drawn(legal: Grammar, rng: np.random.Generator) -> dict[str, str]:
    """Slot → a value, drawn by the priors."""
    found = {}
    for slot in legal.slots:
        chances = np.exp(np.array(slot.log_priors))
        found[slot.name] = slot.options[rng.choice(len(chances), p=chances / chances.sum())]
    return found


def complete(
    source: Source, card: Card, own: Mapping[str, str], query: Query, policy: Policy, agent: Agent
) -> Response:
    """The whole answer that names a model, its parameters ``own`` or else the usual ones, and its call.

    Raises:
        ValueError: a parameter is out of range. EngineError: the vocabulary cannot spell the answer.
    """
    legal = with_options(_grammar(card, query, agent), own)
    text = legal.render(own)
    tokens = (*spell(legal, policy.vocabulary, text), policy.vocabulary.end)
    fields = memory.read(text) if query.form == "memory" else answer.read(text)[1]
    carrier = agent.eligible.base_checkpoint(card, ANY) if card.type == "LoRA" else None
    return Response(source, tokens, expand(fields, card, query.wishes, carrier=carrier))


def call_digest(call: T2ICall) -> str:
    """SHA-256 of a call without its seed: equal calls are one response, and share images."""
    said = call.model_dump(exclude={"seed"})
    return hashlib.sha256(json.dumps(said, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def _grammar(card: Card, query: Query, agent: Agent) -> Grammar:
    usual = agent.usual.get(family_of(card.base_model), Usage())
    legal = settings(card, usual, query.wishes)
    if query.form == "memory":
        return memory.grammar(card, legal, 1.0)
    return answer.grammar(LABELS[query.cards.index(card)], card, legal, 1.0)


def _default_settings(card: Card, agent: Agent, query: Query) -> dict[str, str]:
    """The paper's default parameters (section 4.1) at the model's usual size."""
    size = settings(card, agent.usual.get(family_of(card.base_model), Usage()), query.wishes)["size"].values[
        0
    ]
    sampler, steps, cfg = (next(iter(FALLBACK[name])) for name in ("sampler", "steps", "cfg_scale"))
    fields = {"width": size[0], "height": size[1], "sampling_method": sampler}
    return own_settings(fields | {"sampling_steps": steps, "cfg_scale": cfg})


def _named(text: str, query: Query, agent: Agent) -> Card | None:
    """The model that a response names; None where it names none that can be called."""
    if query.form == "candidates":
        letter = text.strip().partition(" ")[0]
        at = LABELS.find(letter) if len(letter) == 1 else -1
        return query.cards[at] if 0 <= at < len(query.cards) else None
    said = _identity(text)
    card = agent.catalog.by_name(said[0]) if said else None
    known = card is not None and said == (card.name, card.type, card.base_model) and not card.is_pickle
    return card if known else None


def _identity(text: str) -> tuple[str, str, str] | None:
    """Name, type and base model of an answer's beginning, once all three stand there."""
    try:
        values, _ = json.JSONDecoder().raw_decode(text.strip())
    except json.JSONDecodeError:
        try:
            values = json.loads(text.strip().rstrip(",") + "]")
        except json.JSONDecodeError:
            return None
    if not isinstance(values, list) or len(values) < 3 or not all(isinstance(v, str) for v in values[:3]):
        return None
    return values[0], values[1], values[2]


def _own(text: str, query: Query, card: Card) -> Mapping[str, Any] | None:
    """The fields of a whole answer that names ``card`` and nothing else; None of any other text."""
    try:
        fields = (
            memory.read(text) if query.form == "memory" else answer.resolve(*answer.read(text), query.cards)
        )
        same = [fields[name] for name in ("model", "type", "base_model")]
        return fields if same == [card.name, card.type, card.base_model] else None
    except BadAnswer:
        return None


def summary(answered: Sequence[Answered]) -> dict[str, Any]:
    """How many texts were asked for, and what became of them."""
    asked = sum(one.asked for one in answered)
    return {
        "queries": len(answered),
        "texts": asked,
        "invalid": sum(one.invalid for one in answered),
        "repeated": sum(one.repeated for one in answered),
        "illegal": sum(one.illegal for one in answered),
        "responses": sum(len(one.responses) for one in answered),
        "invalid_share": round(sum(one.invalid for one in answered) / asked, 4) if asked else None,
    }
