"""A target: what diffagent knows of one image API, in one object.

Each module ``agent/targets/NAME.py`` ends with its ``TARGET``; the table of ``agent/targets/__init__.py``
names the modules.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from diffagent.agent.targets.fitting import Fit, Resources
from diffagent.data.records import SIDE_STEP, Card, T2ICall
from diffagent.data.samplers import SAMPLING_METHODS, SCHEDULERS, Sampler

ALL_SAMPLERS = tuple(Sampler(method, plan) for method in SAMPLING_METHODS for plan in (None, *SCHEDULERS))
"""Every sampler that a call may name."""

Emitter = Callable[[T2ICall, Resources, Fit, Mapping[str, str]], dict[str, Any]]


def any_card(card: Card) -> bool:
    """Offers every entry."""
    return True


@dataclass(frozen=True)
class Target:
    """One image API.

    Attributes:
        name: as ``--target`` takes it.
        title: as a sentence names it.
        emit: a call's request, from its cards, a :class:`Fit` and a server's names (AIR → name).
        spelling: what the target calls a sampler; None: it does not have it.
        offers: whether it can run a catalog's entry, as far as the catalog tells.
        pickles: whether it runs ``.ckpt`` files.
        side_step: what an image's sides are multiples of, in pixels.
    """

    name: str
    title: str
    emit: Emitter
    spelling: Callable[[Sampler], object | None] | None = None
    offers: Callable[[Card], bool] = any_card
    pickles: bool = False
    side_step: int = SIDE_STEP

    @cached_property
    def samplers(self) -> tuple[Sampler, ...]:
        """The samplers that the target has; all where it takes none, and uses its own."""
        if self.spelling is None:
            return ALL_SAMPLERS
        return tuple(sampler for sampler in ALL_SAMPLERS if self.spelling(sampler) is not None)

    def sampler_of(self, spelling: object) -> Sampler | None:
        """Returns the sampler that the target spells so; None where a call has no name for it."""
        assert self.spelling is not None
        return next((sampler for sampler in self.samplers if self.spelling(sampler) == spelling), None)
