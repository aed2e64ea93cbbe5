"""A setting: the plausible values of one field of a call, with their priors.

:mod:`diffagent.agent.answering.settings` computes it from people's usage, a scope keeps what its target
takes, and a grammar offers what is left.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Setting:
    """One field's plausible values, most probable first, and their prior log-probabilities."""

    values: tuple[Any, ...]
    log_priors: tuple[float, ...]

    @classmethod
    def fixed(cls, value: Any) -> Setting:
        return cls((value,), (0.0,))
