"""The tool ``search_models``: words and filters → models of the catalog, without a language model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from diffagent.agent.choosing.scope import LONGEST_OPTION
from diffagent.data.base_models import examples
from diffagent.data.records import ModelType

if TYPE_CHECKING:
    from diffagent.data.catalog.catalog import Catalog
    from diffagent.data.records import Card

NAME = "search_models"
DESCRIPTION = (
    "Search the catalog of text-to-image models by name, tag, trigger word or description, best match first. "
    "route_prompt takes a name or AIR found here as its model."
)


class SearchArguments(BaseModel):
    """Words and filters."""

    model_config = ConfigDict(extra="forbid")

    words: str = Field(
        min_length=1, max_length=300, description='Words, or beginnings of words: "pixel art", "watercol".'
    )
    base_model: str | None = Field(
        None, max_length=LONGEST_OPTION, description=f"Only models of this {examples()}."
    )
    type: ModelType | None = Field(None, description="Only checkpoints, or only LoRAs.")
    commercial: bool = Field(False, description="Only models whose images may be sold.")
    limit: int = Field(10, ge=1, le=50, description="How many to list.")


class CatalogModel(BaseModel):
    """A model of the catalog, in brief."""

    model: str
    air: str
    type: ModelType
    base_model: str
    description: str
    tags: list[str]
    trigger_words: list[str]
    downloads: int
    images_may_be_sold: bool

    @classmethod
    def from_card(cls, card: Card) -> CatalogModel:
        return cls(
            model=card.name,
            air=card.air,
            type=card.type,
            base_model=card.base_model,
            description=card.description,
            tags=list(card.tags),
            trigger_words=list(card.trigger_words),
            downloads=card.stats.downloads,
            images_may_be_sold=card.licence.images_may_be_sold,
        )


class SearchAnswer(BaseModel):
    """The models that match; ``hint`` is what to do if there are none."""

    models: list[CatalogModel]
    hint: str | None = None


def search(catalog: Catalog, arguments: SearchArguments) -> SearchAnswer:
    """The models that match, best first.

    Raises:
        BadInput: there is no such base model.
    """
    from diffagent.data.catalog.catalog import Filter

    cards = catalog.search(
        arguments.words, arguments.limit, Filter(arguments.type, arguments.base_model, arguments.commercial)
    )
    hint = (
        None if cards else f"nothing matches {arguments.words[:60]!r}: try fewer or other words, or no filter"
    )
    return SearchAnswer(models=[CatalogModel.from_card(card) for card in cards], hint=hint)
