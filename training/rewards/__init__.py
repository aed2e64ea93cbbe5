"""Rewards: how good a response is, by its images or by the community's opinion of its model.

A :class:`Scorer` scores images, a :class:`Reward` ranks the calls that answer a prompt.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from diffagent.data.records import T2ICall

if TYPE_CHECKING:
    from PIL.Image import Image

Progress = Callable[[Iterable[Any], str], Iterable[Any]]


class Scorer(Protocol):
    """A metric of images; larger is better."""

    name: str

    def score(self, prompt: str, images: Sequence[Image]) -> list[float]:
        """A score for each image of a prompt."""
        ...


class Reward(Protocol):
    """The measure that ranks responses; larger is better, scores compare within a prompt."""

    name: str

    def prepare(self, calls: Sequence[T2ICall], progress: Progress, share: tuple[int, int]) -> None:
        """Computes what the scores of these calls need; each of several processes, (rank, processes), does
        its share. All of it is there at the end."""
        ...

    def score(self, prompt: str, calls: Sequence[T2ICall]) -> list[float]:
        """A score for each of the calls that answer a prompt."""
        ...

    def close(self) -> None:
        """Frees its models and memory after the last score."""
        ...

    def report(self) -> dict[str, Any]:
        """The reward's entry in a run's report."""
        ...


def call_digest(call: T2ICall) -> str:
    """The SHA-256 of a call without its seed: equal calls are one response and share images."""
    fields = call.model_dump(exclude={"seed"})
    return hashlib.sha256(json.dumps(fields, sort_keys=True, ensure_ascii=False).encode()).hexdigest()
