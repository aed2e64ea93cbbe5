"""Recipes of fine-tuning, as YAML files and as validated dataclasses.

    model: smollm2-135m-instruct
    mix: {memory: 0.2, absent: 0.15}
    lora: {r: 16, alpha: 32}

An unknown key is an error that names the known ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, asdict, field, fields, replace
from functools import reduce
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from diffagent.data.errors import BadInput, MissingExtra
from diffagent.data.weights.weights import DEFAULT_LLM
from diffagent.training.sft.dialogues import Mix
from diffagent.training.sft.listing import STRICT, ListingConfig

Part = Annotated[float, Field(ge=0, lt=1)]


@dataclass(frozen=True, config=STRICT)
class AdapterConfig:
    """Low-rank adaptation (Hu et al. 2021) of all linear layers except the head: ΔW = B·A·alpha/r."""

    r: PositiveInt = 16
    alpha: PositiveFloat = 32.0
    dropout: Part = 0.0


@dataclass(frozen=True, config=STRICT)
class Recipe:
    """The settings that both stages share. ``lora`` None trains the weights themselves; ``extract_rank``
    is then the rank of the adapter that is extracted from the difference. ``first_block``: the lowest
    block that is trained; those below are computed once for each sequence. ``batch`` examples go through
    a device at once, ``accumulate`` such batches make a step; ``warmup`` is a share of the steps;
    ``minutes`` of wall time end the run, with its learning rate decayed by then. ``held_out`` examples
    are evaluated every ``eval_steps``."""

    name: str = "custom"
    _: KW_ONLY
    lora: AdapterConfig | None = field(default_factory=AdapterConfig)
    extract_rank: int | None = None
    first_block: NonNegativeInt = 0
    epochs: PositiveInt = 1
    batch: PositiveInt = 8
    accumulate: PositiveInt = 1
    learning_rate: PositiveFloat = 5e-4
    weight_decay: float = 0.0
    warmup: Part = 0.05
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    checkpointing: bool = False
    held_out: NonNegativeInt = 64
    eval_steps: PositiveInt = 100
    save_steps: PositiveInt = 50
    minutes: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.lora is not None and self.extract_rank is not None:
            raise BadInput(f"recipe {self.name} has lora and extract_rank: only full weights are extracted")

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, config=STRICT)
class SftRecipe(Recipe):
    """The settings of supervised fine-tuning. ``choice_weight`` is the weight of an answer's letter,
    ``identity_weight`` that of name, type and base model
    (:class:`diffagent.training.sft.answer_loss.AnswerWeights`). ``readings`` and ``choices`` count an epoch's
    passes over the plain requests (:mod:`diffagent.training.corpora.plain_requests`), beside at most ``rows``
    of DABench; ``start`` is a folder of ``train sft`` with the adapter that training starts from, or
    ``shipped``."""

    model: str = DEFAULT_LLM
    mix: Mix = field(default_factory=Mix)
    listing: ListingConfig = field(default_factory=ListingConfig)
    choice_weight: PositiveFloat = 1.0
    identity_weight: PositiveFloat = 1.0
    readings: int = 0
    choices: int = 0
    rows: int | None = None
    start: str | None = None


Kind = TypeVar("Kind", bound=Recipe)


def shipped(stage: str = ".") -> list[str]:
    """The names of the shipped recipes."""
    return sorted(file.stem for file in (_folder() / stage).glob("*.yaml"))


def read_recipe(name: str) -> SftRecipe:
    """A recipe of supervised fine-tuning; see :func:`read`."""
    return read(SftRecipe, name)


def read(kind: type[Kind], name: str, stage: str = ".") -> Kind:
    """A shipped recipe, by name, or a YAML file; ``stage`` is the folder of the stage's recipes.

    Raises:
        BadInput: there is no such recipe, or it has an unknown key or a value out of range.
        MissingExtra: PyYAML is not installed.
    """
    path = Path(name) if name.endswith((".yaml", ".yml")) else _folder() / stage / f"{name}.yaml"
    if not path.is_file():
        names = ", ".join(shipped(stage))
        raise BadInput(f"there is no recipe {name!r}: give a .yaml file or one of {names}")
    try:
        import yaml
    except ImportError:
        raise MissingExtra("recipes need PyYAML: pip install 'diffagent[train]'") from None
    try:
        stored = yaml.safe_load(path.read_text("utf-8"))
        return replace(TypeAdapter(kind).validate_python(stored), name=path.stem)
    except yaml.YAMLError as error:
        raise BadInput(f"{path.name} is not YAML: {' '.join(str(error).split())[:200]}") from None
    except ValidationError as error:
        raise BadInput(_line(error, kind, path.name)) from None


def _line(error: ValidationError, kind: type[Recipe], file: str) -> str:
    """The first fault of a file in a line."""
    first = error.errors()[0]
    place, given = [str(part) for part in first["loc"]], first["input"]
    if first["type"] == "dataclass_type":
        return f"{_section(place, file)} is {given!r}, but it should map names to values"
    if first["type"] == "unexpected_keyword_argument":
        *section, key = place
        known = sorted(attribute.name for attribute in fields(reduce(getattr, section, kind())))
        return f"{_section(section, file)} has the unknown key {key!r}; known are {', '.join(known)}"
    return f"{'.'.join(place)} is {given!r} in {file}: {first['msg'].replace('Input should', 'it should')}"


def _section(place: Sequence[str], file: str) -> str:
    return " of ".join([*reversed(place), file])


def _folder() -> Path:
    return Path(str(files("diffagent.training") / "recipes"))
