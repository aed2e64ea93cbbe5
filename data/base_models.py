"""The base models, one frozen table: the only place that names one.

    find("stable_diffusion_xl").name                        "SDXL 1.0"
    find("SD 1.5").backends.diffusers                       "StableDiffusionPipeline"
    named("sd1")                                            ("SD 1.4", "SD 1.5")
    lora_fit(lora="SD 1.4", checkpoint="SD 1.5")            "full"

A new base model is a row here. What is not known of it is None, and a base model without a row can be crawled
but not run. Names, ecosystems and what crosses are those of Civitai's
``packages/civitai-shared/src/basemodel.constants.ts``, defaults those of its
``src/shared/data-graph/generation``, and for SD 1.x what sample images are made with.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, Literal

from diffagent.data.errors import BadInput

Fit = Literal["full", "partial"]
Role = Literal["whole", "transformer", "text encoder", "vae"]


@dataclass(frozen=True)
class Part:
    """A file that a model of this base runs with; ``file`` is its usual name, None for the model's own."""

    role: Role
    file: str | None = None
    kind: str | None = None
    """What ComfyUI's loader of text encoders calls it."""


@dataclass(frozen=True)
class Fingerprint:
    """How a safetensors header shows the base model.

    ``context`` is the width of the text states that the cross-attention's keys read; ``keys`` are parts of
    tensors' names that a file has all of.
    """

    context: int | None = None
    keys: tuple[str, ...] = ()


@dataclass(frozen=True)
class Dialect:
    """What prompts it reads: ``form`` it was trained on, ``tokens`` are the longest prompt in one piece."""

    form: Literal["tags", "prose", "score words"] | None = None
    quality_words: tuple[str, ...] = ()
    negative: bool | None = None
    """Whether it reads a negative prompt."""
    tokens: int | None = None


@dataclass(frozen=True)
class Guidance:
    """``kind`` says which field of a call guides: "cfg" its ``cfg_scale``, "distilled" its ``guidance``.

    Nothing outside ``low`` to ``high`` is chosen unasked.
    """

    kind: Literal["cfg", "distilled", "none"]
    low: float = 1.0
    high: float = 30.0
    usual: float = 1.0


@dataclass(frozen=True)
class Backends:
    """How each target runs it, in the target's own term; None where it does not."""

    diffusers: str | None = None
    """The pipeline's class."""
    comfyui: str | None = None
    """The builder of the graph's loaders, in :mod:`diffagent.agent.targets.comfyui`."""
    a1111: Literal["a1111", "forge"] | None = None
    """The oldest of A1111 and its forks that runs it."""
    civitai: str | None = None
    """The recipe's ecosystem."""
    horde: str | None = None
    """The Horde's baseline."""
    openai: str | None = None
    """How a server behind OpenAI's images API is asked: "name", by the model's name."""
    refused: tuple[tuple[str, str, str], ...] = ()
    """Target, field, reason: fields that a target takes for others, and refuses for this one."""


@dataclass(frozen=True)
class Crossing:
    """LoRAs of another group that run on it, all or part of their layers."""

    group: str
    fit: Fit = "partial"
    note: str = ""


