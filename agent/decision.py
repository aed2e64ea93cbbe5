"""A decision, and a request on its way to one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from diffagent.agent.answer import LABELS
from diffagent.agent.prefilter import Candidate
from diffagent.agent.reasons import about
from diffagent.agent.request import Request
from diffagent.agent.scope import Scope
from diffagent.agent.wishes import Wishes
from diffagent.data.air import AIR
from diffagent.data.records import T2ICall

if TYPE_CHECKING:
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
    candidates: tuple[Candidate, ...]
    notes: tuple[str, ...]
    started: float
    prefiltered: float
    seen: Identification | None = None

    @property
    def labels(self) -> list[str]:
        """A letter a candidate."""
        return list(LABELS[: len(self.candidates)])
