"""The types of a card's fields, which pydantic checks where a card is read from JSON.

:class:`~diffagent.data.records.Card` itself is a plain dataclass: it checks nothing when it is made.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field

from diffagent.data.attributes import Attributes, EstimatedAttributes
from diffagent.data.base_models import LISTED, canonical_name
from diffagent.data.samplers import is_joined, unknown_sampler

STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)
"""An unknown key is an error."""


def _lower(value: Any) -> Any:
    return value.casefold().removeprefix("0x") if isinstance(value, str) else value


def _known(name: str) -> str:
    if not is_joined(name):
        raise ValueError(unknown_sampler(name))
    return name


def _supported(base_model: str) -> str:
    if canonical_name(base_model) not in LISTED:
        raise ValueError(f"not supported; supported are {', '.join(LISTED)}")
    return canonical_name(base_model)


def _read_or_estimated(value: Any) -> Any:
    if not isinstance(value, Mapping) or "estimated" not in value:
        return value
    stored = {key: field for key, field in value.items() if key != "estimated"}
    return (EstimatedAttributes if value["estimated"] is True else Attributes).model_validate(stored)


Count = Annotated[int, Field(ge=0)]
Rating = Annotated[float, Field(ge=0, le=5)]
Commercial = Annotated[str, Field(pattern="^(Image|Rent|Sell)$")]
Size = Annotated[str, Field(pattern=r"^\d{2,4}x\d{2,4}$")]
SamplerName = Annotated[str, AfterValidator(_known)]
BaseModelName = Annotated[str, AfterValidator(_supported)]
Name = Annotated[str, Field(min_length=1, max_length=200)]
Description = Annotated[str, Field(max_length=2000)]
Id = Annotated[int, Field(ge=1)]
Hash = Annotated[str, BeforeValidator(_lower), Field(pattern=r"^[0-9a-f]{8,64}$")]
Sha256 = Annotated[str, BeforeValidator(_lower), Field(pattern=r"^[0-9a-f]{64}$")]
AutoV2 = Annotated[str, BeforeValidator(_lower), Field(pattern=r"^[0-9a-f]{10}$")]
AnyAttributes = Annotated[Attributes, BeforeValidator(_read_or_estimated)]
