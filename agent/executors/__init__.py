"""Executors: they send a target's request and bring back the image. Each stands in its target's file.

An executor is made from a URL and closed when done; it makes one image a call:

    async with A1111("http://127.0.0.1:7860") as server:
        image = await server.image(emitted.request, report)

What goes wrong is a :class:`~diffagent.data.errors.TargetError` with its remedy; keys come from the
environment and travel in headers alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Protocol, Self

Report = Callable[[str, float | None], None]
"""Gets what is going on ("queue position 3") and how much is done, 0…1 (None: not known)."""


@dataclass(frozen=True)
class Made:
    """One image as the target sent it: the file's bytes, and the seed where the target told it.

    ``untaken``: the call's fields that were sent and that this server is not known to heed, with why.
    """

    data: bytes
    seed: int | None = None
    untaken: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Price:
    """What one image costs, in the API's own unit ("kudos", "Buzz"); ``money``: it can be bought."""

    amount: float
    unit: str
    money: bool = False

    def __str__(self) -> str:
        return f"{self.amount:g} {self.unit}"


class Executor(Protocol):
    """Makes images of one target's requests."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    async def price(self, request: Mapping[str, Any]) -> Price | None:
        """What the image costs; None where it costs nothing. Asking is free, and checks the request."""
        ...

    async def image(self, request: Mapping[str, Any], report: Report) -> Made:
        """Makes one image.

        Raises:
            TargetError: see its kinds.
        """
        ...


def silent(what: str, done: float | None = None) -> None:
    """A report that goes nowhere."""
