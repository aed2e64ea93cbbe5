"""The columns of the table of base models, and the types of their values.

The rows are in :mod:`diffagent.data.base_model_rows`, the queries in :mod:`diffagent.data.base_models`. None
means unknown or absent; a value is never copied from a similar base model.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

Grade = Literal["runnable", "known", "hosted"]
Fit = Literal["same", "partial"]
Role = Literal["whole", "transformer", "text encoder", "vae"]
Prediction = Literal["epsilon", "v", "flow"]
Sources = tuple[tuple[str, str], ...]

FOLDERS: dict[Role, str] = {
    "whole": "checkpoints",
    "transformer": "diffusion_models",
    "text encoder": "text_encoders",
    "vae": "vae",
}
"""Role of a part → ComfyUI's folder for it."""


@dataclass(frozen=True)
class Part:
    """A file that a model of this base needs; ``file`` is its usual name, None the model's own file."""

    role: Role
    file: str | None = None
    kind: str | None = None
    """The base model's name in ComfyUI's text encoder loader."""
    also: tuple[str, ...] = ()
    """Usual names of equivalent files, such as other precisions."""

    @property
    def folder(self) -> str:
        return FOLDERS[self.role]


@dataclass(frozen=True)
class LoraMark:
    """Tensors that identify a LoRA's base model: their names contain ``key``; widths where known."""

    key: str
    reads: int | None = None
    """The last dimension of the down matrix."""
    writes: int | None = None
    """The first dimension of the up matrix."""


@dataclass(frozen=True)
class Fingerprint:
    """What identifies a base model in a safetensors header."""

    context: int | None = None
    """The width of the text states that the cross-attention keys read."""
    keys: tuple[str, ...] = ()
    """Parts of tensor names; a checkpoint has all of them."""
    absent: tuple[str, ...] = ()
    """Parts of tensor names; a checkpoint has none of them."""
    shapes: tuple[tuple[str, int, int], ...] = ()
    """Part of a tensor name, dimension, size; all hold in a checkpoint."""
    lora: tuple[LoraMark, ...] = ()
    """Any of them identifies a LoRA."""
    architectures: tuple[str, ...] = ()
    """Values of ``modelspec.architecture`` (before the slash) and ``ss_base_model_version``."""
    also: tuple[Fingerprint, ...] = ()
    """The same model in other layouts, such as diffusers'."""
    names: tuple[str, ...] = ()
    """Lower-case words in a header's names (``ss_sd_model_name``, ``modelspec.title``) that tell a base model
    from its parent with the same tensors."""


@dataclass(frozen=True)
class Dialect:
    """The prompts it reads: the ``form`` it was trained on, and the most ``tokens`` it encodes at once."""

    form: Literal["tags", "prose", "score words"] | None = None
    quality_words: tuple[str, ...] = ()
    negative: bool | None = None
    """Whether it reads a negative prompt."""
    tokens: int | None = None


@dataclass(frozen=True)
class Guidance:
    """The guidance scale; ``kind`` names the call's field: "cfg" ``cfg_scale``, "distilled" ``guidance``.

    Values outside ``low`` to ``high`` are only used on request.
    """

    kind: Literal["cfg", "distilled", "none"]
    low: float = 1.0
    high: float = 30.0
    usual: float = 1.0


@dataclass(frozen=True)
class BaseLicence:
    """The base model's own licence, which binds whatever an uploader allows."""

    name: str
    commercial: bool | None = None
    """Whether commercial use is allowed; None: under the licence's conditions."""


@dataclass(frozen=True)
class Nodes:
    """The nodes of its ComfyUI graph that differ between base models."""

    latent: str = "EmptyLatentImage"
    """The node that makes the empty latent."""
    encode: str = "CLIPTextEncode"
    """The node that encodes the prompt; CLIPTextEncode always encodes the negative prompt."""
    lora: str = "LoraLoader"
    """The LoRA loader; "LoraLoaderModelOnly" where LoRAs do not change the text encoder."""
    sampling: str | None = None
    """The node before the sampler that sets the noise levels; None: the model's own."""
    settings: tuple[tuple[str, float | str | bool], ...] = ()
    """That node's inputs."""


