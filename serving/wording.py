"""Errors as programs read them: one line each, which names arguments in place of command-line options."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from diffagent.data.errors import DiffAgentError

MOST_FAULTS = 8
"""Faults named in one message."""
BRIEF = 60
"""Characters shown of a value."""


def argument_line(error: DiffAgentError, has_options: bool = True) -> str:
    """The error's message and hint in one line, with ``base_model`` for ``--base-model``.

    ``has_options``: whether the client has such options; without them, the hint is left out.
    """
    line = " ".join((error.line() if has_options else str(error)).split())
    return re.sub(r"(?<!\w)--([a-z][a-z-]*)", lambda option: option[1].replace("-", "_"), line)


def wrong_arguments(error: ValidationError, names: list[str]) -> str:
    """The faults of the arguments, and the names of all arguments."""
    faults = [sentence(fault, "the arguments") for fault in error.errors(include_url=False)[:MOST_FAULTS]]
    return f"wrong arguments: {'; '.join(faults)}; the arguments are {', '.join(names)}"


def sentence(fault: Mapping[str, Any], subject: str) -> str:
    """One of pydantic's errors in words: ``seed: input should be greater than or equal to 0 (given: -1)``.

    ``subject`` stands for the place where the error has none. Only values that are text or numbers are shown.
    """
    place = ".".join(map(str, fault["loc"])) or subject
    reason, given = fault["msg"], fault.get("input")
    shown = f" (given: {brief(given)})" if isinstance(given, str | int | float) else ""
    return f"{place}: {reason[:1].lower()}{reason[1:]}{shown}"


def brief(value: object) -> str:
    """The value's ``repr``, cut to 60 characters."""
    try:
        shown = repr(value[:BRIEF] if isinstance(value, str) else value)
    except ValueError:  # an integer of more digits than Python prints
        shown = "a number of very many digits"
    return shown if len(shown) <= BRIEF else shown[: BRIEF - 3] + "…"
