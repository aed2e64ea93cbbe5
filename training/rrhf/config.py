"""The recipe of RRHF: how a model is aligned."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from diffagent.data.errors import BadInput
from diffagent.training.sft.dialogues import Form
from diffagent.training.sft.recipe import AdapterConfig, read

_COUNTS = ("k", "responses", "images", "epochs", "batch", "accumulate", "eval_steps", "save_steps")


@dataclass(frozen=True)
class RRHFConfig:
    """The settings of alignment.

    A query gets ``responses`` by diverse beam search with penalty ``diversity``, and one by multinomial
    sampling at ``temperature``; ``form`` of the answers; ``k`` candidates to answer among; ``parameters`` of
    a beam's call: the usual ones of its model, or drawn from those that people use with it, among which a
    reward of images tells the better ones; ``images`` of a call for such a reward (the paper: 10).
    ``ranked``: the tokens of a response in the ranking, all or the model part (up to the parameters). A
    reward of models alone does not score the others, and they would decide which response is more probable.
    ``learnt``: the tokens of the best response in the cross entropy, the ranked ones or all. Where answers
    are written without a grammar, parameters without a loss are forgotten.

    ``batch`` queries with all their responses go through a device at once, ``accumulate`` such batches make
    a step; ``lora`` is the adapter of a model that comes without one; the other fields are as in
    :class:`diffagent.training.sft.recipe.SftRecipe`. ``held_out`` queries are evaluated every ``eval_steps``.
    """

    name: str = "custom"
    form: Form = "candidates"
    k: int = 16
    responses: int = 5
    diversity: float = 1.0
    temperature: float = 1.0
    parameters: Literal["usual", "drawn"] = "usual"
    ranked: Literal["whole", "model"] = "whole"
    learnt: Literal["ranked", "whole"] = "ranked"
    images: int = 10
    lora: AdapterConfig | None = field(default_factory=AdapterConfig)
    extract_rank: int | None = None
    epochs: int = 1
    batch: int = 2
    accumulate: int = 1
    learning_rate: float = 1e-4
    weight_decay: float = 0.0
    warmup: float = 0.05
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    checkpointing: bool = False
    held_out: int = 32
    eval_steps: int = 50
    save_steps: int = 50
    minutes: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for name in _COUNTS:
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise BadInput(f"{name} is {value!r} in recipe {self.name}: give a whole number from 1 up")
        if min(self.learning_rate, self.temperature) <= 0 or min(self.diversity, self.held_out) < 0:
            raise BadInput(
                f"learning_rate is {self.learning_rate}, temperature {self.temperature}, diversity "
                f"{self.diversity} and held_out {self.held_out} in recipe {self.name}: "
                "the first two are above 0, the others 0 or more"
            )
        if not 0 <= self.warmup < 1:
            raise BadInput(f"warmup is {self.warmup} in recipe {self.name}: give a share below 1")
        if self.form not in ("candidates", "memory"):
            raise BadInput(f"form is {self.form!r} in recipe {self.name}: give candidates or memory")
        if self.parameters not in ("usual", "drawn"):
            raise BadInput(f"parameters is {self.parameters!r} in recipe {self.name}: give usual or drawn")
        if self.ranked not in ("whole", "model"):
            raise BadInput(f"ranked is {self.ranked!r} in recipe {self.name}: give whole or model")
        if self.learnt not in ("ranked", "whole"):
            raise BadInput(f"learnt is {self.learnt!r} in recipe {self.name}: give ranked or whole")
        if self.dtype not in ("auto", "float32", "bfloat16"):
            raise BadInput(f"dtype is {self.dtype!r} in recipe {self.name}: give auto, float32 or bfloat16")
        if self.lora is not None and self.extract_rank is not None:
            raise BadInput(f"recipe {self.name} has lora and extract_rank: only full weights are extracted")

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def read_config(name: str) -> RRHFConfig:
    """A shipped recipe, by name, or a YAML file; see :func:`diffagent.training.sft.recipe.read`."""
    return read(RRHFConfig, name, "rrhf")
