"""Held-out pairs: prompts, the models that their images were made with, and the images' parameters.

DABench rows, or {"prompt", "negative_prompt"?, "air", "api"?}
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from diffagent.agent.answering import answer
from diffagent.agent.answering.settings import FALLBACK, most_frequent
from diffagent.agent.choosing.prefilter import Candidate, including
from diffagent.data.json_rows import read_rows
from diffagent.data.records import Card, Counts, Usage


@dataclass(frozen=True)
class HeldOutPair:
    """A held-out pair: the instruction and the AIR of the model that its image was made with."""

    prompt: str
    negative_prompt: str
    air: str
    api: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Parameters:
    """The parameters of an image; ``size`` in pixels."""

    sampler: str
    size: tuple[int, int]
    steps: int
    cfg_scale: float

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> Parameters:
        """The parameters in the fields of an answer or of a row's ``api``."""
        size = int(fields["width"]), int(fields["height"])
        return cls(
            str(fields["sampling_method"]), size, int(fields["sampling_steps"]), float(fields["cfg_scale"])
        )

    @classmethod
    def from_usage(cls, usage: Usage, usual: Usage) -> Parameters:
        """The most frequent value of each parameter, by the model's usage or else by its family's."""

        def of(name: str) -> Any:
            counts: Sequence[Counts] = getattr(usage, name), getattr(usual, name), FALLBACK[name]
            return next(frequent for count in counts if (frequent := most_frequent(name, count)) is not None)

        return cls(of("sampler"), of("size"), of("steps"), of("cfg_scale"))


def read_pairs(path: Path) -> Iterator[HeldOutPair]:
    """Pairs of a JSON-lines file.

    Raises:
        BadInput: the file is missing, or a line is not a pair; names the line.
    """
    right = 'give lines of {"prompt", "negative_prompt"?, "air"} or a file of diffagent data build'
    return read_rows(path, _pair, "a pair", right)


def sample(pairs: Sequence[HeldOutPair], limit: int | None, seed: int) -> list[HeldOutPair]:
    """At most ``limit`` of the pairs, drawn without replacement, in their order."""
    if limit is None or limit >= len(pairs):
        return list(pairs)
    chosen = np.sort(np.random.default_rng(seed).permutation(len(pairs))[:limit])
    return [pairs[i] for i in chosen]


def offer(candidates: Sequence[Candidate], true: Card) -> tuple[list[Candidate], str]:
    """The candidates, of which the last becomes the true model if it is missing; and its letter."""
    offered = including(candidates, true)
    return offered, answer.LABELS[[candidate.card for candidate in offered].index(true)]


def _pair(row: Any) -> HeldOutPair:
    instruction = row.get("instruction", row)
    pair = HeldOutPair(
        instruction["prompt"], instruction.get("negative_prompt") or "", row["air"], row.get("api")
    )
    for text in (pair.prompt, pair.negative_prompt, pair.air):
        if not isinstance(text, str):
            raise TypeError(f"{text!r} is not text")
    return pair