@dataclass(frozen=True)
class BaseModelFacts:
    """One base model. None is what nobody has told us, or what it does not have."""

    name: str
    """As Civitai spells it."""
    family: str
    """What a person means by "SDXL": base models with the same settings; ``--base-model`` takes it."""
    ecosystems: tuple[str, ...]
    """The AIR's ecosystem; behind the first, others that are met in AIRs."""
    spellings: tuple[str, ...] = ()
    """Other names, of hubs and of people; case, blanks, dashes and underscores do not matter."""
    request: str | None = None
    """A pattern of how a prompt asks for it."""
    entries: Literal["crawled", "by hand", "none"] = "none"
    """How its models become catalog entries."""
    lora_group: str | None = None
    """LoRAs of a group run on all of its checkpoints."""
    crossings: tuple[Crossing, ...] = ()
    parts: tuple[Part, ...] | None = None
    fingerprint: Fingerprint | None = None
    dialect: Dialect = Dialect()
    guidance: Guidance | None = None
    steps: int | None = None
    steps_range: tuple[int, int] = (1, 150)
    """The fewest and the most that are chosen unasked; a distilled model needs fewer."""
    samplers: tuple[str, ...] | None = None
    """The samplers that are chosen unasked, the usual one first; None: all."""
    schedules: tuple[str, ...] | None = None
    """Likewise."""
    clip_skip: int | None = None
    """The layer of the text encoder that it was trained on, as A1111 counts; None: there is no choice."""
    drawn_clip_skip: int | None = None
    """The clip skip of its anime models: most are mixed from one that was trained so."""
    area: int | None = None
    """Pixels that it was trained at."""
    step: int | None = None
    """What its sides are multiples of."""
    shapes: tuple[tuple[int, int], ...] = ()
    """The widths and heights that are chosen unasked, the most usual first: its usual square."""
    backends: Backends = Backends()
    licence: str | None = None
    negative: tuple[str, ...] = ()
    """What people exclude most: the negative prompt where a user gives none."""

    @property
    def ecosystem(self) -> str:
        """The ecosystem that its AIRs are written with."""
        return self.ecosystems[0]

    @property
    def side(self) -> int | None:
        """The side of its usual square, in pixels."""
        return None if self.area is None else math.isqrt(self.area)


FAMILIES: Mapping[str, str] = {"sd1": "SD 1.x", "sd2": "SD 2.x", "sdxl": "SDXL", "other": "Other"}
"""Family → what people call it."""

_WHOLE = (Part("whole"),)
_OPENRAIL = "CreativeML Open RAIL-M"
_SAMPLERS = (
    "DPM++ 2M Karras", "Euler a", "DPM++ SDE Karras", "DPM++ 2S a Karras", "DDIM", "UniPC",
    "DPM++ 2M SDE Karras", "Euler", "DPM++ 2M", "DPM++ SDE", "DPM++ 2S a", "DPM++ 2M SDE", "Heun",
    "DPM2 Karras", "DPM2 a Karras",
)  # fmt: skip
"""By their use in the sample images of 5,716 models; what is left out has less than one in 300."""
_NEGATIVE = ("worst quality", "low quality", "blurry", "bad anatomy", "text", "watermark")
# The phrases in the negative prompts of at least a quarter of the models of a base model,
# counted over a crawl of 2023: of 4,402 models of SD 1.5 with negative prompts, 3,064 exclude "low quality",
# 3,024 "worst quality", 1,958 "bad anatomy", 1,884 "text", 1,877 "blurry", 1,773 "watermark", 1,595
# "signature", 1,450 "lowres", 1,223 "bad hands", 1,208 "username", 1,136 "jpeg artifacts". Left out: names of
# embeddings (1,897), and what people ask for ("monochrome" 1,158, "cropped" 1,236) or what says nothing
# ("normal quality" 1,331). _NEGATIVE are those that a quarter exclude in each of the larger groups of that
# crawl (SD 1.4, SD 1.5, "Other"), for base models that were too new for it.
_SD1: Mapping[str, Any] = {
    "family": "sd1",
    "ecosystems": ("sd1",),
    "entries": "crawled",
    "lora_group": "sd1",
    "parts": _WHOLE,
    "dialect": Dialect("prose", negative=True, tokens=75),
    "guidance": Guidance("cfg", low=3.0, high=12.0, usual=7.0),
    "steps": 25,
    "steps_range": (15, 50),
    "samplers": _SAMPLERS,
    "clip_skip": 1,
    "drawn_clip_skip": 2,
    "area": 512 * 512,
    "step": 8,
    # with the area of one to two and a quarter of its squares, by use
    "shapes": (
        (512, 512), (512, 768), (768, 512), (512, 640), (640, 512), (512, 704), (704, 512), (512, 720),
        (720, 512), (576, 768), (768, 576), (448, 640), (640, 448), (480, 640), (640, 480), (432, 768),
        (768, 432), (384, 768), (768, 384), (384, 896), (896, 384), (512, 896), (896, 512), (640, 640),
        (768, 768),
    ),
    "backends": Backends(
        diffusers="StableDiffusionPipeline",
        comfyui="checkpoint",
        a1111="a1111",
        civitai="sd1",
        horde="stable diffusion 1",
        openai="name",
    ),
    "licence": _OPENRAIL,
    "negative": (*_NEGATIVE, "signature", "lowres", "bad hands", "username", "jpeg artifacts"),
}  # fmt: skip

