"""A decision, and the states of a request on its way to one."""

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
from diffagent.agent.choosing.scope import ChoiceScope
from diffagent.agent.choosing.suitability import TextMatch
from diffagent.data.air import AIR
from diffagent.data.records import Card, T2ICall

if TYPE_CHECKING:
    from diffagent.agent.choosing.sections import Section
    from diffagent.agent.engines.grammar import Grammar
    from diffagent.agent.pmi.identifier import Identification
    from diffagent.agent.targets.fitting import Emitted


@dataclass(frozen=True)
class Decision:
    """A call with its candidates by fused score (natural-log probability), best first."""

    call: T2ICall
    candidates: tuple[Candidate, ...]
    timings_ms: dict[str, float] = field(default_factory=dict)
    identified: Identification | None = None
    """The identification of the example images, if any."""
    n: int = 1
    """The number of requested pictures."""
    notes: tuple[str, ...] = ()
    """Notes on substitutions and changes."""
    reasons: tuple[str, ...] = ()
    """Short sentences on the reading, the models and added words."""
    added: tuple[str, ...] = ()
    """The words added to the prompt."""

    @property
    def url(self) -> str | None:
        """The page of the call's model."""
        return AIR.parse(self.call.air).url

    def to_dict(self) -> dict[str, Any]:
        """Returns the output of ``--explain``."""
        certainty = {"unsure": self.identified.unsure} if self.identified else {}
        return {
            "call": self.call.model_dump(),
            "n": self.n,
            "notes": list(self.notes),
            "reasons": list(self.reasons),
            **certainty,
            "candidates": [
                {
                    "model": candidate.card.name,
                    "air": candidate.card.air,
                    "url": AIR.parse(candidate.card.air).url,
                    "score": round(candidate.score, 4),
                    "reasons": list(about(candidate.card)),
                }
                for candidate in self.candidates
            ],
            "timings_ms": {name: round(value, 1) for name, value in self.timings_ms.items()},
        }


@dataclass(frozen=True)
class Matches:
    """Matches of M entries with a request, independent of its reading: ``allow`` booleans [M], and what its
    ``text`` tells of them."""

    allow: npt.NDArray[np.bool_]
    text: TextMatch


@dataclass(frozen=True)
class Answer:
    """A decision with its target's request."""

    decision: Decision
    emitted: Emitted


@dataclass(frozen=True)
class Pending:
    """A request between the prefilter and the language model; times in seconds of the process's clock."""

    request: Request
    wishes: Wishes
    scope: ChoiceScope
    reading: Reading
    candidates: tuple[Candidate, ...]
    notes: tuple[str, ...]
    started: float
    prefiltered: float
    section: Section
    """The section of the candidates."""
    identification: Identification | None = None
    matches: Matches | None = None
    """The catalog's matches; None where the candidates do not depend on the reading."""
    line: str = ""
    """The reading as the language model wrote it; empty where it was not asked."""

    @property
    def is_open(self) -> bool:
        """Whether there is a choice to make."""
        return self.request.model is None

    @property
    def shown(self) -> tuple[Candidate, ...]:
        """The candidates for the language model's choice."""
        return self.candidates[:SHOWN]

    @property
    def labels(self) -> list[str]:
        """A letter for each of :attr:`shown`."""
        return list(LABELS[: len(self.shown)])


@dataclass(frozen=True)
class Outcome:
    """A request with a chosen model: ``ranked`` candidates, best first; ``carrier``: the checkpoint of the
    first, if it is a LoRA; ``grammar`` of its legal answers."""

    pending: Pending
    ranked: tuple[Candidate, ...]
    carrier: Card | None
    grammar: Grammar
