"""Civitai: ``POST /v2/consumer/workflows``, first with ``whatif=true`` for its price, then polled.

As civitai-developer-docs tell (``orchestration/guide/submitting-work.md``, ``errors-and-retries.md``,
``results-and-webhooks.md``): statuses end at succeeded, failed, expired or canceled, refusals are RFC 7807
problems, and images are signed links. The key comes from ``CIVITAI_API_KEY``; images cost Buzz.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

import httpx

from diffagent.agent.executors import Made, Price, Report
from diffagent.agent.executors.wire import HttpExecutor, Wire, field_errors, job_done, polled, secret, words
from diffagent.agent.targets.civitai import workflow
from diffagent.data.errors import Censored, JobFailed, Refused

URL = "https://orchestration.civitai.com"
PATH = "/v2/consumer/workflows"
LONGEST = 900.0
EVERY = 2.0


def reason(response: httpx.Response) -> str | None:
    """A problem's title, detail and field errors."""
    try:
        body = response.json()
    except ValueError:
        return None
    if not isinstance(body, dict):
        return None
    fields = field_errors(body)
    said = " ".join(str(body[key]) for key in ("title", "detail") if body.get(key))
    return words("; ".join(filter(None, (said, fields))), 400) or None


class CivitaiWorkflows(HttpExecutor):
    """Civitai's orchestration API."""

    def __init__(
        self, url: str | None = None, *, backoff: float = 1.0, timeout: float = 100.0, limit: float = LONGEST
    ) -> None:
        url = url or URL
        key = secret("CIVITAI_API_KEY", url, os.environ.get("CIVITAI_API_KEY"))
        if key is None:
            raise Refused("Civitai makes images for account holders: set CIVITAI_API_KEY to a key of yours")
        self.wire = Wire(
            url,
            remedy="try again later",
            headers={"Authorization": f"Bearer {key}"},
            key="CIVITAI_API_KEY",
            reason=reason,
            timeout=timeout,
            backoff=backoff,
        )
        self.limit, self.every = limit, EVERY * min(1.0, backoff)

    async def price(self, request: Mapping[str, Any]) -> Price | None:
        answer = await self.wire.post(PATH, workflow(request), {"whatif": "true"})
        return Price(_cost(answer), "Buzz", money=True)

    async def image(self, request: Mapping[str, Any], report: Report) -> Made:
        done = await job_done(self._submitted(request), lambda job: self._waited(job, report), self._end)
        images = [
            image for step in done.get("steps", ()) for image in (step.get("output") or {}).get("images", ())
        ]
        if not images:
            raise JobFailed(f"Civitai's workflow {done.get('id')} finished without an image: run again")
        if images[0].get("blockedReason") or not images[0].get("url"):
            raise Censored(
                f"Civitai held the image back ({images[0].get('blockedReason') or 'mature'}): "
                "say it in other words"
            )
        return Made(await self.wire.bytes(images[0]["url"]))

    async def _submitted(self, request: Mapping[str, Any]) -> str:
        answer = await self.wire.post(PATH, workflow(request), {"wait": "0"})
        return str(answer["id"])

    async def _waited(self, job: str, report: Report) -> Any:
        return await polled(
            lambda: self._done(job, report),
            every=self.every,
            limit=self.limit,
            what=f"Civitai's workflow {job}",
            remedy="try a smaller image, or later",
        )

    async def _end(self, job: str) -> None:
        """``DeleteWorkflow`` cancels (``orchestration/guide/workflows.md``)."""
        await self.wire.delete(f"{PATH}/{job}")

    async def _done(self, job: str, report: Report) -> Any:
        try:
            found = await self.wire.get(f"{PATH}/{job}")
        except Refused as error:
            raise JobFailed(f"Civitai lost the workflow ({error}): run again") from None
        status = found.get("status")
        if status == "succeeded":
            return found
        if status in ("failed", "expired", "canceled"):
            reasons = sorted(set(_reasons(found)))
            if "blocked" in reasons:
                raise Censored(f"Civitai blocked the prompt ({', '.join(reasons)}): say it in other words")
            raise JobFailed(
                f"Civitai's workflow {job} {status} ({', '.join(reasons) or 'no reason given'}): run again"
            )
        report(str(status), None)
        return None


def _reasons(found: Mapping[str, Any]) -> Iterator[str]:
    for step in found.get("steps", ()):
        for one in (step, *(step.get("jobs") or ())):
            yield from (str(one[key]) for key in ("reason", "blockedReason") if one.get(key))


def _cost(answer: Mapping[str, Any]) -> float:
    """The total of a workflow that was not run."""
    cost = answer.get("cost")
    if isinstance(cost, Mapping) and isinstance(cost.get("total"), int | float):
        return float(cost["total"])
    listed = (answer.get("transactions") or {}).get("list") or ()
    return float(sum(one.get("amount", 0) for one in listed))
