"""The answer grammar of one request: literal text and slots; a slot takes one of a few strings.

    Grammar(("{\\"model\\":", Slot("model", ('"AIO Pixel Art"', '"DreamShaper"'), (-0.2, -1.7)), "}"))

A grammar provides the most probable text by its priors (the draft that an engine verifies), Lark source for
llguidance, and the slots' values of a finished text.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from diffagent.data.errors import BadAnswer


@dataclass(frozen=True)
class Slot:
    """One free place: ``options`` are non-empty and distinct, each with a natural-log prior probability."""

    name: str
    options: tuple[str, ...]
    log_priors: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.options or len(self.options) != len(self.log_priors):
            counts = f"{len(self.options)} options and {len(self.log_priors)} log-priors"
            raise ValueError(
                f"slot {self.name!r} has {counts}; it needs one prior for each of at least one option"
            )
        if len(set(self.options)) != len(self.options) or "" in self.options:
            raise ValueError(f"slot {self.name!r} has equal or empty options; each must be a text of its own")
        if any(math.isnan(prior) or prior == math.inf for prior in self.log_priors):
            raise ValueError(
                f"slot {self.name!r} has a log-prior that is not a number; give log probabilities"
            )
        if max(self.log_priors) == -math.inf:
            raise ValueError(f"slot {self.name!r} has only impossible options; give one a finite log-prior")

    @cached_property
    def best(self) -> str:
        """The most probable option, the first of equals."""
        return self.options[max(range(len(self.options)), key=lambda i: self.log_priors[i])]


Part = str | Slot


@dataclass(frozen=True)
class Grammar:
    """``parts`` in order; ``llm_weight`` multiplies the model's log-probability against the priors'.

    With weight 0 the priors alone decide, with a large one the model alone.
    """

    parts: tuple[Part, ...]
    llm_weight: float = 1.0

    def __post_init__(self) -> None:
        names = [part.name for part in self.slots]
        if len(set(names)) != len(names):
            raise ValueError(f"slots {names} of one grammar have equal names; name each differently")
        if not math.isfinite(self.llm_weight) or self.llm_weight < 0:
            raise ValueError(f"llm_weight is {self.llm_weight}; it must be a finite number from 0 up")
        if not any(self.parts):
            raise ValueError("a grammar without text has no answer; give it a literal or a slot")

    @cached_property
    def slots(self) -> tuple[Slot, ...]:
        return tuple(part for part in self.parts if isinstance(part, Slot))

    def draft(self) -> str:
        """Returns the text with the most probable option in every slot."""
        return self.render({})

    @cached_property
    def tail(self) -> str:
        """The forced text after the last slot, which the model does not decide."""
        free = max((index for index, part in enumerate(self.parts) if isinstance(part, Slot)), default=-1)
        return "".join(part for part in self.parts[free + 1 :] if isinstance(part, str))

    def render(self, choice: Mapping[str, str]) -> str:
        """Returns the text with ``choice`` in its slots; other slots take their most probable option."""
        return "".join(
            part if isinstance(part, str) else choice.get(part.name, part.best) for part in self.parts
        )

    def parse(self, text: str) -> dict[str, str]:
        """Returns slot name → option of a finished text. Raises :class:`BadAnswer` outside the grammar."""
        values = self._parse(text, 0, 0)
        if values is None:
            raise BadAnswer(
                f"the answer {text[:80]!r} is outside the request's grammar; "
                f"it should read like {self.draft()[:80]!r}"
            )
        return dict(reversed(values))

    def _parse(self, text: str, at: int, index: int) -> list[tuple[str, str]] | None:
        """Matches ``text[at:]`` with ``parts[index:]``; returns the slots, last first, or None."""
        if index == len(self.parts):
            return [] if at == len(text) else None
        part = self.parts[index]
        for option in (part,) if isinstance(part, str) else part.options:
            if text.startswith(option, at):
                rest = self._parse(text, at + len(option), index + 1)
                if rest is not None:
                    return rest if isinstance(part, str) else [*rest, (part.name, option)]
        return None

    def branches(self, prefix: bytes) -> list[tuple[float, bytes]]:
        """Returns whole answers in UTF-8 that start with ``prefix``, with the log-prior of undecided slots.

        There is one for each option of the slot at the end of ``prefix`` (or the next slot); later slots take
        their most probable option.
        """
        return self._branches(prefix, 0)

    def _branches(self, prefix: bytes, index: int) -> list[tuple[float, bytes]]:
        if index == len(self._encoded):
            return [] if prefix else [(0.0, b"")]
        branches, part = [], self._encoded[index]
        for prior, option in part:
            if len(option) > len(prefix) and len(part) > 1 and option.startswith(prefix):
                branches.append((prior, option + self._tails[index + 1]))
            elif prefix.startswith(option) or option.startswith(prefix):
                decided = prior if len(prefix) >= len(option) else 0.0
                for more, rest in self._branches(prefix[len(option) :], index + 1):
                    branches.append((decided + more, option + rest))
        return branches

    @cached_property
    def _encoded(self) -> list[list[tuple[float, bytes]]]:
        """Each part as its options in UTF-8; literals have one of log-prior 0."""
        return [
            [(0.0, part.encode())]
            if isinstance(part, str)
            else [
                (prior, option.encode()) for prior, option in zip(part.log_priors, part.options, strict=True)
            ]
            for part in self.parts
        ]

    @cached_property
    def _tails(self) -> list[bytes]:
        """``_tails[i]``: the most probable text of ``parts[i:]``."""
        best = [part if isinstance(part, str) else part.best for part in self.parts]
        return ["".join(best[index:]).encode() for index in range(len(best) + 1)]

    def to_lark(self) -> str:
        """Returns Lark source for llguidance; ``start`` is the whole answer.

        The answer is one terminal: a sequence of terminals would be lexed greedily, and ``1`` or ``12``
        before a ``2`` would be read as ``12`` only.
        """
        rules, whole = [], []
        for index, part in enumerate(self.parts):
            if isinstance(part, Slot):
                whole.append(f"S{index}")
                rules.append(f"S{index}: " + " | ".join(map(json.dumps, part.options)))
            elif part:
                whole.append(json.dumps(part))
        return "\n".join(["start: ANSWER", "ANSWER: " + " ".join(whole), *rules]) + "\n"
