"""Plain requests with graded choices: the shares of answers that a reader graded good, acceptable or wrong.

    {"id": "a003", "prompt": "an old man feeding sparrows", "kind": "plain"}                     a request
    {"id": "a003", "air": …, "base_checkpoint": null, "loras": [], "prompt": …, "g": 2}          a grade

A grade (0 wrong … 3 good) belongs to checkpoint, set of LoRAs and sent prompt. A choice that was graded with
another prompt is not judged, because that prompt may have decided the grade. Prompts are compared after
folding case and blanks.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError

from diffagent.data.errors import BadInput
from diffagent.data.json_rows import fault
from diffagent.data.records import T2ICall

GOOD, OK = 3, 2

Choice = tuple[str | None, frozenset[str]]
"""The checkpoint's AIR and those of the LoRAs."""


class AskedRequest(BaseModel):
    """A row of REQUESTS; further fields are ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    id: str = Field(min_length=1)
    prompt: str = Field(min_length=1)
    negative: str = Field(default="", validation_alias=AliasChoices("negative", "negative_prompt"))
    kind: str = "plain"


class Grade(BaseModel):
    """A row of GRADES: ``g`` for the choice, ``s`` for settings and ``p`` for the sent prompt (1 right)."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    id: str = Field(min_length=1)
    air: str = Field(min_length=1)
    base_checkpoint: str | None = None
    loras: tuple[str | dict[str, Any], ...] = ()
    prompt: str = Field(validation_alias=AliasChoices("prompt", "sent"))
    g: int = Field(ge=0, le=3, strict=True)
    s: int | None = Field(default=None, ge=0, le=1)
    p: int | None = Field(default=None, ge=0, le=1)

    @property
    def choice(self) -> Choice:
        """The graded choice; a LoRA's AIR is among its LoRAs."""
        airs = {lora if isinstance(lora, str) else str(lora.get("air")) for lora in self.loras}
        return choice(self.air, self.base_checkpoint, airs)


Row = TypeVar("Row", bound=BaseModel)


def choice(air: str, base_checkpoint: str | None, loras: Iterable[str]) -> Choice:
    """The checkpoint and the set of LoRAs of a call, from the fields that name them."""
    return (air, frozenset()) if base_checkpoint is None else (base_checkpoint, frozenset({air, *loras}))


def read_requests(path: Path) -> list[AskedRequest]:
    """The rows of a file of requests.

    Raises:
        BadInput: the file is missing or empty, a row is not a request, or an id is repeated; names the line.
    """
    rows = list(read_rows(path, AskedRequest, "request"))
    first: dict[str, int] = {}
    for number, row in rows:
        if row.id in first:
            raise BadInput(f"{path}:{number}: the id {row.id!r} is also in line {first[row.id]}: rename one")
        first[row.id] = number
    return [row for _, row in rows]


@dataclass(frozen=True)
class Grades:
    """Grades by request and choice, then by the folded sent prompt."""

    of: Mapping[tuple[str, Choice], Mapping[str, Grade]] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> Grades:
        """The grades of a file; the last counts of several for the same call.

        Raises:
            BadInput: the file is missing or empty, or a row is not a grade; names the line.
        """
        of: dict[tuple[str, Choice], dict[str, Grade]] = defaultdict(dict)
        for _, grade in read_rows(path, Grade, "grade"):
            of[grade.id, grade.choice][folded(grade.prompt)] = grade
        return cls(of)

    def find(self, request_id: str, call: T2ICall) -> tuple[Grade | None, bool]:
        """The grade of a call, and whether its choice has a grade with any prompt."""
        call_choice = choice(call.air, call.base_checkpoint, (lora.air for lora in call.loras))
        grades_by_prompt = self.of.get((request_id, call_choice), {})
        return grades_by_prompt.get(folded(call.prompt)), bool(grades_by_prompt)


def summarise(
    requests: Sequence[AskedRequest], calls: Mapping[str, T2ICall], grades: Grades
) -> dict[str, Any]:
    """The output of ``diffagent eval ask`` for all requests, and under "kinds" for each kind.

    ``good``, ``ok`` (good or acceptable) and ``wrong`` are shares of the judged requests, None without any;
    ``unjudged`` counts the others, ``other_prompt`` those of them whose choice was graded with another
    prompt, ``errors`` those without a call.
    """
    kinds = sorted({request.kind for request in requests})
    parts = {kind: [request for request in requests if request.kind == kind] for kind in kinds}
    return {
        **_counts(requests, calls, grades),
        "kinds": {kind: _counts(part, calls, grades) for kind, part in parts.items()},
    }


def rows(
    requests: Sequence[AskedRequest], calls: Mapping[str, T2ICall], errors: Mapping[str, str]
) -> Iterator[str]:
    """A line for each request, with its call or its error, as ``diffagent route`` writes them."""
    for request in requests:
        call = calls.get(request.id)
        answer = {"call": call.model_dump()} if call else {"error": errors[request.id]}
        yield json.dumps({"id": request.id, **answer}, ensure_ascii=False) + "\n"


def table(measured: Mapping[str, Any]) -> str:
    """The output of :func:`summarise` as the lines of a table: all requests, then each kind."""
    columns = ("n", "good", "ok", "wrong", "unjudged", "other_prompt", "errors")

    def line(name: str, values: Mapping[str, Any]) -> str:
        cells = (_cell(values[column], column in ("good", "ok", "wrong")) for column in columns)
        return f"{name:12}" + "".join(f"{cell:>14}" for cell in cells)

    header = f"{'':12}" + "".join(f"{column.replace('_', ' '):>14}" for column in columns)
    return "\n".join([header, line("all", measured), *(line(k, v) for k, v in measured["kinds"].items())])


def _cell(value: float | None, is_share: bool) -> str:
    return "-" if value is None else f"{100 * value:.1f} %" if is_share else str(value)


def folded(prompt: str) -> str:
    """A prompt without differences of case and blanks."""
    return " ".join(prompt.casefold().split())


def _counts(requests: Sequence[AskedRequest], calls: Mapping[str, T2ICall], grades: Grades) -> dict[str, Any]:
    call_pairs = [(request.id, calls[request.id]) for request in requests if request.id in calls]
    looked_up = [grades.find(request_id, call) for request_id, call in call_pairs]
    values = [grade.g for grade, _ in looked_up if grade is not None]

    def share(count: int) -> float | None:
        return round(count / len(values), 4) if values else None

    return {
        "n": len(requests),
        "good": share(sum(g >= GOOD for g in values)),
        "ok": share(sum(g >= OK for g in values)),
        "wrong": share(sum(g == 0 for g in values)),
        "unjudged": len(requests) - len(values),
        "other_prompt": sum(grade is None and is_graded for grade, is_graded in looked_up),
        "errors": len(requests) - len(call_pairs),
    }


def read_rows(path: Path, kind: type[Row], name: str) -> Iterator[tuple[int, Row]]:
    """The number and row of each line that is not blank.

    Raises:
        BadInput: the file is missing or empty, or a line is not such a row; names the line.
    """
    try:
        lines = path.read_text("utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"cannot read {path} ({error}): give a file of JSON lines, a {name} each") from None
    count = 0
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        count += 1
        try:
            yield number, kind.model_validate(json.loads(line))
        except ValidationError as error:
            raise BadInput(f"{path}:{number}: not a {name}: {fault(error, 'the row')}") from None
        except ValueError as error:
            raise BadInput(
                f"{path}:{number}: not a {name}: not JSON ({error}): give one object a line"
            ) from None
    if not count:
        raise BadInput(f"{path} holds no {name}s: give JSON lines, a {name} each")