@dataclass(frozen=True)
class Recipe:
    """How Civitai's workflow step for it differs from the general step for checkpoints."""

    engine: str
    fixed: tuple[tuple[str, str], ...] = ()
    """Fields that identify the model."""
    model: str | None = "model"
    """The field for a checkpoint's AIR; None: the recipe runs its own model only."""
    version: int | None = None
    """The Civitai version of the recipe's own model."""
    cfg: str = "cfgScale"
    steps: str = "steps"
    negative: bool = True
    """Whether there is a negative prompt."""
    samplers: Literal["comfyui", "sdcpp"] | None = "sdcpp"
    """The program whose sampler and schedule names it takes; None: it takes none."""
    lora_list: bool = False
    """Whether LoRAs are a list of AIRs and strengths instead of AIR → strength."""
    most_steps: int = 150
    sides: tuple[int, int] = (64, 2048)
    """The shortest and the longest side, in pixels."""
    step: int = 16
    """Sides are multiples of this."""
    air: str | None = None
    """Civitai's copy of the base model's own model, where the recipe needs its AIR."""


@dataclass(frozen=True)
class Pipeline:
    """Its diffusers pipeline, and the pipeline's names for a call's settings."""

    transformer: str
    """The class that loads a model's file; the rest comes from the base model's repository."""
    cfg: str | None = "guidance_scale"
    """The argument of classifier-free guidance."""
    off: float = 1.0
    """The scale that means no guidance: 0 where the pipeline's scale is one less than the usual one, as it
    adds the scaled difference of the two predictions to the prompt's."""
    guidance: str | None = None
    """The argument of distilled guidance."""
    negative: bool = True
    """Whether there is a negative prompt."""
    dtype: str = "bfloat16"
    """The precision it was trained in."""


@dataclass(frozen=True)
class Backends:
    """How each target runs it, in the target's own term; None: it does not, or this is unknown.

    A target builds requests for the terms in ``base_model_rows.BUILT`` and refuses base models with others.
    """

    diffusers: str | None = None
    """The pipeline's class."""
    comfyui: Literal["checkpoint", "parts"] | None = None
    """Whether one file is loaded, or transformer, text encoders and VAE separately."""
    a1111: Literal["a1111", "forge", "forge neo"] | None = None
    """The oldest of A1111 and its forks that runs it."""
    sdnext: str | None = None
    """The pipeline's name."""
    civitai: str | None = None
    """The recipe's ecosystem or engine."""
    horde: str | None = None
    """The Horde's baseline."""
    openai: str | None = None
    """How an OpenAI images API selects it: "name", by the model's name."""
    refused: tuple[tuple[str, str, str], ...] = ()
    """Target, field, reason: fields that a target refuses for this base model only."""


@dataclass(frozen=True)
class Crossing:
    """LoRAs of another group that run on it, with all or some of their layers."""

    group: str
    fit: Fit = "partial"
    note: str = ""


@dataclass(frozen=True)
class Family:
    """A family of base models, such as "SDXL"; ``--base-model`` takes its name."""

    title: str
    spellings: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    """Plain words, which name it only in "use …" or "… model"."""
    request: str | None = None
    """A pattern of requests for it that spellings do not cover."""
    first: tuple[str, ...] = ()
    last: tuple[str, ...] = ()
    """Words that name it as the first or the last clause of a prompt."""
    unless: str | None = None
    """A pattern; where a prompt matches it, such a word, and "with WORD", means something else."""
    last_only: str | None = None
    """A pattern; where a prompt matches it, such a word names the family as the last clause."""
    usual: str | None = None
    """The base model that the bare name means; None: any of them."""
    versions: str | None = None
    """A pattern of the versions that follow its name; None: versions are base models."""


