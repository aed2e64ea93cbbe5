"""AI Horde: ``POST /api/v2/generate/async``, then ``check`` until it is done, then ``status`` once.

The body's fields and ranges are those of ``ModelPayloadRootStable`` and ``GenerationInputStable`` in the AI
Horde's ``horde/apis/models/stable_v2.py``: sides are multiples of 64, the seed is text, the negative prompt
follows ``###``, a LoRA is named by its Civitai version id (``is_version``), and models by the Horde's own
names. Answers are ``RequestAsync``, ``RequestStatusCheck`` and ``RequestStatusStable`` of
``horde/apis/models/v2.py`` and ``stable_v2.py``; errors are ``{"message", "rc"}``. ``dry_run`` validates a
request and returns its kudos for free. The key comes from ``AI_HORDE_API_KEY``; without one requests are
anonymous, and last in the queue.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Callable, Mapping
from typing import Any

import httpx

from diffagent.agent.executors import Price, Report, TargetImage
from diffagent.agent.executors.wire import (
    HttpExecutor,
    Wire,
    field_errors,
    job_done,
    json_object,
    poll,
    secret,
    words,
)
from diffagent.agent.targets.civitai import is_hosted
from diffagent.agent.targets.fitting import Fit, Resources
from diffagent.agent.targets.installed import Installed
from diffagent.agent.targets.installed_models import Lists
from diffagent.agent.targets.target import RequestReader, ServerLists, Target
from diffagent.data.air import AIR, CIVITAI, HORDE, source_of
from diffagent.data.base_model_rows import HORDE_NAMES
from diffagent.data.base_models import find
from diffagent.data.catalog.catalog import Catalog, Filter
from diffagent.data.errors import BadInput, Censored, JobFailed, Refused, UnknownModel
from diffagent.data.metadata.generation import Generation, ModelUse
from diffagent.data.records import Card, T2ICall
from diffagent.data.samplers import Sampler

SIDE = 64
SIDE_HIGH = 3072
SPLIT = "###"
_OWN_LEVELS = ("DPM fast", "DPM adaptive", "DDIM", "LCM")
"""Samplers with their own noise levels, which the flag ``karras`` does not change."""


def spelling(sampler: Sampler) -> tuple[str, bool] | None:
    """Returns ``sampler_name`` and ``karras``, the Horde's only schedule."""
    name = sampler.row.horde
    if name is None or sampler.scheduler not in (None, "Karras"):
        return None
    karras = sampler.scheduler == "Karras"
    return None if karras and sampler.method in _OWN_LEVELS else (name, karras)


Spelled = tuple[str, bool]


def spelling_of(base_model: str) -> Callable[[Sampler], Spelled | None] | None:
    """Returns the spelling for flow models, which run on their own schedule whatever ``karras`` says."""
    row = find(base_model)
    if row is None or row.prediction != "flow":
        return None
    schedules = (None, *(row.schedules or ()))

    def spelled(sampler: Sampler) -> Spelled | None:
        return spelling(sampler._replace(scheduler=None)) if sampler.scheduler in schedules else None

    return spelled


def emit(call: T2ICall, resources: Resources, fit: Fit, names: Mapping[str, str]) -> dict[str, Any]:
    """Returns the request of one image, safe for work; without a seed the Horde draws one.

    Raises:
        BadInput: the Horde does not list the checkpoint, the LoRA is not Civitai's, a prompt contains
        ``###``.
    """
    base_model = resources.checkpoint.base_model
    spelled = (spelling_of(base_model) or spelling)(fit.sampler(call.sampler))
    assert spelled is not None
    if call.guidance is not None:
        fit.drop("guidance", "the API has no such field")
    params: dict[str, Any] = {
        "sampler_name": spelled[0],
        "karras": spelled[1],
        "cfg_scale": call.cfg_scale,
        "steps": call.sampling_steps,
        "width": _side("width", call.width, fit),
        "height": _side("height", call.height, fit),
        "n": 1,
    }
    if call.seed is not None:
        params["seed"] = str(call.seed)
    negative, skip = fit.read(call, find(base_model))
    if skip is not None:
        params["clip_skip"] = skip
    if call.loras:
        params["loras"] = [
            _lora(card, lora.weight) for lora, card in zip(call.loras, resources.loras, strict=True)
        ]
    return {
        "prompt": _prompt(call.prompt, negative),
        "models": [_model(resources.checkpoint, names)],
        "params": params,
        "nsfw": False,
        "censor_nsfw": True,
        "r2": True,
        "dry_run": False,
    }


