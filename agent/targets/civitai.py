"""Civitai: the input of its SDKs' text-to-image job, and the workflow that runs the same image.

:func:`emit` returns the input of ``Civitai.from_text`` (civitai-python, ``civitai/civitai.py``;
civitai-javascript, ``ImageJobParams``). :func:`workflow` returns the body of ``POST /v2/consumer/workflows``,
its documented successor: an ``imageGen`` step for the engine ``comfy``, with the fields of
civitai-developer-docs, ``orchestration/recipes/sd1.md`` and ``sdxl.md``. AIRs name the models in both.

A workflow is first sent with ``whatif=true`` for its price, then polled
(``orchestration/guide/submitting-work.md``, ``errors-and-retries.md``, ``results-and-webhooks.md``): statuses
end at succeeded, failed, expired or canceled, refusals are RFC 7807 problems, and images are signed links.
The key comes from ``CIVITAI_API_KEY``; images cost Buzz.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
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
from diffagent.agent.targets import graphs
from diffagent.agent.targets.fitting import Fit, Resources
from diffagent.agent.targets.target import RequestReader, Spelling, Target
from diffagent.data.air import AIR, CIVITAI, HUGGINGFACE, source_of
from diffagent.data.base_model_facts import Recipe
from diffagent.data.base_models import backend, civitai_recipes, find, refusal, run_by
from diffagent.data.catalog.catalog import Catalog
from diffagent.data.errors import BadInput, Censored, JobFailed, Refused
from diffagent.data.metadata.generation import Generation, ModelUse
from diffagent.data.records import Card, T2ICall
from diffagent.data.samplers import Sampler

_KARRAS = ("LMS", "DPM2", "DPM2 a", "DPM++ 2S a", "DPM++ 2M", "DPM++ SDE")
"""The samplers with a variant "…Karras" in the SDKs."""


def spelling(sampler: Sampler) -> str | None:
    """Returns the ``scheduler`` of Civitai's SDKs."""
    name = sampler.row.civitai
    if name is None or sampler.scheduler is None:
        return name
    return f"{name}Karras" if sampler.scheduler == "Karras" and sampler.method in _KARRAS else None


def spelling_of(base_model: str) -> Spelling | None:
    """Returns the spelling of a base model's recipe; None where it has no recipe of its own."""
    recipe = _recipe(base_model)
    return None if recipe is None else _SPELLINGS[recipe.samplers]


def sdcpp(sampler: Sampler) -> tuple[str, str] | None:
    """Returns ``sampleMethod`` and ``schedule`` of the engine ``sdcpp``, where Civitai takes them."""
    method = sampler.row.sdcpp
    schedule = _PLAIN if sampler.plan is None else sampler.plan.sdcpp
    if method not in _SDCPP_METHODS or schedule not in _SDCPP_SCHEDULES:
        return None
    return method, schedule


_PLAIN = "discrete"
"""The default schedule of ``sdcpp``."""
_SDCPP_METHODS = (
    "euler", "euler_a", "heun", "dpm2", "dpm++2s_a", "dpm++2m", "ipndm", "ipndm_v", "lcm", "ddim_trailing",
    "tcd", "res_multistep", "res_2s",
)  # fmt: skip
"""``SdCppSampleMethod`` of Civitai's reference; ``sdcpp`` itself has more."""
_SDCPP_SCHEDULES = (
    _PLAIN, "karras", "exponential", "ays", "gits", "smoothstep", "sgm_uniform", "simple", "kl_optimal",
    "lcm", "bong_tangent",
)  # fmt: skip
"""``SdCppSchedule``."""
_SPELLINGS: dict[str | None, Spelling] = {
    "comfyui": graphs.spelling, "sdcpp": sdcpp, None: lambda sampler: (),
}  # fmt: skip
_OLDER = Recipe("comfy")
"""The recipe for checkpoints whose row has none; it takes any checkpoint by its AIR."""
_SAMPLER_FIELDS = {"comfyui": ("sampler", "scheduler"), "sdcpp": ("sampleMethod", "schedule")}


def _recipe(base_model: str) -> Recipe | None:
    row = find(base_model)
    return None if row is None else row.recipe


