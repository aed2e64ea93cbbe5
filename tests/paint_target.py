"""A target in one file: it fills a picture with one colour, and takes checkpoints, Euler and Euler a."""

from __future__ import annotations

import io
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from PIL import Image

from diffagent.agent.executors import Price, Report, TargetImage
from diffagent.agent.targets.fitting import Fit, Resources
from diffagent.agent.targets.target import Target
from diffagent.data.records import Card, T2ICall
from diffagent.data.samplers import Sampler

SAMPLERS = {"Euler": 1, "Euler a": 2}


def spelling(sampler: Sampler) -> int | None:
    return SAMPLERS.get(sampler.method) if sampler.scheduler is None else None


def emit(call: T2ICall, resources: Resources, fit: Fit, names: Mapping[str, str]) -> dict[str, Any]:
    if call.clip_skip is not None:
        fit.drop("clip_skip", "there is no text encoder")
    red = spelling(fit.sampler(call.sampler))
    return {"size": [call.width, call.height], "colour": [red, call.sampling_steps, (call.seed or 0) % 256]}


class Painter:
    """Paints in this process."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    async def price(self, request: Mapping[str, Any]) -> Price | None:
        return None

    async def image(self, request: Mapping[str, Any], report: Report) -> TargetImage:
        file = io.BytesIO()
        Image.new("RGB", tuple(request["size"]), tuple(request["colour"])).save(file, "PNG")
        return TargetImage(file.getvalue())


def offers(card: Card) -> bool:
    return card.type == "Checkpoint"


TARGET = Target(
    name="paint",
    title="the painter",
    emit=emit,
    executor=lambda url: Painter(),
    spelling=spelling,
    offers=offers,
    runs=lambda base_model: base_model == "SD 1.5",
    side_step=32,
)
