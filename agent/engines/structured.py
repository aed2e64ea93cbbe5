"""Structured answers: closed fields as a JSON schema and in words, and a lenient reader of answers.

    fields = (Field("letter", ("A", "B")),)
    schema(fields)                          -> {"type": "object", "properties": {"letter": {"enum": …}}, …}
    read('Sure: {"letter": "b"}', fields)   -> {"letter": "B"}

:func:`read` drops values outside a field's options and never returns another value.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

NAME = "answer"
"""The name of the schema and of the function that takes it."""
_THOUGHT = re.compile(r"<think>.*?(?:</think>|\Z)", re.S)


@dataclass(frozen=True)
class Field:
    """One field of an answer: its ``options`` and its ``meaning`` in words."""

    name: str
    options: tuple[str, ...]
    meaning: str = ""


def schema(fields: Sequence[Field]) -> dict[str, Any]:
    """Returns an answer's JSON schema for strict structured outputs: every field is required, others
    barred."""
    properties = {
        field.name: {
            "type": "string",
            "enum": list(field.options),
            **({"description": field.meaning} if field.meaning else {}),
        }
        for field in fields
    }
    return {
        "type": "object",
        "properties": properties,
        "required": [field.name for field in fields],
        "additionalProperties": False,
    }


def instructions(fields: Sequence[Field]) -> str:
    """Returns the schema in words, for servers that ignore it or hide it from the model."""
    lines = []
    for field in fields:
        options = json.dumps(list(field.options), ensure_ascii=False)
        lines.append(" ".join(filter(None, [f"- {field.name}:", field.meaning, f"One of: {options}"])))
    form = ", ".join(f'"{field.name}": "…"' for field in fields)
    return "\n".join([f"Answer with one JSON object and nothing else: {{{form}}}", *lines])


def read(answer: object, fields: Sequence[Field]) -> dict[str, str]:
    """Returns field → option of an answer: a JSON object, a text that contains one, or plain words."""
    if isinstance(answer, Mapping):
        return _valid(answer, fields)
    if not isinstance(answer, str):
        return {}
    text = without_thought(answer)
    values: dict[str, str] = {}
    for entry in _objects(text):
        values |= _valid(entry, fields)
    for field in fields:
        if field.name not in values and (option := _option_in_text(text, field, alone=len(fields) == 1)):
            values[field.name] = option
    return values


def without_thought(text: str) -> str:
    """Returns an answer without the model's thoughts before it."""
    return _THOUGHT.sub("", text).strip()


def _valid(entry: Mapping[str, Any], fields: Sequence[Field]) -> dict[str, str]:
    by_name = {str(name).casefold(): value for name, value in entry.items()}
    values = {}
    for field in fields:
        value = by_name.get(field.name.casefold())
        if isinstance(value, str | int | float) and (option := _option(str(value), field)) is not None:
            values[field.name] = option
    return values


def _option(value: str, field: Field) -> str | None:
    if value in field.options:
        return value
    folded = value.strip().casefold()
    return next((option for option in field.options if option.casefold() == folded), None)


def _objects(text: str) -> Iterator[Mapping[str, Any]]:
    """Yields every outermost JSON object in a text, in order."""
    decoder, at = json.JSONDecoder(), text.find("{")
    while at >= 0:
        try:
            entry, end = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            end = at + 1
        else:
            if isinstance(entry, dict):
                yield entry
        at = text.find("{", end)


def _option_in_text(text: str, field: Field, *, alone: bool) -> str | None:
    """Returns the option after the field's name in a text, or the whole text if the field is ``alone``."""
    options = "|".join(re.escape(option) for option in sorted(field.options, key=len, reverse=True))
    matches = re.findall(
        rf"\b{re.escape(field.name)}\W{{1,4}}(?:is\W{{1,4}})?({options})(?!\w)", text, re.IGNORECASE
    )
    if not matches and alone:
        matches = re.findall(rf"\A\W*({options})(?:\W*\Z|[).:])", text, re.IGNORECASE)
    return _option(matches[-1], field) if matches else None
