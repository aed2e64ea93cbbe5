"""Errors as programs read them: one line each, with arguments in place of the command line's options."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from diffagent.data.errors import DiffAgentError

MOST_FAULTS = 8
"""Faults that a message names."""
BRIEF = 60
"""Characters of a value that was given."""


def told(error: DiffAgentError, has_options: bool = True) -> str:
    """The error's line; ``--base-model`` is called ``base_model``. Without its hint where the asker has no
    such options."""
    line = " ".join((error.line() if has_options else str(error)).split())
    return re.sub(r"(?<!\w)--([a-z][a-z-]*)", lambda option: option[1].replace("-", "_"), line)


def wrong_arguments(error: ValidationError, known: list[str]) -> str:
    """What is wrong with each argument, and which arguments there are."""
    faults = [sentence(one, "the arguments") for one in error.errors(include_url=False)[:MOST_FAULTS]]
    return f"wrong arguments: {'; '.join(faults)}; the arguments are {', '.join(known)}"


def sentence(fault: Mapping[str, Any], whole: str) -> str:
    """One of pydantic's errors: ``seed: input should be greater than or equal to 0 (given: -1)``.

    ``whole`` is what is wrong where the error names no part of it. Only text and numbers are shown.
    """
    where = ".".join(map(str, fault["loc"])) or whole
    says, given = fault["msg"], fault.get("input")
    shown = f" (given: {brief(given)})" if isinstance(given, str | int | float) else ""
    return f"{where}: {says[:1].lower()}{says[1:]}{shown}"


def brief(value: object) -> str:
    """The value as Python writes it, cut to 60 characters."""
    try:
        shown = repr(value[:BRIEF] if isinstance(value, str) else value)
    except ValueError:  # an integer of more digits than Python prints
        shown = "a number of very many digits"
    return shown if len(shown) <= BRIEF else shown[: BRIEF - 3] + "…"