TABLE: tuple[BaseModelFacts, ...] = (
    BaseModelFacts(
        name="SD 1.4",
        spellings=("sd14", "sd v1.4", "stable diffusion 1.4", "stable diffusion v1.4"),
        request=r"\b(?:sd|stable diffusion)[ -]?v?1\.4\b",
        **_SD1,
    ),
    BaseModelFacts(
        name="SD 1.5",
        spellings=(
            "sd15", "sd 1", "sd v1", "sd v1.5", "stable diffusion 1", "stable diffusion 1.5",
            "stable diffusion v1.5", "stable diffusion v1",
        ),
        request=r"\b(?:sd|stable diffusion)[ -]?(?:v?1\.5|15)\b",
        fingerprint=Fingerprint(context=768),
        **_SD1,
    ),
    BaseModelFacts(
        name="SD 2.1",
        family="sd2",
        ecosystems=("sd2",),
        spellings=("sd21", "stable diffusion 2", "stable diffusion 2.1", "stable diffusion v2.1"),
        request=r"\b(?:sd|stable diffusion)[ -]?v?2(?:\.[01])?(?:[ -](?:768|512))?\b(?! \w+s\b)",
        fingerprint=Fingerprint(context=1024),
    ),
    BaseModelFacts(
        name="SDXL 1.0",
        family="sdxl",
        ecosystems=("sdxl",),
        spellings=("sdxl", "sdxl base", "sdxl base v1.0", "stable diffusion xl", "stable diffusion xl 1.0"),
        request=r"\b(?:sd[ -]?xl|stable diffusion xl)(?:[ -]?1\.0)?\b",
        entries="crawled",
        lora_group="sdxl",
        parts=_WHOLE,
        fingerprint=Fingerprint(context=2048),
        dialect=Dialect("prose", negative=True, tokens=75),
        guidance=Guidance("cfg", low=3.0, high=12.0, usual=7.0),
        steps=30,
        steps_range=(15, 50),
        samplers=_SAMPLERS,
        clip_skip=2,
        area=1024 * 1024,
        step=8,
        # the shapes of its training that its models are used at (SDXL's report, appendix I)
        shapes=(
            (1024, 1024), (832, 1216), (1216, 832), (896, 1152), (1152, 896), (768, 1344), (1344, 768),
            (640, 1536), (1536, 640),
        ),
        backends=Backends(
            diffusers="StableDiffusionXLPipeline",
            comfyui="checkpoint",
            a1111="a1111",
            civitai="sdxl",
            # civitai-developer-docs, orchestration/recipes/sdxl.md
            refused=(("civitai", "clip_skip", "Civitai's recipe for SDXL refuses clipSkip"),),
            horde="stable_diffusion_xl",
            openai="name",
        ),
        licence="CreativeML Open RAIL++-M",
        negative=_NEGATIVE,
    ),
    BaseModelFacts(
        name="Other",
        family="other",
        ecosystems=("other",),
        entries="by hand",
        backends=Backends(openai="name"),
    ),
)  # fmt: skip
"""In the order in which a model's entries are listed; an older base model stands before a newer one."""

