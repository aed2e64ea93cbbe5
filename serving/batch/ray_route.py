"""Batch routing on a Ray cluster: Ray Data streams the rows through actors that each hold an agent.

The rows, their order, the file and what a kill leaves are those of :mod:`diffagent.serving.batch.route`; only
the answers come from elsewhere. Ray restarts an actor that dies and asks its rows again. Every node needs
diffagent, the same catalog under the same path, and the weights, which it fetches like any other machine.
"""

from __future__ import annotations

import json
import logging
import socket
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from diffagent.data import errors
from diffagent.data.errors import BadInput, DiffAgentError, EngineGone, MissingExtra
from diffagent.serving.batch.route import Answer, Body, answered
from diffagent.serving.batch.rows import Row

if TYPE_CHECKING:
    import numpy as np

    from diffagent.agent.agent import Agent

WAVE = 20_000
"""Rows of one dataset: what the driver holds at a time."""
BATCH = 16
"""Rows that an actor gets at once, and loses when it dies."""
FATAL = "fatal"
PATIENCE = 5.0
"""Seconds in which a cluster has to take a connection."""
Load = tuple[str | None, str | None, str]
"""The arguments of ``Agent.load``."""


class Router:
    """An actor: an agent, loaded once. An error that ends the run travels as a body, because Ray would try
    for ever to start an actor that cannot be loaded."""

    def __init__(self, load: Load, options: dict[str, Any]) -> None:
        self.load, self.options = load, options
        self.agent: Agent | None = None

    def __call__(self, batch: dict[str, np.ndarray[Any, Any]]) -> dict[str, list[str]]:
        """JSON options of requests → JSON bodies."""
        from diffagent.agent.agent import Agent

        asked = [{**self.options, **json.loads(one)} for one in batch["request"]]
        try:
            self.agent = self.agent or Agent.load(*self.load)
            found = answered(self.agent, asked)
        except DiffAgentError as error:
            fatal = {"type": type(error).__name__, "message": str(error), "hint": error.hint}
            found = [{FATAL: fatal} for _ in asked]
        return {"body": [json.dumps(body) for body in found]}


def on_ray(address: str, workers: int, load: Load, options: dict[str, Any]) -> Answer:
    """Answers from ``workers`` actors on the cluster at ``address``; ``local`` starts one on this machine.

    Raises:
        MissingExtra: Ray is not installed. BadInput: no cluster answers there.
    """
    try:
        import ray
        import ray.data
    except ImportError:
        raise MissingExtra("a cluster needs Ray: pip install 'diffagent[ray]'") from None

    def answer(blocks: Iterable[list[Row]]) -> Iterator[list[Body]]:
        _connect(ray, address, workers)
        try:
            waiting = iter(blocks)
            while wave := _wave(waiting):
                found = _bodies(ray, [row for rows in wave for row in rows], workers, load, options)
                for rows in wave:
                    yield list(islice(found, len(rows)))
                next(found, None)  # so that Ray ends its run before it is shut down
        finally:
            ray.shutdown()

    return answer


def _wave(blocks: Iterator[list[Row]]) -> list[list[Row]]:
    """The next blocks, of about so many rows together as one dataset takes."""
    taken: list[list[Row]] = []
    count = 0
    for rows in blocks:
        taken.append(rows)
        count += len(rows)
        if count >= WAVE:
            break
    return taken


def _connect(ray: Any, address: str, workers: int) -> None:
    quiet = {"log_to_driver": False, "logging_level": "ERROR"}
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    try:
        if address == "local":
            ray.init(address, num_cpus=workers + 1, include_dashboard=False, **quiet)
            return
        host, _, port = urlsplit(address if "://" in address else f"//{address}").netloc.rpartition(":")
        if port.isdigit():  # Ray itself would try for minutes
            socket.create_connection((host.strip("[]"), int(port)), PATIENCE).close()
        ray.init(address, **quiet)
    except (OSError, ValueError, RuntimeError) as error:
        raise BadInput(
            f"no Ray cluster answers at {address!r} ({' '.join(str(error).split())[:160]})",
            "start one with ray start --head, or pass --ray local",
        ) from None


def _bodies(
    ray: Any, rows: Sequence[Row], workers: int, load: Load, options: dict[str, Any]
) -> Iterator[Body]:
    """The bodies of rows, in order, as the actors finish them."""
    if not rows:
        return
    context = ray.data.DataContext.get_current()
    context.execution_options.preserve_order = True
    context.enable_progress_bars = False
    asked = [{"request": json.dumps(row.options)} for row in rows]
    gpus = 1 if load[2] == "vllm" and ray.cluster_resources().get("GPU") else 0
    dataset = ray.data.from_items(asked, override_num_blocks=-(-len(asked) // BATCH)).map_batches(
        Router,
        fn_constructor_args=(load, options),
        batch_size=BATCH,
        compute=ray.data.ActorPoolStrategy(size=workers),
        num_cpus=1,
        num_gpus=gpus,
    )
    try:
        for one in dataset.iter_rows():
            body = json.loads(one["body"])
            if FATAL in body:
                fatal = body[FATAL]
                raise getattr(errors, fatal["type"])(fatal["message"], fatal["hint"])
            yield body
    except ray.exceptions.RayError as error:
        first = _first(error)
        reason = f"{type(first).__name__} {' '.join(str(first).split())[:200]}"
        raise EngineGone(f"the actors failed ({reason}): run the same command again to go on") from error


def _first(error: BaseException) -> BaseException:
    """What was raised in the actor, without what Ray put around it."""
    inner = getattr(error, "cause", None) or error.__cause__
    return _first(inner) if isinstance(inner, BaseException) and str(inner).strip() else error
