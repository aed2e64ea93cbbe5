"""Plain requests with their readings and graded candidates, as a data set.

requests.jsonl.gz  {"id", "prompt", "kind", "slots": {…}, "special", "candidates": [
                    {"air", "base_checkpoint", "grade": 0 wrong, 1 weak, 2 acceptable, 3 good}, …]}
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, Self

from diffagent.agent.asking.reading import Reading, Special
from diffagent.data.json_rows import read_rows

Split = Literal["train", "align", "test"]
SHARES = (("test", 0.1), ("align", 0.1))
"""The shares of requests, by the hash of their prompts; the others are for training."""
WORTH = (0.0, 0.02, 0.25, 1.0)
"""The weight of each grade in the target of a choice, before normalisation."""
PLACE = 0.4
"""The factor of a target's weight from one place of an order to the next."""


@dataclass(frozen=True)
class GradedCandidate:
    """A candidate with its grade; ``base_checkpoint`` is the AIR of a LoRA's checkpoint, and ``place`` the
    place in a reader's order of the list, from 1 (None: the list was graded only)."""

    air: str
    grade: int
    base_checkpoint: str | None = None
    place: int | None = None


@dataclass(frozen=True)
class PlainRequest:
    """A request with its slots and graded candidates."""

    id: str
    prompt: str
    kind: str
    slots: Mapping[str, Any]
    special: Special
    candidates: tuple[GradedCandidate, ...]

    @classmethod
    def parse(cls, row: Mapping[str, Any]) -> Self:
        candidates = tuple(
            GradedCandidate(
                candidate["air"],
                candidate["grade"],
                candidate.get("base_checkpoint"),
                candidate.get("place"),
            )
            for candidate in row["candidates"]
        )
        if strange := [
            candidate.grade for candidate in candidates if candidate.grade not in range(len(WORTH))
        ]:
            raise ValueError(f"grades are 0 to {len(WORTH) - 1}, not {strange[0]!r}")
        places = [candidate.place for candidate in candidates if candidate.place is not None]
        if places and (len(places) < len(candidates) or min(places) != 1):
            raise ValueError(f"an order has a place for each candidate, from 1, not {places}")
        return cls(row["id"], row["prompt"], row["kind"], row["slots"], row["special"], candidates)

    @property
    def english(self) -> str:
        """The prompt, translated where it is in another language."""
        return str(self.slots["english"] or self.prompt)

    @property
    def split(self) -> Split:
        """The part that the request belongs to, by the SHA-256 of its prompt."""
        at = int(hashlib.sha256(self.prompt.encode()).hexdigest()[:8], 16) / 16**8
        for name, share in SHARES:
            if at < share:
                return name  # type: ignore[return-value]
            at -= share
        return "train"

    @property
    def reading(self) -> Reading:
        """The strong language model's reading over the rules' draft (of the translation, if there is one)."""
        draft = Reading.of(self.english)
        slots: Mapping[str, Any] = self.slots
        medium: Any = slots["natural"]
        medium = "digital painting" if medium == "any" else medium  # suits most requests without one
        named_media = (medium,) if slots["medium"] else ()
        return replace(
            draft, medium=medium, named_media=named_media, people=slots["people"], special=self.special
        )


def shipped() -> Path:
    """The file of requests that ships with the training code."""
    return Path(str(files("diffagent.training") / "requests" / "requests.jsonl.gz"))


def shipped_orders() -> Path:
    """The file of requests whose candidates are in order that ships with the training code."""
    return shipped().with_name("orders.jsonl.gz")


def read_graded(path: Path | None = None) -> list[PlainRequest]:
    """The requests of a file, by default of :func:`shipped`.

    Raises:
        BadInput: a line is not a request; names the line.
    """
    right = "give graded requests, as those that ship"
    return list(read_rows(path or shipped(), PlainRequest.parse, "a request", right))
