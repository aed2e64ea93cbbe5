"""A target: what diffagent knows of one image API, in one object.

Each module ``agent/targets/NAME.py`` ends with its ``TARGET``; the table of ``agent/targets/__init__.py``
names the modules.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from diffagent.agent.executors import Executor
from diffagent.agent.targets.fitting import Fit, Resources
from diffagent.data.base_models import backend
from diffagent.data.records import SIDE_STEP, Card, T2ICall
from diffagent.data.samplers import ALL_SAMPLERS, Sampler

if TYPE_CHECKING:
    from diffagent.agent.executors.wire import Wire
    from diffagent.agent.targets.installed import Installed
    from diffagent.data.catalog.catalog import Catalog
    from diffagent.data.metadata.generation import Generation

Syntax = Literal["a1111", "comfyui", "weights"]
Spelling = Callable[[Sampler], object | None]
Emitter = Callable[[T2ICall, Resources, Fit, Mapping[str, str]], dict[str, Any]]


def any_card(card: Card) -> bool:
    """Offers every entry."""
    return True


@dataclass(frozen=True)
class ServerLists:
    """A server's lists: ``ask`` reads them as JSON, which is kept for a while; ``understand`` turns an
    address and them into what is installed there."""

    ask: Callable[[Wire], Awaitable[dict[str, Any]]]
    understand: Callable[[str, dict[str, Any], Catalog], Installed]


@dataclass(frozen=True)
class Reading:
    """The way back from a request: ``is_request`` tells whether an object is one, ``read`` what it says.

    Where an object is none after all, ``read`` raises what Python does, or a DiffAgentError that says why.
    """

    is_request: Callable[[Mapping[str, Any]], bool]
    read: Callable[[Mapping[str, Any], Catalog], Generation]


@dataclass(frozen=True)
class Target:
    """One image API.

    Attributes:
        name: as ``--target`` takes it.
        title: as a sentence names it.
        emit: a call's request, from its cards, a :class:`Fit` and a server's names (AIR → name).
        spelling: what the target calls a sampler; None: it does not have it.
        spelling_of: the same for a base model that it has other samplers for; None: they are the usual.
        added: whether a sampler comes with an extension that most servers of the target lack.
        offers: whether it can run a catalog's entry, as far as the catalog tells.
        pickles: whether it runs ``.ckpt`` files.
        ggufs: whether it runs ``.gguf`` files.
        side_step: what an image's sides are multiples of, in pixels.
        runs: whether it is known to run a base model; default: as the table of base models says.
        executor: makes images at an address; None: at the usual one.
        usual_url: where it is, unless the user says otherwise; None: there is no such place.
        self_hosted: a server of the user's own, which is asked what it calls the call's models.
        local: it runs in this process.
        syntax: what it reads in a prompt beside words: all that A1111 does; ComfyUI's ``(word:1.2)`` and
            ``embedding:NAME``, or the weights alone; None: nothing.
        lists: a server's lists of models; None: it has none.
        reading: how its requests are read; None: they are not.
        workflows: it takes a graph of the user's.
    """

    name: str
    title: str
    emit: Emitter
    executor: Callable[[str | None], Executor]
    spelling: Spelling | None = None
    spelling_of: Callable[[str], Spelling | None] | None = None
    added: Callable[[Sampler], bool] | None = None
    offers: Callable[[Card], bool] = any_card
    pickles: bool = False
    ggufs: bool = False
    side_step: int = SIDE_STEP
    runs: Callable[[str], bool] | None = None
    usual_url: str | None = None
    self_hosted: bool = False
    local: bool = False
    syntax: Syntax | None = None
    lists: ServerLists | None = None
    reading: Reading | None = None
    workflows: bool = False

    @cached_property
    def samplers(self) -> tuple[Sampler, ...]:
        """The samplers that the target has; all where it takes none, and uses its own."""
        if self.spelling is None:
            return ALL_SAMPLERS
        return tuple(one for one in self.spelled if self.added is None or not self.added(one))

    @cached_property
    def spelled(self) -> tuple[Sampler, ...]:
        """The samplers that a server of the target may have, those of extensions too."""
        spelling = self.spelling
        return () if spelling is None else tuple(one for one in ALL_SAMPLERS if spelling(one) is not None)

    def samplers_of(self, base_model: str) -> tuple[Sampler, ...]:
        """The samplers that the target has for a base model."""
        is_usual = self.spelling_of is None or self.spelling_of(base_model) is None
        return self.samplers if is_usual else self.spelled_of(base_model)

    def spelled_of(self, base_model: str) -> tuple[Sampler, ...]:
        """The samplers that a server of the target may have for a base model, those of extensions too."""
        spelling = self.spelling_of(base_model) if self.spelling_of is not None else None
        if spelling is None:
            return self.spelled
        return tuple(sampler for sampler in ALL_SAMPLERS if spelling(sampler) is not None)

    def takes(self, card: Card) -> bool:
        """Whether the target can run an entry, as far as the catalog tells."""
        is_loaded = (self.pickles or not card.is_pickle) and (self.ggufs or not card.is_gguf)
        return is_loaded and self.runs_base(card.base_model) and self.offers(card)

    def runs_base(self, base_model: str) -> bool:
        """Whether the target is known to run models of a base model."""
        return self.runs(base_model) if self.runs else backend(base_model, self.name) is not None

    def sampler_of(self, spelling: object) -> Sampler | None:
        """Returns the sampler that the target spells so; None where a call has no name for it."""
        assert self.spelling is not None
        return next((sampler for sampler in self.spelled if self.spelling(sampler) == spelling), None)
