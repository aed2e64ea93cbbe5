"""The service behind the endpoints: queues, the agent, metrics; every wait ends when the client leaves."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from starlette.requests import Request

from diffagent.agent.asking.request import Request as AgentRequest
from diffagent.agent.targets import ITSELF
from diffagent.agent.targets.emitting import emit
from diffagent.agent.targets.fitting import Emitted
from diffagent.agent.targets.installed_models import read_installed
from diffagent.agent.targets.seeds import seeded
from diffagent.data.catalog.catalog import Catalog
from diffagent.data.records import Card, T2ICall
from diffagent.serving.server.batch_queue import BatchQueue
from diffagent.serving.server.config import ServerConfig
from diffagent.serving.server.deciding import (
    Examples,
    Seen,
    decisions,
    identifications,
    together,
)
from diffagent.serving.server.faults import ClientLeft, Fault
from diffagent.serving.server.generating import Studio
from diffagent.serving.server.guard import NOTES
from diffagent.serving.server.health import Health
from diffagent.serving.server.metrics import Metrics

if TYPE_CHECKING:
    from diffagent.agent.agent import Agent
    from diffagent.agent.decision import Decision
    from diffagent.agent.targets.installed import Installed

T = TypeVar("T")
BATCHING_THREADS = 4
"""That ask an engine which batches."""
THERE_SECONDS = 60.0
"""For which what the target's server has is believed without a look."""
LONGEST_COUNTED = 200_000
"""Characters; the tokens of longer conversations are not counted."""


