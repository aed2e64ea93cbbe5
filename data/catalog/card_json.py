"""Cards as JSON: what ``diffagent catalog`` prints with ``--json`` and what ``catalog add`` reads.

    {"name": "My Inks", "type": "LoRA", "base_model": "SD 1.5",
     "air": "urn:air:sd1:lora:huggingface:me/inks", "trigger_words": ["inkfox"]}

Only the first four are needed. Keys are those of
:class:`~diffagent.data.records.Card`; an unknown key is an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from diffagent.data.air import AIR, ModelAir, source_of
from diffagent.data.attributes import Attributes, EstimatedAttributes
from diffagent.data.base_models import LISTED, canonical_name, find
from diffagent.data.catalog.cards import compose
from diffagent.data.catalog.texts import clean
from diffagent.data.errors import BadInput
from diffagent.data.records import Card, Licence, ModelType, Stats, Usage
from diffagent.data.samplers import is_joined, unknown_sampler

Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{8,64}$")]
Size = Annotated[str, Field(pattern=r"^\d{2,4}x\d{2,4}$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class StatsJson(_Strict):
    """What the hub's community made of a model, as JSON."""

    downloads: int = Field(default=0, ge=0)
    favorites: int = Field(default=0, ge=0)
    comments: int = Field(default=0, ge=0)
    ratings: int = Field(default=0, ge=0)
    rating: float = Field(default=0.0, ge=0, le=5)
    hidden: bool = False


class LicenceJson(_Strict):
    """What an uploader allows, as JSON."""

    no_credit: bool = True
    commercial: str | None = Field(default=None, pattern="^(Image|Rent|Sell)$")
    derivatives: bool = True
    different_licence: bool = True


class UsageJson(_Strict):
    """Value → number of images; numbers are parsed from JSON's text keys."""

    sampler: dict[str, int] = {}
    steps: dict[int, int] = {}
    cfg_scale: dict[float, int] = {}
    size: dict[Size, int] = {}
    clip_skip: dict[int, int] = {}
    checkpoints: dict[ModelAir, int] = {}
    lora_weight: dict[float, int] = {}

    @field_validator("sampler")
    @classmethod
    def _known(cls, value: dict[str, int]) -> dict[str, int]:
        strange = next((name for name in sorted(value) if not is_joined(name)), None)
        if strange is not None:
            raise ValueError(unknown_sampler(strange))
        return value


class CardJson(_Strict):
    """A card as JSON; unknown fields are errors."""

    name: str = Field(min_length=1, max_length=200)
    type: ModelType
    base_model: str
    air: ModelAir
    model_id: int | None = Field(default=None, ge=1)
    version_id: int | None = Field(default=None, ge=1)
    version_name: str = ""
    sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    autov2: str | None = Field(default=None, pattern=r"^[0-9a-f]{10}$")
    file_name: str | None = None
    tags: tuple[str, ...] = ()
    trigger_words: tuple[str, ...] = ()
    stats: StatsJson = StatsJson()
    licence: LicenceJson = LicenceJson()
    usage: UsageJson = UsageJson()
    description: str = Field(default="", max_length=2000)
    source: str = ""
    created_at: str = ""
    older_airs: tuple[ModelAir, ...] = ()
    hashes: tuple[Hash, ...] = ()
    aliases: tuple[str, ...] = ()
    optional_words: tuple[str, ...] = ()
    attributes: Attributes | None = None
    is_pickle: bool | None = None
    """Printed but not read: the file name decides it."""

    @field_validator("sha256", "autov2", mode="before")
    @classmethod
    def _lower(cls, value: Any) -> Any:
        return value.casefold().removeprefix("0x") if isinstance(value, str) else value

    @field_validator("hashes", mode="before")
    @classmethod
    def _lower_all(cls, value: Any) -> Any:
        return [cls._lower(digest) for digest in value] if isinstance(value, list | tuple) else value

    @field_validator("attributes", mode="before")
    @classmethod
    def _read_or_estimated(cls, value: Any) -> Any:
        if not isinstance(value, Mapping) or "estimated" not in value:
            return value
        fields = {key: field for key, field in value.items() if key != "estimated"}
        return (EstimatedAttributes if value["estimated"] is True else Attributes).model_validate(fields)

    @field_validator("base_model")
    @classmethod
    def _supported(cls, value: str) -> str:
        if canonical_name(value) not in LISTED:
            raise ValueError(f"not supported; supported are {', '.join(LISTED)}")
        return canonical_name(value)

    @model_validator(mode="after")
    def _air_agrees(self) -> Self:
        air, row = AIR.parse(self.air), find(self.base_model)
        assert row is not None  # the validator of base_model
        if air.ecosystem not in row.ecosystems or air.model_type != self.type:
            right = replace(air, ecosystem=row.ecosystem, type=self.type.casefold())
            raise ValueError(f"air does not agree with type and base_model: it would be {right}")
        return self

    def card(self) -> Card:
        """Returns the card, with hashes and description completed from the other fields."""
        facts = self.model_dump(exclude={"stats", "licence", "usage", "is_pickle"})
        for key in ("tags", "trigger_words", "optional_words", "aliases"):
            facts[key] = tuple(word for word in map(clean, facts[key]) if word)
        digests = (self.sha256, self.sha256 and self.sha256[:10], self.autov2, *self.hashes)
        facts["hashes"] = tuple(dict.fromkeys(digest for digest in digests if digest))
        facts["autov2"] = self.autov2 or (self.sha256 and self.sha256[:10])
        facts["name"] = clean(self.name)
        facts["description"] = clean(self.description) or compose(
            self.type, self.base_model, facts["tags"], facts["trigger_words"]
        )
        facts["attributes"] = self.attributes
        facts["source"] = self.source or source_of(self.air)
        return Card(
            **facts,
            stats=Stats(**self.stats.model_dump()),
            licence=Licence(**self.licence.model_dump()),
            usage=Usage(**self.usage.model_dump()),
        )


def card_from_json(row: Mapping[str, Any]) -> Card:
    """Returns the card of a JSON object.

    Raises:
        BadInput: a field is missing, unknown or wrong; the message names it.
    """
    try:
        return CardJson.model_validate(dict(row)).card()
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the card"
        excerpt = "" if first["type"] == "missing" else f" (given: {_short(first.get('input'))})"
        raise BadInput(f"not a card: {where}: {first['msg']}{excerpt}") from None


def card_to_json(card: Card) -> dict[str, Any]:
    """Returns the card as a JSON object that :func:`card_from_json` reads."""
    purpose = card.attributes
    attributes = purpose and {
        **purpose.model_dump(mode="json"),
        **({"estimated": True} if purpose.is_estimated else {}),
    }
    return {**asdict(card), "attributes": attributes, "is_pickle": card.is_pickle}


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
