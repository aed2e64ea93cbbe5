"""A1111 and Forge: ``POST /sdapi/v1/txt2img``, with progress from ``POST /internal/progress``.

The body's fields are those of ``StableDiffusionTxt2ImgProcessingAPI`` in A1111's ``modules/api/models.py``,
and Forge's ``distilled_cfg_scale``; the checkpoint and the clip skip go through ``override_settings``, and so
do the text encoders and the VAE that Forge loads apart (``forge_additional_modules``, its list is
``/sdapi/v1/sd-modules``); LoRAs through their tags in the prompt.

A1111 uses its current checkpoint in place of an unknown one, skips an unknown LoRA
(``modules/processing.py``, ``extensions-builtin/Lora/networks.py``), and Forge uses its first sampler in
place of an unknown one. So the server's lists (``/sd-models``, ``/loras``, ``/samplers``) are read first, and
a request that it would change is refused. A checkpoint is named by its title, which is its path with its
hash; a file name shared by several is refused. A server started with ``--api-auth`` takes USER:PASSWORD from
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
import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from diffagent.agent.executors import Price, Report, TargetImage
from diffagent.agent.executors.wire import HttpExecutor, Wire, json_object, secret, to_the_end, words
from diffagent.agent.targets import infotext, parts
from diffagent.agent.targets.fitting import Fit, Resources, file_of
from diffagent.agent.targets.installed import Installed
from diffagent.agent.targets.installed_models import Lists, match_models
from diffagent.agent.targets.target import RequestReader, ServerLists, Target
from diffagent.data.base_model_facts import Part
from diffagent.data.base_models import backend, find
from diffagent.data.catalog.catalog import Catalog
from diffagent.data.errors import BadInput, JobFailed, Refused, TargetError, Unreachable
from diffagent.data.metadata.generation import Generation, ModelUse
from diffagent.data.metadata.infotext import split_loras, stem
from diffagent.data.records import Card, T2ICall
from diffagent.data.samplers import Sampler

URL = "http://127.0.0.1:7860"
"""A server's default address."""


def spelling(sampler: Sampler) -> tuple[str, str] | None:
    """Returns ``sampler_name`` and ``scheduler``; a server's own list tells which of them it lacks."""
    method, plan = sampler.row, sampler.plan
    if method.a1111 is None or (plan is not None and plan.a1111 is None):
        return None
    return infotext.labels(sampler)


def emit(call: T2ICall, resources: Resources, fit: Fit, names: Mapping[str, str]) -> dict[str, Any]:
    """Returns the request of one image; a null seed is −1, for which A1111 draws one."""
    spelled = spelling(fit.sampler(call.sampler))
    assert spelled is not None
    row = find(resources.checkpoint.base_model)
    negative, skip = fit.read(call, row)
    override: dict[str, Any] = {"sd_model_checkpoint": file_of(resources.checkpoint, names)}
    if skip is not None:
        override["CLIP_stop_at_last_layers"] = skip
    if modules := _modules(resources.checkpoint, fit):
        override["forge_additional_modules"] = modules
    request = {
        "prompt": infotext.with_loras(call, resources, names),
        "negative_prompt": negative,
        "seed": -1 if call.seed is None else call.seed,
        "sampler_name": spelled[0],
        "scheduler": spelled[1],
        "steps": call.sampling_steps,
        "cfg_scale": call.cfg_scale,
        "width": call.width,
        "height": call.height,
        "batch_size": 1,
        "n_iter": 1,
        "override_settings": override,
        "send_images": True,
    }
    if call.guidance is not None:
        request["distilled_cfg_scale"] = call.guidance
    return request


def _modules(card: Card, fit: Fit) -> list[str]:
    """Returns the server's names of the files that a model on Forge runs with.

    Raises:
        BadInput: the server lacks one.
    """
    apart = _apart(card.base_model)
    if lack := parts.missing(apart, fit.files):
        raise BadInput(
            f"{card.name} runs with files that the server does not have ({'; '.join(lack)})",
            "put them there, or choose among what it has with diffagent call --installed",
        )
    return [str(parts.server_name(part, fit.files)) for part in apart]


def _apart(base_model: str) -> tuple[Part, ...]:
    """Returns the text encoders and the VAE that Forge loads beside a model's file; A1111 loads none."""
    if backend(base_model, "a1111") == PLAIN:
        return ()
    row = find(base_model)
    both = (*parts.of_role(row, "text encoder"), *parts.of_role(row, "vae"))
    return tuple(part for part in both if part.file is not None)


