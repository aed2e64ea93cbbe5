"""The tool ``identify_model``: example images → the models of the catalog that most likely made them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, ConfigDict, Field

from diffagent.data.air import AIR
from diffagent.data.errors import BadInput
from diffagent.data.records import ModelType
from diffagent.serving.answers import likely_models
from diffagent.serving.tools.example_images import read_image

if TYPE_CHECKING:
    from diffagent.agent.agent import Agent

NAME = "identify_model"
DESCRIPTION = (
    "Rank the catalog's models by how likely each made images like the given ones (style, not subject). "
    "route_prompt takes a name or AIR found here as its model."
)


class IdentifyArguments(BaseModel):
    """Example images."""

    model_config = ConfigDict(extra="forbid")

    images: Annotated[list[str], Field(fail_fast=True)] = Field(
        min_length=1,
        max_length=6,
        description="Images of one style: each the path of a local file or a data URL "
        "(data:image/png;base64,…). More images tell models apart better. No other URL is fetched.",
    )
    limit: int = Field(5, ge=1, le=50, description="How many models to list.")


class ProbableModel(BaseModel):
    """A model of the catalog, with the probability that it made the images."""

    model: str
    air: str
    url: str | None
    type: ModelType
    base_model: str
    probability: float


class IdentifiedModels(BaseModel):
    """The models that most likely made the images, best first."""

    models: list[ProbableModel]
    unsure: bool = Field(description="Whether no model is more probable than all others together.")


def read_images(arguments: IdentifyArguments) -> list[bytes]:
    """The bytes of the image files.

    Raises:
        BadInput: one of them cannot be read.
    """
    return [read_image(text) for text in arguments.images]


def identify(agent: Agent, images: Sequence[bytes], limit: int) -> IdentifiedModels:
    """The most likely models for the bytes of image files.

    Raises:
        BadInput: an image cannot be decoded, or the catalog has no image specifications.
    """
    if agent.identifier is None:
        raise BadInput(
            "example images were given, but this catalog has no image specifications to compare them with: "
            "describe their style in words, and ask route_prompt or search_models with these"
        )
    identification = agent.identify(images)
    models = [
        ProbableModel(
            model=card.name,
            air=card.air,
            url=AIR.parse(card.air).url,
            type=card.type,
            base_model=card.base_model,
            probability=round(math.exp(score), 4),
        )
        for card, score in likely_models(identification, agent.catalog, limit)
    ]
    return IdentifiedModels(models=models, unsure=identification.unsure)
