"""Explicit wishes beside calls: how many of the requests' explicit wishes the calls keep.

    {"id": "j108", "ratio": [3, 2], "sampler": "Euler a", "cfg_scale": 6, "exclude": ["people"]}

Readers wrote the wishes down; nothing here reads a request, so that the agent's reading is checked, not
repeated. A wish is a field of a row, or a name in ``exclude``. Settings that nobody asked for are checked
against the base model's table.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import log
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from diffagent.data.base_models import find, is_meant
from diffagent.data.prompts import bare_words
from diffagent.data.records import T2ICall
from diffagent.training.evaluation.asking import read_rows

TOLERANCE = log(1.06)
"""The tolerance of a ratio: sides have steps of 8 pixels."""


class WishRow(BaseModel):
    """The wishes of a request. ``exclude`` has names for the negative prompt, "a|b" one of them; ``refused``:
    an error is correct where the base model is not available."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(min_length=1)
    size: tuple[int, int] | None = None
    ratio: tuple[int, int] | None = None
    shape: Literal["wide", "tall", "square"] | None = None
    steps: int | None = None
    most_steps: int | None = None
    sampler: str | None = None
    cfg_scale: float | None = None
    seed: int | None = None
    base_model: str | None = None
    not_base_model: str | None = None
    exclude: tuple[str, ...] = ()
    n: int | None = None
    refused: bool = False

    @property
    def count(self) -> int:
        """The number of wishes."""
        names = self.model_fields_set - {"id", "exclude", "refused"}
        return len(names) + len(self.exclude)


def wishes_file(requests: Path) -> Path:
    """The file of wishes of a file of requests."""
    return requests.with_name(f"{requests.stem}-wishes.jsonl")


def read_wishes(path: Path) -> list[WishRow]:
    """The rows of a file of wishes.

    Raises:
        BadInput: the file is missing or empty, or a row is not a wish row; names the line.
    """
    return [row for _, row in read_rows(path, WishRow, "wish row")]


def check(
    rows: Sequence[WishRow],
    calls: Mapping[str, T2ICall],
    counts: Mapping[str, int],
    errors: Mapping[str, str],
) -> dict[str, Any]:
    """The "wishes" in the output of ``diffagent eval ask``.

    Args:
        rows: the wishes.
        calls: request's id → call; of all requests, with or without wishes.
        counts: request's id → number of pictures.
        errors: request's id → the reason why there is no call.
    """
    rows_by_id = {row.id: row for row in rows}
    broken = {row.id: list(_unmet(row, calls, counts, errors)) for row in rows}
    outside = {
        key: faults for key, call in calls.items() if (faults := list(_outside(call, rows_by_id.get(key))))
    }
    total = sum(row.count for row in rows)
    return {
        "kept": total - sum(map(len, broken.values())),
        "of": total,
        "broken": {key: faults for key, faults in broken.items() if faults},
        "outside": outside,
    }


def lines(checked: Mapping[str, Any]) -> str:
    """The output of :func:`check` in words: a count, and a line for each request that it names."""
    head = (
        f"explicit wishes kept: {checked['kept']} of {checked['of']}; "
        f"outside the table: {len(checked['outside'])}"
    )
    request_faults = [(key, fault) for part in ("broken", "outside") for key, fault in checked[part].items()]
    return "\n".join([head, *(f"  {key}: {'; '.join(faults)}" for key, faults in request_faults)])


def _unmet(
    row: WishRow, calls: Mapping[str, T2ICall], counts: Mapping[str, int], errors: Mapping[str, str]
) -> Iterator[str]:
    """A sentence for each wish that a call breaks."""
    call = calls.get(row.id)
    if call is None:
        if not (row.refused and row.id in errors):
            yield from [f"no call: {errors.get(row.id, 'not answered')}"] * row.count
        return
    size = (call.width, call.height)
    if row.size and size != row.size:
        yield f"size is {size[0]}x{size[1]}, not {row.size[0]}x{row.size[1]}"
    if row.ratio and abs(log(size[0] * row.ratio[1] / (size[1] * row.ratio[0]))) > TOLERANCE:
        yield f"size is {size[0]}x{size[1]}, not {row.ratio[0]}:{row.ratio[1]}"
    if row.shape and _shape(size) != row.shape:
        yield f"size is {size[0]}x{size[1]}, not {row.shape}"
    if row.most_steps and call.sampling_steps > row.most_steps:
        yield f"steps are {call.sampling_steps}, more than {row.most_steps}"
    if row.sampler and str(call.sampler).casefold() != row.sampler.casefold():
        yield f"sampler is {call.sampler}, not {row.sampler}"
    numbers = {
        "steps": call.sampling_steps,
        "cfg_scale": call.cfg_scale,
        "seed": call.seed,
        "n": counts.get(row.id, 1),
    }
    for name, value in numbers.items():
        wish = getattr(row, name)
        if wish is not None and value != wish:
            yield f"{name} is {value}, not {wish}"
    if row.base_model and not is_meant(row.base_model, call.base_model):
        yield f"base model is {call.base_model}, not {row.base_model}"
    if row.not_base_model and is_meant(row.not_base_model, call.base_model):
        yield f"base model is {call.base_model}"
    negative = f" {bare_words(call.negative_prompt)} "
    for names in row.exclude:
        if not any(f" {bare_words(name)} " in negative for name in names.split("|")):
            yield f"{names} is not in the negative prompt"


def _outside(call: T2ICall, row: WishRow | None) -> Iterator[str]:
    """The settings of a call outside its base model's table that nobody asked for."""
    facts = find(call.base_model)
    if facts is None:
        return
    wish = row or WishRow(id="-")
    low, high = facts.steps_range or (1, 150)
    if not (wish.steps or wish.most_steps or low <= call.sampling_steps <= high):
        yield f"{call.sampling_steps} steps, of {low} to {high}"
    guidance = facts.guidance
    is_guided = guidance is not None and guidance.kind == "cfg" and wish.cfg_scale is None
    if guidance and is_guided and not guidance.low <= call.cfg_scale <= guidance.high:
        yield f"cfg_scale {call.cfg_scale}, of {guidance.low} to {guidance.high}"
    samplers, schedules = facts.samplers or (), facts.schedules or ()
    is_listed = str(call.sampler) in samplers or (
        call.sampling_method in samplers and call.scheduler in schedules
    )
    if samplers and wish.sampler is None and not is_listed:
        yield f"sampler {call.sampler}"
    size = (call.width, call.height)
    if facts.shapes and not (wish.size or wish.ratio) and size not in facts.shapes:
        yield f"size {size[0]}x{size[1]}"


def _shape(size: tuple[int, int]) -> str:
    return "square" if size[0] == size[1] else "wide" if size[0] > size[1] else "tall"
