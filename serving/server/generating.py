"""Image generation: a call → PNG files, made by the configured target."""

from __future__ import annotations

import asyncio
import base64
import re
import tempfile
from pathlib import Path

from diffagent.agent.targets import generation, load
from diffagent.agent.targets.installed import Installed
from diffagent.agent.targets.installed_models import read_installed
from diffagent.agent.targets.seeds import numbered_seeds
from diffagent.data.catalog.catalog import Catalog
from diffagent.data.errors import BadInput, TargetError
from diffagent.data.records import SIDE_MAX, SIDE_MIN, SIDE_STEP, T2ICall
from diffagent.serving.server.config import ServerConfig
from diffagent.serving.server.faults import Fault
from diffagent.serving.server.metrics import Metrics


def size_of(text: str | None) -> tuple[int, int] | None:
    """Width and height in pixels of OpenAI's ``size``; None for ``auto``.

    Raises:
        BadInput: the text is not a size, or a call does not take it.
    """
    if text is None or text == "auto":
        return None
    match = re.fullmatch(r"(\d{1,5})x(\d{1,5})", text, re.A)
    sides = (int(match[1]), int(match[2])) if match else (0, 0)
    if any(not SIDE_MIN <= side <= SIDE_MAX or side % SIDE_STEP for side in sides):
        raise BadInput(
            f"size is {text[:40]!r}, but a call takes WIDTHxHEIGHT of {SIDE_MIN} to {SIDE_MAX} pixels in "
            f"steps of {SIDE_STEP}, such as 512x768, or auto"
        )
    return sides


class ImageMaker:
    """Maker of images on the configured target; at most ``image_jobs`` requests at once."""

    def __init__(self, catalog: Catalog, config: ServerConfig, metrics: Metrics) -> None:
        self.catalog = catalog
        self.config = config
        self.metrics = metrics
        self._busy = 0

    @property
    def target(self) -> str:
        """The configured target.

        Raises:
            Fault: no target is configured (501).
        """
        if self.config.target is None:
            raise Fault(
                501,
                "not_configured",
                "this server makes no images: start it with --target TARGET, or take the call from /v1/route",
            )
        return self.config.target

    async def installed(self) -> Installed | None:
        """The installed models of the target's server, if the target is self-hosted."""
        target = load(self.target)
        if not target.self_hosted:
            return None
        url = self.config.target_url or target.usual_url
        try:
            return await asyncio.to_thread(read_installed, self.target, url, self.catalog)
        except TargetError as error:
            self._count(error)
            raise

    async def images(self, call: T2ICall, n: int, installed: Installed | None) -> list[str]:
        """PNG files as base64, on successive seeds.

        Raises:
            TargetError: the target did not deliver. Fault: too many jobs (429), or the deadline passed (504).
        """
        if self._busy >= self.config.image_jobs:
            raise Fault(
                429,
                "queue_full",
                f"{self._busy} image requests are under way already: ask again in a minute",
                {"Retry-After": "60"},
            )
        order = generation.Order(
            call,
            self.target,
            numbered_seeds(call.seed, n),
            self.config.nearest,
            self.config.max_price,
            installed,
        )
        self._busy += 1
        try:
            with tempfile.TemporaryDirectory(prefix="diffagent-") as folder:
                return await self._generate(order, Path(folder))
        except TargetError as error:
            self._count(error)
            raise
        except TimeoutError:
            raise Fault(504, "deadline", f"no image within {self.config.image_deadline:g} s") from None
        finally:
            self._busy -= 1

    async def _generate(self, order: generation.Order, folder: Path) -> list[str]:
        executor = load(self.target).executor(self.config.target_url)
        async with asyncio.timeout(self.config.image_deadline):
            paths = await generation.make(order, folder, self.catalog, executor)
        return [base64.b64encode(path.read_bytes()).decode("ascii") for path in paths]

    def _count(self, error: TargetError) -> None:
        self.metrics.target_errors.labels(self.target, type(error).__name__.lower()).inc()
