"""Our own endpoints: route, emit, identify, health, metrics, the page."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from html import escape
from importlib.resources import files
from itertools import starmap
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import ValidationError
from starlette.datastructures import UploadFile

from diffagent.agent.targets import load, titles
from diffagent.data.base_models import families
from diffagent.data.errors import BadInput
from diffagent.serving.answers import ScoredModel
from diffagent.serving.images import check_file
from diffagent.serving.server.deciding import ExampleImages
from diffagent.serving.server.faults import validation_fault
from diffagent.serving.server.pictures import check_count, read_pictures
from diffagent.serving.server.schemas import (
    EmitAnswer,
    EmitRequest,
    ErrorBody,
    IdentifyAnswer,
    IdentifyRequest,
    RouteAnswer,
    RouteRequest,
    Status,
)
from diffagent.serving.server.service import Service, service_of

ERRORS: dict[int | str, dict[str, Any]] = {
    "4XX": {"model": ErrorBody, "description": "the request cannot be answered"},
    "5XX": {"model": ErrorBody, "description": "a deadline, a target or the server failed"},
}
PAGE = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
}
MOST_RANKED = 52
MOST_FILES = 100
"""The most files of a form, each a temporary file here; the configuration limits how many are read."""
_IMAGES_FORM = {
    "schema": {
        "type": "object",
        "properties": {
            "images": {"type": "array", "items": {"type": "string", "format": "binary"}, "minItems": 1},
            "k": {"type": "integer", "minimum": 1, "maximum": 52},
        },
        "required": ["images"],
    }
}
router = APIRouter(responses=ERRORS)


@router.post("/v1/route")
async def route(body: RouteRequest, request: Request) -> RouteAnswer:
    """Turn a prompt into a T2I call, and into the request of a target."""
    service = service_of(request)
    images = await asyncio.to_thread(read_pictures, body.images, service.config)
    agent_request = service.request({**dict(body), "images": images})
    installed = await service.installed(agent_request.target) or await asyncio.to_thread(
        service.agent.installed, agent_request
    )
    decision, timings = await service.decide(request, agent_request)
    emitted = await service.emit(decision.call, agent_request.target, agent_request.nearest, installed)
    service.tokens(prompt=body.prompt, call=decision.call.to_json())
    return RouteAnswer(
        **decision.to_dict() | {"timings_ms": timings},
        request=emitted.request,
        not_carried=emitted.not_carried,
    )


@router.post("/v1/emit")
async def emit(body: EmitRequest, request: Request) -> EmitAnswer:
    """Turn a call into the request of a target; nothing is chosen again."""
    service = service_of(request)
    installed = await service.installed(body.target)
    emitted = await service.emit(body.call, body.target, body.nearest, installed)
    return EmitAnswer(request=emitted.request, not_carried=emitted.not_carried)


@router.post(
    "/v1/identify",
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": IdentifyRequest.model_json_schema()},
                "multipart/form-data": _IMAGES_FORM,
            },
        }
    },
)
async def identify(request: Request) -> IdentifyAnswer:
    """Find the models that made example images: base64 or data URLs as JSON, or files as a form."""
    service = service_of(request)
    form = request.headers.get("content-type", "").casefold().startswith("multipart/")
    examples = await (_form_examples if form else _json_examples)(request, service)
    installed = await service.installed()
    question = examples if installed is None else replace(examples, k=MOST_RANKED)
    likely, milliseconds = await service.identify(request, question)
    if installed is not None:
        present = [(card, score) for card, score in likely.models if card.air in installed.names]
        likely = replace(likely, models=present[: examples.k])
    models = [ScoredModel.from_card(card, score) for card, score in likely.models]
    return IdentifyAnswer(models=models, unsure=likely.unsure, timings_ms={"total": round(milliseconds, 1)})


async def _json_examples(request: Request, service: Service) -> ExampleImages:
    try:
        body = IdentifyRequest.model_validate_json(await request.body())
    except ValidationError as error:
        raise validation_fault(list(error.errors())) from None
    return ExampleImages(await asyncio.to_thread(read_pictures, body.images, service.config), body.k)


async def _form_examples(request: Request, service: Service) -> ExampleImages:
    config = service.config
    async with request.form(max_fields=8, max_files=MOST_FILES) as form:
        uploads = [file for file in form.getlist("images") if isinstance(file, UploadFile)]
        if not uploads:
            raise BadInput("the form has no file named images: send each file in a field images")
        check_count(len(uploads), config)
        images = tuple([check_file(await file.read(), config.image_bytes) for file in uploads])
        k = form.get("k", "5")
    if not (isinstance(k, str) and k.isascii() and k.isdigit() and len(k) < 3 and 1 <= int(k) <= 52):
        raise BadInput("k is not a number of models: give 1 to 52")
    return ExampleImages(images, int(k))


@router.get("/healthz", response_model=Status)
async def healthz() -> Status:
    """Whether the process lives."""
    return Status(status="ok")


@router.get("/readyz", response_model=Status)
async def readyz(request: Request) -> Status:
    """Whether requests are answered: the queue runs and the catalog can be read."""
    await service_of(request).health.check()
    return Status(status="ready")


@router.get("/metrics", response_class=Response)
async def metrics(request: Request) -> Response:
    """Prometheus metrics."""
    return Response(service_of(request).metrics.text(), media_type=CONTENT_TYPE_LATEST)


@router.get("/", include_in_schema=False)
@router.get("/page.css", include_in_schema=False)
@router.get("/page.js", include_in_schema=False)
async def page(request: Request) -> Response:
    """The page and its two files."""
    name, kind = PAGE[request.url.path]
    content = (files("diffagent.serving") / "page" / name).read_bytes()
    options = "".join(f'<option value="{family}">{title}</option>' for family, title in families())
    content = content.replace(b"<!-- base models -->", options.encode())
    content = content.replace(b"<!-- targets -->", "".join(starmap(_button, titles().items())).encode())
    content = content.replace(b"<!-- installed -->", _installed_note(service_of(request)).encode())
    return Response(content, media_type=kind, headers={"Cache-Control": "no-cache"})


def _installed_note(service: Service) -> str:
    """The page's note on the installed models."""
    config = service.config
    if not config.installed or config.target is None:
        return ""
    title = escape(load(config.target).title)
    return f'<p id="installed">Chosen among the models that are installed on this server\'s {title}.</p>'


def _button(target: str, title: str) -> str:
    title = escape(title)
    return f'<button type="button" value="{target}" title="{title}">Copy {title}</button>'
