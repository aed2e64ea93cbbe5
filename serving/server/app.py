"""The application: endpoints in front of the queue, the agent and its targets.

POST /v1/route, /v1/emit, /v1/identify          our own
POST /v1/chat/completions, /v1/images/generations, GET /v1/models[/NAME]        OpenAI's
GET /healthz, /readyz, /metrics, /              liveness, readiness, Prometheus, the page
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware

from diffagent.data.errors import (
    BadCatalog,
    DiffAgentError,
    EngineError,
    EngineGone,
    MissingExtra,
    MissingWeights,
)
from diffagent.serving.server import endpoints, openai_endpoints
from diffagent.serving.server.config import ServerConfig
from diffagent.serving.server.faults import Fault, fault_of, response_of, validation_fault
from diffagent.serving.server.guard import Guard, Watch
from diffagent.serving.server.service import Service, note, service_of

if TYPE_CHECKING:
    from diffagent.agent.agent import Agent


def create_app(agent: Agent, config: ServerConfig | None = None) -> FastAPI:
    """The ASGI application around an agent.

    Args:
        agent: the agent; it identifies models if its catalog has image specifications.
        config: limits, keys, target; default: a server for this machine alone.
    """
    config = config or ServerConfig()
    service = Service(agent, config)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        service.start()
        try:
            yield
        finally:
            await service.close()

    app = FastAPI(
        title="DiffAgent",
        version=version("diffagent"),
        summary="A chat prompt becomes one callable text-to-image API call.",
        lifespan=lifespan,
        docs_url=None,  # its pages load scripts from other hosts
        redoc_url=None,
    )
    app.state.service = service
    app.include_router(endpoints.router)
    app.include_router(openai_endpoints.router)
    _answer_faults(app)
    app.add_middleware(Guard, config=config)
    if config.origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(config.origins),
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type"],
        )
    app.add_middleware(Watch, metrics=service.metrics)  # the last middleware added is the outermost
    return app


def _answer_faults(app: FastAPI) -> None:
    """Handlers that give every error the same shape."""

    def response(request: Request, fault: Fault) -> Response:
        note(request, error=fault.kind)
        return response_of(fault)

    async def domain(request: Request, error: Exception) -> Response:
        service = service_of(request)
        service.health.note(error)
        is_loggable = isinstance(error, BadCatalog | MissingWeights | MissingExtra | EngineGone)
        if is_loggable or (isinstance(error, EngineError) and service.config.log_prompts):
            assert isinstance(error, DiffAgentError)
            note(request, message=error.line())
        has_options = request.url.path not in openai_endpoints.WITHOUT_OPTIONS
        return response(request, fault_of(error, has_options))

    async def invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return response(request, validation_fault(list(error.errors())))

    async def plain(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return response(request, _http_fault(error))

    app.add_exception_handler(DiffAgentError, domain)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, plain)


def _http_fault(error: HTTPException) -> Fault:
    faults: dict[int, tuple[str, str]] = {
        400: ("bad_input", "the body cannot be read: send one JSON object, not too deep, in UTF-8"),
        404: ("not_found", "there is no such address: see /openapi.json"),
        405: ("method_not_allowed", "this address takes another method: see /openapi.json"),
    }
    kind, message = faults.get(error.status_code, ("bad_input", str(error.detail)))
    headers: Any = error.headers
    return Fault(error.status_code, kind, message, headers)
