"""The tool ``route_prompt``: a prompt and options → a T2I call, and the request of an image API.

In: :class:`RouteArguments`. Out: :class:`RoutedCall`, with the fields of ``POST /v1/route``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, Field
from pydantic.json_schema import SkipJsonSchema

from diffagent.agent.asking.request import MAX_CHARACTERS, MAX_IMAGES, Request
from diffagent.data.records import T2ICall
from diffagent.serving.answers import ScoredModel
from diffagent.serving.tools.example_images import read_image

if TYPE_CHECKING:
    from diffagent.agent.agent import Agent

NAME = "route_prompt"
DESCRIPTION = (
    "Choose the Stable Diffusion model for a prompt, with sampler, size, steps and CFG scale. Returns one "
    "callable text-to-image API call; no image is made. Ask again with other arguments to change it."
)


class RouteArguments(Request):
    """The options of one call that a language model may set: those of a request.

    ``images`` are paths of local files or data URLs. All options are checked by
    :meth:`~diffagent.agent.asking.request.Request.parse`.
    """

    prompt: str = Field(max_length=MAX_CHARACTERS, description=Request.model_fields["prompt"].description)
    negative_prompt: str = Field(
        "", max_length=MAX_CHARACTERS, description=Request.model_fields["negative_prompt"].description
    )
    images: Annotated[tuple[str, ...], Field(fail_fast=True)] = Field(
        (),
        max_length=MAX_IMAGES,
        description="Example images, 1 to 6: each the path of a local file or a data URL. No other URL is "
        "fetched.",
    )
    installed: bool = Field(False, description=Request.model_fields["installed"].description)
    target_url: SkipJsonSchema[None] = None

    def options(self) -> dict[str, Any]:
        """The given arguments by name."""
        return {name: getattr(self, name) for name in self.model_fields_set - {"target_url"}}


class RoutedCall(BaseModel):
    """A T2I call, its request, and the reasons for it."""

    call: T2ICall
    request: dict[str, Any] | None = Field(description="What the target takes; null for diffagent.")
    not_carried: list[str] = Field(description="Fields of the call that the request lacks or replaces.")
    n: int = Field(description="How many pictures were asked for.")
    notes: list[str] = Field(description="What could not be had or was changed.")
    reasons: list[str] = Field(description="What was read, and why these models.")
    candidates: list[ScoredModel] = Field(description="The models that were in the choice, best first.")
    timings_ms: dict[str, float]


def route(agent: Agent, options: Mapping[str, Any]) -> RoutedCall:
    """A call and its request; ``options`` are fields of :class:`~diffagent.agent.asking.request.Request`.

    Images given as text are paths or data URLs.

    Raises:
        BadInput: the request cannot be routed, or the target lacks a value.
    """
    images = [read_image(image) if isinstance(image, str) else image for image in options.get("images", ())]
    request = Request.parse({**options, "images": images})
    answer = agent.answer(request)
    return RoutedCall(
        **answer.decision.to_dict(),
        request=None if request.target == "diffagent" else answer.emitted.request,
        not_carried=answer.emitted.not_carried,
    )
