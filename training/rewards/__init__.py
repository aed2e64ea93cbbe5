"""Rewards: how good a response is; by its images, or by what the community says of its model.

A :class:`Scorer` looks at images, a :class:`Reward` ranks the calls that answer one prompt.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from diffagent.data.records import T2ICall

if TYPE_CHECKING:
    from PIL.Image import Image

Progress = Callable[[Iterable[Any], str], Iterable[Any]]


class Scorer(Protocol):
    """One metric of images; larger is better."""

    name: str

    def score(self, prompt: str, images: Sequence[Image]) -> list[float]:
        """A score for each image of a prompt."""
        ...


class Reward(Protocol):
    """What responses are ranked by; larger is better, and scores of different prompts need not compare."""

    name: str

    def prepare(self, calls: Sequence[T2ICall], progress: Progress, share: tuple[int, int]) -> None:
        """Make what the scores of these calls will need; of several processes, (rank, processes), each its
        share. It is all there at the end, whichever process made it."""
        ...

    def score(self, prompt: str, calls: Sequence[T2ICall]) -> list[float]:
        """A score for each of the calls that answer one prompt."""
        ...

    def close(self) -> None:
        """Free what it computes with: nothing is scored any more."""
        ...

    def told(self) -> dict[str, Any]:
        """What a run's report says of it."""
        ...
