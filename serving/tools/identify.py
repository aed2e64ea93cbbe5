"""The tool ``identify_model``: example images → the catalog's models that most likely made such images.

The matching is the agent's: whatever has a method ``identify`` is an :class:`Identifier`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from pydantic import BaseModel, ConfigDict, Field

from diffagent.data.errors import BadInput
from diffagent.data.records import ModelType
from diffagent.serving.tools.example_images import read_image

if TYPE_CHECKING:
    from diffagent.agent.agent import Agent

NAME = "identify_model"
DESCRIPTION = (
    "Rank the catalog's models by how likely each made images like the given ones (style, not subject). "
    "route_prompt takes a name or AIR found here as its model."
)


class Ranking(Protocol):
    """Every model's probability of having made the images."""

    def best(self, k: int) -> Sequence[tuple[str, float]]:
        """The k most probable models: AIR and probability, best first."""
        ...


@runtime_checkable
class Identifier(Protocol):
    """Identification by example images, CGI's Pmi (section 4): one requirement of all images together."""

    def identify(self, images: Sequence[Any]) -> Ranking:
        """From 1 to 6 images, among them the contents of image files.

        Raises:
            BadInput: one is no image, or the catalog has no image specifications.
        """
        ...


class IdentifyArguments(BaseModel):
    """Example images."""

    model_config = ConfigDict(extra="forbid")

    images: list[str] = Field(
        min_length=1,
        max_length=6,
        description="Images of one style, PNG, JPEG or WebP: each the path of a local file or a data URL "
        "(data:image/png;base64,…). More images tell models apart better. No other URL is fetched.",
    )
    limit: int = Field(5, ge=1, le=50, description="How many models to list.")


class Likely(BaseModel):
    """A catalog entry with the probability that it made the images."""

    model: str
    air: str
    type: ModelType
    base_model: str
    probability: float


class Identified(BaseModel):
    """The models that such images most likely come from, best first."""

    models: list[Likely]


def read_images(asked: IdentifyArguments) -> list[bytes]:
    """The contents of the image files.

    Raises:
        BadInput: one of them cannot be read.
    """
    return [read_image(text) for text in asked.images]


def identify(agent: Agent, images: Sequence[bytes], limit: int) -> Identified:
    """Ranked models for the contents of image files.

    Raises:
        BadInput: the agent has nothing to compare images with.
    """
    if not isinstance(agent, Identifier):
        raise BadInput(
            "example images were given, but this catalog has no image specifications to compare them with: "
            "describe their style in words, and ask route_prompt or search_models with these"
        )
    likely = []
    for air, probability in agent.identify(images).best(limit):
        card = agent.catalog.by_air(air)
        if card is not None:  # specifications lie beside the catalog, and may know more
            likely.append(
                Likely(
                    model=card.name,
                    air=card.air,
                    type=card.type,
                    base_model=card.base_model,
                    probability=round(probability, 4),
                )
            )
    return Identified(models=likely)
