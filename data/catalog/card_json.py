"""Cards as JSON: what ``diffagent catalog`` prints with ``--json`` and what ``catalog add`` reads.

    {"name": "My Inks", "type": "LoRA", "base_model": "SD 1.5",
     "air": "urn:air:sd1:lora:huggingface:me/inks", "trigger_words": ["inkfox"]}

Only the first four are needed. Keys are those of
:class:`~diffagent.data.records.Card`; an unknown key is an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from functools import cache
from typing import Any

from pydantic import TypeAdapter, ValidationError

from diffagent.data.air import AIR, source_of
from diffagent.data.base_models import find
from diffagent.data.catalog.cards import compose
from diffagent.data.catalog.texts import clean
from diffagent.data.errors import BadInput
from diffagent.data.json_rows import fault
from diffagent.data.records import Card

_WORDS = ("tags", "trigger_words", "optional_words", "aliases")


def card_from_json(row: Mapping[str, Any]) -> Card:
    """Returns the card of a JSON object, with hashes and description completed from the other fields.

    ``is_pickle`` is printed but not read: the file name decides it.

    Raises:
        BadInput: a field is missing, unknown or wrong; the message names it.
    """
    try:
        card = _adapter().validate_python({key: value for key, value in row.items() if key != "is_pickle"})
    except ValidationError as error:
        raise BadInput(f"not a card: {fault(error, 'the card')}") from None
    air, base = AIR.parse(card.air), find(card.base_model)
    assert base is not None  # the validator of base_model
    if air.ecosystem not in base.ecosystems or air.model_type != card.type:
        right = replace(air, ecosystem=base.ecosystem, type=card.type.casefold())
        raise BadInput(
            f"not a card: air does not agree with type and base_model: it would be {right} (given: {air})"
        )
    words: dict[str, Any] = {key: tuple(filter(None, map(clean, getattr(card, key)))) for key in _WORDS}
    digests = (card.sha256, card.sha256 and card.sha256[:10], card.autov2, *card.hashes)
    return replace(
        card,
        **words,
        name=clean(card.name),
        hashes=tuple(dict.fromkeys(digest for digest in digests if digest)),
        autov2=card.autov2 or (card.sha256 and card.sha256[:10]),
        description=clean(card.description)
        or compose(card.type, card.base_model, words["tags"], words["trigger_words"]),
        source=row.get("source") or source_of(card.air),
    )


def card_to_json(card: Card) -> dict[str, Any]:
    """Returns the card as a JSON object that :func:`card_from_json` reads."""
    purpose = card.attributes
    attributes = purpose and {
        **purpose.model_dump(mode="json"),
        **({"estimated": True} if purpose.is_estimated else {}),
    }
    return {**asdict(card), "attributes": attributes, "is_pickle": card.is_pickle}


@cache
def _adapter() -> TypeAdapter[Card]:
    return TypeAdapter(Card)