@dataclass(frozen=True)
class BaseModelFacts:
    """One base model; None means unknown or absent."""

    name: str
    """The name as Civitai spells it."""
    family: str
    """The family's name, which ``--base-model`` takes."""
    ecosystems: tuple[str, ...]
    """The ecosystem of its AIRs, then others that occur in AIRs."""
    grade: Grade = "known"
    """Runnable, known from the hub only, or hosted without files."""
    parent: str | None = None
    """The base model it was derived from; it inherits the columns that its row lacks."""
    hub: str | None = None
    """The hub's name for it, where that is another base model's."""
    types: tuple[str, ...] = ()
    """The AIR types of its models."""
    spellings: tuple[str, ...] = ()
    """Other names on hubs and among people; case, blanks, dots, dashes and underscores do not matter."""
    words: tuple[str, ...] = ()
    """Plain words, which name it only in "use …" or "… model"."""
    heard: tuple[str, ...] | None = None
    """Its names in prompts; None: its spellings, and its name unless that is a plain word."""
    entries: Literal["crawled", "by hand", "none"] = "by hand"
    """How its models become catalog entries: in every crawl, or on request."""
    lora_group: str | None = None
    """LoRAs of a group run on all of the group's checkpoints."""
    crossings: tuple[Crossing, ...] = ()
    parts: tuple[Part, ...] | None = None
    repository: str | None = None
    """The reference model's repository on Hugging Face."""
    fingerprint: Fingerprint | None = None
    dialect: Dialect = Dialect()
    guidance: Guidance | None = None
    steps: int | None = None
    steps_range: tuple[int, int] | None = None
    """The fewest and the most default steps; a distilled model needs fewer."""
    samplers: tuple[str, ...] | None = None
    """The default samplers, the usual one first; None: all."""
    schedules: tuple[str | None, ...] | None = None
    """The default schedules, likewise; None among them is the target's own."""
    prediction: Prediction | None = None
    clip_skip: int | None = None
    """The text encoder layer it was trained on, as A1111 counts; None: there is no choice."""
    drawn_clip_skip: int | None = None
    """The clip skip of its anime models, most of which derive from one that was trained with it."""
    area: int | None = None
    """The pixels of its training images."""
    step: int | None = None
    """Sides are multiples of this."""
    shapes: tuple[tuple[int, int], ...] = ()
    """The default widths and heights, its usual square first."""
    nodes: Nodes | None = None
    """ComfyUI's nodes; None: the usual ones."""
    recipe: Recipe | None = None
    """Civitai's step; None: the step for older checkpoints, or none."""
    pipeline: Pipeline | None = None
    """diffusers' pipeline; None: its file is a whole pipeline, or diffusers does not run it."""
    backends: Backends = Backends()
    licence: BaseLicence | None = None
    negative: tuple[str, ...] = ()
    """The default negative prompt: what people exclude most."""
    sources: Sources = field(default=(), repr=False)
    """Columns and the sources of their values; "*" is the rest of the row."""

    @property
    def ecosystem(self) -> str:
        """The ecosystem of its AIRs."""
        return self.ecosystems[0]

    @property
    def side(self) -> int | None:
        """The side of its usual square, in pixels."""
        return None if self.area is None else math.isqrt(self.area)

    @property
    def hub_name(self) -> str:
        """The hub's name for it."""
        return self.hub or self.name

    def source(self, column: str) -> str | None:
        """The source of a column's value; None where the row does not give it."""
        matches = (source for columns, source in self.sources if column in columns.split())
        rest = (source for columns, source in self.sources if columns == "*")
        return next(matches, None) or next(rest, None)


COLUMNS = tuple(column.name for column in fields(BaseModelFacts))
_OWN = ("name", "parent", "spellings", "words", "heard", "hub", "entries", "fingerprint", "repository")
"""Columns that a variant does not inherit."""


def variant(base: BaseModelFacts, name: str, sources: Sources, /, **differs: Any) -> BaseModelFacts:
    """Returns the row of a derived base model: the parent's but for ``differs`` and ``sources``."""
    blank = dict.fromkeys(("hub", "heard", "fingerprint", "repository"))
    blank |= {"parent": base.name, "spellings": (), "words": ()}
    entries = "by hand" if base.entries == "crawled" else base.entries
    row = replace(base, name=name, entries=entries, **blank | differs)  # type: ignore[arg-type]
    inherited = []
    for columns, source in base.sources:
        names = COLUMNS if columns == "*" else columns.split()
        covered = {column for other, _ in base.sources if other != "*" for column in other.split()}
        remaining = [
            c for c in names if c not in differs and c not in _OWN and (columns != "*" or c not in covered)
        ]
        if remaining:
            inherited.append((" ".join(remaining), source))
    return replace(row, sources=(*sources, *inherited))
