"""Faults: the error of a request as ``{"error": {"type", "message"}}`` with an HTTP status.

BadInput and its kinds    400     bad_input, bad_prompt, bad_call, bad_image, unknown_model
Fault                     its own (401, 403, 404, 405, 408, 413, 415, 429, 501, 503, 504)
TargetError and its kinds 502     unreachable, refused, job_failed; censored is 400
EngineGone                503     engine_gone
other DiffAgentErrors     500     the kind and the remedy; the log has the message, which may hold a path
other exceptions          500     internal, without the message
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any

from fastapi.responses import JSONResponse

from diffagent.data.errors import (
    BadCatalog,
    BadInput,
    BadSpecifications,
    Censored,
    DiffAgentError,
    EngineError,
    EngineGone,
    MissingExtra,
    MissingWeights,
    TargetError,
)
from diffagent.data.json_rows import sentence
from diffagent.data.weights.weights import home
from diffagent.serving.wording import argument_line

LONGEST_MESSAGE = 600

OURS: dict[type[DiffAgentError], str] = {
    BadSpecifications: "the server's image specifications are damaged or of other encoders: its operator "
    "makes them again with diffagent pmi build",
    BadCatalog: "the server's catalog is missing or damaged: its operator imports it again, and starts anew",
    MissingWeights: "the server lacks weights of a model: its log says which, and where they were looked for",
    MissingExtra: "the server lacks an optional library: its log says which",
    EngineGone: "the server's language model answers nothing any more: its operator starts that again",
    EngineError: "the server's language model failed: ask again; the server's log says more",
    DiffAgentError: "the server failed: its log says how",
}
"""Messages to the client for faults of the server; the first class that fits counts."""


class Fault(DiffAgentError):
    """An error of a request, with its HTTP status and type."""

    def __init__(
        self, status: int, kind: str, message: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.headers = dict(headers or {})


class ClientLeft(Exception):
    """The client closed the connection before its answer."""


def fault_of(error: Exception, has_options: bool = True) -> Fault:
    """Any exception as a fault; the message of an unexpected one is withheld.

    ``has_options``: whether the endpoint takes the options that an error's hint names.
    """
    if isinstance(error, Fault):
        return error
    kind = re.sub(r"(?<!^)(?=[A-Z])", "_", type(error).__name__).lower()
    if isinstance(error, BadInput | Censored):
        return Fault(HTTPStatus.BAD_REQUEST, kind, argument_line(error, has_options))
    if isinstance(error, TargetError):
        return Fault(HTTPStatus.BAD_GATEWAY, kind, error.line())
    if isinstance(error, EngineGone):
        return Fault(HTTPStatus.SERVICE_UNAVAILABLE, kind, OURS[EngineGone])
    for cause, message in OURS.items():
        if isinstance(error, cause):
            return Fault(HTTPStatus.INTERNAL_SERVER_ERROR, kind, message)
    return Fault(
        HTTPStatus.INTERNAL_SERVER_ERROR, "internal", "something broke here: the server's log says what"
    )


def response_of(fault: Fault) -> JSONResponse:
    """Returns a fault as an HTTP answer in OpenAI's form."""
    body = {"error": {"type": fault.kind, "message": _printable(str(fault))}}
    return JSONResponse(body, fault.status, fault.headers)


def validation_fault(errors: list[Any]) -> Fault:
    """The first of pydantic's errors as a sentence with place, reason and value."""
    first: Any = errors[0] if errors else {"type": "", "msg": "the request cannot be read", "loc": ()}
    if first["type"] == "json_invalid":
        return Fault(
            400, "bad_input", f"the body is not JSON: {first.get('ctx', {}).get('error', first['msg'])}"
        )
    place = tuple(part for part in first.get("loc", ()) if part not in ("body", "query"))
    return Fault(400, "bad_input", sentence({**first, "loc": place}, "the body"))


def _printable(message: str) -> str:
    """One line of valid Unicode, without the folders of this machine."""
    for folder in sorted(_folders(), key=len, reverse=True):
        message = message.replace(folder, "…")
    valid = message.encode("utf-8", "replace").decode("utf-8")
    return " ".join(valid.split())[:LONGEST_MESSAGE]


def _folders() -> set[str]:
    """The folders of this process."""
    folders = (Path.home(), Path.cwd(), tempfile.gettempdir(), sys.prefix, home())
    return {str(folder) for folder in folders} - {"/", ""}
