"""What is known of one base model: the columns of the table of base models, and the types of their values.

The rows are in :mod:`diffagent.data.base_model_rows`, the questions that others ask in
:mod:`diffagent.data.base_models`. None is what no source tells, or what a base model does not have; it is
never a neighbour's value.
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
"""Role of a part → ComfyUI's folder of such files."""


@dataclass(frozen=True)
class Part:
    """A file that a model of this base runs with; ``file`` is its usual name, None for the model's own."""

    role: Role
    file: str | None = None
    kind: str | None = None
    """What ComfyUI's loader of text encoders calls the base model."""
    also: tuple[str, ...] = ()
    """Other usual names of files that do the same, as in other precisions."""

    @property
    def folder(self) -> str:
        return FOLDERS[self.role]


@dataclass(frozen=True)
class LoraMark:
    """Tensors of a LoRA that tell its base: whose name has ``key``, with the widths that are known."""

    key: str
    reads: int | None = None
    """The last dimension of the down matrix."""
    writes: int | None = None
    """The first dimension of the up matrix."""


@dataclass(frozen=True)
class Fingerprint:
    """How a safetensors header shows the base model."""

    context: int | None = None
    """The width of the text states that the cross-attention's keys read."""
    keys: tuple[str, ...] = ()
    """Parts of tensors' names that a checkpoint has all of."""
    absent: tuple[str, ...] = ()
    """Parts that no tensor's name has."""
    shapes: tuple[tuple[str, int, int], ...] = ()
    """Part of a tensor's name, dimension, size: all hold in a checkpoint."""
    lora: tuple[LoraMark, ...] = ()
    """Any of them tells a LoRA."""
    architectures: tuple[str, ...] = ()
    """Values of ``modelspec.architecture`` (before the slash) and ``ss_base_model_version``."""
    also: tuple[Fingerprint, ...] = ()
    """The same model in other layouts, such as diffusers'."""
    names: tuple[str, ...] = ()
    """Words in the names that a header keeps (``ss_sd_model_name``, ``modelspec.title``), in lower case: what
    tells a base model from its parent, whose tensors it shares."""


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
class BaseLicence:
    """The base model's own licence, which binds whatever an uploader allows."""

    name: str
    commercial: bool | None = None
    """Whether its use for money is allowed; None: the licence says under which conditions."""


@dataclass(frozen=True)
class Nodes:
    """The nodes of its graph in ComfyUI that differ from one base model to another."""

    latent: str = "EmptyLatentImage"
    """The node that makes the empty picture."""
    encode: str = "CLIPTextEncode"
    """The node that reads the prompt; the negative prompt is always read by CLIPTextEncode."""
    lora: str = "LoraLoader"
    """The loader of LoRAs; "LoraLoaderModelOnly" where none changes a text encoder."""
    sampling: str | None = None
    """The node in front of the sampler that sets the noise levels; None: the model's own."""
    settings: tuple[tuple[str, float | str | bool], ...] = ()
    """That node's inputs."""


@dataclass(frozen=True)
class Recipe:
    """What Civitai's workflow step of it differs in from the one for checkpoints of any ecosystem."""

    engine: str
    fixed: tuple[tuple[str, str], ...] = ()
    """Fields that say which model is meant."""
    model: str | None = "model"
    """The field that takes a checkpoint's AIR; None: the recipe runs its own model alone."""
    version: int | None = None
    """The Civitai version of the recipe's own model."""
    cfg: str = "cfgScale"
    steps: str = "steps"
    negative: bool = True
    """Whether there is a negative prompt."""
    samplers: Literal["comfyui", "sdcpp"] | None = "sdcpp"
    """Whose names of samplers and schedules it takes; None: it has none."""
    lora_list: bool = False
    """Whether LoRAs are a list of AIRs and strengths, in place of AIR → strength."""
    most_steps: int = 150
    sides: tuple[int, int] = (64, 2048)
    """The shortest and the longest side, in pixels."""
    step: int = 16
    """What its sides are multiples of."""
    air: str | None = None
    """Civitai's copy of the base model's own model, where the recipe has to be told which one it is."""


@dataclass(frozen=True)
class Pipeline:
    """What its pipeline of diffusers is made from, and what that calls the settings of a call."""

    transformer: str
    """The class of a model's file; the rest comes from the base model's repository."""
    cfg: str | None = "guidance_scale"
    """The argument of classifier-free guidance."""
    off: float = 1.0
    """Its value without guidance: 0 where the pipeline adds its scale's worth of the difference between the
    two predictions to the one of the prompt, so that its scale is one less than everybody else's."""
    guidance: str | None = None
    """The argument of distilled guidance."""
    negative: bool = True
    """Whether there is a negative prompt."""
    dtype: str = "bfloat16"
    """The precision that it was trained in."""


