"""Errors as programs read them: one line each, which names arguments in place of command-line options."""

from __future__ import annotations

import re

from pydantic import ValidationError

from diffagent.data.errors import DiffAgentError
from diffagent.data.json_rows import sentence

MOST_FAULTS = 8
"""Faults named in one message."""


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
