"""Recipes of fine-tuning, as YAML files and as a validated dataclass.

    model: smollm2-135m-instruct
    mix: {memory: 0.2, absent: 0.15}
    lora: {r: 16, alpha: 32}

An unknown key is an error that names the known ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, TypeVar

from diffagent.data.errors import BadInput, MissingExtra
from diffagent.data.weights.weights import DEFAULT_LLM
from diffagent.training.sft.dialogues import Mix
from diffagent.training.sft.listing import ListingConfig

Json = Mapping[str, Any]
Kind = TypeVar("Kind")


@dataclass(frozen=True)
class AdapterConfig:
    """Low-rank adaptation (Hu et al. 2021) of all linear layers except the head: ΔW = B·A·alpha/r, in the
    blocks from ``first_block`` up; no gradient is computed below."""

    r: int = 16
    alpha: float = 32.0
    dropout: float = 0.0
    first_block: int = 0

    def __post_init__(self) -> None:
        if self.r < 1 or self.alpha <= 0 or not 0 <= self.dropout < 1 or self.first_block < 0:
            raise BadInput(
                f"lora is {asdict(self)}: r starts at 1, alpha is above 0, dropout is from 0 to below 1, "
                "first_block starts at 0"
            )


@dataclass(frozen=True)
class SftRecipe:
    """The settings of a run. ``lora`` None trains every weight; ``extract_rank`` is then the rank of the
    adapter that is extracted from the difference. ``batch`` examples go through a device at once,
    ``accumulate`` such batches make a step; ``warmup`` is a share of the steps; ``minutes`` of wall time end
    the run, with its learning rate decayed by then. ``choice_weight`` is the weight of an answer's letter,
    ``identity_weight`` that of name, type and base model
    (:class:`diffagent.training.sft.answer_loss.AnswerWeights`). ``held_out`` align pairs are evaluated every
    ``eval_steps``. ``readings`` and ``choices`` count an epoch's passes over the plain requests
    (:mod:`diffagent.training.fitting.plain_requests`), beside at most ``rows`` of DABench; ``start`` is a
    folder of ``train sft`` with the adapter that training starts from, or ``shipped``."""

    name: str = "custom"
    model: str = DEFAULT_LLM
    mix: Mix = field(default_factory=Mix)
    listing: ListingConfig = field(default_factory=ListingConfig)
    lora: AdapterConfig | None = field(default_factory=AdapterConfig)
    extract_rank: int | None = None
    epochs: int = 1
    batch: int = 8
    accumulate: int = 1
    learning_rate: float = 5e-4
    weight_decay: float = 0.0
    warmup: float = 0.05
    choice_weight: float = 1.0
    identity_weight: float = 1.0
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    checkpointing: bool = False
    held_out: int = 64
    eval_steps: int = 100
    save_steps: int = 50
    minutes: float | None = None
    readings: int = 0
    choices: int = 0
    rows: int | None = None
    start: str | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        counts = {
            name: getattr(self, name)
            for name in ("epochs", "batch", "accumulate", "eval_steps", "save_steps")
        }
        for name, value in counts.items():
            if not isinstance(value, int) or value < 1:
                raise BadInput(f"{name} is {value!r} in recipe {self.name}: give a whole number from 1 up")
        if min(self.learning_rate, self.choice_weight, self.identity_weight) <= 0:
            raise BadInput(
                f"learning_rate is {self.learning_rate}, choice_weight {self.choice_weight} and "
                f"identity_weight {self.identity_weight} in recipe {self.name}: all three are above 0"
            )
        if not 0 <= self.warmup < 1:
            raise BadInput(f"warmup is {self.warmup} in recipe {self.name}: give a share below 1")
        if self.dtype not in ("auto", "float32", "bfloat16"):
            raise BadInput(f"dtype is {self.dtype!r} in recipe {self.name}: give auto, float32 or bfloat16")
        if self.lora is not None and self.extract_rank is not None:
            raise BadInput(f"recipe {self.name} has lora and extract_rank: only full weights are extracted")

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


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
    except yaml.YAMLError as error:
        raise BadInput(f"{path.name} is not YAML: {' '.join(str(error).split())[:200]}") from None
    recipe: Kind = replace(_validate(kind, stored, path.name), name=path.stem)
    return recipe


def _validate(kind: type, stored: Any, where: str) -> Any:
    """A dataclass from a mapping, whose sections are dataclasses too."""
    if not isinstance(stored, dict):
        raise BadInput(f"{where} is {stored!r}, but it should map names to values")
    names = {attribute.name for attribute in fields(kind)}
    for key in stored:
        if key not in names:
            raise BadInput(f"{where} has the unknown key {key!r}; known are {', '.join(sorted(names))}")
    values = {
        key: _validate(_SECTIONS[key], value, f"{key} of {where}")
        if key in _SECTIONS and value is not None
        else value
        for key, value in stored.items()
    }
    try:
        return kind(**values)
    except TypeError as error:
        raise BadInput(f"{where} has a value of the wrong kind: {error}") from None


_SECTIONS: dict[str, type] = {"mix": Mix, "listing": ListingConfig, "lora": AdapterConfig}


def _folder() -> Path:
    return Path(str(files("diffagent.training") / "recipes"))
