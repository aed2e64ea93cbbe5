"""OpenAI's images API: ``POST /v1/images/generations``, with the fields that vLLM-Omni adds.

``model, prompt, n, size, response_format`` are OpenAI's; ``negative_prompt, seed, num_inference_steps,
guidance_scale`` are defined in ``vllm_omni/entrypoints/openai/protocol/images.py``. OpenAI's own service
hosts no model of the catalog; other servers serve one model each. There is no sampler and no clip skip, and a
LoRA would have to be on the server's disk.

One request, one answer: ``{"data": [{"b64_json"} or {"url"}]}``, an error ``{"error": {"message", "code"}}``;
the codes ``content_policy_violation`` and ``moderation_blocked`` come from the safety system. The key comes
from ``OPENAI_API_KEY``.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import os
from collections.abc import Mapping
from typing import Any

import httpx

from diffagent.agent.executors import Price, Report, TargetImage
from diffagent.agent.executors.chunks import is_surely_longer
from diffagent.agent.executors.wire import HttpExecutor, Wire, json_object, secret, words
from diffagent.agent.targets.fitting import Fit, Resources
from diffagent.agent.targets.target import RequestReader, Target
from diffagent.data.base_models import find
from diffagent.data.catalog.catalog import Catalog
from diffagent.data.errors import BadInput, Censored, JobFailed, Refused, TargetError
from diffagent.data.metadata.generation import Generation, ModelUse
from diffagent.data.records import Card, T2ICall

GUIDANCE = (0.0, 20.0)


def emit(call: T2ICall, resources: Resources, fit: Fit, names: Mapping[str, str]) -> dict[str, Any]:
    """Returns the request of one image. The model is named by its name, a LoRA by its checkpoint's."""
    fit.drop("sampling_method", "the API has no samplers: the server's own is used")
    if call.scheduler is not None:
        fit.drop("scheduler", "the API has no schedules: the server's own is used")
    for field in ("guidance", "clip_skip"):
        if getattr(call, field) is not None:
            fit.drop(field, "the API has no such field")
    if resources.loras:
        for name in ("air", "loras"):
            fit.drop(name, f"the API takes no LoRA: {resources.checkpoint.name} is asked without it")
    row = find(resources.checkpoint.base_model)
    tokens = row.dialect.tokens if row is not None else None
    if tokens is not None and is_surely_longer(call.prompt, tokens):
        fit.drop("prompt", f"a server may read no more than {tokens} tokens of it")
    request: dict[str, Any] = {
        "model": resources.checkpoint.name,
        "prompt": call.prompt,
        "n": 1,
        "size": f"{call.width}x{call.height}",
        "response_format": "b64_json",
        "num_inference_steps": call.sampling_steps,
        "guidance_scale": fit.within("cfg_scale", call.cfg_scale, *GUIDANCE),
    }
    if call.negative_prompt:
        request["negative_prompt"] = call.negative_prompt
    if call.seed is not None:
        request["seed"] = call.seed
    return request


def offers(card: Card) -> bool:
    """Whether an entry is a checkpoint; a LoRA would have to be on the server's disk."""
    return card.type == "Checkpoint"


LONGEST = 900.0
_ADDED = (
    ("negative_prompt", "negative_prompt"), ("seed", "seed"), ("num_inference_steps", "sampling_steps"),
    ("guidance_scale", "cfg_scale"),
)  # fmt: skip
"""The fields that vLLM-Omni adds to OpenAI's, with the call's fields."""
_UNSURE = "it was sent, but the server does not say that it heeds it"
_BLOCKED = ("content_policy_violation", "moderation_blocked")


def reason(response: httpx.Response) -> str | None:
    """Returns the error's code and message, or FastAPI's ``detail``."""
    body = json_object(response)
    if body is None:
        return None
    error = body.get("error", body.get("detail"))
    if isinstance(error, dict):
        code = f"{error['code']}: " if error.get("code") else ""
        return words(f"{code}{error.get('message')}")
    return words(error) if error and error != "Not Found" else None


class OpenAIImages(HttpExecutor):
    """Client of one server."""

    def __init__(self, url: str | None = None, *, backoff: float = 0.5, timeout: float = LONGEST) -> None:
        if url is None:
            raise BadInput(
                "OpenAI's own service hosts no model of the catalog", "give a server with --target-url URL"
            )
        key = secret("OPENAI_API_KEY", url, os.environ.get("OPENAI_API_KEY"))
        self.taken: bool | None = None
        """Whether the server takes the fields that OpenAI's API lacks; None: not asked yet."""
        self.wire = Wire(
            url.rstrip("/").removesuffix("/v1"),
            remedy="give the address of a server of OpenAI's images API with --target-url",
            headers={"Authorization": f"Bearer {key}"} if key else {},
            key="OPENAI_API_KEY",
            reason=reason,
            timeout=timeout,
            backoff=backoff,
        )

    async def price(self, request: Mapping[str, Any]) -> Price | None:
        return None

    async def image(self, request: Mapping[str, Any], report: Report) -> TargetImage:
        report("asked", None)
        try:
            answer = await self.wire.post("/v1/images/generations", dict(request))
        except Refused as error:
            if any(code in str(error) for code in _BLOCKED):
                raise Censored(f"{error}: rephrase the prompt") from None
            raise
        untaken = (
            {} if await self._takes_all() else {field: _UNSURE for name, field in _ADDED if name in request}
        )
        data = answer.get("data") if isinstance(answer, dict) else None
        if not data:
            raise JobFailed("the server returned no image: see its log")
        if data[0].get("url"):
            return TargetImage(await self.wire.bytes(data[0]["url"]), untaken=untaken)
        try:
            image = base64.b64decode(data[0].get("b64_json") or "", validate=True)
            return TargetImage(image, untaken=untaken)
        except (binascii.Error, TypeError):
            raise JobFailed("the server returned an image that is not base64: see its log") from None

    async def _takes_all(self) -> bool:
        """Whether the server is vLLM-Omni, whose list of models says so; others ignore unknown fields."""
        if self.taken is None:
            self.taken = False
            with contextlib.suppress(TargetError, AttributeError, TypeError):
                listed = (await self.wire.get("/v1/models")).get("data") or ()
                self.taken = any(str(model.get("owned_by")).startswith("vllm") for model in listed)
        return self.taken


def is_request(body: Mapping[str, Any]) -> bool:
    """Whether an object has the fields of a request."""
    return {"model", "size", "response_format"} <= body.keys()


def read(body: Mapping[str, Any], catalog: Catalog) -> Generation:
    """Reads a request."""
    width, _, height = body["size"].partition("x")
    return Generation(
        prompt=body["prompt"],
        negative_prompt=body.get("negative_prompt") or "",
        steps=body.get("num_inference_steps"),
        cfg_scale=body.get("guidance_scale"),
        seed=body.get("seed"),
        width=int(width),
        height=int(height),
        checkpoint=ModelUse(catalog.find(body["model"]).file_name or body["model"]),
    )


TARGET = Target(
    name="openai",
    title="OpenAI's images API",
    emit=emit,
    executor=OpenAIImages,
    offers=offers,
    reading=RequestReader(is_request, read),
)