def emit(call: T2ICall, resources: Resources, fit: Fit, names: Mapping[str, str]) -> dict[str, Any]:
    """Returns the request of one image: a base model's own recipe as a workflow, else the SDKs' input.

    Raises:
        BadInput: a model is not on Civitai, or the recipe runs only another model.
    """
    recipe = _recipe(resources.checkpoint.base_model)
    if recipe is not None:
        return {"steps": [{"$type": "imageGen", "input": _input(call, resources, fit, recipe)}]} | _CLEAN
    scheduler = spelling(fit.sampler(call.sampler))
    if call.guidance is not None:
        fit.drop("guidance", "the recipe has no such field")
    params: dict[str, Any] = {
        "prompt": call.prompt,
        "negativePrompt": call.negative_prompt,
        "scheduler": scheduler,
        "steps": call.sampling_steps,
        "cfgScale": call.cfg_scale,
        "width": _side("width", call.width, fit, _OLDER),
        "height": _side("height", call.height, fit, _OLDER),
    }
    if call.seed is not None:
        params["seed"] = call.seed
    if call.clip_skip is not None:
        reason = refusal(resources.checkpoint.base_model, "civitai", "clip_skip")
        if reason is None:
            params["clipSkip"] = call.clip_skip
        else:
            fit.drop("clip_skip", reason)
    request: dict[str, Any] = {"model": _air(resources.checkpoint), "params": params}
    if call.loras:
        request["additionalNetworks"] = {
            _air(card): {"strength": lora.weight}
            for lora, card in zip(call.loras, resources.loras, strict=True)
        }
    return request


_CLEAN = {"allowMatureContent": False}


def _input(call: T2ICall, resources: Resources, fit: Fit, recipe: Recipe) -> dict[str, Any]:
    """Returns the input of a recipe's step (``orchestration/recipes/*.md``)."""
    checkpoint, row = resources.checkpoint, find(resources.checkpoint.base_model)
    negative, _ = fit.read(call, row)
    step: dict[str, Any] = {
        "engine": recipe.engine,
        **dict(recipe.fixed),
        "operation": "createImage",
        "prompt": call.prompt,
        "width": _side("width", call.width, fit, recipe),
        "height": _side("height", call.height, fit, recipe),
        recipe.steps: int(fit.within("sampling_steps", call.sampling_steps, 1, recipe.most_steps)),
        recipe.cfg: call.cfg_scale if call.guidance is None else call.guidance,
        "quantity": 1,
    }
    copy = _copy(checkpoint)
    if copy is not None:
        field = "base_checkpoint" if call.base_checkpoint else "air"
        fit.drop(field, f"Civitai runs its own copy of {checkpoint.name}, version {copy}")
    is_own = recipe.version is not None and recipe.version in (copy, checkpoint.version_id)
    if recipe.model is not None and not is_own:
        step[recipe.model] = _air(checkpoint) if copy is None else recipe.air
    elif not is_own and not call.loras:
        raise BadInput(
            f"Civitai runs only its own {checkpoint.base_model} model (version {recipe.version}), not "
            f"{checkpoint.name}: choose that one, or another target"
        )
    elif not is_own:
        fit.drop("base_checkpoint", f"Civitai runs LoRAs of {checkpoint.base_model} on its own model")
    if negative and recipe.negative:
        step["negativePrompt"] = negative
    elif negative:
        fit.drop("negative_prompt", "the recipe has no such field")
    if recipe.samplers is None:
        fit.drop("sampling_method", "the recipe has no samplers: its own is used")
        if call.scheduler is not None:
            fit.drop("scheduler", "the recipe has no schedules: its own is used")
    else:
        spelled = _SPELLINGS[recipe.samplers](fit.sampler(call.sampler))
        step |= zip(_SAMPLER_FIELDS[recipe.samplers], spelled, strict=True)  # type: ignore[call-overload]
    if call.guidance is not None and call.cfg_scale != 1:
        fit.drop("cfg_scale", "the recipe has one guidance, which is the distilled one")
    if call.seed is not None:
        step["seed"] = call.seed
    weights = {_air(card): lora.weight for lora, card in zip(call.loras, resources.loras, strict=True)}
    if weights and recipe.lora_list:
        step["loras"] = [{"air": air, "strength": weight} for air, weight in weights.items()]
    elif weights:
        step["loras"] = weights
    return step