_WITH = r"(?:us(?:e|ing)|with|on|via|trained on|made (?:with|by|in)|in) (?:the )?"
_CLOSED = r"(?= (?:model|checkpoint|please|instead|if|for)\b|\s*(?:[,.:;!?)\n]|$))"
UNLISTED: tuple[tuple[str, str], ...] = (
    (
        "Flux.1 D",
        r"\bflux[. -]?(?:1|2)(?:[. -](?:dev|d|schnell|s|pro))?\b|\bflux[ -](?:dev|schnell|pro|kontext)\b|"
        rf"\b{_WITH}flux\b{_CLOSED}",
    ),
    ("SD 3.5", r"\b(?:sd|stable diffusion)[ -]?v?3(?:\.5)?(?:[ -](?:medium|large|turbo))?\b(?! \w+s\b)"),
    ("Pony", rf"\bpony ?diffusion(?: v?6)?(?: xl)?\b|\bpony ?xl\b|\b{_WITH}pony(?= (?:model|checkpoint)\b)"),
    ("Illustrious", rf"\billustrious ?xl\b|\b{_WITH}illustrious\b{_CLOSED}"),
    ("NoobAI", r"\bnoob ?ai(?:[ -]?xl)?\b"),
    ("Qwen", rf"\bqwen[ -]?image\b|\b{_WITH}qwen\b"),
    ("ZImageTurbo", r"\bz-?image(?:[ -]?turbo)?\b(?=\W|$)"),
    ("PixArt Sigma", r"\bpixart(?:[ -](?:sigma|alpha|[ae]))?\b"),
    ("Kolors", rf"\b{_WITH}kolors\b"),
    ("HiDream", r"\bhidream\b"),
    ("Stable Cascade", r"\bstable cascade\b"),
    ("Midjourney", rf"\b{_WITH}mid ?journey\b{_CLOSED}"),
    ("DALL-E", rf"\b{_WITH}dall[- ]?e(?:[ -]?[23])?\b{_CLOSED}"),
)
"""Base models and services without a row, and how a prompt asks for them: a request is not to be answered
with another one unsaid."""

USUAL = next(row for row in TABLE if row.name == "SD 1.5")
"""The base model of what names none."""
OTHER = next(row for row in TABLE if row.family == "other")
"""The row of what has no row of its own: added by hand; only a server that is asked by name runs it."""
CRAWLED: tuple[str, ...] = tuple(row.name for row in TABLE if row.entries == "crawled")
LISTED: tuple[str, ...] = tuple(row.name for row in TABLE if row.entries != "none")
"""The base models that a catalog's entries may have."""


def find(base_model: str) -> BaseModelFacts | None:
    """The row of a base model by any of its spellings; None where it has none."""
    row = _by_name().get(base_model)
    return row if row is not None else _by_spelling().get(_key(base_model))


def spelled(base_model: object) -> str:
    """A base model as the catalog spells it; a text without a row stays, on one line."""
    if not isinstance(base_model, str):
        return ""
    row = find(base_model)
    return " ".join(base_model.split()) if row is None else row.name


def family_of(base_model: str) -> str:
    """The family of a base model; one without a row is a family by itself."""
    row = _by_name().get(base_model) or find(base_model)
    return base_model.casefold() if row is None else row.family


def ecosystem_of(base_model: str) -> str:
    """The ecosystem of a base model's AIRs."""
    row = find(base_model)
    return OTHER.ecosystem if row is None else row.ecosystem


def side_of(base_model: str) -> int:
    """The side of a base model's usual square, in pixels; the usual base model's where it is not known."""
    row = find(base_model)
    side = (row.side if row is not None else None) or USUAL.side
    assert side is not None
    return side


def is_meant(given: str, base_model: str) -> bool:
    """Whether ``given``, as :func:`named` takes it, means ``base_model``; a name without a row, itself."""
    return base_model in _meant(given) or given.casefold() == base_model.casefold()


def named(given: str) -> tuple[str, ...]:
    """The base models of catalogs that ``given`` means: a family, a base model, an ecosystem or a LoRA group.

    Raises:
        BadInput: it is none of them.
    """
    names = tuple(name for name in _meant(given) if name in LISTED)
    if not names:
        families = dict.fromkeys(row.family for row in TABLE if row.entries == "crawled")
        known = ", ".join((*LISTED, *families))
        raise BadInput(f"no base model {given!r} is supported: give one of {known}")
    return names


def lora_fit(*, lora: str, checkpoint: str) -> Fit | None:
    """How much of a LoRA of one base model a checkpoint of another runs; None: not at all, or unknown."""
    of_lora, of_checkpoint = find(lora), find(checkpoint)
    if of_lora is None or of_checkpoint is None or of_lora.lora_group is None:
        return None
    if of_lora.lora_group == of_checkpoint.lora_group:
        return "full"
    fits = (one.fit for one in of_checkpoint.crossings if one.group == of_lora.lora_group)
    return next(fits, None)


