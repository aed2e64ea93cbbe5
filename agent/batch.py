"""Many requests through one agent: decisions or errors come out, in order.

An engine that batches gets its questions together, first the letters of all, then the answers of all; the
others are asked one by one, because their cache serves one prompt at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from diffagent.agent.engines import BatchEngine, Choice, Writing
from diffagent.agent.request import Request
from diffagent.data.errors import DiffAgentError, EngineGone

if TYPE_CHECKING:
    from diffagent.agent.decision import Decision, Pending
    from diffagent.agent.engines import Engine

T = TypeVar("T")


class Decider(Protocol):
    """An agent's steps from a request to a decision."""

    engine: Engine

    def decide(self, request: Request) -> Decision: ...

    def prepare(self, request: Request) -> Pending: ...

    def opening(self, pending: Pending) -> Any: ...

    def picked(self, pending: Pending, llm: Any, legal: Any, draft: str) -> Any: ...

    def finish(self, pending: Pending, ranked: Any, text: str) -> Decision: ...


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
    found: list[Any] = [attempt(partial(_prepared, agent, one)) for one in requests]
    live = {place: one for place, one in enumerate(found) if not isinstance(one, DiffAgentError)}
    opened = {place: agent.opening(one) for place, one in live.items()}
    choices = [Choice(opened[place][0], tuple(one.labels), opened[place][2]) for place, one in live.items()]
    picked: dict[int, Any] = {}
    for place, llm in zip(live, engine.choose_many(choices), strict=True):
        if isinstance(llm, DiffAgentError):
            found[place] = llm
        else:
            picked[place] = agent.picked(live[place], llm, *opened[place][1:])
    writings = [Writing(opened[place][0], *answer[1:]) for place, answer in picked.items()]
    for place, text in zip(picked, engine.write_many(writings), strict=True):
        found[place] = _finished(agent, live[place], picked[place][0], text)
    return found


def _finished(agent: Decider, pending: Any, ranked: Any, text: str | DiffAgentError) -> Any:
    return text if isinstance(text, DiffAgentError) else attempt(lambda: agent.finish(pending, ranked, text))
