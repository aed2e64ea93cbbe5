"""Responses: a fine-tuned model's answers to a query, completed to n different calls that can be executed.

    one multinomial sample + diverse beams → model part → catalog → whole calls, plus the default call

As in the paper only the model part of a response is kept (the letter, or the model's identity in the memory
form), because the format of many different texts is unreliable; the call is then completed with the
catalog's facts and the settings that people use with the model. A sampled answer that is complete keeps its
parameters; where these are out of range it counts as illegal, and the usual ones replace them. A text that
names no model counts as invalid.
"""

from __future__ import annotations

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
from diffagent.training.rewards import call_digest
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
    """An answer that can be executed: its token ids, as many as are learnt, and its call. The end token is
    the last of a whole answer. ``counted``: the number of ranked tokens from the first on, if not all."""

    source: Source
    tokens: tuple[int, ...]
    call: T2ICall
    counted: int | None = None


@dataclass(frozen=True)
class QueryResponses:
    """A query's token ids with its different responses. Of ``asked`` texts, ``invalid`` named no model,
    ``repeated`` led to an earlier call, and ``illegal`` were samples with parameters out of range."""

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
) -> QueryResponses:
    """The responses to one query: the sample first, the default call last."""
    texts = list(_texts(query, policy, config, rng))
    responses: dict[str, Response] = {}
    invalid = repeated = illegal = 0
    for source, text in texts:
        draws = rng if config.parameters == "drawn" else None
        response, sound = _response(source, text, query, policy, agent, draws)
        illegal += not sound
        if response is None:
            invalid += 1
            continue
        repeated += call_digest(response.call) in responses
        responses.setdefault(call_digest(response.call), response)
    if query.form == "choice":  # among its candidates alone
        return _query_responses(query, policy, responses.values(), len(texts), invalid, repeated, illegal)
    usual = complete("default", default, _default_settings(default, agent, query), query, policy, agent)
    responses.setdefault(call_digest(usual.call), usual)
    ranked = _with_ranked_tokens(responses.values(), query, policy, agent, config)
    return _query_responses(query, policy, ranked, len(texts), invalid, repeated, illegal)


def _query_responses(
    query: Query, policy: Policy, ranked: Iterable[Response], asked: int, *counts: int
) -> QueryResponses:
    ids = tuple(policy.chat.prompt_ids(query.question))
    return QueryResponses(query.key, query.wishes.prompt, ids, tuple(ranked), asked, *counts)


def _with_ranked_tokens(
    responses: Iterable[Response], query: Query, policy: Policy, agent: Agent, config: RRHFConfig
) -> tuple[Response, ...]:
    """The responses with their ranked tokens; one per model where the model part alone is ranked."""
    if config.ranked == "whole":
        return tuple(responses)
    by_model = {response.call.air: response for response in responses}
    openings = [_opening(response, query, policy, agent) for response in by_model.values()]
    if config.learnt == "whole":
        counts = map(len, openings)
        return tuple(
            replace(response, counted=n) for response, n in zip(by_model.values(), counts, strict=True)
        )
    return tuple(
        replace(response, tokens=ids) for response, ids in zip(by_model.values(), openings, strict=True)
    )


def _opening(response: Response, query: Query, policy: Policy, agent: Agent) -> tuple[int, ...]:
    """The tokens of a whole answer up to the parameters, which name the model."""
    card = agent.catalog.by_air(response.call.air)
    assert card is not None
    opening = len(str(_grammar(card, query, agent).parts[0]).encode())
    ends = range(1, len(response.tokens) + 1)
    return response.tokens[
        : next(n for n in ends if len(policy.vocabulary.text(response.tokens[:n])) >= opening)
    ]


def _texts(
    query: Query, policy: Policy, config: RRHFConfig, rng: np.random.Generator
) -> Iterator[tuple[Source, str]]:
    """The model's texts: a whole answer, then the model parts of diverse beams."""
    prefill = policy.ask(query.question)
    longest = 1 if query.form == "choice" else ANSWER_TOKENS
    sample = multinomial(prefill.branch(), rng, config.temperature, longest, policy.chat.end_ids)
    yield "sample", policy.chat.decode(sample)

    def finished(tokens: tuple[int, ...]) -> bool:
        if query.form != "memory":
            return len(tokens) == 1
        return tokens[-1] in policy.chat.end_ids or _identity(policy.chat.decode(tokens)) is not None

    most = IDENTITY_TOKENS if query.form == "memory" else 1
    for beam in diverse_beams(prefill.branch(), config.responses, 1, config.diversity, most, finished):
        yield "beam", policy.chat.decode(beam.tokens)


