"""A1111 and Forge: ``POST /sdapi/v1/txt2img``, with progress from ``GET /sdapi/v1/progress``.

A1111 takes an unknown checkpoint for its current one, leaves an unknown LoRA out
(``modules/processing.py``, ``extensions-builtin/Lora/networks.py``), and Forge takes its first sampler for
an unknown one; so the server's lists (``/sd-models``, ``/loras``, ``/samplers``) are read first, and
nothing is sent that it would replace. A server started with ``--api-auth`` takes USER:PASSWORD from
``A1111_AUTH``.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import json
import os
import re
from collections.abc import Iterable, Mapping
from typing import Any

import httpx

from diffagent.agent.executors import Made, Price, Report
from diffagent.agent.executors.wire import HttpExecutor, Wire, secret, words
from diffagent.agent.targets.infotext import stem
from diffagent.data.errors import JobFailed, Refused, TargetError, Unreachable

LONGEST = 1800.0
"""Seconds that one image may take."""
_KEYS = ("title", "model_name", "filename", "hash", "sha256")
_LORA = re.compile(r"<lora:([^<>:]+):")


def reason(response: httpx.Response) -> str | None:
    """FastAPI's ``detail``, or the error handler's ``errors`` (``modules/api/api.py``)."""
    try:
        body = response.json()
    except ValueError:
        return None
    if not isinstance(body, dict):
        return None
    said = body.get("detail") or body.get("errors") or body.get("error")
    if isinstance(said, list):
        said = "; ".join(f"{'.'.join(map(str, one.get('loc', ())))}: {one.get('msg')}" for one in said)
    if said == "Not Found":
        return None  # no such path: the server runs without --api
    return words(said) if said else None


class A1111(HttpExecutor):
    """One server; makes one image at a time."""

    def __init__(self, url: str, *, backoff: float = 0.5, timeout: float = LONGEST) -> None:
        auth = secret("A1111_AUTH", url, os.environ.get("A1111_AUTH"))
        headers = {"Authorization": "Basic " + base64.b64encode(auth.encode()).decode()} if auth else {}
        self.wire = Wire(
            url,
            remedy="start A1111 or Forge with --api, or give its address with --target-url",
            headers=headers,
            key="A1111_AUTH",
            reason=reason,
            timeout=timeout,
            backoff=backoff,
        )
        self._known: dict[str, set[str]] | None = None
        self._titles: dict[str, str] = {}
        """A checkpoint's name without folder and suffix → as the server takes it, folder included."""

    async def price(self, request: Mapping[str, Any]) -> Price | None:
        await self._check(request)
        return None

    async def image(self, request: Mapping[str, Any], report: Report) -> Made:
        await self._check(request)
        sent = self._spelled(request)
        watching = asyncio.create_task(self._watch(report))
        try:
            answer = await self.wire.post("/sdapi/v1/txt2img", sent)
        finally:
            watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watching
        return _made(answer)

    async def _watch(self, report: Report) -> None:
        """Reports progress until cancelled; a server without it only has no progress."""
        with contextlib.suppress(TargetError):
            while True:
                found = await self.wire.get("/sdapi/v1/progress", {"skip_current_image": "true"})
                report("sampling", float(found.get("progress") or 0.0))
                await asyncio.sleep(min(1.0, 2 * self.wire.backoff))

    async def _check(self, request: Mapping[str, Any]) -> None:
        """Refuses what the server would silently replace."""
        if self._known is None:
            models = await self.wire.get("/sdapi/v1/sd-models")
            samplers = await self.wire.get("/sdapi/v1/samplers")
            loras = await self.wire.get("/sdapi/v1/loras")
            try:
                self._titles = {name: str(one["title"]) for one in models for name in _names([one], *_KEYS)}
                self._known = {
                    "checkpoint": set(self._titles),
                    "LoRA": set(_names(loras, "name", "alias", "path")),
                    "sampler": {str(one["name"]) for one in samplers},
                    "schedule": await self._schedules(),
                }
            except (TypeError, KeyError):
                raise Unreachable(f"{self.wire.url}: no lists of models: {self.wire.remedy}") from None
        wanted = [("checkpoint", stem(request["override_settings"]["sd_model_checkpoint"]))]
        wanted += [("LoRA", stem(name)) for name in _LORA.findall(request["prompt"])]
        wanted += [("sampler", self._spelled(request)["sampler_name"])]
        if self._known["schedule"]:
            wanted += [("schedule", request["scheduler"])]
        for kind, name in wanted:
            if name not in self._known[kind]:
                some = ", ".join(sorted(self._known[kind])[:5]) or "none"
                raise Refused(
                    f"{self.wire.url} has no {kind} {name!r} (it has {some}): put the file there, or choose "
                    "among what it has with diffagent call --installed"
                )

    async def _schedules(self) -> set[str]:
        """The schedules' labels; none before A1111 1.9, whose samplers say it in their names."""
        try:
            found = await self.wire.get("/sdapi/v1/schedulers")
        except TargetError:
            return set()
        return {str(one["label"]) for one in found}

    def _spelled(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """The request with the checkpoint's title here, and the sampler as this version spells it."""
        assert self._known is not None
        override = dict(request["override_settings"])
        asked = override["sd_model_checkpoint"]
        spelled = {**request, "override_settings": override}
        override["sd_model_checkpoint"] = self._titles.get(stem(asked), asked)
        if not self._known["schedule"]:
            karras = " Karras" if spelled.pop("scheduler") == "Karras" else ""
            spelled["sampler_name"] += karras
        return spelled


def _names(entries: Iterable[Mapping[str, Any]], *keys: str) -> Iterable[str]:
    """Every name of every entry without folder and suffix; a title ends in its hash in brackets."""
    for entry in entries:
        for key in keys:
            if entry.get(key):
                yield stem(re.sub(r" \[[0-9a-f]+\]$", "", str(entry[key])))


def _made(answer: Any) -> Made:
    images = answer.get("images") if isinstance(answer, dict) else None
    if not images:
        raise JobFailed(
            "the server returned no image: it was interrupted, or an extension took it; see its log"
        )
    try:
        info = json.loads(answer.get("info") or "{}")
        return Made(base64.b64decode(images[0].split(",", 1)[-1]), info.get("seed"))
    except (binascii.Error, ValueError, AttributeError):
        raise JobFailed("the server returned an image that is no base64: see its log") from None
