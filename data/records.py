"""The records that flow through diffagent: sample → card → call.

A *sample* is one shared image of a model, with its generation data. A *card* is one catalog entry: a model
and base model at its newest usable version. A *T2I call* is the agent's answer: the nine fields of the
DiffAgent paper (section 3.1, "Dataset composition") and the fields that make them executable.

    {"model": "AIO Pixel Art", "type": "Checkpoint", "base_model": "SD 1.5", "width": 512, …}
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_serializer,
    field_validator,
    model_validator,
)

from diffagent.data import card_fields as checked
from diffagent.data.air import AIR, ModelAir
from diffagent.data.errors import BadCall
from diffagent.data.json_rows import fault
from diffagent.data.samplers import SAMPLING_METHODS, SCHEDULERS, Sampler, join, read

ModelType = Literal["Checkpoint", "LoRA"]
Counts = Mapping[Any, int]

SIDE_MIN, SIDE_MAX, SIDE_STEP = 64, 4096, 8
SEED_MAX = 2**64 - 1
STEPS_MAX, CFG_MAX = 150, 30


class Lora(BaseModel):
    """One LoRA of a call: its catalog name, AIR, weight and needed trigger words."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    model: str = Field(min_length=1)
    air: ModelAir
    weight: float = Field(ge=-2, le=2, strict=True)
    trigger_words: tuple[str, ...] = ()

    @field_serializer("trigger_words")
    def _words_as_json_has_them(self, value: tuple[str, ...]) -> list[str]:
        return list(value)

    @field_validator("air")
    @classmethod
    def _names_a_lora(cls, value: str) -> str:
        if AIR.parse(value).model_type != "LoRA":
            raise ValueError("a LoRA's air names a lora; a checkpoint stands in base_checkpoint")
        return value