def _response(
    source: Source, text: str, query: Query, policy: Policy, agent: Agent, draws: np.random.Generator | None
) -> tuple[Response | None, bool]:
    """The response of a text, and whether the parameters of a whole answer are in range."""
    card = _named_card(text, query, agent)
    if card is None:
        return None, True
    fields = _whole_answer(text, query, card) if source == "sample" else None
    sound = fields is None or answer_flaw(fields, agent.catalog) is None
    if fields is not None and sound:
        return complete(source, card, own_settings(fields), query, policy, agent), True
    options = _draw_options(_grammar(card, query, agent), draws) if draws is not None else {}
    return complete(source, card, options, query, policy, agent), sound


def _draw_options(legal: Grammar, rng: np.random.Generator) -> dict[str, str]:
    """Slot → an option, drawn by the priors."""
    options = {}
    for slot in legal.slots:
        chances = np.exp(np.array(slot.log_priors))
        options[slot.name] = slot.options[rng.choice(len(chances), p=chances / chances.sum())]
    return options


def complete(
    source: Source, card: Card, parameters: Mapping[str, str], query: Query, policy: Policy, agent: Agent
) -> Response:
    """The whole answer that names a model, with ``parameters`` or else the usual ones, and its call.

    Raises:
        ValueError: a parameter is out of range. EngineError: the vocabulary cannot spell the answer.
    """
    legal = with_options(_grammar(card, query, agent), parameters)
    text = legal.render(parameters)
    tokens = (*spell(legal, policy.vocabulary, text), policy.vocabulary.end)
    fields = memory.read(text) if query.form == "memory" else answer.read(text)[1]
    if query.form == "choice":  # the letter alone
        letter = LABELS[query.cards.index(card)]
        tokens = tuple(spell(Grammar((letter,)), policy.vocabulary, letter))
    carrier = agent.eligible.base_checkpoint(card, ANY) if card.type == "LoRA" else None
    return Response(source, tokens, expand(fields, card, query.wishes, carrier=carrier))


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


def _named_card(text: str, query: Query, agent: Agent) -> Card | None:
    """The model that a response names; None where no callable model has that name."""
    if query.form != "memory":
        letter = text.strip().partition(" ")[0]
        at = LABELS.find(letter) if len(letter) == 1 else -1
        return query.cards[at] if 0 <= at < len(query.cards) else None
    identity = _identity(text)
    card = agent.catalog.by_name(identity[0]) if identity else None
    is_match = card is not None and identity == (card.name, card.type, card.base_model) and not card.is_pickle
    return card if is_match else None


def _identity(text: str) -> tuple[str, str, str] | None:
    """The name, type and base model at the start of an answer, once it has all three."""
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


def _whole_answer(text: str, query: Query, card: Card) -> Mapping[str, Any] | None:
    """The fields of a whole answer that names ``card``; None for any other text."""
    try:
        fields = (
            memory.read(text) if query.form == "memory" else answer.resolve(*answer.read(text), query.cards)
        )
        same = [fields[name] for name in ("model", "type", "base_model")]
        return fields if same == [card.name, card.type, card.base_model] else None
    except BadAnswer:
        return None


def summary(query_responses: Sequence[QueryResponses]) -> dict[str, Any]:
    """The counts of texts by outcome."""
    texts = sum(group.asked for group in query_responses)
    return {
        "queries": len(query_responses),
        "texts": texts,
        "invalid": sum(group.invalid for group in query_responses),
        "repeated": sum(group.repeated for group in query_responses),
        "illegal": sum(group.illegal for group in query_responses),
        "responses": sum(len(group.responses) for group in query_responses),
        "invalid_share": round(sum(group.invalid for group in query_responses) / texts, 4) if texts else None,
    }
