"""ComfyUI: ``POST /prompt``, progress on its websocket, the result from ``/history`` and ``/view``.

As ``server.py`` and ``execution.py`` define them: an invalid graph is answered with 400 and ``node_errors``;
a job is in ``/queue`` or in ``/history``, else it is lost. The websocket only reports progress, so a server
behind a proxy without websockets works too.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import uuid
from collections.abc import Mapping
from typing import Any, Literal

import httpx

from diffagent.agent.executors import Price, Report, TargetImage
from diffagent.agent.executors.wire import (
    Gone,
    HttpExecutor,
    Wire,
    is_local,
    job_done,
    json_object,
    poll,
    words,
)
from diffagent.agent.targets import parts
from diffagent.agent.targets.graphs import added, emit, spelling
from diffagent.agent.targets.installed import Installed
from diffagent.agent.targets.installed_models import Lists, match_models
from diffagent.agent.targets.target import RequestReader, ServerLists, Target
from diffagent.data.base_models import backend, find
from diffagent.data.catalog.catalog import Catalog
from diffagent.data.errors import JobFailed, Refused, TargetError
from diffagent.data.metadata import comfyui as metadata
from diffagent.data.metadata.generation import Generation
from diffagent.data.records import Card
from diffagent.data.samplers import Sampler

URL = "http://127.0.0.1:8188"
"""A server's default address."""
LONGEST = 1800.0
_REMEDIES = {
    "value_not_in_list": "put the file there, or choose among the installed models",
}


def reason(response: httpx.Response) -> str | None:
    """Returns the errors of a graph, node by node."""
    body = json_object(response)
    if body is None or "error" not in body:
        return None
    error = body["error"]
    messages, hints = [], set()
    for node in (body.get("node_errors") or {}).values():
        for fault in node.get("errors", ()):
            messages.append(f"{node.get('class_type')}: {fault.get('message')}: {fault.get('details')}")
            hints.add(_REMEDIES.get(fault.get("type", ""), ""))
    message = "; ".join(messages) or (error.get("message") if isinstance(error, dict) else error)
    return words("; ".join(filter(None, [words(message), *sorted(hints)])), 400)


