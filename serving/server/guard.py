"""Guard: the checks that every request passes before an endpoint sees it, and its log line.

:class:`Watch` (outermost) gives the request an id, counts and logs it, and turns uncaught exceptions into
answers. :class:`Guard` refuses foreign hosts and origins (a web page that resolves its own name to this
machine, or posts a form to it), missing keys, and bodies that are too large, too slow or of another type. It
reads the whole body, so that endpoints then receive only the client's disconnect, and refuses JSON out of
bounds before anything is built from it.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import secrets
import time
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from diffagent.data.errors import BadInput
from diffagent.serving.json_bounds import JsonBounds
from diffagent.serving.server.config import ServerConfig
from diffagent.serving.server.faults import ClientLeft, Fault, fault_of, response_of
from diffagent.serving.server.metrics import Metrics

log = logging.getLogger("diffagent.server")
NOTES = "diffagent.notes"
"""Key of the scope for the fields of the log line."""
LEFT = 499
"""Status of a request whose client left, in logs and metrics."""
AT_ONCE = 65_536
"""The most bytes of JSON that are checked without a thread."""
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_METHODS = frozenset({"GET", "POST", "HEAD", "OPTIONS", "PUT", "DELETE", "PATCH", "TRACE"})
_SECURITY = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data: blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
}


class Watch:
    """Middleware that counts and logs requests, and answers 500 in the common shape."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app = app
        self.metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started, status, request_id = time.perf_counter(), 0, secrets.token_hex(8)
        scope[NOTES] = {}

        async def send_noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message).update({"X-Request-Id": request_id, **_SECURITY})
            await send(message)

        self.metrics.active.inc()
        try:
            await self.app(scope, receive, send_noted)
        except ClientLeft:
            status = LEFT
        except Exception as error:
            log.error("failed", exc_info=error, extra={"fields": {"id": request_id}})
            if not status:
                await response_of(fault_of(error))(scope, receive, send_noted)
        finally:
            self.metrics.active.dec()
            self._note(scope, status or LEFT, time.perf_counter() - started, request_id)

    def _note(self, scope: Scope, status: int, seconds: float, request_id: str) -> None:
        route = scope.get("route")
        endpoint = getattr(route, "path", "other")
        method = scope["method"] if scope["method"] in _METHODS else "other"
        self.metrics.requests.labels(endpoint, method, status).inc()
        self.metrics.seconds.labels(endpoint).observe(seconds)
        quiet = endpoint in ("/healthz", "/readyz", "/metrics") and status < 400
        fields = {
            "id": request_id,
            "method": method,
            "endpoint": endpoint,
            "status": status,
            "ms": round(1e3 * seconds, 1),
            **scope[NOTES],
        }
        log.log(logging.DEBUG if quiet else logging.INFO, "request", extra={"fields": fields})


class Guard:
    """Middleware that refuses requests that no endpoint should see."""

    def __init__(self, app: ASGIApp, config: ServerConfig) -> None:
        self.app = app
        self.config = config
        self._bytes_in_use = 0
        """Bytes of all bodies that are being read or answered."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers, chunks = Headers(scope=scope), list[bytes]()
        try:
            try:
                self._admit(scope, headers)
                await self._read(headers, receive, chunks)
                body = b"".join(chunks)
                if _kind(headers) == "application/json":
                    await self._check_json(body, scope["path"])
            except (Fault, BadInput) as error:
                fault = fault_of(error)
                scope.get(NOTES, {}).update(error=fault.kind)
                await response_of(fault)(scope, receive, send)
                return
            await self.app(scope, _replay(body, receive), send)
        finally:
            self._bytes_in_use -= sum(map(len, chunks))

    async def _check_json(self, body: bytes, path: str) -> None:
        bounds = self.config.json_of(path)
        if len(body) <= AT_ONCE:
            _check_json(body, bounds)
        else:
            await asyncio.to_thread(_check_json, body, bounds)

    def _admit(self, scope: Scope, headers: Headers) -> None:
        host, origin = headers.get("host", ""), headers.get("origin")
        if self.config.hosts and _name(host) not in self.config.hosts:
            raise Fault(403, "forbidden", f"this server answers to {', '.join(self.config.hosts)} only")
        if origin is not None and origin not in self.config.origins and _netloc(origin) != host:
            raise Fault(
                403, "forbidden", "this origin may not call the server: start it with --origin ORIGIN"
            )
        path = scope["path"]
        keyed = self.config.keys and (path.startswith("/v1/") or path == "/metrics")
        if keyed and not self.config.keys.accept(headers.get("authorization")):
            raise Fault(
                401,
                "unauthorized",
                "send one of the server's API keys as the header Authorization: Bearer KEY",
                {"WWW-Authenticate": "Bearer"},
            )
        allowed = {"application/json"} | ({"multipart/form-data"} if path == "/v1/identify" else set())
        if scope["method"] == "POST" and path.startswith("/v1/") and _kind(headers) not in allowed:
            raise Fault(415, "unsupported_media_type", f"send the body as {' or '.join(sorted(allowed))}")

    async def _read(self, headers: Headers, receive: Receive, chunks: list[bytes]) -> None:
        """Read the body into ``chunks``, which count as in use from their arrival."""
        most = self.config.body_bytes
        stated = headers.get("content-length", "0")
        if stated.isascii() and stated.isdigit() and len(stated) < 20 and int(stated) > most:
            raise _too_large(most)
        size, more = 0, True
        try:
            async with asyncio.timeout(self.config.body_seconds):
                while more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise ClientLeft
                    chunks.append(message.get("body", b""))
                    size += len(chunks[-1])
                    self._bytes_in_use += len(chunks[-1])
                    more = message.get("more_body", False)
                    if size > most:
                        raise _too_large(most)
                    if self._bytes_in_use > self.config.held_bytes:
                        raise _busy()
        except TimeoutError:
            raise Fault(
                408,
                "timeout",
                f"the body did not arrive within {self.config.body_seconds:g} s",
                {"Connection": "close"},
            ) from None


def _kind(headers: Headers) -> str:
    return headers.get("content-type", "").partition(";")[0].strip().casefold()


def _check_json(body: bytes, bounds: JsonBounds) -> None:
    """Refuse JSON out of bounds, and JSON with unpaired surrogates, which UTF-8 cannot represent."""
    bounds.check(body)
    try:
        body.decode("utf-8")
        if _SURROGATE.search(body):
            json.dumps(json.loads(body), ensure_ascii=False).encode("utf-8")
    except UnicodeError:
        raise Fault(
            400, "bad_input", "the body is not valid Unicode: send UTF-8 without unpaired surrogates"
        ) from None
    except (ValueError, RecursionError):
        return  # not JSON: the endpoint refuses it


def _too_large(most: int) -> Fault:
    return Fault(
        413,
        "too_large",
        f"the body is larger than {most:,} bytes: send fewer or smaller images",
        {"Connection": "close"},
    )


def _busy() -> Fault:
    return Fault(
        503,
        "busy",
        "the requests under way exceed the limit of bytes: ask again in a second, or send smaller images",
        {"Retry-After": "1", "Connection": "close"},
    )


def _replay(body: bytes, receive: Receive) -> Receive:
    """A ``receive`` that gives the whole body first, then further messages: the client's disconnect."""
    sent = False

    async def replay() -> Message:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        message: dict[str, Any] = {"type": "http.request", "body": body, "more_body": False}
        return message

    return replay


def _name(host: str) -> str:
    """The name of a ``Host`` header, without the port: ``[::1]:8000`` is ``::1``."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].casefold()


def _netloc(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc or None
    except ValueError:
        return None
