"""Generation: a call, a target and a folder in; image files out.

    call × seeds → emitted request → price → executor → PNG, manifest row → contact sheet of the folder

Images are made one after another. A failure ends the run; the images before it are complete and in the
manifest. A picture of another call is never overwritten, and a folder that vanished is created again. Fields
that the target did not take are absent from the picture's infotext and reported in the manifest.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from diffagent.agent.executors import Executor, Price, Report, images, silent
from diffagent.agent.targets import infotext, load, of_workflows
from diffagent.agent.targets.emitting import emit
from diffagent.agent.targets.fitting import Emitted, Resources
from diffagent.agent.targets.installed import Installed
from diffagent.agent.targets.installed_models import read_installed
from diffagent.agent.targets.seeds import numbered_seeds
from diffagent.agent.targets.target import Target
from diffagent.data.catalog.catalog import Catalog
from diffagent.data.errors import BadInput, TargetError, Unreachable
from diffagent.data.records import SEED_MAX, T2ICall

if TYPE_CHECKING:
    from PIL import Image

    from diffagent.agent.targets.own_graph import Workflow

MOST_IMAGES = 64


@dataclass(frozen=True)
class Order:
    """An order of images: ``seeds``, one per image; ``max_price`` of one image, in the target's unit.

    ``there``: the server's models, where it was asked (:mod:`diffagent.agent.targets.installed_models`);
    ``workflow``: a graph that the call fills (:mod:`diffagent.agent.targets.own_graph`).
    """

    call: T2ICall
    target: str
    seeds: tuple[int, ...]
    nearest: bool = False
    max_price: float | None = None
    there: Installed | None = None
    workflow: Workflow | None = None

    def __post_init__(self) -> None:
        target = load(self.target)
        if self.workflow is not None and not target.workflows:
            raise BadInput(
                f"a workflow is a graph of ComfyUI, which {self.target} does not run: use {of_workflows()}"
            )
        if not 1 <= len(self.seeds) <= MOST_IMAGES:
            raise BadInput(f"{len(self.seeds)} images were requested: 1 to {MOST_IMAGES} can be made at once")
        if wrong := [seed for seed in self.seeds if not 0 <= seed <= SEED_MAX]:
            raise BadInput(f"seed {wrong[0]} is out of range: seeds go from 0 to {SEED_MAX}")

    def emitted(self, seed: int, catalog: Catalog) -> Emitted:
        """Returns the request of one image.

        Raises:
            BadInput: as :func:`emit`; or the server lacks the model's file, or several files match.
        """
        call = self.call.model_copy(update={"seed": seed})
        there = self.there
        if there is None:
            emitted = emit(call, self.target, catalog, nearest=self.nearest)
        else:
            there.check_unambiguous(Resources.of(call, catalog))
            emitted = emit(
                call,
                self.target,
                catalog,
                nearest=self.nearest,
                names=there.names,
                known_samplers=there.samplers,
                files=there.files,
            )
            there.check_present(Resources.of(emitted.call, catalog))
        if self.workflow is None:
            return emitted
        names = there.names if there else {}
        return self.workflow.fill(emitted, Resources.of(emitted.call, catalog), names)


def generate(
    call: T2ICall,
    folder: str | Path,
    target: str,
    catalog: Catalog,
    *,
    url: str | None = None,
    n: int = 1,
    seeds: Sequence[int] = (),
    nearest: bool = False,
    max_price: float | None = None,
    workflow: Workflow | None = None,
    report: Report = silent,
) -> list[Path]:
    """Makes a call's images and returns their files.

    Args:
        call: what to make.
        folder: where the images, ``manifest.jsonl`` and the contact sheet go; created if missing.
        target: one of the targets other than ``diffagent``.
        catalog: where the call's models are looked up.
        url: the server's address; default: the target's.
        n: how many images, with consecutive seeds from the call's, or from a drawn one.
        seeds: the seeds themselves, in place of ``n``; a single one is the first of ``n``.
        nearest: replace values that the target lacks by the nearest.
        max_price: the most that one image may cost; required by targets that cost money.
        workflow: a graph of ComfyUI that the call fills, in place of the generated one.
        report: receives progress.

    Raises:
        TargetError: the target failed. BadInput: an option is out of range, the target lacks a value or the
        price is too high. MissingExtra: a library is not installed.
    """
    images.require()
    in_a_row = numbered_seeds(seeds[0] if seeds else call.seed, n)
    order = Order(
        call, target, in_a_row if len(seeds) < 2 else tuple(seeds), nearest, max_price, workflow=workflow
    )
    api = load(target)
    if api.self_hosted:
        order = replace(order, there=read_installed(target, url, catalog, lifetime=0))
    paths = asyncio.run(make(order, Path(folder), catalog, api.executor(url), report))
    with images.prepared(Path(folder)):
        lacking = images.draw_sheet(Path(folder))
    if lacking:
        scripts = ", ".join(name.capitalize() for name in lacking)
        report(f"no font for the captions of {images.SHEET}: {scripts}: install one, such as Noto's", None)
    return paths


async def make(
    order: Order, folder: Path, catalog: Catalog, maker: Executor, report: Report = silent
) -> list[Path]:
    """:func:`generate` inside a running event loop, with the caller's executor."""
    images.require()
    emitted = [order.emitted(seed, catalog) for seed in order.seeds]
    all_resources = [Resources.of(request.call, catalog) for request in emitted]
    paths: list[Path] = []
    images.check_folder(folder)
    async with maker as server:
        with _shape_errors(load(order.target)):
            _agree(await server.price(emitted[0].request), order, report)
        for number, (request, resources) in enumerate(zip(emitted, all_resources, strict=True), 1):
            where = f"image {number} of {len(emitted)}"
            started = time.monotonic()
            try:
                picture, call, untaken = await _picture(server, request, _at(where, report))
            except TargetError as error:
                rest = f"; the {len(paths)} before it are in {folder}" if paths else ""
                raise type(error)(f"{where}: {error}{rest}", error.hint) from None
            reasons = {**request.reasons, **untaken}
            text = infotext.write(call, resources, request.dropped | untaken.keys())
            seconds = time.monotonic() - started
            with images.prepared(folder):
                path = images.free_path(folder, call.model, call.seed, call.model_dump())
                images.save(picture, path, text, call.model_dump(), reasons)
                images.add_row(folder, _row(path, request.target, reasons, call, picture.size, seconds))
            paths.append(path)
            report(f"{where}: {path}", 1.0)
    return paths