class ComfyUI(HttpExecutor):
    """One server; makes one image at a time."""

    def __init__(
        self, url: str, *, backoff: float = 0.5, timeout: float = 60.0, limit: float = LONGEST
    ) -> None:
        self.wire = Wire(
            url,
            remedy="start ComfyUI, or give its address with --target-url",
            reason=reason,
            timeout=timeout,
            backoff=backoff,
        )
        self.limit = limit
        self.client = uuid.uuid4().hex
        self.job: str | None = None
        """The current job, to tell its events from other jobs'."""

    async def price(self, request: Mapping[str, Any]) -> Price | None:
        return None

    async def image(self, request: Mapping[str, Any], report: Report) -> TargetImage:
        """Makes one image; repeats the request under another file name where the server has the result cached
        but not the file."""
        data = await self._run(request, report)
        if data is None:
            data = await self._run(_renamed(request), report)
        if data is None:
            raise JobFailed("ComfyUI finished without an image: another client cleared it; run again")
        return TargetImage(data)

    async def _run(self, request: Mapping[str, Any], report: Report) -> bytes | None:
        """Returns the file of a run; None where there is none, or it is gone."""
        self.job = None
        steps = asyncio.create_task(self._listen(report))
        await asyncio.sleep(0)
        try:
            history = await job_done(
                self._submit(request), lambda prompt_id: self._wait(prompt_id, report), self._end
            )
        finally:
            steps.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await steps
        return await self._view(history)

    async def _submit(self, request: Mapping[str, Any]) -> str:
        answer = await self.wire.post("/prompt", {**request, "client_id": self.client})
        self.job = str(answer["prompt_id"])
        return self.job

    async def _wait(self, prompt_id: str, report: Report) -> Any:
        return await poll(
            lambda: self._finished(prompt_id, report),
            every=min(1.0, 2 * self.wire.backoff),
            limit=self.limit,
            what=f"ComfyUI's job {prompt_id}",
            remedy="look at its queue, or ask for fewer steps",
        )

    async def _finished(self, prompt_id: str, report: Report) -> Any:
        history = (await self.wire.get(f"/history/{prompt_id}")).get(prompt_id)
        if history is not None:
            return history
        queue = await self.wire.get("/queue")
        running = [item[1] for item in queue.get("queue_running", ())]
        pending = [item[1] for item in sorted(queue.get("queue_pending", ()))]
        if prompt_id in pending:
            report(f"queue position {pending.index(prompt_id) + 1}", 0.0)
        elif prompt_id not in running:
            history = (await self.wire.get(f"/history/{prompt_id}")).get(prompt_id)  # finished in between
            if history is None:
                raise JobFailed(f"ComfyUI lost the job {prompt_id}: it was restarted or cleared; run again")
        return history

    async def _view(self, history: Mapping[str, Any]) -> bytes | None:
        status = history.get("status") or {}
        if status.get("status_str") == "error":
            failure: dict[str, Any] = next(
                (data for kind, data in status.get("messages", ()) if kind == "execution_error"), {}
            )
            what = (
                f"{failure.get('node_type')}: {failure.get('exception_message')}"
                if failure
                else "interrupted"
            )
            raise JobFailed(f"ComfyUI gave up on the image: {words(what)}: see its log")
        images = [
            image for output in (history.get("outputs") or {}).values() for image in output.get("images", ())
        ]
        images = [image for image in images if image.get("type") == "output"] or images
        if not images:
            return None
        query = {key: images[0].get(key, "") for key in ("filename", "subfolder", "type")}
        try:
            return await self.wire.bytes("/view", query)
        except Gone:
            return None

    async def _end(self, prompt_id: str) -> None:
        """Removes a waiting job from the queue and interrupts a running one.

        ``/interrupt`` of ComfyUI before 0.3.50 ignores the id and ends whichever job runs, so it is sent
        only while ours does.
        """
        await self.wire.tell("/queue", {"delete": [prompt_id]})
        queue = await self.wire.get("/queue")
        if prompt_id in [item[1] for item in queue.get("queue_running", ())]:
            await self.wire.tell("/interrupt", {"prompt_id": prompt_id})

    async def _listen(self, report: Report) -> None:
        """Reports the websocket's progress messages; none without a websocket or the library."""
        try:
            from websockets.asyncio.client import connect
            from websockets.exceptions import WebSocketException
        except ImportError:
            return
        address = "ws" + self.wire.url.removeprefix("http") + f"/ws?clientId={self.client}"
        with contextlib.suppress(OSError, TimeoutError, WebSocketException, ValueError):
            proxy: Literal[True] | None = None if is_local(self.wire.url) else True
            async with connect(address, open_timeout=5, close_timeout=1, proxy=proxy) as socket:
                async for message in socket:
                    if isinstance(message, str):
                        _progress(json.loads(message), self.job, report)


def _progress(message: Any, job: str | None, report: Report) -> None:
    """Reports a step of a job; ComfyUI before 2023-10 sends no job's id, and to its own client alone."""
    data = message.get("data") if isinstance(message, dict) else None
    if not isinstance(data, dict) or message.get("type") != "progress" or not data.get("max"):
        return
    if job is not None and data.get("prompt_id", job) == job:
        report("sampling", data["value"] / data["max"])


