"""A decision, and a request on its way to one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from diffagent.agent.answering.answer import LABELS
from diffagent.agent.answering.choice import SHOWN
from diffagent.agent.answering.reasons import about
from diffagent.agent.asking.reading import Reading
from diffagent.agent.asking.request import Request
from diffagent.agent.asking.wishes import Wishes
from diffagent.agent.choosing.prefilter import Candidate
from diffagent.agent.choosing.scope import Scope
from diffagent.data.air import AIR
from diffagent.data.records import Card, T2ICall

if TYPE_CHECKING:
    from diffagent.agent.choosing.sections import Section
    from diffagent.agent.engines.grammar import Grammar
    from diffagent.agent.pmi.identifier import Identification
    from diffagent.agent.targets.fitting import Emitted


@dataclass(frozen=True)
class Decision:
    """A call with what led to it: candidates by fused score (natural-log probability), best first."""

    call: T2ICall
    candidates: tuple[Candidate, ...]
    timings_ms: dict[str, float] = field(default_factory=dict)
    identified: Identification | None = None
    """What the example images alone say, where there are any."""
    n: int = 1
    """How many pictures were asked for."""
    notes: tuple[str, ...] = ()
    """What could not be had or was changed, in words."""
    reasons: tuple[str, ...] = ()
    """What was read, why these models, what was added: short sentences."""
    added: tuple[str, ...] = ()
    """What was added to the prompt."""

    @property
    def url(self) -> str | None:
        """The page of the model that answers."""
        return AIR.parse(self.call.air).url

    def to_dict(self) -> dict[str, Any]:
        """As ``--explain`` prints it."""
        seen = {"unsure": self.identified.unsure} if self.identified else {}
        return {
            "call": self.call.model_dump(),
            "n": self.n,
            "notes": list(self.notes),
            "reasons": list(self.reasons),
            **seen,
            "candidates": [
                {
                    "model": one.card.name,
                    "air": one.card.air,
                    "url": AIR.parse(one.card.air).url,
                    "score": round(one.score, 4),
                    "reasons": list(about(one.card)),
                }
                for one in self.candidates
            ],
            "timings_ms": {name: round(value, 1) for name, value in self.timings_ms.items()},
        }


@dataclass(frozen=True)
class Matches:
    """The M entries of a catalog against a request, whatever its reading: ``allow`` booleans [M], ``columns``
    [M, 6] and ``ranked`` [M] of :meth:`~diffagent.agent.choosing.prefilter.Prefilter.matched`."""

    allow: npt.NDArray[np.bool_]
    columns: npt.NDArray[np.float32]
    ranked: npt.NDArray[np.float32]


@dataclass(frozen=True)
class Answer:
    """A decision with the request that its target takes."""

    decision: Decision
    emitted: Emitted


@dataclass(frozen=True)
class Pending:
    """A request between the prefilter and the language model; times in seconds of the process's clock."""

    request: Request
    wished: Wishes
    scope: Scope
    reading: Reading
    candidates: tuple[Candidate, ...]
    notes: tuple[str, ...]
    started: float
    prefiltered: float
    section: Section
    """The entries that are chosen among."""
    seen: Identification | None = None
    matches: Matches | None = None
    """How the catalog matches the request; None where its candidates do not hang on the reading."""
    line: str = ""
    """The reading as the language model wrote it; empty where it was not asked."""

    @property
    def is_open(self) -> bool:
        """Whether there is anything to choose."""
        return self.request.model is None

    @property
    def shown(self) -> tuple[Candidate, ...]:
        """The candidates that the language model chooses among."""
        return self.candidates[:SHOWN]

    @property
    def labels(self) -> list[str]:
        """A letter for each of :attr:`shown`."""
        return list(LABELS[: len(self.shown)])


@dataclass(frozen=True)
class Outcome:
    """A request whose model is chosen: ``ranked`` best first, ``carrier`` the checkpoint that the first runs
    on where it is a LoRA, ``grammar`` what may be answered for it."""

    pending: Pending
    ranked: tuple[Candidate, ...]
    carrier: Card | None
    grammar: Grammar
