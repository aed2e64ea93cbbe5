"""Parts of the answers to programs, shared by HTTP, MCP and LangChain."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from pydantic import BaseModel, Field

from diffagent.agent.answering.reasons import about
from diffagent.data.air import AIR

if TYPE_CHECKING:
    from diffagent.agent.pmi.identifier import Identification
    from diffagent.data.catalog.catalog import Catalog
    from diffagent.data.records import Card


class ScoredModel(BaseModel):
    """A candidate; ``score`` is its natural-log probability."""

    model: str
    air: str
    url: str | None = Field(description="The model's page.")
    score: float
    reasons: list[str] = Field(description="What the model is for.")

    @classmethod
    def from_card(cls, card: Card, score: float) -> ScoredModel:
        """A card as a candidate; ``score`` is its natural-log probability."""
        url, purpose = AIR.parse(card.air).url, list(about(card))
        return cls(model=card.name, air=card.air, url=url, score=round(score, 4), reasons=purpose)


def likely_models(identification: Identification, catalog: Catalog, k: int) -> list[tuple[Card, float]]:
    """The catalog's k most probable models, with their natural-log probabilities.

    Image specifications lie beside the catalog, and may name models that it lacks.
    """
    scores = dict(zip(identification.airs, identification.log_probabilities.tolist(), strict=True))
    cards = ((catalog.by_air(air), scores[air]) for air, _ in identification.best(len(scores)))
    return list(islice(((card, score) for card, score in cards if card), k))
