"""Queries of alignment: prompts, and the models that an answer may name.

    align.jsonl, or plain requests → prompt → the agent's candidates (candidates form) or the whole catalog
    (memory form)

In the candidates form the default model replaces the last candidate where it is not one of them, and the list
is shuffled, as in fine-tuning, so that a place in it is no hint.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from diffagent.agent.agent import Agent
from diffagent.agent.answering import answer, choice, memory
from diffagent.agent.answering.choice import SHOWN
from diffagent.agent.asking.reading import Reading
from diffagent.agent.asking.request import Request
from diffagent.agent.asking.wishes import Wishes, wishes
from diffagent.agent.choosing.prefilter import Candidate, including
from diffagent.agent.engines import Prompt
from diffagent.data.base_models import LISTED
from diffagent.data.errors import BadInput, DiffAgentError
from diffagent.data.records import Card
from diffagent.training.corpora.plain_requests import PlainRequest
from diffagent.training.sft.dialogues import Form
from diffagent.training.sft.listing import Row, read_rows


@dataclass(frozen=True)
class Query:
    """A user's prompt and the models to answer among, in the order of the question (memory form: none);
    ``line`` is the reading of the request that the question follows (choice form)."""

    wishes: Wishes
    candidates: tuple[Candidate, ...]
    form: Form
    line: str = ""

    @property
    def cards(self) -> list[Card]:
        """The cards of the candidates."""
        return [candidate.card for candidate in self.candidates]

    @property
    def question(self) -> Prompt:
        """The chat turn, as in serving."""
        if self.form == "memory":
            return memory.question(self.wishes.prompt)
        if self.form == "choice":
            return choice.question(self.cards, self.wishes.prompt, self.line)
        return answer.question(self.candidates, self.wishes.prompt)

    @property
    def key(self) -> str:
        """The query's name in files: a digest of the question (matches too) and its models."""
        question = self.question
        fields = [
            self.form,
            question.system,
            question.user,
            self.wishes.prompt,
            self.wishes.negative_prompt,
            *(card.air for card in self.cards),
        ]
        return hashlib.sha256(json.dumps(fields).encode()).hexdigest()[:16]


def default_card(agent: Agent, name: str | None = None) -> Card:
    """The model of the default call: the one of that name, or else the most used checkpoint of the first base
    model that has one.

    Raises:
        BadInput: the model is a LoRA, or there is no checkpoint.
    """
    if name is not None:
        card = agent.catalog.find(name)
    else:
        cards = (agent.eligible.most_used(base_model) for base_model in LISTED)
        best = next((card for card in cards if card is not None), None) or max(
            (card for card in agent.prefilter.cards if card.type == "Checkpoint" and not card.is_pickle),
            key=lambda card: (card.stats.downloads, card.air),
            default=None,
        )
        if best is None:
            raise BadInput(
                "the catalog has no checkpoint to compare with", "add one, or name one with --baseline"
            )
        card = best
    if card.type != "Checkpoint":
        raise BadInput(f"the baseline {card.name} is a {card.type}: give a checkpoint, which runs by itself")
    return card


def read_queries(path: Path, agent: Agent, form: Form, k: int, default: Card, seed: int) -> list[Query]:
    """The queries of a DABench file, in an order of ``seed``, without prompts that an agent refuses.

    Raises:
        BadInput: the form is that of plain requests, the choice.
    """
    if form == "choice":
        raise BadInput("pairs have no graded candidates to choose among", "use a recipe of another form")
    rows = read_rows(path)
    order = np.random.default_rng(seed).permutation(len(rows))
    return list(ask((rows[i] for i in order), agent, form, k, default, seed))


def request_queries(
    requests: Iterable[PlainRequest], agent: Agent, form: Form, k: int, default: Card, seed: int
) -> list[Query]:
    """The queries of plain requests, in English, in an order of ``seed``, without part ``test``, on which
    alignment is measured. In the choice form a request is answered among some of its graded candidates."""
    if form == "choice":
        return list(_choices(requests, agent, seed))
    rows = [{"instruction": {"prompt": request.english}} for request in requests if request.split != "test"]
    order = np.random.default_rng(seed).permutation(len(rows))
    return list(ask((rows[i] for i in order), agent, form, k, default, seed))


def _choices(requests: Iterable[PlainRequest], agent: Agent, seed: int) -> Iterator[Query]:
    """The query of each request with two graded candidates in the catalog, in an order of ``seed``."""
    cards = {card.air: card for card in agent.prefilter.cards}
    kept = [request for request in requests if request.split != "test"]
    for number in np.random.default_rng(seed).permutation(len(kept)).tolist():
        listed = shown(kept[number], cards, np.random.default_rng([seed, number]))
        if len(listed) > 1:
            text = wishes(kept[number].english)
            yield Query(text, listed, "choice", Reading.of(text.prompt).line)


def shown(
    request: PlainRequest, cards: Mapping[str, Card], rng: np.random.Generator
) -> tuple[Candidate, ...]:
    """At most :data:`SHOWN` of a request's graded candidates in ``cards`` (by AIR), in random order."""
    known = [cards[candidate.air] for candidate in request.candidates if candidate.air in cards]
    return tuple(Candidate(known[i], 0.0) for i in rng.permutation(len(known))[:SHOWN])


def ask(rows: Iterable[Row], agent: Agent, form: Form, k: int, default: Card, seed: int) -> Iterable[Query]:
    """The query of each row whose prompt the agent accepts."""
    for number, row in enumerate(rows):
        instruction = row["instruction"]
        try:
            request_wishes = Request.from_prompt(instruction["prompt"], k=k).wishes
        except DiffAgentError:
            continue
        request_wishes = replace(request_wishes, negative_prompt=instruction.get("negative_prompt") or "")
        if form == "memory":
            yield Query(request_wishes, (), form)
            continue
        requirement = agent.prefilter.require(request_wishes.prompt, request_wishes.negative_prompt)
        candidates = agent.prefilter.rank(requirement, k, agent.eligible.loadable)
        candidates = including(candidates, default)
        order = np.random.default_rng([seed, number]).permutation(len(candidates))
        yield Query(request_wishes, tuple(candidates[i] for i in order), form)
