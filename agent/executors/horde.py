"""AI Horde: ``POST /api/v2/generate/async``, then ``check`` until it is done, then ``status`` once.

Answers as ``RequestAsync``, ``RequestStatusCheck`` and ``RequestStatusStable`` in
``horde/apis/models/v2.py`` and ``stable_v2.py`` have them; errors are ``{"message", "rc"}``. ``dry_run``
validates a request and tells its kudos for free. The key comes from ``AI_HORDE_API_KEY``; without one
requests are anonymous, and last in the queue.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Mapping
from typing import Any

import httpx

from diffagent.agent.executors import Made, Price, Report
from diffagent.agent.executors.wire import HttpExecutor, Wire, field_errors, job_done, polled, secret, words
from diffagent.data.errors import Censored, JobFailed, Refused

URL = "https://aihorde.net"
ANONYMOUS = "0000000000"
API = "/api/v2"
LONGEST = 1200.0
"""Seconds; the Horde itself forgets a request after 20 minutes."""
EVERY = 3.0
"""Seconds between two checks; the Horde allows ten a second for each request."""
CLIENT = "diffagent:0.1:unknown"


def reason(response: httpx.Response) -> str | None:
    """``message``, the return code, and what is wrong with each field."""
    try:
        body = response.json()
    except ValueError:
        return None
    if not isinstance(body, dict) or "message" not in body:
        return None
    fields = field_errors(body)
    code = f" ({body['rc']})" if body.get("rc") else ""
    return words(body["message"] + code + (f": {fields}" if fields else ""), 400)


class Horde(HttpExecutor):
    """The Horde, or another server of its API."""

    def __init__(
        self, url: str | None = None, *, backoff: float = 1.0, timeout: float = 60.0, limit: float = LONGEST
    ) -> None:
        url = url or URL
        key = secret("AI_HORDE_API_KEY", url, os.environ.get("AI_HORDE_API_KEY"))
        self.wire = Wire(
            url,
            remedy="try again later, or give another address with --target-url",
            headers={"apikey": key or ANONYMOUS, "Client-Agent": CLIENT},
            key="AI_HORDE_API_KEY",
            reason=reason,
            timeout=timeout,
            backoff=backoff,
        )
        self.limit, self.every = limit, EVERY * min(1.0, backoff)

    async def price(self, request: Mapping[str, Any]) -> Price | None:
        answer = await self.wire.post(f"{API}/generate/async", {**request, "dry_run": True})
        return Price(float(answer.get("kudos") or 0.0), "kudos")

    async def image(self, request: Mapping[str, Any], report: Report) -> Made:
        status = await job_done(
            self._submitted(request, report), lambda job: self._waited(job, report), self._end
        )
        return await self._made(status)

    async def _submitted(self, request: Mapping[str, Any], report: Report) -> str:
        answer = await self.wire.post(f"{API}/generate/async", {**request, "dry_run": False})
        for warning in answer.get("warnings") or ():
            report(f"warning: {words(warning.get('message'))}", None)
        return str(answer["id"])

    async def _waited(self, job: str, report: Report) -> Any:
        await polled(
            lambda: self._done(job, report),
            every=self.every,
            limit=self.limit,
            what=f"AI Horde's job {job}",
            remedy="its queue is long: try a smaller image, fewer steps or a more popular model",
        )
        return await self.wire.get(f"{API}/generate/status/{job}")

    async def _done(self, job: str, report: Report) -> Any:
        try:
            found = await self.wire.get(f"{API}/generate/check/{job}")
        except Refused as error:
            raise JobFailed(f"AI Horde lost the job ({error}): run again") from None
        if found.get("faulted"):
            raise JobFailed(f"AI Horde's job {job} failed on its workers: run again, or choose another model")
        if found.get("is_possible") is False:
            raise JobFailed(
                "no worker of AI Horde can make this image: try a smaller size, fewer steps, or another "
                "model (diffagent call --for horde --installed --target-url URL chooses among those that run)"
            )
        if found.get("done"):
            return found
        wait, place = found.get("wait_time"), found.get("queue_position")
        if found.get("processing"):
            report(f"being made, about {wait} s", None)
        else:
            report(f"queue position {place}, about {wait} s", 0.0)
        return None

    async def _made(self, status: Mapping[str, Any]) -> Made:
        generations = status.get("generations") or ()
        if not generations:
            raise JobFailed("AI Horde finished without an image: run again")
        found = generations[0]
        metadata = found.get("gen_metadata") or ()
        if found.get("censored") or any(one.get("type") == "censorship" for one in metadata):
            raise Censored("AI Horde's worker censored the image: say it in other words, or use another seed")
        lost = [words(one.get("ref") or "?") for one in metadata if one.get("value") == "download_failed"]
        if lost:
            raise JobFailed(f"AI Horde's worker could not fetch the LoRA {', '.join(lost)}: use another one")
        seed = str(found.get("seed") or "")
        image = str(found.get("img") or "")
        if image.startswith(("http://", "https://")):
            data = await self.wire.bytes(image)
        else:
            try:
                data = base64.b64decode(image, validate=True)
            except binascii.Error:
                raise JobFailed("AI Horde's image is no base64: run again") from None
        return Made(data, int(seed) if seed.isdecimal() else None)

    async def _end(self, job: str) -> None:
        await self.wire.delete(f"{API}/generate/status/{job}")
