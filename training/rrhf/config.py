"""The recipe of RRHF: how a model is aligned."""

from __future__ import annotations

from typing import Literal

from pydantic import NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt
from pydantic.dataclasses import dataclass

from diffagent.training.sft.listing import STRICT
from diffagent.training.sft.recipe import Recipe, read


@dataclass(frozen=True, config=STRICT)
class RRHFConfig(Recipe):
    """The settings of alignment.

    A query gets ``responses`` by diverse beam search with penalty ``diversity``, and one by multinomial
    sampling at ``temperature``; ``form`` of the answers (``choice``: a letter, with the purpose of each
    candidate shown, as the agent asks on plain requests); ``k`` candidates to answer among; ``parameters`` of
    a beam's call: the usual ones of its model, or drawn from those that people use with it, among which a
    reward of images tells the better ones; ``images`` of a call for such a reward (the paper: 10).
    ``ranked``: the tokens of a response in the ranking, all or the model part (up to the parameters). A
    reward of models alone does not score the others, and they would decide which response is more probable.
    ``rank_weight``: the weight of the ranking term (the paper: 1); of one letter, which is no mean over
    tokens, fifteen pairs weigh several times the cross entropy and make all letters alike.
    ``learnt``: the tokens of the best response in the cross entropy, the ranked ones or all. Where answers
    are written without a grammar, parameters without a loss are forgotten.

    ``batch`` queries with all their responses go through a device at once, ``accumulate`` such batches make
    a step; ``lora`` is the adapter of a model that comes without one; the other fields are as in
    :class:`diffagent.training.sft.recipe.SftRecipe`. ``held_out`` queries are evaluated every ``eval_steps``.
    """

    form: Literal["candidates", "choice", "memory"] = "candidates"
    k: PositiveInt = 16
    responses: PositiveInt = 5
    diversity: NonNegativeFloat = 1.0
    temperature: PositiveFloat = 1.0
    parameters: Literal["usual", "drawn"] = "usual"
    ranked: Literal["whole", "model"] = "whole"
    learnt: Literal["ranked", "whole"] = "ranked"
    rank_weight: PositiveFloat = 1.0
    images: PositiveInt = 10
    batch: PositiveInt = 2
    learning_rate: PositiveFloat = 1e-4
    held_out: NonNegativeInt = 32
    eval_steps: PositiveInt = 50


def read_config(name: str) -> RRHFConfig:
    """A shipped recipe, by name, or a YAML file; see :func:`diffagent.training.sft.recipe.read`."""
    return read(RRHFConfig, name, "rrhf")
