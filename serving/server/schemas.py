"""The bodies and answers of the endpoints; our own API refuses unknown keys."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.json_schema import SkipJsonSchema

from diffagent.agent.answering.answer import LABELS
from diffagent.agent.asking.request import MAX_IMAGES
from diffagent.agent.asking.request import Request as AgentRequest
from diffagent.agent.targets import TargetName
from diffagent.data.catalog.catalog import LONGEST_NAME
from diffagent.data.records import T2ICall
from diffagent.serving.answers import ScoredModel

LONGEST_TEXT = 200_000
"""The most characters of a message's text; a prompt of more than 20,000 has an error of its own."""


class StrictBody(BaseModel):
    """A body of our own endpoints; unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class LenientBody(BaseModel):
    """A body of OpenAI's endpoints; keys unknown to this server are ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class ErrorDetail(BaseModel):
    """An error: its type, for programs, and a sentence."""

    type: str
    message: str


class ErrorBody(BaseModel):
    """The answer to every request that fails."""

    error: ErrorDetail


Seed = Annotated[int, Field(ge=0, le=2**32 - 1, strict=True)]
ImageText = Annotated[str, Field(description="An image file as base64 or as a data URL; no address.")]
Images = Annotated[list[ImageText], Field(fail_fast=True)]
"""Validation stops at the first fault; otherwise pydantic collects a fault for each element."""
Name = Annotated[str, Field(max_length=LONGEST_NAME)]
Text = Annotated[str, Field(max_length=LONGEST_TEXT)]


class RouteRequest(AgentRequest):
    """The options of a request to the agent, but for the target's URL, which the server knows."""

    images: Annotated[tuple[ImageText, ...], Field(fail_fast=True, max_length=MAX_IMAGES)] = ()
    installed: bool = Field(False, description=AgentRequest.model_fields["installed"].description)
    target_url: SkipJsonSchema[None] = None


class RouteAnswer(BaseModel):
    """A call. ``request`` is its body for the target, ``notes`` are what could not be had or was changed,
    ``reasons`` why these models were chosen."""

    call: T2ICall
    request: dict[str, Any]
    not_carried: list[str]
    n: int
    notes: list[str]
    reasons: list[str]
    candidates: list[ScoredModel]
    timings_ms: dict[str, float]


class EmitRequest(StrictBody):
    """A call, and the target to write its request for; nothing is chosen again."""

    call: T2ICall
    target: TargetName
    nearest: bool = False


class EmitAnswer(BaseModel):
    """A target's request, and the fields of the call that it lacks or replaces."""

    request: dict[str, Any]
    not_carried: list[str]


class IdentifyRequest(StrictBody):
    """Example images of the model to identify."""

    images: Images = Field(min_length=1)
    k: int = Field(5, ge=1, le=len(LABELS), strict=True)


class IdentifyAnswer(BaseModel):
    """Models, the most probable first; ``unsure``: none is more probable than all others together."""

    models: list[ScoredModel]
    unsure: bool
    timings_ms: dict[str, float]


class ImageUrl(LenientBody):
    """A data URL."""

    url: str


class MessagePart(LenientBody):
    """One part of a message: text or an image."""

    type: Name
    text: Text | None = None
    image_url: ImageUrl | None = None


class FunctionCall(LenientBody):
    """The function and arguments of a tool call."""

    name: Name = ""
    arguments: Text = ""


class ToolCall(LenientBody):
    """One entry of an assistant's ``tool_calls``."""

    function: FunctionCall = FunctionCall()


class Message(LenientBody):
    """One message of a conversation."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: Text | Annotated[list[MessagePart], Field(fail_fast=True)] | None = None
    tool_calls: Annotated[list[ToolCall], Field(fail_fast=True)] | None = None


class Function(LenientBody):
    """A function that the client can run; ``parameters`` is a JSON schema."""

    name: Name
    parameters: dict[str, Any] | None = None


class ChatTool(LenientBody):
    """A tool that the client offers."""

    type: Name = "function"
    function: Function | None = None


class NamedFunction(LenientBody):
    """The name of the function to call."""

    name: Name


class NamedTool(LenientBody):
    """A choice of the tool to call."""

    function: NamedFunction


class AllowedTools(LenientBody):
    """The tools that may be called; ``required``: one has to be called."""

    mode: Literal["auto", "required"] = "auto"
    tools: Annotated[list[ChatTool], Field(fail_fast=True)] = Field(default_factory=list, max_length=1000)


class AllowedChoice(LenientBody):
    """A choice among some of the tools."""

    type: Literal["allowed_tools"]
    allowed_tools: AllowedTools


class StreamOptions(LenientBody):
    """Options of a stream; ``include_usage``: the last chunk states the usage."""

    include_usage: bool = False


class ChatRequest(LenientBody):
    """The body of a chat completion in OpenAI's API."""

    model: Name = Field("diffagent", json_schema_extra={"enum": ["diffagent"]})
    messages: Annotated[list[Message], Field(fail_fast=True)] = Field(min_length=1, max_length=1000)
    stream: bool = False
    stream_options: StreamOptions | None = None
    tools: Annotated[list[ChatTool], Field(fail_fast=True)] | None = None
    tool_choice: Literal["none", "auto", "required"] | AllowedChoice | NamedTool | None = None
    n: int | None = Field(None, ge=1, le=1)
    seed: Seed | None = None


class ImagesRequest(LenientBody):
    """The body of an image generation in OpenAI's API; ``model``: ``diffagent`` or a model of the catalog."""

    prompt: str
    model: Name | None = None
    n: int | None = Field(None, ge=1, le=10)
    size: Name | None = Field(None, examples=["512x768", "auto"])
    response_format: Literal["b64_json", "url"] | None = None


class ImageBody(BaseModel):
    """A PNG file as base64 or as a data URL, and its prompt."""

    b64_json: str | None = None
    url: str | None = None
    revised_prompt: str


class ImagesAnswer(BaseModel):
    """The images, their call, and its notes and reasons."""

    created: int
    data: list[ImageBody]
    call: T2ICall
    notes: list[str]
    reasons: list[str]


class ModelBody(BaseModel):
    """One entry of ``GET /v1/models``."""

    id: str
    object: str = "model"
    created: int
    owned_by: str = "diffagent"


class ModelsAnswer(BaseModel):
    """``GET /v1/models``."""

    object: str = "list"
    data: list[ModelBody]


class Status(BaseModel):
    """The status of the server: ``ok`` or ``ready``."""

    status: str
