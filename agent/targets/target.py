"""A target: one object with everything that diffagent knows about an image API.

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
    """Accepts every entry."""
    return True


@dataclass(frozen=True)
class ServerLists:
    """The reader of a server's lists: ``ask`` fetches them as JSON, which is cached; ``understand`` turns an
    address and the lists into :class:`Installed`."""

    ask: Callable[[Wire], Awaitable[dict[str, Any]]]
    understand: Callable[[str, dict[str, Any], Catalog], Installed]


@dataclass(frozen=True)
class RequestReader:
    """The reader of a target's requests: ``is_request`` recognises one, ``read`` parses it.

    For a malformed request ``read`` raises Python's own errors, or a DiffAgentError with the reason.
    """

    is_request: Callable[[Mapping[str, Any]], bool]
    read: Callable[[Mapping[str, Any], Catalog], Generation]


@dataclass(frozen=True)
class Target:
    """An image API.

    Attributes:
        name: the value of ``--target``.
        title: the name in messages.
        emit: builds a call's request, from its cards, a :class:`Fit` and a server's names (AIR → name).
        spelling: the target's name of a sampler, or None where it lacks the sampler.
        spelling_of: the spelling for a base model with samplers of its own; None for the usual samplers.
        added: whether a sampler comes with an extension that most servers of the target lack.
        offers: whether it can run a catalog's entry, as far as the catalog tells.
        pickles: whether it runs ``.ckpt`` files.
        ggufs: whether it runs ``.gguf`` files.
        side_step: the step of an image's sides, in pixels.
        runs: whether it is known to run a base model; default: the table of base models.
        executor: builds the executor for an address; None: the default address.
        usual_url: the default address; None: it has none.
        self_hosted: whether it is a user's own server, with its own names of models.
        local: whether it runs in this process.
        syntax: its prompt syntax: A1111's; ComfyUI's ``(word:1.2)`` and ``embedding:NAME``; the weights
            alone; None: plain words.
        lists: the reader of a server's lists of models; None: it has no lists.
        reading: the reader of its requests; None: they cannot be read.
        workflows: whether it takes a user's graph.
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
    reading: RequestReader | None = None
    workflows: bool = False

    @cached_property
    def samplers(self) -> tuple[Sampler, ...]:
        """The target's samplers; all where the API has no field for one."""
        if self.spelling is None:
            return ALL_SAMPLERS
        return tuple(sampler for sampler in self.spelled if self.added is None or not self.added(sampler))

    @cached_property
    def spelled(self) -> tuple[Sampler, ...]:
        """The samplers that a server of the target may have, including those of extensions."""
        spelling = self.spelling
        return (
            ()
            if spelling is None
            else tuple(sampler for sampler in ALL_SAMPLERS if spelling(sampler) is not None)
        )

    def samplers_of(self, base_model: str) -> tuple[Sampler, ...]:
        """Returns the target's samplers for a base model."""
        is_usual = self.spelling_of is None or self.spelling_of(base_model) is None
        return self.samplers if is_usual else self.spelled_of(base_model)

    def spelled_of(self, base_model: str) -> tuple[Sampler, ...]:
        """Returns the samplers that a server may have for a base model, including those of extensions."""
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
        """Returns the sampler of a target's spelling; None where a call has no name for it."""
        assert self.spelling is not None
        return next((sampler for sampler in self.spelled if self.spelling(sampler) == spelling), None)