def name_of(card: Card) -> str | None:
    """Returns the Horde's name of a checkpoint, or None where the catalog has none.

    Aliases of a Civitai entry are the Horde's names; those of a repository are its own.
    """
    if card.type != "Checkpoint":
        return None
    air = AIR.parse(card.air)
    if air.source == HORDE:
        return air.id
    if card.aliases and air.source == CIVITAI:
        return card.aliases[-1]
    return card.name if card.source == "horde" else HORDE_NAMES.get(air.id)


def offers(card: Card) -> bool:
    """Whether the Horde lists a checkpoint, or its workers can fetch a LoRA."""
    return name_of(card) is not None if card.type == "Checkpoint" else is_hosted(card)


def _model(card: Card, names: Mapping[str, str]) -> str:
    name = names.get(card.air) or name_of(card)
    if name is None:
        raise BadInput(
            f"{card.name} is not among the models that AI Horde lists",
            "let diffagent call choose with --target horde",
        )
    return name


def _lora(card: Card, weight: float) -> dict[str, Any]:
    if card.version_id is None or source_of(card.air) != CIVITAI:
        raise BadInput(f"{card.name} has no Civitai version, by which AI Horde's workers fetch a LoRA")
    return {"name": str(card.version_id), "is_version": True, "model": weight, "clip": weight}


def _side(name: str, pixels: int, fit: Fit) -> int:
    if pixels % SIDE == 0:
        return pixels
    near = max(SIDE, int(pixels / SIDE + 0.5) * SIDE)
    return fit.swap(name, pixels, min(near, SIDE_HIGH), f"AI Horde's sides are multiples of {SIDE}")


def _prompt(prompt: str, negative: str) -> str:
    if SPLIT in prompt or SPLIT in negative:
        raise BadInput(
            f"the prompt contains {SPLIT!r}, which AI Horde reads as the start of the negative prompt"
        )
    return f"{prompt} {SPLIT} {negative}" if negative else prompt


URL = "https://aihorde.net"
ANONYMOUS = "0000000000"
API = "/api/v2"
LONGEST = 1200.0
"""Seconds; the Horde itself forgets a request after 20 minutes."""
EVERY = 3.0
"""Seconds between two checks; the Horde allows ten a second for each request."""
CLIENT = "diffagent:0.1:unknown"


def reason(response: httpx.Response) -> str | None:
    """Returns ``message``, the return code, and each field's error."""
    body = json_object(response)
    if body is None or "message" not in body:
        return None
    fields = field_errors(body)
    code = f" ({body['rc']})" if body.get("rc") else ""
    return words(body["message"] + code + (f": {fields}" if fields else ""), 400)


_UNUSED = ("download_failed", "parse_failed", "baseline_mismatch")
"""Values of ``gen_metadata`` for LoRAs that a worker did not use (``GenerationMetadataStable``)."""


class Horde(HttpExecutor):
    """Client of the Horde, or of another server with its API."""

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

    async def image(self, request: Mapping[str, Any], report: Report) -> TargetImage:
        status = await job_done(self._submit(request, report), lambda job: self._wait(job, report), self._end)
        return await self._image_of(status)

    async def _submit(self, request: Mapping[str, Any], report: Report) -> str:
        answer = await self.wire.post(f"{API}/generate/async", {**request, "dry_run": False})
        for warning in answer.get("warnings") or ():
            report(f"warning: {words(warning.get('message'))}", None)
        return str(answer["id"])

    async def _wait(self, job: str, report: Report) -> Any:
        await poll(
            lambda: self._done(job, report),
            every=self.every,
            limit=self.limit,
            what=f"AI Horde's job {job}",
            remedy="its queue is long: try a smaller image, fewer steps or a more popular model",
        )
        return await self.wire.get(f"{API}/generate/status/{job}")

    async def _done(self, job: str, report: Report) -> Any:
        try:
            state = await self.wire.get(f"{API}/generate/check/{job}")
        except Refused as error:
            raise JobFailed(f"AI Horde lost the job ({error}): run again") from None
        if state.get("faulted"):
            raise JobFailed(f"AI Horde's job {job} failed on its workers: run again, or choose another model")
        if state.get("is_possible") is False:
            raise JobFailed(
                "no worker of AI Horde can make this image",
                "try a smaller size, fewer steps, or another model (diffagent call --target horde "
                "--installed --target-url URL chooses among those that run)",
            )
        if state.get("done"):
            return state
        wait, place = state.get("wait_time"), state.get("queue_position")
        if state.get("processing"):
            report(f"being made, about {wait} s", None)
        else:
            report(f"queue position {place}, about {wait} s", 0.0)
        return None

    async def _image_of(self, status: Mapping[str, Any]) -> TargetImage:
        generations = status.get("generations") or ()
        if not generations:
            raise JobFailed("AI Horde finished without an image: run again")
        generation = generations[0]
        metadata = generation.get("gen_metadata") or ()
        if generation.get("censored") or any(entry.get("type") == "censorship" for entry in metadata):
            raise Censored("AI Horde's worker censored the image: rephrase the prompt, or use another seed")
        lost = [
            f"{words(entry.get('ref') or '?')} ({words(entry.get('value') or '?').replace('_', ' ')})"
            for entry in metadata
            if entry.get("value") in _UNUSED
        ]
        if lost:
            raise JobFailed(
                f"AI Horde's worker made the image without the LoRA {', '.join(lost)}, which may be too "
                "large for it or not available: use another one"
            )
        seed = str(generation.get("seed") or "")
        image = str(generation.get("img") or "")
        if image.startswith(("http://", "https://")):
            data = await self.wire.bytes(image)
        else:
            try:
                data = base64.b64decode(image, validate=True)
            except binascii.Error:
                raise JobFailed("AI Horde's image is not base64: run again") from None
        return TargetImage(data, int(seed) if seed.isdecimal() else None)

    async def _end(self, job: str) -> None:
        await self.wire.delete(f"{API}/generate/status/{job}")


