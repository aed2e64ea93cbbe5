"""Many requests through one agent: decisions or errors, in order.

An engine that batches gets the questions of all requests together, turn by turn; other engines answer one
request after another, because their cache serves one prompt at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from diffagent.agent.asking.request import Request
from diffagent.agent.engines import BatchEngine, Choice, Writing
from diffagent.data.errors import DiffAgentError, EngineGone

if TYPE_CHECKING:
    from diffagent.agent.decision import Decision, Outcome, Pending
    from diffagent.agent.engines import Engine

T = TypeVar("T")


class Decider(Protocol):
    """An agent's steps from a request to a decision."""

    engine: Engine

    def decide(self, request: Request) -> Decision: ...

    def prepare(self, request: Request) -> Pending: ...

    def reading_turn(self, pending: Pending) -> Writing | None: ...

    def consider(self, pending: Pending, line: str) -> Pending: ...

    def choice_turn(self, pending: Pending) -> Choice | None: ...

    def pick(self, pending: Pending, letters: Any) -> Any: ...

    def outcome(self, pending: Pending, ranked: Any) -> Outcome: ...

    def parameters_turn(self, outcome: Outcome) -> Writing | None: ...

    def finish(self, outcome: Outcome, text: str) -> Decision: ...


RequestSource = Request | Mapping[str, Any]
"""A request, or its options by name."""


def decide_many(agent: Decider, requests: Sequence[RequestSource]) -> list[Decision | DiffAgentError]:
    """:meth:`Agent.decide` for each request; see :meth:`Agent.decide_many`."""
    engine = agent.engine
    if not isinstance(engine, BatchEngine):
        return [attempt(partial(_decide, agent, request)) for request in requests]
    decisions: list[Decision | DiffAgentError] = []
    for start in range(0, len(requests), engine.batch_size):
        decisions += _decide_batch(agent, engine, requests[start : start + engine.batch_size])
    return decisions


def _decide(agent: Decider, source: RequestSource) -> Decision:
    return agent.decide(_parse(source))


def _prepare(agent: Decider, source: RequestSource) -> Pending:
    return agent.prepare(_parse(source))


def _parse(source: RequestSource) -> Request:
    return source if isinstance(source, Request) else Request.parse(source)


def attempt(make: Callable[[], T]) -> T | DiffAgentError:
    """Returns the result of ``make``, or the error of this one request."""
    try:
        return make()
    except EngineGone:
        raise
    except DiffAgentError as error:
        return error


def _decide_batch(
    agent: Decider, engine: BatchEngine, requests: Sequence[RequestSource]
) -> list[Decision | DiffAgentError]:
    answers: list[Any] = [attempt(partial(_prepare, agent, request)) for request in requests]
    places = [place for place, answer in enumerate(answers) if not isinstance(answer, DiffAgentError)]
    readings = {place: turn for place in places if (turn := agent.reading_turn(answers[place]))}
    for place, line in zip(readings, engine.write_many(list(readings.values())), strict=True):
        answers[place] = line if isinstance(line, DiffAgentError) else agent.consider(answers[place], line)
    places = [place for place in places if not isinstance(answers[place], DiffAgentError)]
    choices = {place: choice for place in places if (choice := agent.choice_turn(answers[place]))}
    letters: dict[int, Any] = dict(zip(choices, engine.choose_many(list(choices.values())), strict=True))
    outcomes: dict[int, Outcome] = {}
    for place in places:
        scores = letters.get(place, ())
        if isinstance(scores, DiffAgentError):
            answers[place] = scores
            continue
        ranked = agent.pick(answers[place], scores)
        outcome_or_error = attempt(partial(agent.outcome, answers[place], ranked))
        if isinstance(outcome_or_error, DiffAgentError):
            answers[place] = outcome_or_error
        else:
            outcomes[place] = outcome_or_error
    turns = {place: turn for place, outcome in outcomes.items() if (turn := agent.parameters_turn(outcome))}
    texts = dict(zip(turns, engine.write_many(list(turns.values())), strict=True))
    for place, outcome in outcomes.items():
        text = texts[place] if place in texts else outcome.grammar.draft()
        answers[place] = _finish(agent, outcome, text)
    return answers


def _finish(agent: Decider, outcome: Outcome, text: str | DiffAgentError) -> Any:
    return text if isinstance(text, DiffAgentError) else attempt(partial(agent.finish, outcome, text))