def _side(name: str, pixels: int, fit: Fit, recipe: Recipe) -> int:
    low, high = recipe.sides
    near = min(high, max(low, int(pixels / recipe.step + 0.5) * recipe.step))
    if near == pixels:
        return pixels
    return fit.swap(
        name, pixels, near, f"Civitai's sides for it are {low} to {high} in steps of {recipe.step}"
    )


def workflow(request: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the workflow of an emitted request, which may be one already.

    Raises:
        BadInput: the workflow's engine lacks the sampler or the base model.
    """
    if "steps" in request:
        return dict(request)
    params = dict(request["params"])
    sampler = TARGET.sampler_of(params.pop("scheduler"))
    spelled = graphs.spelling(sampler) if sampler else None
    if spelled is None:
        raise BadInput(f"sampling_method is {sampler}, which Civitai's workflows do not have: use Euler a")
    ecosystem = civitai_recipes().get(AIR.parse(request["model"]).ecosystem)
    if ecosystem is None:
        raise BadInput(
            f"{request['model']} is not a model that Civitai's recipes run: {', '.join(run_by('civitai'))}"
        )
    step = {
        "engine": "comfy",
        "ecosystem": ecosystem,
        "operation": "createImage",
        "model": request["model"],
        **params,
        "sampler": spelled[0],
        "scheduler": spelled[1],
        "quantity": 1,
    }
    networks = request.get("additionalNetworks", {})
    if networks:
        step["loras"] = {air: network["strength"] for air, network in networks.items()}
    return {"steps": [{"$type": "imageGen", "input": step}]} | _CLEAN


def is_hosted(card: Card) -> bool:
    """Whether a model is on Civitai and its base model has a recipe.

    A recipe may run its own model only, and LoRAs on it. Another hub's entry counts if it is a base model's
    own repository with a copy on Civitai.
    """
    if _copy(card) is not None:
        return True
    recipe = _recipe(card.base_model)
    is_taken = recipe is None or recipe.model is not None or card.version_id == recipe.version
    on_civitai = source_of(card.air) == CIVITAI and backend(card.base_model, "civitai") is not None
    return on_civitai and (is_taken or card.type == "LoRA")


def _copy(card: Card) -> int | None:
    """Returns Civitai's version of a base model's own repository on the Hugging Face hub; None for other
    entries, and where the recipe names no version."""
    row, air = find(card.base_model), AIR.parse(card.air)
    is_whole = air.source == HUGGINGFACE and air.file is None and card.type == "Checkpoint"
    if row is None or row.recipe is None or not is_whole or air.id != row.repository:
        return None
    if row.recipe.air is not None:
        return int(AIR.parse(row.recipe.air).version or 0)
    return row.recipe.version


def _air(card: Card) -> str:
    if source_of(card.air) != CIVITAI:
        raise BadInput(
            f"{card.name} is not on Civitai ({card.air})", "let diffagent call choose with --target civitai"
        )
    return card.air


URL = "https://orchestration.civitai.com"
PATH = "/v2/consumer/workflows"
LONGEST = 900.0
EVERY = 2.0


def reason(response: httpx.Response) -> str | None:
    """Returns a problem's title, detail and field errors."""
    body = json_object(response)
    if body is None:
        return None
    fields = field_errors(body)
    message = " ".join(str(body[key]) for key in ("title", "detail") if body.get(key))
    return words("; ".join(filter(None, (message, fields))), 400) or None


class CivitaiWorkflows(HttpExecutor):
    """Client of Civitai's orchestration API."""

    def __init__(
        self, url: str | None = None, *, backoff: float = 1.0, timeout: float = 100.0, limit: float = LONGEST
    ) -> None:
        url = url or URL
        key = secret("CIVITAI_API_KEY", url, os.environ.get("CIVITAI_API_KEY"))
        if key is None:
            raise Refused("Civitai makes images for account holders: set CIVITAI_API_KEY to your key")
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

    async def image(self, request: Mapping[str, Any], report: Report) -> TargetImage:
        done = await job_done(self._submit(request), lambda job: self._wait(job, report), self._end)
        images = [
            image for step in done.get("steps", ()) for image in (step.get("output") or {}).get("images", ())
        ]
        if not images:
            raise JobFailed(f"Civitai's workflow {done.get('id')} finished without an image: run again")
        if images[0].get("blockedReason") or not images[0].get("url"):
            raise Censored(
                f"Civitai held the image back ({images[0].get('blockedReason') or 'mature'}): "
                "rephrase the prompt"
            )
        return TargetImage(await self.wire.bytes(images[0]["url"]))

    async def _submit(self, request: Mapping[str, Any]) -> str:
        answer = await self.wire.post(PATH, workflow(request), {"wait": "0"})
        return str(answer["id"])

    async def _wait(self, job: str, report: Report) -> Any:
        return await poll(
            lambda: self._done(job, report),
            every=self.every,
            limit=self.limit,
            what=f"Civitai's workflow {job}",
            remedy="try a smaller image, or later",
        )

    async def _end(self, job: str) -> None:
        """Cancels a workflow: ``DeleteWorkflow`` (``orchestration/guide/workflows.md``)."""
        await self.wire.delete(f"{PATH}/{job}")

    async def _done(self, job: str, report: Report) -> Any:
        try:
            state = await self.wire.get(f"{PATH}/{job}")
        except Refused as error:
            raise JobFailed(f"Civitai lost the workflow ({error}): run again") from None
        status = state.get("status")
        if status == "succeeded":
            return state
        if status in ("failed", "expired", "canceled"):
            reasons = sorted(set(_reasons(state)))
            if "blocked" in reasons:
                raise Censored(f"Civitai blocked the prompt ({', '.join(reasons)}): rephrase the prompt")
            raise JobFailed(
                f"Civitai's workflow {job} {status} ({', '.join(reasons) or 'no reason given'}): run again"
            )
        report(str(status), None)
        return None


def _reasons(state: Mapping[str, Any]) -> Iterator[str]:
    for step in state.get("steps", ()):
        for part in (step, *(step.get("jobs") or ())):
            yield from (str(part[key]) for key in ("reason", "blockedReason") if part.get(key))


def _cost(answer: Mapping[str, Any]) -> float:
    """Returns the total price of a workflow that was not run."""
    cost = answer.get("cost")
    if isinstance(cost, Mapping) and isinstance(cost.get("total"), int | float):
        return float(cost["total"])
    listed = (answer.get("transactions") or {}).get("list") or ()
    return float(sum(transaction.get("amount", 0) for transaction in listed))


def is_request(body: Mapping[str, Any]) -> bool:
    """Whether an object has the fields of a request."""
    return {"model", "params"} <= body.keys()


def read(body: Mapping[str, Any], catalog: Catalog) -> Generation:
    """Reads a request."""
    params = body["params"]
    sampler = TARGET.sampler_of(params["scheduler"])
    if sampler is None:
        raise BadInput(f"no call can name Civitai's scheduler {params['scheduler']}")
    networks = body.get("additionalNetworks", {})
    return Generation(
        prompt=params["prompt"],
        negative_prompt=params.get("negativePrompt") or "",
        sampler=sampler.method,
        schedule=sampler.scheduler,
        steps=params["steps"],
        cfg_scale=params["cfgScale"],
        seed=params.get("seed"),
        width=params["width"],
        height=params["height"],
        clip_skip=params.get("clipSkip"),
        checkpoint=ModelUse.of(body["model"], catalog),
        loras=tuple(
            ModelUse.of(air, catalog, network.get("strength", 1.0)) for air, network in networks.items()
        ),
    )


TARGET = Target(
    name="civitai",
    title="Civitai",
    emit=emit,
    executor=CivitaiWorkflows,
    spelling=spelling,
    spelling_of=spelling_of,
    offers=is_hosted,
    side_step=_OLDER.step,
    usual_url=URL,
    reading=RequestReader(is_request, read),
    syntax="weights",
)
