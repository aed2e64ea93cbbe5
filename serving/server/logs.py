"""Structured logs: a JSON object a line on stderr. Users' text is in them only on request."""

from __future__ import annotations

import json
import logging
import sys
import traceback
from datetime import UTC, datetime
from typing import Any, TextIO

NAMED = ("diffagent.server", "uvicorn")
"""The loggers that log more than warnings."""


class JsonLines(logging.Formatter):
    """A record as one JSON object: time, level, event, then the fields of ``extra={"fields": {…}}``.

    An exception is logged with type and places; with ``messages`` its message too, which may hold a prompt.
    """

    def __init__(self, messages: bool = False) -> None:
        super().__init__()
        self._messages = messages

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info and record.exc_info[1] is not None:
            line |= self._error(record.exc_info[1])
        return json.dumps(line, default=str)

    def _error(self, error: BaseException) -> dict[str, Any]:
        frames = traceback.extract_tb(error.__traceback__)[-8:]
        fields: dict[str, Any] = {
            "error": type(error).__name__,
            "at": [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames],
        }
        if self._messages:
            fields["message"] = str(error)
        return fields


def configure(messages: bool = False, stream: TextIO | None = None) -> logging.Handler:
    """Sends all logs, the libraries' warnings too, to stderr (or a stream) as JSON lines."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines(messages))
    logging.getLogger().addHandler(handler)
    for name in NAMED:
        logging.getLogger(name).setLevel(logging.INFO)
    return handler
