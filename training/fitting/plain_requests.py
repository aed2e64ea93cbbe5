"""Plain requests with their readings and graded candidates, as a data set and as dialogues.

    requests.jsonl.gz  {"id", "prompt", "kind", "slots": {…}, "special", "candidates": [
                        {"air", "base_checkpoint", "grade": 0 wrong, 1 weak, 2 acceptable, 3 good}, …]}

Each request makes two dialogues: the reading, and the choice among its candidates behind the reading,
shuffled, so that no place in the list is a hint. The choice has no single right answer: a letter's share of
the target grows with its grade.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np

from diffagent.agent.answering import choice
from diffagent.agent.answering.answer import LABELS
from diffagent.agent.answering.choice import SHOWN
from diffagent.agent.asking import reading
from diffagent.agent.asking.reading import Reading, Special
from diffagent.agent.engines.grammar import Grammar
from diffagent.data.errors import BadInput
from diffagent.data.records import Card
from diffagent.training.sft.dialogues import Dialogue

Split = Literal["train", "align", "test"]
SHARES = (("test", 0.1), ("align", 0.1))
"""Of the requests, by the hash of their words; the others are for training."""
WORTH = (0.0, 0.02, 0.25, 1.0)
"""What a candidate of each grade is worth in the target of a choice, before it is normalised."""


@dataclass(frozen=True)
class Graded:
    """A candidate as it was graded: ``base_checkpoint`` is the AIR that a LoRA was to run on."""

    air: str
    grade: int
    base_checkpoint: str | None = None


@dataclass(frozen=True)
class Asked:
    """A request with what it asks for; ``english`` is its translation where it is in another language."""

    id: str
    prompt: str
    kind: str
    slots: Mapping[str, Any]
    special: Special
    candidates: tuple[Graded, ...]

    @classmethod
    def parse(cls, row: Mapping[str, Any]) -> Self:
        graded = tuple(
            Graded(one["air"], one["grade"], one.get("base_checkpoint")) for one in row["candidates"]
        )
        if strange := [one.grade for one in graded if one.grade not in range(len(WORTH))]:
            raise ValueError(f"grades are 0 to {len(WORTH) - 1}, not {strange[0]!r}")
        return cls(row["id"], row["prompt"], row["kind"], row["slots"], row["special"], graded)

    @property
    def english(self) -> str:
        """The prompt, translated where it is in another language."""
        return str(self.slots["english"] or self.prompt)

    @property
    def split(self) -> Split:
        """Where the request belongs, by the SHA-256 of its words."""
        at = int(hashlib.sha256(self.prompt.encode()).hexdigest()[:8], 16) / 16**8
        for name, share in SHARES:
            if at < share:
                return name  # type: ignore[return-value]
            at -= share
        return "train"

    @property
    def reading(self) -> Reading:
        """What a strong language model read, over the rules' words (English where there is a translation)."""
        draft = Reading.of(self.english)
        slots: Mapping[str, Any] = self.slots
        medium: Any = slots["natural"]
        medium = "digital painting" if medium == "any" else medium  # suits most of what has none
        named = (medium,) if slots["medium"] else ()
        return replace(draft, medium=medium, named=named, people=slots["people"], special=self.special)


def _text(path: Path) -> str:
    """A file's text, unpacked where its name ends in .gz."""
    data = path.read_bytes()
    return (gzip.decompress(data) if path.suffix == ".gz" else data).decode()


def shipped() -> Path:
    """The file of requests that ships with the training code."""
    return Path(str(files("diffagent.training") / "requests" / "requests.jsonl.gz"))


def read_graded(path: Path | None = None) -> list[Asked]:
    """The requests of a file, by default of :func:`shipped`.

    Raises:
        BadInput: a line is no request; says which.
    """
    source = path or shipped()
    requests = []
    for number, line in enumerate(_text(source).splitlines(), 1):
        try:
            requests.append(Asked.parse(json.loads(line)))
        except (ValueError, KeyError, TypeError) as error:
            raise BadInput(
                f"line {number} of {source} is no request: {type(error).__name__} {error}"
            ) from None
    return requests


def readings(requests: Sequence[Asked]) -> Iterator[Dialogue]:
    """The reading of each request."""
    for asked in requests:
        legal = replace(Reading.of(asked.prompt), barred=frozenset(), is_tagged=False).grammar(1.0)
        yield Dialogue("reading", reading.question(asked.prompt), asked.reading.line, legal)


def choices(
    requests: Sequence[Asked], cards: Mapping[str, Card], rng: np.random.Generator
) -> Iterator[Dialogue]:
    """The choice of each request among :data:`SHOWN` of its candidates, of those that ``cards`` (by AIR) has.

    The better half of them stays in; a request without an acceptable candidate makes none. A fifth of the
    choices stand behind the rules' reading in place of the right one, as in serving where the model errs.
    """
    for asked in requests:
        right, draft = asked.reading, Reading.of(asked.prompt)
        offered = [one for one in asked.candidates if one.air in cards]
        offered = [offered[i] for i in rng.permutation(len(offered))]
        offered.sort(key=lambda one: -one.grade)
        others = [offered[i] for i in SHOWN // 2 + rng.permutation(max(0, len(offered) - SHOWN // 2))]
        offered = offered[: SHOWN // 2] + others[: SHOWN - SHOWN // 2]
        offered = [offered[i] for i in rng.permutation(len(offered))]
        worth = np.array([WORTH[one.grade] for one in offered])
        if len(offered) < 2 or worth.sum() < WORTH[2]:
            continue
        line = right.line if rng.random() < 0.8 else draft.line
        question = choice.question([cards[one.air] for one in offered], asked.prompt, line)
        label = LABELS[int(worth.argmax())]
        targets = tuple((worth / worth.sum()).tolist())
        yield Dialogue("choice", question, label, Grammar((label,)), targets=targets)
