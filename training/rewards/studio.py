"""The studio: images of calls, generated once and stored by the call's digest and the seed.

    FOLDER/3f/3f9a…/7.png          one image, with the call inside

A second run, another process and another system with the same call reuse them. Work is distributed by digest:
process r of n generates its share (:meth:`Studio.make`), on one machine's GPUs or on several machines over
one folder.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from diffagent.agent.executors import Executor, images, silent
from diffagent.agent.targets import infotext, load
from diffagent.agent.targets.fitting import Resources
from diffagent.agent.targets.generation import Order
from diffagent.agent.targets.installed import Installed
from diffagent.agent.targets.installed_models import read_installed
from diffagent.data.catalog.catalog import Catalog
from diffagent.data.records import T2ICall
from diffagent.training.rewards import call_digest

if TYPE_CHECKING:
    from PIL.Image import Image

Progress = Callable[[Iterable[Any], str], Iterable[Any]]


@dataclass
class Studio:
    """A generator of images with a target's executor, or with the caller's ``maker``.

    The executor is opened and closed in one event loop: once for all calls of :meth:`make`, or once for the
    body of a ``with`` statement.

    ``size``: the width and height of every image, whatever the call says (paper, section 4.1: an image's
    shape affects its scores). ``generated`` counts new images.
    """

    folder: Path
    catalog: Catalog
    target: str = "diffusers"
    url: str | None = None
    maker: Executor | None = None
    size: tuple[int, int] | None = None
    generated: int = field(default=0, init=False)
    _loop: asyncio.Runner | None = field(default=None, init=False, repr=False)
    _there: Installed | None = field(default=None, init=False, repr=False)

    def __enter__(self) -> Self:
        target = load(self.target)
        if self.maker is None and target.self_hosted and self._there is None:
            self._there = read_installed(self.target, self.url, self.catalog, lifetime=0)
        self.maker = self.maker or target.executor(self.url)
        self._loop = asyncio.Runner()
        self._loop.run(self.maker.__aenter__())
        return self

    def __exit__(self, *_: object) -> None:
        assert self._loop is not None
        assert self.maker is not None
        try:
            self._loop.run(self.maker.__aexit__(None, None, None))
        finally:
            self._loop.close()
            self._loop = None

    def images(self, call: T2ICall, seeds: Sequence[int]) -> list[Image]:
        """The call's images, one for each seed.

        Raises:
            TargetError: the target fails; images from before are kept.
        """
        from PIL import Image

        pictures = []
        for path in self.files(call, seeds):
            with Image.open(path) as image:
                pictures.append(image.convert("RGB"))
        return pictures

    def files(self, call: T2ICall, seeds: Sequence[int]) -> list[Path]:
        """The paths of the images; missing ones are generated."""
        sized, missing = self._sized(call), self._missing(call, seeds)
        if missing:
            images.require()
            with self._opened() as loop:
                loop.run(self._make(sized, missing))
        return [self._path(sized, seed) for seed in seeds]

    def make(
        self,
        calls: Iterable[T2ICall],
        seeds: Sequence[int],
        progress: Progress,
        share: tuple[int, int] = (0, 1),
    ) -> None:
        """Generates the missing images of this process's share: (rank, processes)."""
        rank, processes = share
        distinct = {call_digest(self._sized(call)): call for call in calls}
        ordered = sorted(distinct.items(), key=lambda item: (item[1].base_checkpoint or item[1].air, item[0]))
        own_share = [call for digest, call in ordered if int(digest[:8], 16) % processes == rank]
        with self._opened() if any(self._missing(call, seeds) for call in own_share) else nullcontext():
            for call in progress(own_share, "images"):
                self.files(call, seeds)

    def wait(
        self, calls: Iterable[T2ICall], seeds: Sequence[int], progress: Progress, pause: float = 1.0
    ) -> None:
        """Waits until all images exist, whichever process generates them.

        It has no time-out: the launcher notices a process that fails and ends them all.
        """
        paths = dict.fromkeys(self._path(self._sized(call), seed) for call in calls for seed in seeds)
        for path in progress(paths, "images of all processes"):
            while not path.is_file():
                time.sleep(pause)

    @contextmanager
    def _opened(self) -> Iterator[asyncio.Runner]:
        """The event loop with an open executor."""
        with nullcontext() if self._loop else self:
            assert self._loop is not None
            yield self._loop

    def _missing(self, call: T2ICall, seeds: Sequence[int]) -> list[int]:
        sized = self._sized(call)
        return [seed for seed in dict.fromkeys(seeds) if not self._path(sized, seed).is_file()]

    def _sized(self, call: T2ICall) -> T2ICall:
        if self.size is None:
            return call
        return call.model_copy(update={"width": self.size[0], "height": self.size[1]})

    def _path(self, call: T2ICall, seed: int) -> Path:
        digest = call_digest(call)
        return self.folder / digest[:2] / digest[:32] / f"{seed}.png"

    async def _make(self, call: T2ICall, seeds: Sequence[int]) -> None:
        assert self.maker is not None
        order = Order(call, self.target, tuple(seeds), nearest=True, there=self._there)
        for seed in seeds:
            emitted = order.emitted(seed, self.catalog)
            sent = await self.maker.image(emitted.request, silent)
            resources = Resources.of(emitted.call, self.catalog)
            path = self._path(call, seed)
            path.parent.mkdir(parents=True, exist_ok=True)
            text = infotext.write(emitted.call, resources, emitted.dropped)
            images.save(images.decode(sent.data), path, text, emitted.call.model_dump())
            self.generated += 1
