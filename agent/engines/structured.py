"""Structured answers: closed fields as a JSON schema and in words, and an answer read back leniently.

    fields = (Field("letter", ("A", "B")),)
    schema(fields)                          -> {"type": "object", "properties": {"letter": {"enum": …}}, …}
    read('Sure: {"letter": "b"}', fields)   -> {"letter": "B"}

What an answer says outside a field's options is left out: :func:`read` never gives another value.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

NAME = "answer"
"""Of the schema and of the function that takes it."""
_THOUGHT = re.compile(r"<think>.*?(?:</think>|\Z)", re.S)


@dataclass(frozen=True)
class Field:
    """One thing that is asked: one of ``options``; ``meaning`` says what it is."""

    name: str
    options: tuple[str, ...]
    meaning: str = ""


def schema(fields: Sequence[Field]) -> dict[str, Any]:
    """The JSON schema of an answer, as strict structured outputs want it: every field, no others."""
    properties = {
        one.name: {
            "type": "string",
            "enum": list(one.options),
            **({"description": one.meaning} if one.meaning else {}),
        }
        for one in fields
    }
    return {
        "type": "object",
        "properties": properties,
        "required": [one.name for one in fields],
        "additionalProperties": False,
    }


def instructions(fields: Sequence[Field]) -> str:
    """The same in words, for servers that do not show the model its schema, or know none."""
    lines = []
    for one in fields:
        options = json.dumps(list(one.options), ensure_ascii=False)
        lines.append(" ".join(filter(None, [f"- {one.name}:", one.meaning, f"One of: {options}"])))
    form = ", ".join(f'"{one.name}": "…"' for one in fields)
    return "\n".join([f"Answer with one JSON object and nothing else: {{{form}}}", *lines])


def read(answer: object, fields: Sequence[Field]) -> dict[str, str]:
    """Field → option, of the fields that an answer gives: a JSON object, or a text that holds or says one."""
    if isinstance(answer, Mapping):
        return _valid(answer, fields)
    if not isinstance(answer, str):
        return {}
    text = without_thought(answer)
    values: dict[str, str] = {}
    for found in _objects(text):
        values |= _valid(found, fields)
    for one in fields:
        if one.name not in values and (spoken := _spoken(text, one, alone=len(fields) == 1)):
            values[one.name] = spoken
    return values


def without_thought(text: str) -> str:
    """An answer without what the model thought aloud before it."""
    return _THOUGHT.sub("", text).strip()


def _valid(found: Mapping[str, Any], fields: Sequence[Field]) -> dict[str, str]:
    given = {str(name).casefold(): value for name, value in found.items()}
    values = {}
    for one in fields:
        value = given.get(one.name.casefold())
        if isinstance(value, str | int | float) and (option := _option(str(value), one)) is not None:
            values[one.name] = option
    return values


def _option(value: str, field: Field) -> str | None:
    if value in field.options:
        return value
    folded = value.strip().casefold()
    return next((one for one in field.options if one.casefold() == folded), None)


def _objects(text: str) -> Iterator[Mapping[str, Any]]:
    """Every JSON object that begins somewhere in a text, in order, outer ones alone."""
    decoder, at = json.JSONDecoder(), text.find("{")
    while at >= 0:
        try:
            found, end = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            end = at + 1
        else:
            if isinstance(found, dict):
                yield found
        at = text.find("{", end)


def _spoken(text: str, field: Field, *, alone: bool) -> str | None:
    """An option that a text names behind the field's name, or that is all of it where one thing is asked."""
    options = "|".join(re.escape(one) for one in sorted(field.options, key=len, reverse=True))
    named = re.findall(
        rf"\b{re.escape(field.name)}\W{{1,4}}(?:is\W{{1,4}})?({options})(?!\w)", text, re.IGNORECASE
    )
    if not named and alone:
        named = re.findall(rf"\A\W*({options})(?:\W*\Z|[).:])", text, re.IGNORECASE)
    return _option(named[-1], field) if named else None