async def ask(wire: Wire) -> Lists:
    """Returns the models that workers run now: ``ActiveModel`` of ``horde/apis/models/v2.py``."""
    models = await wire.get("/api/v2/status/models", {"type": "image"})
    return {"checkpoints": [model["name"] for model in models if model["count"]]}


def understand(url: str, lists: Lists, catalog: Catalog) -> Installed:
    """Returns the models of the workers; they fetch any LoRA of Civitai, so all of these count as
    installed."""
    checkpoints = catalog.cards(Filter(type="Checkpoint"))
    cards = {card.name.casefold(): card for card in reversed(checkpoints)}
    cards |= {name.casefold(): card for card in reversed(checkpoints) if (name := name_of(card))}
    names = {cards[name.casefold()].air: name for name in lists["checkpoints"] if name.casefold() in cards}
    unknown = [name for name in lists["checkpoints"] if name.casefold() not in cards]
    if names:
        names |= {
            card.air: str(card.version_id) for card in catalog.cards(Filter(type="LoRA")) if is_hosted(card)
        }
    return Installed("horde", url, names, None, tuple(unknown))


_BY_NAME, _BY_VERSION, _BY_FILE = range(3)
"""Proofs of a match, weakest first: the name, a hash of any version, the hash of the file itself."""


def is_request(body: Mapping[str, Any]) -> bool:
    """Whether an object has the fields of a request."""
    return {"models", "params"} <= body.keys()


def read(body: Mapping[str, Any], catalog: Catalog) -> Generation:
    """Reads a request."""
    prompt, _, negative = body["prompt"].partition(" ### ")
    params = body["params"]
    sampler = TARGET.sampler_of((params["sampler_name"], params["karras"]))
    if sampler is None:
        raise BadInput(f"no call can name AI Horde's sampler {params['sampler_name']}")
    matches = (card for card in catalog.cards() if body["models"][0] in (*card.aliases, name_of(card)))
    checkpoint = catalog.by_name(body["models"][0]) or next(matches, None)
    if checkpoint is None:
        raise UnknownModel(f"AI Horde's model {body['models'][0]} is not in the catalog")
    seed = params.get("seed")
    return Generation(
        prompt=prompt,
        negative_prompt=negative,
        sampler=sampler.method,
        schedule=sampler.scheduler,
        steps=params["steps"],
        cfg_scale=params["cfg_scale"],
        seed=None if seed is None else int(seed),
        width=params["width"],
        height=params["height"],
        clip_skip=params.get("clip_skip"),
        checkpoint=ModelUse(checkpoint.name, checkpoint.hashes[:1], checkpoint.version_id),
        loras=tuple(
            ModelUse(version_id=int(lora["name"]), weight=lora["model"]) for lora in params.get("loras", ())
        ),
    )


TARGET = Target(
    name="horde",
    title="AI Horde",
    emit=emit,
    executor=Horde,
    spelling=spelling,
    spelling_of=spelling_of,
    offers=offers,
    pickles=True,
    side_step=SIDE,
    usual_url=URL,
    lists=ServerLists(ask, understand),
    reading=RequestReader(is_request, read),
    syntax="weights",
)
