"""What the endpoints take and answer; pydantic at the edge, unknown keys refused where the API is ours."""

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
"""Characters of a message's text; a prompt of more than 20,000 is refused with its own words."""


class Strict(BaseModel):
    """A body of an endpoint that is our own."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Lenient(BaseModel):
    """A body of an endpoint that is OpenAI's: what it has and this server does not is left unread."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class ErrorDetail(BaseModel):
    """What went wrong: the kind, for programs, and a sentence."""

    type: str
    message: str


class ErrorBody(BaseModel):
    """The answer of every request that fails."""

    error: ErrorDetail


Seed = Annotated[int, Field(ge=0, le=2**32 - 1, strict=True)]
ImageText = Annotated[str, Field(description="An image file as base64 or as a data URL; no address.")]
Images = Annotated[list[ImageText], Field(fail_fast=True)]
"""Lists end at their first fault: pydantic collects one an element otherwise, and all are thrown away."""
Name = Annotated[str, Field(max_length=LONGEST_NAME)]
Text = Annotated[str, Field(max_length=LONGEST_TEXT)]


class RouteRequest(AgentRequest):
    """Every option of a request to the agent; where a target stands is the server's to say."""

    images: Annotated[tuple[ImageText, ...], Field(fail_fast=True, max_length=MAX_IMAGES)] = ()
    installed: bool = Field(False, description=AgentRequest.model_fields["installed"].description)
    target_url: SkipJsonSchema[None] = None


class RouteAnswer(BaseModel):
    """``request`` is the body that the target takes; ``notes`` say what could not be had or was changed,
    ``reasons`` why it is these models."""

    call: T2ICall
    request: dict[str, Any]
    not_carried: list[str]
    n: int
    notes: list[str]
    reasons: list[str]
    candidates: list[ScoredModel]
    timings_ms: dict[str, float]


class EmitRequest(Strict):
    """A call and the target whose request it becomes; nothing is chosen again."""

    call: T2ICall
    target: TargetName
    nearest: bool = False


class EmitAnswer(BaseModel):
    """A target's request, and the call's fields that it lacks or replaces."""

    request: dict[str, Any]
    not_carried: list[str]


class IdentifyRequest(Strict):
    """Example images of the model that is looked for."""

    images: Images = Field(min_length=1)
    k: int = Field(5, ge=1, le=len(LABELS), strict=True)


class IdentifyAnswer(BaseModel):
    """Models, the most probable first; ``unsure`` where none is more probable than all others together."""

    models: list[ScoredModel]
    unsure: bool
    timings_ms: dict[str, float]


class ImageUrl(Lenient):
    """A data URL."""

    url: str


class Part(Lenient):
    """One part of a message: text or an image."""

    type: Name
    text: Text | None = None
    image_url: ImageUrl | None = None


class FunctionCall(Lenient):
    """What an assistant's message called."""

    name: Name = ""
    arguments: Text = ""


class ToolCall(Lenient):
    """One entry of an assistant's ``tool_calls``."""

    function: FunctionCall = FunctionCall()


class Message(Lenient):
    """One message of a conversation."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: Text | Annotated[list[Part], Field(fail_fast=True)] | None = None
    tool_calls: Annotated[list[ToolCall], Field(fail_fast=True)] | None = None


class Function(Lenient):
    """A function that the client can run; ``parameters`` is a JSON schema."""

    name: Name
    parameters: dict[str, Any] | None = None


class Tool(Lenient):
    """A tool that the client offers."""

    type: Name = "function"
    function: Function | None = None


class NamedFunction(Lenient):
    """The function that has to be called."""

    name: Name


class NamedTool(Lenient):
    """The tool that has to be called."""

    function: NamedFunction


class AllowedTools(Lenient):
    """The tools that may be called, and whether one has to be."""

    mode: Literal["auto", "required"] = "auto"
    tools: Annotated[list[Tool], Field(fail_fast=True)] = Field(default_factory=list, max_length=1000)


class AllowedChoice(Lenient):
    """A choice among some of the tools."""

    type: Literal["allowed_tools"]
    allowed_tools: AllowedTools


class StreamOptions(Lenient):
    """Whether the last chunk states the usage."""

    include_usage: bool = False


class ChatRequest(Lenient):
    """A chat completion as OpenAI's API takes it."""

    model: Name = Field("diffagent", json_schema_extra={"enum": ["diffagent"]})
    messages: Annotated[list[Message], Field(fail_fast=True)] = Field(min_length=1, max_length=1000)
    stream: bool = False
    stream_options: StreamOptions | None = None
    tools: Annotated[list[Tool], Field(fail_fast=True)] | None = None
    tool_choice: Literal["none", "auto", "required"] | AllowedChoice | NamedTool | None = None
    n: int | None = Field(None, ge=1, le=1)
    seed: Seed | None = None


class ImagesRequest(Lenient):
    """An image generation as OpenAI's API takes it; ``model`` is ``diffagent`` or a model of the catalog."""

    prompt: str
    model: Name | None = None
    n: int | None = Field(None, ge=1, le=10)
    size: Name | None = Field(None, examples=["512x768", "auto"])
    response_format: Literal["b64_json", "url"] | None = None


class ImageBody(BaseModel):
    """A PNG file as base64 or as a data URL, and the prompt that it was made with."""

    b64_json: str | None = None
    url: str | None = None
    revised_prompt: str


class ImagesAnswer(BaseModel):
    """The images, the call that made them, and why it is this one."""

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
    """Whether the server lives, or is ready."""

    status: str