def backend(base_model: str, target: str) -> str | None:
    """How a target runs a base model, in the target's own term; None where it does not."""
    row = find(base_model)
    return None if row is None else getattr(row.backends, target, None)


def refusal(base_model: str, target: str, field: str) -> str | None:
    """Why a target refuses a call's field for a base model, though not for others; None where it takes it."""
    row = find(base_model)
    rules = row.backends.refused if row is not None else ()
    return next((reason for api, name, reason in rules if (api, name) == (target, field)), None)


def run_by(target: str) -> tuple[str, ...]:
    """The base models of catalogs that a target runs."""
    return tuple(name for name in LISTED if backend(name, target) is not None)


@cache
def civitai_recipes() -> Mapping[str, str]:
    """AIR ecosystem → the ecosystem of Civitai's recipe that runs its checkpoints."""
    rows = (row for row in TABLE if row.backends.civitai is not None)
    return {ecosystem: str(row.backends.civitai) for row in rows for ecosystem in row.ecosystems}


@cache
def requests() -> tuple[tuple[str, re.Pattern[str]], ...]:
    """Families, or names without one, and how a prompt asks for them; of several, the first that is found is
    meant."""
    listed = [(row.family, row.request) for row in reversed(TABLE) if row.request]
    return tuple((name, re.compile(request, re.I)) for name, request in (*listed, *UNLISTED))


def by_context(width: int) -> str | None:
    """The base model whose cross-attention reads text states of a width."""
    rows = (row for row in TABLE if row.fingerprint is not None and row.fingerprint.context == width)
    return next((row.name for row in rows), None)


def by_keys(tensors: Mapping[str, Any]) -> str | None:
    """The base model whose fingerprint's keys a file's tensors have; LoRAs may have underscores for dots."""
    names = [name.replace(".", "_") for name in tensors]
    for row in TABLE:
        keys = [key.replace(".", "_") for key in row.fingerprint.keys] if row.fingerprint else []
        if keys and all(any(key in name for name in names) for key in keys):
            return row.name
    return None


def examples(most: int = 3) -> str:
    """What ``--base-model`` takes, in words: base models and families, the first of each."""
    usual = {row.family: row.name for row in TABLE if row.entries == "crawled"}
    chosen = list(usual.items())[:most]
    names, families = ", ".join(f'"{name}"' for _, name in chosen), ", ".join(family for family, _ in chosen)
    return f"base model ({names}) or family ({families})"


def families() -> Iterator[tuple[str, str]]:
    """The families of crawled base models with their titles, in the table's order."""
    for family in dict.fromkeys(row.family for row in TABLE if row.entries == "crawled"):
        yield family, FAMILIES[family]


def _key(spelling: str) -> str:
    return re.sub(r"[\s_-]+", "", spelling.casefold())


@cache
def _by_name() -> Mapping[str, BaseModelFacts]:
    return {row.name: row for row in TABLE}


@cache
def _by_spelling() -> Mapping[str, BaseModelFacts]:
    found: dict[str, BaseModelFacts] = {}
    for row in TABLE:
        found |= dict.fromkeys(map(_key, (row.name, *row.spellings)), row)
    for row in TABLE:
        if row.backends.horde is not None:
            found.setdefault(_key(row.backends.horde), row)
    return found


@cache
def _groups() -> Mapping[str, tuple[str, ...]]:
    """Families, ecosystems and LoRA groups → their base models; of one word, the first of the three."""
    found: dict[str, tuple[str, ...]] = {}
    for kind in ("family", "ecosystem", "lora_group"):
        rows: dict[str, list[str]] = {}
        for row in TABLE:
            if getattr(row, kind):
                rows.setdefault(getattr(row, kind), []).append(row.name)
        found = {word: tuple(names) for word, names in rows.items()} | found
    return found


@lru_cache(256)
def _meant(given: str) -> tuple[str, ...]:
    """The base models of a name, a family, a spelling, an ecosystem or a LoRA group, tried in this order."""
    words = " ".join(given.casefold().split())
    for name in _by_name():
        if name.casefold() == words:
            return (name,)
    row = None if words in FAMILIES else find(words)
    return _groups().get(words, ()) if row is None else (row.name,)
