"""Runs of a call on the image servers of :mod:`image_servers`, with short waits."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from image_servers import FakeA1111, FakeCivitai, FakeComfyUI, FakeHorde, FakeOpenAI, ImageServer, serving
from target_calls import AURORA, INK_FOX, call_of

from diffagent.agent.executors import Executor
from diffagent.agent.targets import generation
from diffagent.agent.targets.a1111 import A1111
from diffagent.agent.targets.civitai import CivitaiWorkflows
from diffagent.agent.targets.comfyui import ComfyUI
from diffagent.agent.targets.horde import Horde
from diffagent.agent.targets.installed import Installed
from diffagent.agent.targets.openai import OpenAIImages
from diffagent.data.catalog.catalog import Catalog
from diffagent.data.records import T2ICall

SERVERS: dict[str, type[ImageServer]] = {
    "a1111": FakeA1111,
    "comfyui": FakeComfyUI,
    "horde": FakeHorde,
    "civitai": FakeCivitai,
    "openai": FakeOpenAI,
}
EXECUTORS: dict[str, Any] = {
    "a1111": A1111,
    "comfyui": ComfyUI,
    "horde": Horde,
    "civitai": CivitaiWorkflows,
    "openai": OpenAIImages,
}
NAMES = {AURORA.air: "sd15/aurora_v2.safetensors", INK_FOX.air: "styles/ink-fox.safetensors"}


def make(
    target: str,
    server: ImageServer,
    folder: Path,
    catalog: Catalog,
    call: T2ICall | None = None,
    said: list[str] | None = None,
    timeout: float = 5.0,
    **options: Any,
) -> list[Path]:
    """Images of a call (of the LoRA unless told otherwise) on a server, with short waits."""
    there = Installed(target, "u", NAMES) if target == "comfyui" else None
    settings: dict[str, Any] = {"seeds": (7,), "max_price": 10.0, "there": there, **options}
    order = generation.Order(call or call_of(INK_FOX), target, **settings)
    report = said if said is not None else []

    async def run() -> list[Path]:
        executor: Executor = EXECUTORS[target](server.url, backoff=0.01, timeout=timeout)
        return await generation.make(order, folder, catalog, executor, lambda what, _: report.append(what))

    with serving(server):
        return asyncio.run(run())
