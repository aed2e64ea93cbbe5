"""The request: every option of one decision, checked once at the entrance.

    Request.parse({"prompt": "a fox in the snow", "base_model": "SD 1.5", "seed": 7})

The command line, HTTP, MCP, LangChain and the rows of a batch derive their options from :class:`Request`: its
fields' names, types, bounds and descriptions are theirs. An option is added here and read where it is needed;
:class:`RequestOptions` repeats the names for type checkers, and a test compares both.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, Self, TypedDict, Unpack

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from diffagent.agent.asking.negatives import join_negative
from diffagent.agent.asking.phrasing import Phrasing, phrasing
from diffagent.agent.asking.setting_words import SettingWords
from diffagent.agent.asking.shapes import orientation
from diffagent.agent.asking.wishes import Wishes, wishes, with_options
from diffagent.agent.targets import TargetName
from diffagent.data.base_models import USUAL, examples
from diffagent.data.errors import BadInput, BadPrompt
from diffagent.data.json_rows import sentence
from diffagent.data.prompts import join_parts, strip_lora_tags
from diffagent.data.records import CFG_MAX, SEED_MAX, SIDE_MAX, SIDE_MIN, STEPS_MAX, ModelType, legal_side

if TYPE_CHECKING:
    from diffagent.agent.targets.installed import Installed

MAX_CHARACTERS = 20_000
"""The longest prompt that is routed; text encoders of T2I models read the first few hundred words."""
MAX_NAME = 400
"""Characters of a model's, a base model's or a sampler's name."""
MAX_CANDIDATES = 52
"""One for each letter."""
MAX_IMAGES = 6
MAX_PICTURES = 100


def clean(text: Any, *, optional: bool = False) -> str:
    """Returns a normalised prompt: valid Unicode, control characters as blanks, ends trimmed.

    Raises:
        BadPrompt: the prompt is not text, empty (unless optional), or longer than 20,000 characters.
    """
    if not isinstance(text, str):
        raise BadPrompt(f"the prompt is {type(text).__name__}, but it has to be text")
    if len(text) > MAX_CHARACTERS:
        raise BadPrompt(
            f"the prompt has {len(text):,} characters, but at most {MAX_CHARACTERS:,} are read: shorten it"
        )
    valid = text.encode("utf-8", "replace").decode("utf-8")
    spaced = "".join(c if c == "\n" or unicodedata.category(c) != "Cc" else " " for c in valid).strip()
    if not spaced and not optional:
        raise BadPrompt('the prompt is empty: say what to draw, such as "A cute happy corgi, pixel art"')
    return spaced


def _prompt(text: Any) -> str:
    prompt = clean(text)
    if not strip_lora_tags(prompt):
        raise BadPrompt("the prompt holds nothing but LoRA tags: say what to draw")
    return prompt


def _optional_prompt(text: Any) -> str:
    return clean("" if text is None else text, optional=True)


def _model_type(value: Any) -> Any:
    names = {"checkpoint": "Checkpoint", "lora": "LoRA"}
    return names.get(value.casefold(), value) if isinstance(value, str) else value


def _side(pixels: int) -> int:
    legal = legal_side(pixels)
    if legal != pixels:
        raise ValueError(f"a side is a multiple of 8 pixels; the nearest is {legal}")
    return pixels


Name = Annotated[str, Field(min_length=1, max_length=MAX_NAME)]
Side = Annotated[int, Field(ge=SIDE_MIN, le=SIDE_MAX, strict=True), AfterValidator(_side)]
Prompt = Annotated[str, BeforeValidator(_prompt)]
NegativePrompt = Annotated[str, BeforeValidator(_optional_prompt)]
Type = Annotated[ModelType, BeforeValidator(_model_type)]


