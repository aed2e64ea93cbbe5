"""The tool ``route_prompt``: a prompt and wishes → a T2I call, and the request of an image API.

In: :class:`RouteArguments`. Out: :class:`Routed`, with the fields of ``POST /v1/route``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field

from diffagent.agent.scope import LONGEST_OPTION
from diffagent.data.catalog import LONGEST_NAME
from diffagent.data.records import ModelType, T2ICall
from diffagent.serving.answers import Ranked, Target

if TYPE_CHECKING:
    from diffagent.agent.agent import Agent

NAME = "route_prompt"
DESCRIPTION = (
    "Choose the Stable Diffusion model for a prompt, with sampler, size, steps and CFG scale. Returns one "
    "callable text-to-image API call; no image is made. Ask again with other arguments to change it."
)


class RouteArguments(BaseModel):
    """What a language model may say about one call."""

    model_config = ConfigDict(extra="forbid")

    prompt: str = Field(
        description="What to draw, in any words. Sizes, shapes, steps, samplers and base models said in it "
        'are honoured ("landscape", "1024x768", "30 steps", "SDXL").'
    )
    negative_prompt: str = Field("", description="What to avoid; it also tells models apart.")
    base_model: str | None = Field(
        None,
        max_length=LONGEST_OPTION,
        description='Only models of this base model ("SD 1.5", "SDXL 1.0") or family ("sd1", "sdxl").',
    )
    type: ModelType | None = Field(None, description="Only checkpoints, or only LoRAs.")
    model: str | None = Field(
        None,
        max_length=LONGEST_NAME,
        description="Use this model of the catalog: name, AIR, Civitai id, hash or file name.",
    )
    commercial: bool = Field(False, description="Only models whose images may be sold.")
    seed: int | None = Field(None, ge=0, le=2**32 - 1, description="Seed of the image; null: any.")


class TargetedArguments(RouteArguments):
    """The same, for a caller who also says which API is going to make the image."""

    target: Target = Field(
        "diffagent",
        description="The API that makes the image: adds its request body. diffagent: the call only.",
    )
    nearest: bool = Field(
        False,
        description="Replace what the target lacks by the nearest that it has, where it would be an error.",
    )


class Routed(BaseModel):
    """A T2I call and what led to it."""

    call: T2ICall
    request: dict[str, Any] | None = Field(description="What the target takes; null for diffagent.")
    not_carried: list[str] = Field(description="Fields of the call that the request lacks or replaces.")
    candidates: list[Ranked] = Field(description="The models that were in the choice, best first.")
    timings_ms: dict[str, float]


def route(
    agent: Agent, prompt: str, *, target: str = "diffagent", nearest: bool = False, **options: Any
) -> Routed:
    """A call and its request; the options are those of :meth:`diffagent.agent.agent.Agent.decide`.

    Raises:
        BadInput: what was asked cannot be routed, or the target lacks a value.
    """
    from diffagent.agent.targets import emit

    decision = agent.decide(prompt, target=target, **options)
    emitted = emit(decision.call, target, agent.catalog, nearest=nearest)
    return Routed(
        **decision.to_dict(),
        request=None if target == "diffagent" else emitted.request,
        not_carried=emitted.not_carried,
    )