@dataclass(frozen=True)
class Backends:
    """How each target runs it, in the target's own term; None where it does not, or nobody has told us.

    A target builds requests for some terms (``base_model_rows.BUILT``); base models with others it refuses.
    """

    diffusers: str | None = None
    """The pipeline's class."""
    comfyui: Literal["checkpoint", "parts"] | None = None
    """Whether one file is loaded, or transformer, text encoders and VAE apart."""
    a1111: Literal["a1111", "forge", "forge neo"] | None = None
    """The oldest of A1111 and its forks that runs it."""
    sdnext: str | None = None
    """The name of its pipeline."""
    civitai: str | None = None
    """The recipe's ecosystem or engine."""
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
class Family:
    """What a person means by "SDXL": ``--base-model`` takes its name."""

    title: str
    spellings: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    """Plain words, which mean it only where a prompt says "use …" or "… model"."""
    request: str | None = None
    """A pattern of how a prompt asks for it, where spellings do not say it all."""
    first: tuple[str, ...] = ()
    last: tuple[str, ...] = ()
    """Words that mean it where they are the first or the last clause of a prompt by themselves."""
    unless: str | None = None
    """A pattern of what a prompt holds in which such a word, and "with WORD", means something else."""
    last_only: str | None = None
    """A pattern of what a prompt holds in which such a word means it as the last clause."""
    usual: str | None = None
    """The base model that people mean by the bare name; None: any of them."""
    versions: str | None = None
    """A pattern of the versions that people name behind its names; None: versions are base models."""


@dataclass(frozen=True)
class BaseModelFacts:
    """One base model. None is what nobody has told us, or what it does not have."""

    name: str
    """As Civitai spells it."""
    family: str
    """Base models that a person calls by one name; ``--base-model`` takes it."""
    ecosystems: tuple[str, ...]
    """The AIR's ecosystem; behind the first, others that are met in AIRs."""
    grade: Grade = "known"
    """Whether all that running it needs is known, or only what the hub tells, or there are no files."""
    parent: str | None = None
    """The base model that it was made from: what its row does not say is the parent's."""
    hub: str | None = None
    """What the hub files it under, where it has no name of its own there."""
    types: tuple[str, ...] = ()
    """The types of AIRs that its models have."""
    spellings: tuple[str, ...] = ()
    """Other names, of hubs and of people; case, blanks, dots, dashes and underscores do not matter."""
    words: tuple[str, ...] = ()
    """Plain words, which mean it only where a prompt says "use …" or "… model"."""
    heard: tuple[str, ...] | None = None
    """What a prompt calls it; None: its spellings, and its name where that is not a plain word."""
    entries: Literal["crawled", "by hand", "none"] = "by hand"
    """How its models become catalog entries: by every crawl, or where they are asked for."""
    lora_group: str | None = None
    """LoRAs of a group run on all of its checkpoints."""
    crossings: tuple[Crossing, ...] = ()
    parts: tuple[Part, ...] | None = None
    repository: str | None = None
    """The reference model's repository on Hugging Face."""
    fingerprint: Fingerprint | None = None
    dialect: Dialect = Dialect()
    guidance: Guidance | None = None
    steps: int | None = None
    steps_range: tuple[int, int] | None = None
    """The fewest and the most that are chosen unasked; a distilled model needs fewer."""
    samplers: tuple[str, ...] | None = None
    """The samplers that are chosen unasked, the usual one first; None: all."""
    schedules: tuple[str | None, ...] | None = None
    """Likewise; None among them is the target's own."""
    prediction: Prediction | None = None
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
    nodes: Nodes | None = None
    """ComfyUI's nodes; None: the usual ones."""
    recipe: Recipe | None = None
    """Civitai's step; None: that of its older checkpoints, or none."""
    pipeline: Pipeline | None = None
    """diffusers' pipeline; None: its file is a whole pipeline, or it does not run there."""
    backends: Backends = Backends()
    licence: BaseLicence | None = None
    negative: tuple[str, ...] = ()
    """What people exclude most: the negative prompt where a user gives none."""
    sources: Sources = field(default=(), repr=False)
    """Columns, and where their values are from; "*" is the rest of the row."""

    @property
    def ecosystem(self) -> str:
        """The ecosystem that its AIRs are written with."""
        return self.ecosystems[0]

    @property
    def side(self) -> int | None:
        """The side of its usual square, in pixels."""
        return None if self.area is None else math.isqrt(self.area)

    @property
    def hub_name(self) -> str:
        """What the hub files it under."""
        return self.hub or self.name

    def source(self, column: str) -> str | None:
        """Where a column's value is from; None where the row does not say."""
        matches = (source for columns, source in self.sources if column in columns.split())
        rest = (source for columns, source in self.sources if columns == "*")
        return next(matches, None) or next(rest, None)


COLUMNS = tuple(column.name for column in fields(BaseModelFacts))
_OWN = ("name", "parent", "spellings", "words", "heard", "hub", "entries", "fingerprint", "repository")
"""Columns that a variant does not take over."""


def variant(base: BaseModelFacts, name: str, sources: Sources, /, **differs: Any) -> BaseModelFacts:
    """A base model made from another one: that one's row but for what differs, with sources of its own."""
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