class Request(BaseModel):
    """One request to the agent; frozen, unknown options are refused.

    ``images`` are paths, bytes or Pillow images. ``installed`` is true for what the server of ``target`` at
    ``target_url`` has, or an :class:`~diffagent.agent.targets.installed_models.Installed` that was read
    already.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, arbitrary_types_allowed=True)

    prompt: Prompt = Field(
        description="What to draw, in any words. Sizes, shapes, steps, samplers and base models in it are "
        f'honoured ("landscape", "1024x768", "30 steps", "{USUAL.name}").'
    )
    negative_prompt: NegativePrompt = Field("", description="What to avoid; it also tells models apart.")
    images: tuple[Any, ...] = Field(
        (),
        max_length=MAX_IMAGES,
        description="Example images, 1 to 6: models that make such images are chosen.",
    )
    base_model: Name | None = Field(
        None, description=f"Only models of this {examples()}; any: of all alike, the usual ones or not."
    )
    type: Type | None = Field(None, description="Only checkpoints, or only LoRAs.")
    model: Name | None = Field(
        None, description="Use this model of the catalog: name, AIR, Civitai id, hash or file name."
    )
    commercial: bool = Field(False, description="Only models whose images may be sold.")
    width: Side | None = Field(None, description="Width of the image in pixels, a multiple of 8.")
    height: Side | None = Field(None, description="Height of the image in pixels, a multiple of 8.")
    sampling_method: Name | None = Field(None, description='The sampler, such as "Euler a".')
    scheduler: Name | None = Field(None, description='The schedule of the sampler, such as "Karras".')
    sampling_steps: Annotated[int, Field(ge=1, le=STEPS_MAX, strict=True)] | None = Field(
        None, description=f"Sampling steps, 1 to {STEPS_MAX}."
    )
    cfg_scale: Annotated[float, Field(ge=1, le=CFG_MAX)] | None = Field(
        None, description=f"Scale of classifier-free guidance, 1 (off) to {CFG_MAX}."
    )
    clip_skip: Annotated[int, Field(ge=1, le=12, strict=True)] | None = Field(
        None, description="Clip skip, 1 to 12, as A1111 counts."
    )
    seed: Annotated[int, Field(ge=0, le=SEED_MAX, strict=True)] | None = Field(
        None, description=f"Seed of the image, 0 to {SEED_MAX}; any where none is given."
    )
    n: Annotated[int, Field(ge=1, le=MAX_PICTURES, strict=True)] | None = Field(
        None, description="How many pictures are asked for; as many as the prompt says where none is given."
    )
    no_trigger: bool = Field(False, description="Add none of the model's trigger words to the prompt.")
    default_negative: bool = Field(
        True,
        description="Where no negative prompt is given, exclude what most people do with the base model.",
    )
    enhance: bool = Field(
        False, description="Enrich a short prompt with medium, light, view and finish first."
    )
    k: int = Field(
        16, ge=1, le=MAX_CANDIDATES, strict=True, description="Candidates that the language model reads."
    )
    target: TargetName = Field(
        "diffagent",
        description="The API that makes the image: only what it runs is chosen. diffagent: the call only.",
    )
    nearest: bool = Field(
        False, description="Replace what cannot be had by the nearest that can, where it would be an error."
    )
    installed: Any = Field(False, description="Choose among the models that the target's server has.")
    target_url: Annotated[str, Field(max_length=2000)] | None = Field(
        None, description="The address of the target's server."
    )

    @classmethod
    def parse(cls, options: Mapping[str, Any]) -> Self:
        """Returns a request of options by name.

        Raises:
            BadPrompt: the prompt is not text, empty or too long.
            BadInput: an option is unknown or out of range.
        """
        try:
            return cls.model_validate(dict(options))
        except ValidationError as error:
            fault = error.errors(include_url=False)[0]
            raise BadInput(_sentence(fault, list(cls.model_fields))) from None

    @classmethod
    def from_prompt(cls, prompt: str, **options: Unpack[RequestOptions]) -> Self:
        """Returns a request for a prompt; errors of :meth:`parse`."""
        return cls.parse({"prompt": prompt, **options})

    @cached_property
    def phrasing(self) -> Phrasing:
        """The prompt's words, divided into what is to be drawn and talk about the picture."""
        return phrasing(self._prompt_wishes.prompt)

    @cached_property
    def _prompt_wishes(self) -> Wishes:
        return wishes(self.prompt)

    @property
    def gives_negative(self) -> bool:
        """Whether a negative prompt is given, by option or as infotext."""
        return bool(self.negative_prompt or self._prompt_wishes.negative_prompt)

    @cached_property
    def wishes(self) -> Wishes:
        """The wishes of prompt and options; an option takes precedence over the prompt's words."""
        negative = join_parts([self._prompt_wishes.negative_prompt, self.negative_prompt])
        prompt_wishes, words = self._prompt_wishes, self.phrasing.settings
        return with_options(
            replace(
                prompt_wishes,
                prompt=self.phrasing.prompt,
                aspect=prompt_wishes.aspect
                if prompt_wishes.size or prompt_wishes.oversize
                else _aspect(prompt_wishes.aspect, words),
                leaning=prompt_wishes.leaning and not words.aspect,
                steps=prompt_wishes.steps or words.steps,
                seed=words.seed if prompt_wishes.seed is None else prompt_wishes.seed,
                cfg_scale=prompt_wishes.cfg_scale or words.cfg_scale,
            ),
            negative_prompt=join_negative(negative, self.phrasing.avoid),
            width=self.width,
            height=self.height,
            sampling_method=self.sampling_method,
            scheduler=self.scheduler,
            steps=self.sampling_steps,
            cfg_scale=self.cfg_scale,
            clip_skip=self.clip_skip,
            seed=self.seed,
        )


def _aspect(aspect: tuple[int, int] | None, words: SettingWords) -> tuple[int, int] | None:
    """The aspect that a prompt asks for: a ratio in its settings first, then the prompt's ``aspect``, unless
    the settings name a shape of another orientation (a "phone" may be part of a story)."""
    if words.aspect or aspect is None:
        return words.aspect or words.shape
    return words.shape if words.shape and orientation(words.shape) != orientation(aspect) else aspect


class RequestOptions(TypedDict, total=False):
    """The fields of :class:`Request` but the prompt, for ``Agent.call(prompt, **options)``."""

    negative_prompt: str
    images: Sequence[Any]
    base_model: str | None
    type: str | None
    model: str | None
    commercial: bool
    width: int | None
    height: int | None
    sampling_method: str | None
    scheduler: str | None
    sampling_steps: int | None
    cfg_scale: float | None
    clip_skip: int | None
    seed: int | None
    n: int | None
    no_trigger: bool
    default_negative: bool
    enhance: bool
    k: int
    target: str
    nearest: bool
    installed: bool | Installed
    target_url: str | None


def takes_text(name: str) -> bool:
    """Whether a field of a request is text, by its JSON schema."""
    schema = Request.model_json_schema()["properties"][name]
    return any(kind.get("type") == "string" for kind in schema.get("anyOf", (schema,)))


def _sentence(fault: Mapping[str, Any], field_names: Sequence[str]) -> str:
    """One of pydantic's faults, on one line."""
    name = str(next(iter(fault["loc"]), ""))
    if fault["type"] == "extra_forbidden":
        return f"there is no option {name[:60]!r}: the options are {', '.join(field_names)}"
    if fault["type"] == "missing":
        return f"{name} is missing: say what to draw"
    if name == "images" and fault["type"] == "too_long":
        return f"{fault['ctx']['actual_length']} example images were given: give 1 to {MAX_IMAGES}"
    return sentence(fault, "the request")
