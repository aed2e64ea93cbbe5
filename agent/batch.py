"""Many requests through one agent: decisions or errors come out, in order.

An engine that batches gets its questions together, first the letters of all, then the answers of all; the
others are asked one by one, because their cache serves one prompt at a time.
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

    def considered(self, pending: Pending, line: str) -> Pending: ...

    def choice_turn(self, pending: Pending) -> Choice | None: ...

    def picked(self, pending: Pending, letters: Any) -> Any: ...

    def outcome(self, pending: Pending, ranked: Any) -> Outcome: ...

    def parameters_turn(self, outcome: Outcome) -> Writing | None: ...

    def finish(self, outcome: Outcome, text: str) -> Decision: ...


Asked = Request | Mapping[str, Any]
"""A request, or its options by name."""


def decide_many(agent: Decider, requests: Sequence[Asked]) -> list[Decision | DiffAgentError]:
    """:meth:`Agent.decide` for each request; see :meth:`Agent.decide_many`."""
    engine = agent.engine
    if not isinstance(engine, BatchEngine):
        return [attempt(partial(_decided, agent, one)) for one in requests]
    found: list[Decision | DiffAgentError] = []
    for start in range(0, len(requests), engine.batch_size):
        found += _together(agent, engine, requests[start : start + engine.batch_size])
    return found


def _decided(agent: Decider, asked: Asked) -> Decision:
    return agent.decide(_parsed(asked))


def _prepared(agent: Decider, asked: Asked) -> Pending:
    return agent.prepare(_parsed(asked))


def _parsed(asked: Asked) -> Request:
    return asked if isinstance(asked, Request) else Request.parse(asked)


def attempt(make: Callable[[], T]) -> T | DiffAgentError:
    """What ``make`` gives, or the error that belongs to this one request."""
    try:
        return make()
    except EngineGone:
        raise
    except DiffAgentError as error:
        return error


def _together(
    agent: Decider, engine: BatchEngine, requests: Sequence[Asked]
) -> list[Decision | DiffAgentError]:
    answers: list[Any] = [attempt(partial(_prepared, agent, one)) for one in requests]
    places = [place for place, one in enumerate(answers) if not isinstance(one, DiffAgentError)]
    readings = {place: turn for place in places if (turn := agent.reading_turn(answers[place]))}
    for place, line in zip(readings, engine.write_many(list(readings.values())), strict=True):
        answers[place] = line if isinstance(line, DiffAgentError) else agent.considered(answers[place], line)
    places = [place for place in places if not isinstance(answers[place], DiffAgentError)]
    choices = {place: one for place in places if (one := agent.choice_turn(answers[place]))}
    letters: dict[int, Any] = dict(zip(choices, engine.choose_many(list(choices.values())), strict=True))
    outcomes: dict[int, Outcome] = {}
    for place in places:
        said = letters.get(place, ())
        if isinstance(said, DiffAgentError):
            answers[place] = said
            continue
        ranked = agent.picked(answers[place], said)
        made = attempt(partial(agent.outcome, answers[place], ranked))
        if isinstance(made, DiffAgentError):
            answers[place] = made
        else:
            outcomes[place] = made
    asked = {place: turn for place, one in outcomes.items() if (turn := agent.parameters_turn(one))}
    texts = dict(zip(asked, engine.write_many(list(asked.values())), strict=True))
    for place, outcome in outcomes.items():
        text = texts[place] if place in texts else outcome.grammar.draft()
        answers[place] = _finished(agent, outcome, text)
    return answers


def _finished(agent: Decider, outcome: Outcome, text: str | DiffAgentError) -> Any:
    return text if isinstance(text, DiffAgentError) else attempt(partial(agent.finish, outcome, text))