class Service:
    """What the endpoints share; one an application."""

    def __init__(self, agent: Agent, config: ServerConfig) -> None:
        self.agent = agent
        self.config = config
        self.metrics = Metrics()
        self.studio = Studio(agent.catalog, config, self.metrics)
        self.queue: BatchQueue[AgentRequest, Decision] = BatchQueue(
            decisions(agent),
            limit=config.queue,
            size=config.batch,
            threads=BATCHING_THREADS if together(agent) else 1,
            on_batch=self.metrics.batches.observe,
        )
        self.identifying: BatchQueue[Examples, Seen] | None = None
        if agent.identifier is not None:
            self.identifying = BatchQueue(identifications(agent), limit=config.queue, size=config.batch)
        self._there: tuple[float, Installed] | None = None
        self.health = Health(agent.catalog, lambda: self.queue.running)
        self.metrics.limit.set(config.queue)
        self.metrics.waiting.set_function(lambda: len(self.queue))

    @property
    def catalog(self) -> Catalog:
        return self.agent.catalog

    def start(self) -> None:
        for queue in self._queues():
            queue.start()

    async def close(self) -> None:
        """Answers what was accepted, then ends the threads."""
        await asyncio.gather(*(queue.close() for queue in self._queues()))

    def _queues(self) -> list[BatchQueue[Any, Any]]:
        return [queue for queue in (self.queue, self.identifying) if queue is not None]

    async def decide(self, request: Request, asked: AgentRequest) -> tuple[Decision, dict[str, float]]:
        """A decision, and its timings in milliseconds with the time in the queue; its call has a seed, drawn
        where none is asked for."""
        asked = await self.narrowed(asked)
        found = await attended(request, self.queue.ask(asked, self.config.deadline))
        decision = found.answer
        if asked.target != ITSELF:
            decision = replace(decision, call=seeded(decision.call))
        self.metrics.decided(found.waited, decision.timings_ms, len(decision.candidates))
        timings = {"queue": 1e3 * found.waited, **decision.timings_ms}
        note(
            request, air=decision.call.air, **{f"{name}_ms": round(took, 1) for name, took in timings.items()}
        )
        if self.config.log_prompts:
            note(request, prompt=asked.prompt)
        return decision, {name: round(took, 1) for name, took in timings.items()}

    def request(self, options: Mapping[str, Any]) -> AgentRequest:
        """A request to the agent from a client's options.

        What is installed is asked of the configured target's server alone.

        Raises:
            BadInput: an option is wrong. Fault: the target has no server here (501).
        """
        asked = AgentRequest.parse({**options, "target_url": None})
        if not asked.installed:
            return asked
        if asked.target == ITSELF and self.config.installed:
            return asked.model_copy(update={"installed": False})  # so is every request
        if asked.target != self.config.target:
            raise Fault(
                501,
                "not_configured",
                f"there is no server of {asked.target} here to ask what is installed: leave installed out, "
                f"or start this server with --target {asked.target}",
            )
        return asked.model_copy(update={"target_url": self.config.target_url})

    async def there(self, target: str = ITSELF) -> Installed | None:
        """What the configured target's server has, where this server chooses among that alone.

        Requests for another target than the configured one are not narrowed.

        Raises:
            TargetError: the server does not answer.
        """
        config = self.config
        if not config.installed or target not in (ITSELF, config.target):
            return None
        assert config.target is not None
        now = time.monotonic()
        if self._there is None or now - self._there[0] > THERE_SECONDS:
            found = await asyncio.to_thread(read_installed, config.target, config.target_url, self.catalog)
            self._there = now, found
        return self._there[1]

    async def narrowed(self, asked: AgentRequest) -> AgentRequest:
        """A request that chooses among what is there: the configured target's, and its server's models."""
        there = await self.there(asked.target)
        if there is None:
            return asked
        return asked.model_copy(update={"target": self.config.target, "installed": there})

    async def identify(self, request: Request, examples: Examples) -> tuple[Seen, float]:
        """Models by example images, and the milliseconds that it took, waiting included.

        Raises:
            Fault: there are no image specifications (501).
        """
        if self.identifying is None:
            raise Fault(
                501,
                "no_image_specifications",
                "this server's catalog has no image specifications: make them with diffagent pmi build, "
                "and start the server with that catalog",
            )
        started = asyncio.get_running_loop().time()
        found = await attended(request, self.identifying.ask(examples, self.config.deadline))
        took = asyncio.get_running_loop().time() - started
        self.metrics.stage("identify", took - found.waited)
        return found.answer, 1e3 * took

    async def emit(
        self, call: T2ICall, target: str, nearest: bool, there: Installed | None = None
    ) -> Emitted:
        """The request that a target takes for a call; ``there`` is what its server has."""
        call = call if target == ITSELF else seeded(call)
        started = asyncio.get_running_loop().time()
        emitted = await asyncio.to_thread(
            emit,
            call,
            target,
            self.catalog,
            nearest=nearest,
            names=there.names if there else None,
            known_samplers=there.samplers if there else None,
            files=there.files if there else None,
        )
        self.metrics.stage("emit", asyncio.get_running_loop().time() - started)
        return emitted

    def find(self, name: str) -> Card | None:
        """The card of a name or an AIR."""
        return self.catalog.by_name(name) or self.catalog.by_air(name)

    def tokens(self, *, prompt: str, call: str) -> dict[str, int] | None:
        """OpenAI's usage, where the engine counts tokens: of what was said and of what is answered."""
        count = getattr(self.agent.engine, "count_tokens", None)
        if count is None or len(prompt) > LONGEST_COUNTED:
            return None
        asked, written = int(count(prompt)), int(count(call))
        self.metrics.tokens.labels("prompt").inc(asked)
        self.metrics.tokens.labels("completion").inc(written)
        return {"prompt_tokens": asked, "completion_tokens": written, "total_tokens": asked + written}


async def attended(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """The result of work for a request; cancelled when its client leaves.

    Raises:
        ClientLeft: the client did.
    """
    task, leaving = asyncio.ensure_future(work), asyncio.ensure_future(_leaving(request))
    both: set[asyncio.Future[Any]] = {task, leaving}
    try:
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise ClientLeft
    finally:
        for one in both:
            one.cancel()
        await asyncio.gather(*both, return_exceptions=True)


async def _leaving(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def note(request: Request, **fields: Any) -> None:
    """Leaves fields for the log line of a request."""
    request.scope.get(NOTES, {}).update(fields)


def service_of(request: Request) -> Service:
    service = request.app.state.service
    assert isinstance(service, Service)
    return service