class Session:
    """One target for many calls: its executor is opened once, so that a pipeline stays loaded between calls,
    and a server's lists are read once."""

    def __init__(
        self, catalog: Catalog, target: str, url: str | None = None, executor: Executor | None = None
    ) -> None:
        """Reads the server's lists; ``executor`` defaults to the target's at ``url``."""
        images.require()
        api = load(target)
        self._catalog, self._target = catalog, target
        self._there = (
            read_installed(target, url, catalog, lifetime=0) if api.self_hosted and executor is None else None
        )
        self._executor = executor or api.executor(url)
        self._loop = asyncio.Runner()

    def __enter__(self) -> Self:
        self._loop.run(self._executor.__aenter__())
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._loop.run(self._executor.__aexit__(None, None, None))
        finally:
            self._loop.close()

    def generate(self, call: T2ICall, folder: Path, report: Report = silent) -> list[Path]:
        """Makes the image of a call with a seed; values that the target lacks are replaced by the nearest.

        Raises:
            TargetError: the target failed. BadInput: it costs money, or lacks the model.
        """
        order = Order(call, self._target, numbered_seeds(call.seed, 1), nearest=True, there=self._there)
        return self._loop.run(make(order, folder, self._catalog, _OpenExecutor(self._executor), report))


class _OpenExecutor:
    """An open executor that stays open."""

    def __init__(self, executor: Executor) -> None:
        self.price, self.image = executor.price, executor.image

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass


async def _picture(
    server: Executor, emitted: Emitted, report: Report
) -> tuple[Image.Image, T2ICall, Mapping[str, str]]:
    """Returns the image, the call with the seed that the target used, and the fields that it may ignore."""
    with _shape_errors(load(emitted.target)):
        sent = await server.image(emitted.request, report)
    picture = await asyncio.to_thread(images.decode, sent.data)
    if sent.seed is None or not 0 <= sent.seed <= SEED_MAX:
        return picture, emitted.call, sent.untaken
    return picture, emitted.call.model_copy(update={"seed": sent.seed}), sent.untaken


@contextmanager
def _shape_errors(target: Target) -> Iterator[None]:
    """Turns errors of JSON of another shape into Unreachable: the server does not have this API."""
    if target.local:
        yield
        return
    try:
        yield
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        fault = f"{type(error).__name__} {error}"
        raise Unreachable(f"the answer is not one of {target.title} ({fault}): check the URL") from error


def _at(where: str, report: Report) -> Report:
    def reported(what: str, done: float | None = None) -> None:
        report(f"{where}: {what}", done)

    return reported


def _agree(price: Price | None, order: Order, report: Report) -> None:
    """Reports the price, and refuses one above the user's limit."""
    if price is None:
        return
    total = f"{price} an image, {price.amount * len(order.seeds):g} for {len(order.seeds)}"
    report(total, None)
    if order.max_price is None and price.money and price.amount:
        raise BadInput(f"this costs {total}", f"pass --max-price {price.amount:g} to pay it")
    if order.max_price is not None and price.amount > order.max_price:
        raise BadInput(
            f"this costs {total}, more than the {order.max_price:g} that an image may cost",
            "raise --max-price, or use fewer steps",
        )


def _row(
    path: Path,
    target: str,
    reasons: Mapping[str, str],
    call: T2ICall,
    size: tuple[int, int],
    seconds: float,
) -> dict[str, Any]:
    return {
        "file": path.name,
        "sha256": images.sha256(path),
        "target": target,
        "seed": call.seed,
        "width": size[0],
        "height": size[1],
        "seconds": round(seconds, 3),
        "not_carried": dict(reasons),
        "call": call.model_dump(),
    }
