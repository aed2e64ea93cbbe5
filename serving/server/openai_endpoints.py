"""OpenAI's endpoints: chat completions, images, models."""

from __future__ import annotations

import asyncio
import secrets
import time

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse

from diffagent.agent.asking.request import Request as AgentRequest
from diffagent.agent.decision import Decision
from diffagent.data.errors import BadPrompt
from diffagent.data.records import T2ICall
from diffagent.serving.server import chat
from diffagent.serving.server.endpoints import ERRORS
from diffagent.serving.server.faults import Fault
from diffagent.serving.server.generating import size_of
from diffagent.serving.server.pictures import read_pictures
from diffagent.serving.server.schemas import (
    ChatRequest,
    ImageBody,
    ImagesAnswer,
    ImagesRequest,
    ModelBody,
    ModelsAnswer,
)
from diffagent.serving.server.service import Service, note, service_of, while_connected

router = APIRouter(responses=ERRORS)
WITHOUT_OPTIONS = ("/v1/chat/completions", "/v1/images/generations")
"""Addresses whose bodies are OpenAI's, without ``nearest`` and ``base_model``."""
OPENAI_MODELS = (
    "gpt-image-1", "gpt-image-1-mini", "gpt-image-1.5", "chatgpt-image-latest", "dall-e-2", "dall-e-3"
)  # fmt: skip
"""Models that OpenAI's clients name by default, which do not name a model of the catalog."""
CREATED = 1_700_000_000
"""The time of creation that the models endpoint has to state."""


@router.get("/v1/models")
async def models() -> ModelsAnswer:
    """The one model."""
    return ModelsAnswer(data=[ModelBody(id=chat.MODEL, created=CREATED)])


@router.get("/v1/models/{model}")
async def model(model: str) -> ModelBody:
    """The one model."""
    _check_model(model)
    return ModelBody(id=chat.MODEL, created=CREATED)


@router.post("/v1/chat/completions", response_class=JSONResponse)
async def chat_completions(body: ChatRequest, request: Request) -> Response:
    """A conversation's next call, as the message's content or as a call of the tool text_to_image."""
    _check_model(body.model)
    service = service_of(request)
    tool = chat.tool_of(body)
    call, decision = await _next_call(body, request, service)
    request_id = secrets.token_hex(12)
    message, finish_reason = chat.message_of(call, tool, request_id)
    text = "\n".join(chat.text_of(part) for part in body.messages)
    usage = service.tokens(prompt=text, call=call.to_json())
    if not body.stream:
        beside = {"notes": list(decision.notes), "reasons": list(decision.reasons)} if decision else {}
        return JSONResponse(chat.completion(message, finish_reason, request_id, usage) | beside)
    with_usage = body.stream_options is not None and body.stream_options.include_usage
    events = chat.chunks(message, finish_reason, request_id, usage if with_usage else None)
    return StreamingResponse(
        events, media_type="text/event-stream; charset=utf-8", headers={"Cache-Control": "no-cache"}
    )


async def _next_call(
    body: ChatRequest, request: Request, service: Service
) -> tuple[T2ICall, Decision | None]:
    """The call, and its decision if one was made."""
    if body.messages[-1].role in ("tool", "function"):
        previous = await asyncio.to_thread(chat.last_call, body.messages, service.find)
        if previous is not None:
            return previous, None
    images = await asyncio.to_thread(read_pictures, chat.images_of(body.messages), service.config)
    plan = await asyncio.to_thread(chat.plan, body.messages, service.find, body.seed)
    if plan.request is None:
        return plan.finish(None), None
    decision, _ = await service.decide(request, plan.request.model_copy(update={"images": images}))
    return plan.finish(decision.call), decision


@router.post("/v1/images/generations")
async def images_generations(body: ImagesRequest, request: Request) -> ImagesAnswer:
    """Route a prompt and make its images on the configured target."""
    service = service_of(request)
    maker = service.image_maker
    target, size = maker.target, size_of(body.size)
    if not body.prompt.strip():
        raise BadPrompt('the prompt is empty: say what to draw, such as "A cute happy corgi, pixel art"')
    installed = await while_connected(request, maker.installed())
    agent_request = AgentRequest.parse(
        {
            "prompt": body.prompt,
            "model": None if body.model in (None, chat.MODEL, *OPENAI_MODELS) else body.model,
            "target": target,
            "installed": installed is not None,
            "target_url": service.config.target_url,
            "nearest": service.config.nearest,
            "n": body.n or 1,
        }
    )
    decision, _ = await service.decide(request, agent_request)
    call = decision.call
    if size is not None:
        call = call.model_copy(update={"width": size[0], "height": size[1]})
    started = time.perf_counter()
    pictures = await while_connected(request, maker.images(call, agent_request.n or 1, installed))
    seconds = time.perf_counter() - started
    service.metrics.stage("target", seconds)
    note(request, target=target, target_ms=round(1e3 * seconds, 1), images=len(pictures))
    is_url = body.response_format == "url"
    data = [
        ImageBody(url=f"data:image/png;base64,{image}", revised_prompt=call.prompt)
        if is_url
        else ImageBody(b64_json=image, revised_prompt=call.prompt)
        for image in pictures
    ]
    return ImagesAnswer(
        created=int(time.time()),
        data=data,
        call=call,
        notes=list(decision.notes),
        reasons=list(decision.reasons),
    )


def _check_model(name: str) -> None:
    if name != chat.MODEL:
        raise Fault(
            404, "model_not_found", f"there is no model {name[:60]!r} here: the model is {chat.MODEL}"
        )
