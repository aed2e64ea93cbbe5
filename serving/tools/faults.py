"""Errors as a program reads them: one line, with arguments in place of the command line's options."""

from __future__ import annotations

import re

from pydantic import ValidationError

from diffagent.data.errors import DiffAgentError


def told(error: DiffAgentError) -> str:
    """The error's line; ``--base-model`` is called ``base_model``."""
    line = " ".join(str(error).split())
    return re.sub(r"(?<!\w)--([a-z][a-z-]*)", lambda option: option[1].replace("-", "_"), line)


def wrong_arguments(error: ValidationError, known: list[str]) -> str:
    """What is wrong with each argument, and which arguments there are."""
    faults = []
    for fault in error.errors(include_url=False):
        where = ".".join(map(str, fault["loc"])) or "the arguments"
        given = "" if fault["type"] == "missing" else f" (given: {_brief(fault['input'])})"
        faults.append(f"{where}: {fault['msg'].lower()}{given}")
    return f"wrong arguments: {'; '.join(faults)}; the arguments are {', '.join(known)}"


def _brief(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= 60 else shown[:57] + "…"
