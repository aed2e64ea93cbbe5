"""Models that are neither SD 1.x nor SDXL, added to a catalog by hand."""

from __future__ import annotations

from typing import Any

import pytest

from diffagent.data.catalog.card_json import card_from_json
from diffagent.data.errors import BadInput
from diffagent.data.records import Card


def card(**facts: Any) -> Card:
    return card_from_json(
        {"name": "A", "type": "Checkpoint", "air": "urn:air:other:checkpoint:huggingface:a/b", **facts}
    )


def test_other_is_a_base_model_of_a_card() -> None:
    assert card(base_model="other").base_model == "Other"
    with pytest.raises(BadInput, match="Other"):
        card(base_model="SD 9")
    with pytest.raises(BadInput, match="air does not agree"):
        card(base_model="SD 1.5")
