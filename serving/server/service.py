"""The service behind the endpoints: queues, agent, metrics; every wait ends when the client leaves."""

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
    ExampleImages,
    LikelyModels,
    batches,
    decisions,
    identifications,
)
from diffagent.serving.server.faults import ClientLeft, Fault
from diffagent.serving.server.generating import ImageMaker
from diffagent.serving.server.guard import NOTES
from diffagent.serving.server.health import Health
from diffagent.serving.server.metrics import Metrics

if TYPE_CHECKING:
    from diffagent.agent.agent import Agent
    from diffagent.agent.decision import Decision
    from diffagent.agent.targets.installed import Installed

T = TypeVar("T")
BATCHING_THREADS = 4
"""Threads that use an engine that batches."""
INSTALLED_SECONDS = 60.0
"""Seconds for which the list of installed models is valid."""
LONGEST_COUNTED = 200_000
"""The most characters of a conversation whose tokens are counted."""


class Service:
    """The state that an application's endpoints share."""

    def __init__(self, agent: Agent, config: ServerConfig) -> None:
        self.agent = agent
        self.config = config
        self.metrics = Metrics()
        self.image_maker = ImageMaker(agent.catalog, config, self.metrics)
        self.queue: BatchQueue[AgentRequest, Decision] = BatchQueue(
            decisions(agent),
            limit=config.queue,
            size=config.batch,
            threads=BATCHING_THREADS if batches(agent) else 1,
            on_batch=self.metrics.batches.observe,
        )
        self.identification_queue: BatchQueue[ExampleImages, LikelyModels] | None = None
        if agent.identifier is not None:
            self.identification_queue = BatchQueue(
                identifications(agent), limit=config.queue, size=config.batch
            )
        self._installed: tuple[float, Installed] | None = None
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
        """Answers the accepted questions, then ends the threads."""
        await asyncio.gather(*(queue.close() for queue in self._queues()))

    def _queues(self) -> list[BatchQueue[Any, Any]]:
        return [queue for queue in (self.queue, self.identification_queue) if queue is not None]

    async def decide(
        self, request: Request, agent_request: AgentRequest
    ) -> tuple[Decision, dict[str, float]]:
        """A decision, and its timings in milliseconds, with the time in the queue.

        For a target other than ``diffagent``, a call without a seed gets one.
        """
        agent_request = await self.narrow(agent_request)
        queued = await while_connected(request, self.queue.ask(agent_request, self.config.deadline))
        decision = queued.answer
        if agent_request.target != ITSELF:
            decision = replace(decision, call=seeded(decision.call))
        self.metrics.observe_decision(queued.waited, decision.timings_ms, len(decision.candidates))
        timings = {"queue": 1e3 * queued.waited, **decision.timings_ms}
        note(
            request,
            air=decision.call.air,
            **{f"{name}_ms": round(milliseconds, 1) for name, milliseconds in timings.items()},
        )
        if self.config.log_prompts:
            note(request, prompt=agent_request.prompt)
        return decision, {name: round(milliseconds, 1) for name, milliseconds in timings.items()}

    def request(self, options: Mapping[str, Any]) -> AgentRequest:
        """A request to the agent from a client's options.

        Installed models are those of the configured target's server only.

        Raises:
            BadInput: an option is wrong. Fault: the target has no server here (501).
        """
        request = AgentRequest.parse({**options, "target_url": None})
        if not request.installed:
            return request
        if request.target == ITSELF and self.config.installed:
            return request.model_copy(update={"installed": False})  # every request is restricted so
        if request.target != self.config.target:
            raise Fault(
                501,
                "not_configured",
                f"there is no server of {request.target} here to ask what is installed: leave installed out, "
                f"or start this server with --target {request.target}",
            )
        return request.model_copy(update={"target_url": self.config.target_url})

    async def installed(self, target: str = ITSELF) -> Installed | None:
        """The models of the configured target's server, if this server chooses among them only.

        None for requests for other targets, which are not restricted.

        Raises:
            TargetError: the server does not answer.
        """
        config = self.config
        if not config.installed or target not in (ITSELF, config.target):
            return None
        assert config.target is not None
        now = time.monotonic()
        if self._installed is None or now - self._installed[0] > INSTALLED_SECONDS:
            installed = await asyncio.to_thread(
                read_installed, config.target, config.target_url, self.catalog
            )
            self._installed = now, installed
        return self._installed[1]

    async def narrow(self, request: AgentRequest) -> AgentRequest:
        """The request, restricted to the configured target and its server's models."""
        installed = await self.installed(request.target)
        if installed is None:
            return request
        return request.model_copy(update={"target": self.config.target, "installed": installed})

    async def identify(self, request: Request, examples: ExampleImages) -> tuple[LikelyModels, float]:
        """Models by example images, and the time in milliseconds, waiting included.

        Raises:
            Fault: the catalog has no image specifications (501).
        """
        if self.identification_queue is None:
            raise Fault(
                501,
                "no_image_specifications",
                "this server's catalog has no image specifications: make them with diffagent pmi build, "
                "and start the server with that catalog",
            )
        started = asyncio.get_running_loop().time()
        queued = await while_connected(request, self.identification_queue.ask(examples, self.config.deadline))
        seconds = asyncio.get_running_loop().time() - started
        self.metrics.stage("identify", seconds - queued.waited)
        return queued.answer, 1e3 * seconds

    async def emit(
        self, call: T2ICall, target: str, nearest: bool, installed: Installed | None = None
    ) -> Emitted:
        """The target's request for a call; ``installed`` are its server's models."""
        call = call if target == ITSELF else seeded(call)
        started = asyncio.get_running_loop().time()
        emitted = await asyncio.to_thread(
            emit,
            call,
            target,
            self.catalog,
            nearest=nearest,
            names=installed.names if installed else None,
            known_samplers=installed.samplers if installed else None,
            files=installed.files if installed else None,
        )
        self.metrics.stage("emit", asyncio.get_running_loop().time() - started)
        return emitted

    def find(self, name: str) -> Card | None:
        """The card of a name or an AIR."""
        return self.catalog.by_name(name) or self.catalog.by_air(name)

    def tokens(self, *, prompt: str, call: str) -> dict[str, int] | None:
        """OpenAI's usage, if the engine counts tokens."""
        count = getattr(self.agent.engine, "count_tokens", None)
        if count is None or len(prompt) > LONGEST_COUNTED:
            return None
        prompt_tokens, completion_tokens = int(count(prompt)), int(count(call))
        self.metrics.tokens.labels("prompt").inc(prompt_tokens)
        self.metrics.tokens.labels("completion").inc(completion_tokens)
        return {
            "prompt_tokens": prompt_tokens,
            "completion_tokens": completion_tokens,
            "total_tokens": prompt_tokens + completion_tokens,
        }


async def while_connected(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """The result of work for a request; the work is cancelled when the client leaves.

    Raises:
        ClientLeft: the client left.
    """
    task, leaving = asyncio.ensure_future(work), asyncio.ensure_future(_disconnected(request))
    both: set[asyncio.Future[Any]] = {task, leaving}
    try:
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise ClientLeft
    finally:
        for future in both:
            future.cancel()
        await asyncio.gather(*both, return_exceptions=True)


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def note(request: Request, **fields: Any) -> None:
    """Add fields to the log line of a request."""
    request.scope.get(NOTES, {}).update(fields)


def service_of(request: Request) -> Service:
    """Returns the service of the app that a request came to."""
    service = request.app.state.service
    assert isinstance(service, Service)
    return service