class T2ICall(BaseModel):
    """One callable text-to-image API call. Sizes in pixels; unknown keys are refused.

    Raises :class:`~diffagent.data.errors.BadCall` from :meth:`parse`; pydantic's own
    ``ValidationError`` from the constructor.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    model: str = Field(min_length=1)
    type: ModelType
    base_model: str = Field(min_length=1)
    width: int = Field(ge=SIDE_MIN, le=SIDE_MAX, multiple_of=SIDE_STEP, strict=True)
    height: int = Field(ge=SIDE_MIN, le=SIDE_MAX, multiple_of=SIDE_STEP, strict=True)
    sampling_method: str
    scheduler: str | None = None
    sampling_steps: int = Field(ge=1, le=STEPS_MAX, strict=True)
    cfg_scale: float = Field(ge=1, le=CFG_MAX, strict=True)
    guidance: float | None = Field(default=None, ge=0, le=30, strict=True)
    model_description: str
    prompt: str = Field(min_length=1)
    negative_prompt: str = ""
    clip_skip: int | None = Field(default=None, ge=1, le=12, strict=True)
    seed: int | None = Field(default=None, ge=0, le=SEED_MAX, strict=True)
    air: ModelAir
    base_checkpoint: ModelAir | None = None
    loras: tuple[Lora, ...] = ()
    """In order, the answering one first."""

    @field_serializer("loras")
    def _loras_as_json_has_them(self, value: tuple[Lora, ...]) -> list[dict[str, Any]]:
        return [lora.model_dump() for lora in value]

    @property
    def sampler(self) -> Sampler:
        """The sampler and its schedule together."""
        return Sampler(self.sampling_method, self.scheduler)

    @model_validator(mode="before")
    @classmethod
    def _one_weight_a_lora(cls, data: Any) -> Any:
        if isinstance(data, Mapping) and "lora_weight" in data:
            raise ValueError(
                'a call has no lora_weight: write "loras": [{"model", "air", "weight", "trigger_words"}], '
                "[] for a checkpoint"
            )
        return data

    @field_validator("sampling_method")
    @classmethod
    def _known_sampler(cls, value: str) -> str:
        if value in SAMPLING_METHODS:
            return value
        if (sampler := read(value)) and sampler.scheduler:
            raise ValueError(
                f'the schedule stands apart: write "sampling_method": "{sampler.method}", '
                f'"scheduler": "{sampler.scheduler}"'
            )
        raise ValueError(f"unknown sampler; known are {', '.join(SAMPLING_METHODS)}")

    @field_validator("scheduler")
    @classmethod
    def _known_scheduler(cls, value: str | None) -> str | None:
        if value is not None and value not in SCHEDULERS:
            raise ValueError(f"unknown scheduler; known are null, {', '.join(SCHEDULERS)}")
        return value

    @model_validator(mode="after")
    def _loras_belong_to_a_checkpoint(self) -> Self:
        air = AIR.parse(self.air)
        if air.model_type != self.type:
            raise ValueError(f"air names a {air.type}, type says {self.type}")
        if (self.type == "LoRA") != bool(self.loras):
            raise ValueError("loras is empty for a checkpoint, and holds the answering LoRA first for a LoRA")
        if (self.base_checkpoint is None) == bool(self.loras):
            raise ValueError(
                f"base_checkpoint is {'needed for a LoRA' if self.loras else 'null without one'}"
            )
        if self.base_checkpoint is not None and AIR.parse(self.base_checkpoint).model_type != "Checkpoint":
            raise ValueError("base_checkpoint is the AIR of a checkpoint")
        if self.loras and (self.loras[0].air, self.loras[0].model) != (self.air, self.model):
            raise ValueError("the first of loras is the answering one: its model and air are the call's")
        if len({lora.air for lora in self.loras}) < len(self.loras):
            raise ValueError("a LoRA stands in loras once")
        return self

    @classmethod
    def parse(cls, data: str | bytes | Mapping[str, Any]) -> T2ICall:
        """Returns the call of JSON text or a mapping.

        Raises:
            BadCall: not JSON, or a field is missing, unknown or out of range; the message names it.
        """
        try:
            if isinstance(data, str | bytes):
                return cls.model_validate_json(data)
            return cls.model_validate(dict(data))
        except ValidationError as error:
            raise BadCall(f"not a T2I call: {fault(error, 'the call')}") from None

    def to_json(self) -> str:
        """The call as one JSON object, UTF-8, fields in the contract's order."""
        return self.model_dump_json(indent=2)


@dataclass(frozen=True)
class LoraUse:
    """One LoRA in an image's generation data; ``version_id`` is Civitai's, ``name`` is "" where missing."""

    name: str
    weight: float | None = None
    hash: str | None = None
    version_id: int | None = None


@dataclass(frozen=True)
class Sample:
    """One sample image's generation data, normalised; missing fields are None.

    ``prompt`` is as shared, LoRA tags included; ``width`` and ``height`` are pixels as generated, before any
    hires fix; ``checkpoint_hash`` is A1111's "Model hash" in lower case, ``checkpoint_version_id`` the
    Civitai version in images made on the site.
    """

    image_id: int
    version_id: int
    prompt: str
    negative_prompt: str = ""
    sampler: str | None = None
    steps: int | None = None
    cfg_scale: float | None = None
    width: int | None = None
    height: int | None = None
    clip_skip: int | None = None
    seed: int | None = None
    checkpoint_hash: str | None = None
    checkpoint_name: str | None = None
    loras: tuple[LoraUse, ...] = ()
    checkpoint_version_id: int | None = None
    inpainting: bool = False
    img2img: bool = False
    scheduler: str | None = None

    @property
    def joined_sampler(self) -> str | None:
        """The joined name of sampler and schedule, as counted."""
        return None if self.sampler is None else join(Sampler(self.sampler, self.scheduler))


