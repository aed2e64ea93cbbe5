"""Executors: they send a target's request and return the image. Each is defined in its target's file.

An executor is built from a URL, closed when done, and makes one image per call:

    async with A1111("http://127.0.0.1:7860") as server:
        image = await server.image(emitted.request, report)

Failures raise a :class:`~diffagent.data.errors.TargetError` with its remedy. Keys come from the environment
and travel in headers only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Protocol, Self

Report = Callable[[str, float | None], None]
"""Takes the current state ("queue position 3") and the share that is done, 0…1 (None: unknown)."""


@dataclass(frozen=True)
class TargetImage:
    """One image as the target sent it: the file's bytes, and the seed where the target reports it.

    ``untaken``: the call's fields that were sent but that this server may ignore, with the reason.
    """

    data: bytes
    seed: int | None = None
    untaken: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Price:
    """The price of one image in the API's unit ("kudos", "Buzz"); ``money``: the unit can be bought."""

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
        """Returns the price of the image, None where it is free. Asking is free, and checks the request."""
        ...

    async def image(self, request: Mapping[str, Any], report: Report) -> TargetImage:
        """Makes one image.

        Raises:
            TargetError: see its subclasses.
        """
        ...


def silent(what: str, done: float | None = None) -> None:
    """Discards a report."""
