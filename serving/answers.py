"""What programs are answered, whatever carries it: HTTP, MCP, LangChain."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from pydantic import BaseModel

if TYPE_CHECKING:
    from diffagent.agent.pmi.identifier import Identification
    from diffagent.data.catalog import Catalog
    from diffagent.data.records import Card


class Ranked(BaseModel):
    """A model that was in the choice; ``score`` is its natural-log probability."""

    model: str
    air: str
    score: float


def likely(found: Identification, catalog: Catalog, k: int) -> list[tuple[Card, float]]:
    """The k most probable models with their natural-log probabilities, of those that the catalog has.

    Image specifications lie beside the catalog, and may know more models.
    """
    scores = dict(zip(found.airs, found.log_probabilities.tolist(), strict=True))
    cards = ((catalog.by_air(air), scores[air]) for air, _ in found.best(len(scores)))
    return list(islice(((card, score) for card, score in cards if card), k))