def _renamed(request: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the graph with another prefix of its images' names, so that only the saving nodes run again."""
    mark = uuid.uuid4().hex[:8]

    def inputs(node: Mapping[str, Any]) -> dict[str, Any]:
        prefix = node["inputs"].get("filename_prefix")
        changed = {"filename_prefix": f"{prefix}-{mark}"} if isinstance(prefix, str) else {}
        return {**node["inputs"], **changed}

    nodes = {key: {**node, "inputs": inputs(node)} for key, node in request["prompt"].items()}
    return {**request, "prompt": nodes}


_FOLDERS = {
    "checkpoints": ("CheckpointLoaderSimple", "ckpt_name"),
    "loras": ("LoraLoader", "lora_name"),
    "diffusion_models": ("UNETLoader", "unet_name"),
    "text_encoders": ("CLIPLoader", "clip_name"),
    "vae": ("VAELoader", "vae_name"),
    "unet_gguf": ("UnetLoaderGGUF", "unet_name"),
    "clip_gguf": ("CLIPLoaderGGUF", "clip_name"),
}
"""Folder → the node and the input that list its files."""
_NEEDED = ("checkpoints", "loras")
"""Folders whose nodes every ComfyUI has; the last two come with ComfyUI-GGUF."""


async def ask(wire: Wire) -> Lists:
    """Returns the options of nodes' inputs in ``/object_info``: a list as the type, or ``COMBO`` with
    options."""

    async def options(node: str, name: str) -> list[str]:
        kind, *more = (await wire.get(f"/object_info/{node}"))[node]["input"]["required"][name]
        return list(kind if isinstance(kind, list) else more[0]["options"])

    files = {}
    for folder, (node, name) in _FOLDERS.items():
        try:
            files[folder] = await options(node, name)
        except (KeyError, Refused):
            if folder in _NEEDED:
                raise
    return {
        "files": files,
        "places": await _places(wire),
        "samplers": await options("KSampler", "sampler_name"),
        "schedules": await options("KSampler", "scheduler"),
    }


async def _places(wire: Wire) -> dict[str, list[str]]:
    """Returns the folders' paths on the server's machine, if that is this one; ComfyUI before 2024-08 does
    not list them."""
    if not is_local(wire.url):
        return {}
    try:
        return {
            str(name): list(places) for name, places in (await wire.get("/internal/folder_paths")).items()
        }
    except TargetError:
        return {}


def understand(url: str, lists: Lists, catalog: Catalog) -> Installed:
    """Returns what is installed, without models whose text encoders or VAE are missing."""

    def known(sampler: Sampler) -> bool:
        spelled = spelling(sampler)
        return spelled is not None and spelled[0] in lists["samplers"] and spelled[1] in lists["schedules"]

    files = {folder: tuple(names) for folder, names in lists["files"].items()}
    models = [files.get(folder, ()) for folder in ("checkpoints", "diffusion_models", "unet_gguf", "loras")]
    names, unknown, ambiguous = match_models([{"name": name} for part in models for name in part], catalog)
    lacking = {}
    for air, name in names.items():
        card = catalog.by_air(air)
        if card is not None and card.type == "Checkpoint" and (gone := _gone(card, name, files)):
            lacking[air] = gone
    names = {air: name for air, name in names.items() if air not in lacking}
    able = tuple(filter(known, TARGET.spelled))
    return Installed("comfyui", url, names, able, unknown, ambiguous, files, lacking)


def _gone(card: Card, file: str, files: parts.Files) -> tuple[str, ...]:
    """Returns the parts of a model that a server lacks; a file among its checkpoints contains them."""
    if file in files.get("checkpoints", ()):
        return ()
    row = find(card.base_model)
    if row is not None and backend(row.name, TARGET.name) == "checkpoint":
        return (f"text encoders and a VAE: {row.name} is loaded from checkpoints alone",)
    return tuple(parts.missing((*parts.of_role(row, "text encoder"), *parts.of_role(row, "vae")), files))


def is_request(body: Mapping[str, Any]) -> bool:
    """Whether an object is a graph, of the API or of the editor."""
    graph = body["prompt"] if isinstance(body.get("prompt"), Mapping) else body
    nodes = list(graph.values())
    is_api = bool(nodes) and all(isinstance(node, Mapping) and "class_type" in node for node in nodes)
    return is_api or isinstance(body.get("nodes"), list)


def read(body: Mapping[str, Any], catalog: Catalog) -> Generation:
    """Reads a request."""
    graph = body["prompt"] if isinstance(body.get("prompt"), Mapping) else body
    return metadata.read(graph)


TARGET = Target(
    name="comfyui",
    title="ComfyUI",
    emit=emit,
    executor=lambda url: ComfyUI(url or URL),
    spelling=spelling,
    added=added,
    usual_url=URL,
    self_hosted=True,
    lists=ServerLists(ask, understand),
    reading=RequestReader(is_request, read),
    syntax="comfyui",
    ggufs=True,
    workflows=True,
)