@dataclass(frozen=True)
class Usage:
    """The settings of a model's sample images: value → number of images.

    ``sampler`` has joined names of sampler and schedule; ``size`` "WIDTHxHEIGHT"; ``checkpoints`` (of a LoRA)
    AIRs; ``lora_weight`` weights rounded to 0.05.
    """

    __pydantic_config__ = checked.STRICT
    sampler: Mapping[checked.SamplerName, int] = field(default_factory=dict)
    steps: Mapping[int, int] = field(default_factory=dict)
    cfg_scale: Mapping[float, int] = field(default_factory=dict)
    size: Mapping[checked.Size, int] = field(default_factory=dict)
    clip_skip: Mapping[int, int] = field(default_factory=dict)
    checkpoints: Mapping[ModelAir, int] = field(default_factory=dict)
    lora_weight: Mapping[float, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Stats:
    """Community statistics of a model, over all its versions.

    ``rating`` is in 1…5: a thumb up counts as 5, a thumb down as 1. ``hidden``: the creator hides the
    downloads, and ``downloads`` is a meaningless 0.
    """

    __pydantic_config__ = checked.STRICT
    downloads: checked.Count = 0
    favorites: checked.Count = 0
    comments: checked.Count = 0
    ratings: checked.Count = 0
    rating: checked.Rating = 0.0
    hidden: bool = False


@dataclass(frozen=True)
class Licence:
    """The uploader's permissions, as Civitai's four flags state them.

    ``commercial`` is one of None, "Image", "Rent", "Sell" (each includes the ones before it).
    """

    __pydantic_config__ = checked.STRICT
    no_credit: bool = True
    commercial: checked.Commercial | None = None
    derivatives: bool = True
    different_licence: bool = True

    @property
    def images_may_be_sold(self) -> bool:
        return self.commercial in ("Image", "Rent", "Sell")


@dataclass(frozen=True)
class Card:
    """One catalog entry: a model and base model at its newest version that passes the filters."""

    __pydantic_config__ = checked.STRICT
    name: checked.Name
    type: ModelType
    base_model: checked.BaseModelName
    air: ModelAir
    model_id: checked.Id | None = None
    version_id: checked.Id | None = None
    version_name: str = ""
    sha256: checked.Sha256 | None = None
    autov2: checked.AutoV2 | None = None
    file_name: str | None = None
    tags: tuple[str, ...] = ()
    trigger_words: tuple[str, ...] = ()
    stats: Stats = field(default_factory=Stats)
    licence: Licence = field(default_factory=Licence)
    usage: Usage = field(default_factory=Usage)
    description: checked.Description = ""
    source: str = "civitai"
    created_at: str = ""
    older_airs: tuple[ModelAir, ...] = ()
    hashes: tuple[checked.Hash, ...] = ()
    """Every hash (lower case) of every file of every version, the newest version's first."""
    aliases: tuple[str, ...] = ()
    """Other sources' names of the same file, such as AI Horde's."""
    optional_words: tuple[str, ...] = ()
    """Trigger words for one of a model's several subjects; not every prompt needs them."""

    attributes: checked.AnyAttributes | None = None
    """What the model is for; None where unknown."""

    @property
    def needed_words(self) -> tuple[str, ...]:
        """The trigger words that every prompt needs, by the attributes or else by the uploader's list."""
        return self.trigger_words if self.attributes is None else self.attributes.needed

    @property
    def all_words(self) -> tuple[str, ...]:
        """The trigger words, needed and optional."""
        return (*self.trigger_words, *self.optional_words)

    @property
    def is_pickle(self) -> bool:
        """Whether the file is a pickle: listed, and offered only to AI Horde, whose workers scan it."""
        return (self.file_name or "").casefold().endswith((".ckpt", ".pt", ".pth", ".bin"))

    @property
    def is_gguf(self) -> bool:
        """Whether the file is a quantized transformer without its other parts, which some targets load."""
        return (self.file_name or "").casefold().endswith(".gguf")


def legal_side(pixels: float) -> int:
    """Returns the nearest legal side of an image: a multiple of 8 in 64…4096 pixels."""
    rounded = math.floor(pixels / SIDE_STEP + 0.5) * SIDE_STEP
    return min(SIDE_MAX, max(SIDE_MIN, rounded))
