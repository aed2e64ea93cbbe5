"""Attributes: what a model is for, in a closed vocabulary that catalog, reading and wishes share.

    {"role": "style", "media": ["watercolor"], "subjects": ["loose washes", "landscapes"], "breadth": "broad",
     "people": "any", "needed": ["wtrclr"], "variants": [{"words": "wtrclr ink", "draws": "ink outlines"}],
     "carrier": "Deliberate", "caution": [], "renown": 1}

A strong language model writes them from card, uploader's text and sample prompts
(:mod:`diffagent.data.descriptions.describe`); without one,
:mod:`diffagent.data.descriptions.plain_attributes` estimates them from the card alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, ClassVar, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from diffagent.data.errors import BadInput
from diffagent.data.json_rows import fault

Role = Literal[
    "general", "style", "character", "concept", "object", "garment", "pose", "place", "effect", "tool"
]
"""A model's use; no request asks for a "tool" (VAE, sliders, fixers)."""
Medium = Literal[
    "any", "photo", "analog photo", "anime", "manga", "chibi", "cartoon", "3d cartoon", "comic",
    "illustration", "children's book", "digital painting", "oil painting", "watercolor", "pastel", "ink",
    "ukiyo-e", "pencil sketch", "line art", "woodcut", "vector", "pixel art", "3d render", "low poly",
    "voxel", "isometric", "claymation", "lego", "papercraft", "textile", "stained glass", "mosaic",
    "sculpture", "sticker", "icon", "logo", "game asset", "tattoo", "poster", "graffiti", "concept art",
    "fantasy art", "art nouveau", "art deco", "pop art", "fine art", "folk art", "furry art", "map",
    "pattern", "collage",
]  # fmt: skip
"""The medium that a picture is made in, or looks made in."""
Breadth = Literal["broad", "genre", "narrow"]
"""Any subject within the media; one kind of picture; one character, thing or very special look."""
People = Literal["any", "young women", "women", "men", "children", "none"]
"""The people that a model draws."""

ROLES: tuple[Role, ...] = get_args(Role)
MEDIA: tuple[Medium, ...] = get_args(Medium)
NEVER_CHOSEN = frozenset(("real person", "sexualised", "minor", "photo likeness"))
"""Cautions that keep a model from answering any request."""


class Variant(BaseModel):
    """Trigger words of one of a model's several subjects, and what they draw."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    words: str = Field(min_length=1, max_length=600)
    draws: str = Field(max_length=200)


class Attributes(BaseModel):
    """What one model is for; unknown keys are refused.

    ``needed`` are the trigger words of every prompt for the model; ``carrier`` names the checkpoint that a
    LoRA was made for; ``renown`` is 0 (obscure or unfinished) to 3 (a first choice of experts).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    role: Role
    media: tuple[Medium, ...] = Field(min_length=1, max_length=3)
    subjects: tuple[str, ...] = Field(default=(), max_length=8)
    breadth: Breadth = "narrow"
    people: People = "any"
    needed: tuple[str, ...] = Field(default=(), max_length=12)
    variants: tuple[Variant, ...] = Field(default=(), max_length=12)
    carrier: str | None = Field(default=None, max_length=120)
    caution: tuple[str, ...] = Field(default=(), max_length=8)
    renown: int = Field(default=1, ge=0, le=3)

    is_estimated: ClassVar[bool] = False
    """Whether a classifier estimated them."""

    @classmethod
    def parse(cls, data: str | bytes | Mapping[str, Any]) -> Self:
        """Returns the attributes of JSON text or a mapping.

        Raises:
            BadInput: a field is missing, unknown or outside its vocabulary; the message names it.
        """
        try:
            if isinstance(data, str | bytes):
                return cls.model_validate_json(data)
            return cls.model_validate(dict(data))
        except ValidationError as error:
            raise BadInput(f"not attributes: {fault(error, 'the object')}") from None

    @cached_property
    def is_choosable(self) -> bool:
        """Whether the model may answer a request: it is not a tool and has no caution of NEVER_CHOSEN."""
        return self.role != "tool" and not NEVER_CHOSEN & set(self.caution)


class EstimatedAttributes(Attributes):
    """Attributes that :mod:`diffagent.data.descriptions.plain_attributes` estimated; marked in JSON."""

    is_estimated: ClassVar[bool] = True


_MARK = '{"estimated":true,'


def attributes_to_json(attributes: Attributes) -> str:
    """Returns the attributes as JSON text without default values."""
    text = attributes.model_dump_json(exclude_defaults=True)
    return _MARK + text[1:] if attributes.is_estimated else text


def attributes_from_json(text: str) -> Attributes:
    """Returns the attributes of the JSON text that :func:`attributes_to_json` wrote.

    Raises:
        pydantic.ValidationError: a field is missing, unknown or outside its vocabulary.
    """
    if text.startswith(_MARK):
        return EstimatedAttributes.model_validate_json("{" + text[len(_MARK) :])
    return Attributes.model_validate_json(text)
