"""Faults: what went wrong with a request, as ``{"error": {"type", "message"}}`` and an HTTP status.

BadInput and its kinds    400     bad_input, bad_prompt, bad_call, bad_image, unknown_model
Fault                     its own (401, 403, 404, 405, 408, 413, 415, 429, 501, 503, 504)
TargetError and its kinds 502     unreachable, refused, job_failed; censored is 400
EngineGone                503     engine_gone
EngineError               500
anything else             500     internal, without a word of what it was
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi.responses import JSONResponse

from diffagent.data.errors import BadInput, Censored, DiffAgentError, EngineGone, TargetError
from diffagent.serving.wording import sentence, told

LONGEST_MESSAGE = 600


class Fault(DiffAgentError):
    """A request that is not answered, with its HTTP status and the error's type."""

    def __init__(
        self, status: int, kind: str, message: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.headers = dict(headers or {})


class ClientLeft(Exception):
    """The client closed the connection: nobody waits for the answer."""


def fault_of(error: Exception) -> Fault:
    """Any exception as a fault; one that nobody thought of tells the client nothing."""
    if isinstance(error, Fault):
        return error
    kind = re.sub(r"(?<!^)(?=[A-Z])", "_", type(error).__name__).lower()
    if isinstance(error, BadInput | Censored):
        return Fault(HTTPStatus.BAD_REQUEST, kind, told(error))
    if isinstance(error, TargetError):
        return Fault(HTTPStatus.BAD_GATEWAY, kind, str(error))
    if isinstance(error, EngineGone):
        return Fault(HTTPStatus.SERVICE_UNAVAILABLE, kind, str(error))
    if isinstance(error, DiffAgentError):
        return Fault(HTTPStatus.INTERNAL_SERVER_ERROR, kind, str(error))
    return Fault(
        HTTPStatus.INTERNAL_SERVER_ERROR, "internal", "something broke here: the server's log says what"
    )


def response_of(fault: Fault) -> JSONResponse:
    body = {"error": {"type": fault.kind, "message": _printable(str(fault))}}
    return JSONResponse(body, fault.status, fault.headers)


def validation_fault(errors: list[Any]) -> Fault:
    """The first of pydantic's errors as a sentence: where, why, what was given."""
    first: Any = errors[0] if errors else {"msg": "the request cannot be read", "loc": ()}
    if first.get("type") == "json_invalid":
        return Fault(
            400, "bad_input", f"the body is no JSON: {first.get('ctx', {}).get('error', first['msg'])}"
        )
    inside = tuple(part for part in first.get("loc", ()) if part not in ("body", "query"))
    return Fault(400, "bad_input", sentence({**first, "loc": inside}, "the body"))


def _printable(message: str) -> str:
    """One line of valid Unicode."""
    valid = message.encode("utf-8", "replace").decode("utf-8")
    return " ".join(valid.split())[:LONGEST_MESSAGE]
