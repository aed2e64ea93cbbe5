"""Plain requests beside graded choices: the share of answers that a reader found good, acceptable or wrong.

    {"id": "a003", "prompt": "an old man feeding sparrows", "kind": "plain"}                     a request
    {"id": "a003", "air": …, "base_checkpoint": null, "loras": [], "prompt": …, "g": 2}          a grade

A grade (0 wrong … 3 good) belongs to checkpoint, set of LoRAs and sent prompt. A choice that was graded with
another prompt is not judged: its words may be what was right or wrong. Prompts are equal after folding case
and blanks.
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
from diffagent.data.records import T2ICall

GOOD, OK = 3, 2

Choice = tuple[str | None, frozenset[str]]
"""The checkpoint's AIR and those of the LoRAs."""


class AskedRequest(BaseModel):
    """One row of REQUESTS; what readers noted beside it is not read."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    id: str = Field(min_length=1)
    prompt: str = Field(min_length=1)
    negative: str = Field(default="", validation_alias=AliasChoices("negative", "negative_prompt"))
    kind: str = "plain"


class Grade(BaseModel):
    """One row of GRADES: ``g`` for the choice, ``s`` for settings and ``p`` for the sent prompt (1 right)."""

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
        """What was chosen; a LoRA's own AIR is among its LoRAs."""
        airs = {one if isinstance(one, str) else str(one.get("air")) for one in self.loras}
        return choice(self.air, self.base_checkpoint, airs)


Row = TypeVar("Row", bound=BaseModel)


def choice(air: str, base_checkpoint: str | None, loras: Iterable[str]) -> Choice:
    """The checkpoint and the set of LoRAs of a call by the fields that name them."""
    return (air, frozenset()) if base_checkpoint is None else (base_checkpoint, frozenset({air, *loras}))


def read_requests(path: Path) -> list[AskedRequest]:
    """The rows of a file of requests.

    Raises:
        BadInput: the file is missing or holds none, a row is no request, or an id stands twice; says where.
    """
    rows = list(read_rows(path, AskedRequest, "request"))
    first: dict[str, int] = {}
    for number, row in rows:
        if row.id in first:
            raise BadInput(
                f"{path}:{number}: the id {row.id!r} stands in line {first[row.id]} too: rename one"
            )
        first[row.id] = number
    return [row for _, row in rows]


@dataclass(frozen=True)
class Grades:
    """Grades by request and choice, then by the folded prompt that was sent."""

    of: Mapping[tuple[str, Choice], Mapping[str, Grade]] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> Grades:
        """From a file of grades; of several for the same call the last.

        Raises:
            BadInput: the file is missing or holds none, or a row is no grade; says where.
        """
        of: dict[tuple[str, Choice], dict[str, Grade]] = defaultdict(dict)
        for _, grade in read_rows(path, Grade, "grade"):
            of[grade.id, grade.choice][folded(grade.prompt)] = grade
        return cls(of)

    def find(self, request_id: str, call: T2ICall) -> tuple[Grade | None, bool]:
        """The grade of a call, and whether its choice has one under any prompt."""
        made = choice(call.air, call.base_checkpoint, (lora.air for lora in call.loras))
        graded = self.of.get((request_id, made), {})
        return graded.get(folded(call.prompt)), bool(graded)


def summarise(
    requests: Sequence[AskedRequest], calls: Mapping[str, T2ICall], grades: Grades
) -> dict[str, Any]:
    """The object that ``diffagent eval ask`` prints: of all requests, and under "kinds" of each kind.

    ``good``, ``ok`` (good or acceptable) and ``wrong`` are shares of the judged, None where nothing is;
    ``unjudged`` counts the others, ``other_prompt`` those of them whose choice was graded with another
    prompt, ``errors`` those that have no call.
    """
    kinds = sorted({request.kind for request in requests})
    parts = {kind: [request for request in requests if request.kind == kind] for kind in kinds}
    return {
        **_counted(requests, calls, grades),
        "kinds": {kind: _counted(part, calls, grades) for kind, part in parts.items()},
    }


def rows(
    requests: Sequence[AskedRequest], calls: Mapping[str, T2ICall], errors: Mapping[str, str]
) -> Iterator[str]:
    """A line for each request, with its call or its error, as ``diffagent route`` writes them."""
    for request in requests:
        made = calls.get(request.id)
        answer = {"call": made.model_dump()} if made else {"error": errors[request.id]}
        yield json.dumps({"id": request.id, **answer}, ensure_ascii=False) + "\n"


def table(measured: Mapping[str, Any]) -> str:
    """What :func:`summarise` found, as lines of a table: all requests, then each kind."""
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


def _counted(
    requests: Sequence[AskedRequest], calls: Mapping[str, T2ICall], grades: Grades
) -> dict[str, Any]:
    answered = [(request.id, calls[request.id]) for request in requests if request.id in calls]
    looked_up = [grades.find(request_id, call) for request_id, call in answered]
    judged = [grade.g for grade, _ in looked_up if grade is not None]

    def share(count: int) -> float | None:
        return round(count / len(judged), 4) if judged else None

    return {
        "n": len(requests),
        "good": share(sum(g >= GOOD for g in judged)),
        "ok": share(sum(g >= OK for g in judged)),
        "wrong": share(sum(g == 0 for g in judged)),
        "unjudged": len(requests) - len(judged),
        "other_prompt": sum(grade is None and is_graded for grade, is_graded in looked_up),
        "errors": len(requests) - len(answered),
    }


def read_rows(path: Path, kind: type[Row], name: str) -> Iterator[tuple[int, Row]]:
    """Line number and row of each line that is not blank.

    Raises:
        BadInput: the file is missing or holds none, or a line is no such row; says where.
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
            first = error.errors(include_url=False)[0]
            where = ".".join(map(str, first["loc"])) or "the row"
            given = "" if first["type"] == "missing" else f" (given: {first.get('input')!r:.60})"
            raise BadInput(f"{path}:{number}: no {name}: {where}: {first['msg']}{given}") from None
        except ValueError as error:
            raise BadInput(
                f"{path}:{number}: no {name}: not JSON ({error}): give one object a line"
            ) from None
    if not count:
        raise BadInput(f"{path} holds no {name}s: give JSON lines, a {name} each")