LONGEST = 1800.0
"""The time limit of one image, in seconds."""
_BRACKET = re.compile(r" \[[0-9a-f]+\]$")
_LORA = re.compile(r"<lora:([^<>:]+):")
UNSAID = ("Automatic", "Uniform")
"""Schedules that a sampler's name leaves out before A1111 1.9; it contains any other."""


def reason(response: httpx.Response) -> str | None:
    """Returns FastAPI's ``detail``, or the error handler's ``errors`` (``modules/api/api.py``)."""
    body = json_object(response)
    if body is None:
        return None
    detail = body.get("detail") or body.get("errors") or body.get("error")
    if isinstance(detail, list):
        detail = "; ".join(
            f"{'.'.join(map(str, error.get('loc', ())))}: {error.get('msg')}" for error in detail
        )
    if detail == "Not Found":
        return None  # unknown path: the server runs without --api
    return words(detail) if detail else None


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
        self._lists: _Lists | None = None

    async def price(self, request: Mapping[str, Any]) -> Price | None:
        await self._respell(request)
        return None

    async def image(self, request: Mapping[str, Any], report: Report) -> TargetImage:
        sent = await self._respell(request)
        task = f"task(diffagent-{uuid.uuid4().hex})"
        watching = asyncio.create_task(self._watch(task, report))
        try:
            answer = await self.wire.post("/sdapi/v1/txt2img", {**sent, "force_task_id": task})
        except (Refused, Unreachable):
            raise
        except BaseException:  # the server works on after a dropped connection
            await to_the_end(self._end(task))
            raise
        finally:
            watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watching
        return _image_of(answer)

    async def _end(self, task: str) -> None:
        """Interrupts the running job if it is ours.

        ``/interrupt`` ends whichever job runs. ``/internal/progress`` says whether that job has our task id
        (``modules/progress.py``); a server that does not know the id (A1111 before 1.7, or one without its
        web interface) is left alone. A job that waits behind others cannot be withdrawn: it is interrupted
        if it starts within the time limit.
        """
        unknown = 0
        while unknown < 4:
            state = await self.wire.post("/internal/progress", {"id_task": task, "live_preview": False})
            if state.get("active"):
                await self.wire.tell("/sdapi/v1/interrupt", {})
            if state.get("active") or state.get("completed"):
                return
            unknown += not state.get("queued")
            await asyncio.sleep(0.25)

    async def _watch(self, task: str, report: Report) -> None:
        """Reports our job's progress until cancelled, where the server tells whose job runs."""
        query = {"id_task": task, "live_preview": False}
        with contextlib.suppress(TargetError):
            while True:
                state = await self.wire.post("/internal/progress", query)
                if state.get("active"):
                    report("sampling", float(state.get("progress") or 0.0))
                elif state.get("queued"):
                    report("waits for other jobs", 0.0)
                await asyncio.sleep(min(1.0, 2 * self.wire.backoff))

    async def _respell(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the request in this server's spelling; refuses values that it would silently replace."""
        if self._lists is None:
            self._lists = await self._read()
        lists, sent = self._lists, {**request, "override_settings": dict(request["override_settings"])}
        checkpoint_name = request["override_settings"]["sd_model_checkpoint"]
        sent["override_settings"]["sd_model_checkpoint"] = self._one(
            "checkpoint",
            checkpoint_name,
            titles(checkpoint_name, lists.checkpoints),
            [checkpoint["title"] for checkpoint in lists.checkpoints],
        )
        for name in _LORA.findall(request["prompt"]):
            self._one("LoRA", name, paths(name, lists.loras), [lora["name"] for lora in lists.loras])
        if lists.schedules:
            self._one(
                "schedule", request["scheduler"], lists.schedules & {request["scheduler"]}, lists.schedules
            )
        else:
            schedule = sent.pop("scheduler")
            sent["sampler_name"] += "" if schedule in UNSAID else f" {schedule}"
        sampler = sent["sampler_name"]
        self._one("sampler", sampler, lists.samplers & {sampler}, lists.samplers)
        return sent

    def _one(self, kind: str, name: str, matches: Collection[str], names: Iterable[str]) -> str:
        """Returns the only one of the server's files, or labels, that a name matches."""
        if len(matches) == 1:
            return next(iter(matches))
        if matches:
            raise Refused(
                f"{self.wire.url} has {len(matches)} files that {kind} {stem(name)!r} may mean "
                f"({', '.join(sorted(matches))}): give the others another name"
            )
        some = ", ".join(sorted(names)[:5]) or "none"
        raise Refused(
            f"{self.wire.url} has no {kind} {stem(name)!r} (it has {some})",
            "put the file there, or choose among what it has with diffagent call --installed",
        )

    async def _read(self) -> _Lists:
        models = await self.wire.get("/sdapi/v1/sd-models")
        samplers = await self.wire.get("/sdapi/v1/samplers")
        loras = await self.wire.get("/sdapi/v1/loras")
        try:
            return _Lists(
                [{key: str(model.get(key) or "") for key in ("title", "hash", "sha256")} for model in models],
                [{key: str(lora.get(key) or "") for key in ("name", "alias", "path")} for lora in loras],
                {str(sampler["name"]) for sampler in samplers},
                await self._schedules(),
            )
        except (TypeError, KeyError, AttributeError):
            raise Unreachable(f"{self.wire.url}: no lists of models: {self.wire.remedy}") from None

    async def _schedules(self) -> set[str]:
        """Returns the schedules' labels; none before A1111 1.9, where samplers' names contain them."""
        try:
            schedules = await self.wire.get("/sdapi/v1/schedulers")
        except TargetError:
            return set()
        return {str(schedule.get("label") or schedule["name"]) for schedule in schedules}


@dataclass(frozen=True)
class _Lists:
    """The server's models, samplers and schedules."""

    checkpoints: list[dict[str, str]]
    """``title`` (its path and hash, unique), ``hash``, ``sha256``."""
    loras: list[dict[str, str]]
    """``name``, ``alias``, ``path``."""
    samplers: set[str]
    schedules: set[str]


def titles(name: str, checkpoints: Sequence[Mapping[str, str]]) -> list[str]:
    """Returns the titles of the checkpoints that a title, a hash or a file name matches; several may share a
    file name."""
    by_title = [checkpoint["title"] for checkpoint in checkpoints if checkpoint["title"] == name]
    by_hash = [
        checkpoint["title"]
        for checkpoint in checkpoints
        if name.casefold() in (checkpoint["hash"], checkpoint["sha256"])
    ]
    files = {checkpoint["title"]: _BRACKET.sub("", checkpoint["title"]) for checkpoint in checkpoints}
    path = _BRACKET.sub("", name)
    by_path = [title for title, file in files.items() if file == path and re.search(r"[/\\]", path)]
    return (
        by_title or by_hash[:1] or by_path or [title for title in files if stem(files[title]) == stem(path)]
    )


def paths(name: str, loras: Sequence[Mapping[str, str]]) -> list[str]:
    """Returns the files of the LoRAs that a name matches: names precede aliases, as in ``load_networks``
    (``extensions-builtin/Lora/networks.py``)."""
    by_name = [lora["path"] or lora["name"] for lora in loras if stem(lora["name"]) == stem(name)]
    return by_name or [lora["path"] or lora["name"] for lora in loras if lora["alias"] == name]


def _image_of(answer: Any) -> TargetImage:
    images = answer.get("images") if isinstance(answer, dict) else None
    if not images:
        raise JobFailed(
            "the server returned no image: it was interrupted, or an extension removed it; see its log"
        )
    try:
        info = json.loads(answer.get("info") or "{}")
        return TargetImage(base64.b64decode(images[0].split(",", 1)[-1]), info.get("seed"))
    except (binascii.Error, ValueError, AttributeError):
        raise JobFailed("the server returned an image that is not base64: see its log") from None


async def ask(wire: Wire) -> Lists:
    """Returns the lists, with items as in ``modules/api/models.py``; ``/loras`` belongs to the built-in LoRA
    extension.

    A title is a checkpoint's path and hash, A1111's key (``modules/sd_models.py``). Of LoRAs with the same
    name A1111 knows only the last (``networks.py``).
    """
    models = await wire.get("/sdapi/v1/sd-models")
    loras = await wire.get("/sdapi/v1/loras")
    try:
        schedules = [
            schedule.get("label") or schedule["name"] for schedule in await wire.get("/sdapi/v1/schedulers")
        ]
    except TargetError:
        schedules = []  # before 1.9
    options = await _answer(wire, "/sdapi/v1/options")
    modules = await _answer(wire, "/sdapi/v1/sd-modules")
    return {
        "kind": _kind(options),
        "modules": [module["filename"] for module in modules or ()],
        "checkpoints": [
            {
                "name": re.sub(r" \[[0-9a-f]+\]$", "", model["title"]),
                "title": model["title"],
                "hash": model.get("sha256") or model.get("hash"),
                "path": model.get("filename"),
            }
            for model in models
        ],
        "loras": [
            {
                "name": lora["name"],
                "path": lora.get("path"),
                "metadata": _training_entries(lora.get("metadata")),
            }
            for lora in loras
        ],
        "samplers": [sampler["name"] for sampler in await wire.get("/sdapi/v1/samplers")],
        "schedules": schedules,
    }


def _training_entries(metadata: object) -> dict[str, Any]:
    """Returns the entries of a LoRA's metadata that identify it."""
    keys = ("ss_base_model_version", "ss_sd_model_name", "ss_tag_frequency", "ss_output_name")
    entries = metadata if isinstance(metadata, Mapping) else {}
    return {
        key: value
        for key, value in entries.items()
        if key in keys or (str(key).startswith("modelspec.") and len(str(value)) < 10_000)
    }


PLAIN = "a1111"
KINDS = {PLAIN: "A1111", "forge": "Forge", "forge neo": "Forge Neo"}
"""Term in the table of base models → program, oldest first."""
_NEO = re.compile(r"qwen|klein|anima")
"""Names of options that Forge Neo has and Forge lacks."""


def _kind(options: Any) -> str:
    """Returns which program with this API a server runs, by the names of its options."""
    if not isinstance(options, dict) or "forge_additional_modules" not in options:
        return PLAIN
    return "forge neo" if any(_NEO.search(name) for name in options) else "forge"


async def _answer(wire: Wire, path: str) -> Any:
    """Returns the answer of a path; None where the server lacks it."""
    try:
        return await wire.get(path)
    except TargetError:
        return None


def _lacking(base_model: str, kind: str, files: parts.Files) -> tuple[str, ...]:
    """Returns what a server lacks for models of a base model: a newer program, or files."""
    term = backend(base_model, "a1111")
    if term is None:
        return ()
    if list(KINDS).index(term) > list(KINDS).index(kind):
        return (f"{KINDS[term]} in place of {KINDS[kind]}",)
    return tuple(parts.missing(_apart(base_model), files))


def understand(url: str, lists: Lists, catalog: Catalog) -> Installed:
    """Returns what is installed, without models that the program does not run or whose parts are missing."""
    has, schedules = set(lists["samplers"]), set(lists["schedules"])

    def known(sampler: Sampler) -> bool:
        spelled = spelling(sampler)
        if spelled is None:
            return False
        return spelled[0] in has and spelled[1] in schedules if schedules else str(sampler) in has

    names, unknown, ambiguous = match_models(lists["checkpoints"] + lists["loras"], catalog)
    modules = tuple(lists.get("modules", ()))
    files = dict.fromkeys(("text_encoders", "vae"), modules) if modules else {}
    lacking = {}
    for air in names:
        card = catalog.by_air(air)
        if card is not None and card.type == "Checkpoint":
            there = files or {"text_encoders": (), "vae": ()}
            if gone := _lacking(card.base_model, lists.get("kind", PLAIN), there):
                lacking[air] = gone
    names = {air: name for air, name in names.items() if air not in lacking}
    able = tuple(filter(known, TARGET.samplers))
    return Installed("a1111", url, names, able, unknown, ambiguous, files, lacking)


def is_request(body: Mapping[str, Any]) -> bool:
    """Whether an object has the fields of a request."""
    return {"sampler_name", "override_settings"} <= body.keys()


def read(body: Mapping[str, Any], catalog: Catalog) -> Generation:
    """Reads a request."""
    prompt, loras = split_loras(body["prompt"])
    override = body["override_settings"]
    return Generation(
        prompt=prompt,
        negative_prompt=body.get("negative_prompt") or "",
        sampler=body["sampler_name"],
        schedule=body.get("scheduler"),
        steps=body["steps"],
        cfg_scale=body["cfg_scale"],
        guidance=body.get("distilled_cfg_scale"),
        seed=body.get("seed"),
        width=body["width"],
        height=body["height"],
        clip_skip=override.get("CLIP_stop_at_last_layers"),
        checkpoint=ModelUse.of(override["sd_model_checkpoint"], catalog),
        loras=tuple(ModelUse.of(name, catalog, weight) for name, weight in loras),
    )


TARGET = Target(
    name="a1111",
    title="A1111",
    emit=emit,
    executor=lambda url: A1111(url or URL),
    spelling=spelling,
    usual_url=URL,
    self_hosted=True,
    syntax="a1111",
    ggufs=True,
    lists=ServerLists(ask, understand),
    reading=RequestReader(is_request, read),
)
