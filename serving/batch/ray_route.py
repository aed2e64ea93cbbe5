"""Batch routing on a Ray cluster: Ray Data streams the rows through actors that each hold an agent.

Rows, order, file and resumption are those of :mod:`diffagent.serving.batch.route`; only the answers come from
the actors. Ray restarts an actor that dies and sends its rows again. Every node needs diffagent, the same
catalog at the same path, and the weights, which it fetches like any other machine.
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
from diffagent.serving.batch.route import Answer, Body, row_bodies
from diffagent.serving.batch.rows import BatchRow

if TYPE_CHECKING:
    import numpy as np

    from diffagent.agent.agent import Agent

WAVE = 20_000
"""Rows of one dataset, which the driver holds at a time."""
BATCH = 16
"""Rows that an actor gets at once; they are lost when it dies."""
FATAL = "fatal"
PATIENCE = 5.0
"""Seconds for a connection to the cluster."""
Load = tuple[str | None, str | None, str]
"""The arguments of ``Agent.load``."""


class Router:
    """An actor with an agent, loaded once. An error that ends the run travels as a body, because Ray would
    restart an actor that cannot be loaded for ever."""

    def __init__(self, load: Load, options: dict[str, Any]) -> None:
        self.load, self.options = load, options
        self.agent: Agent | None = None

    def __call__(self, batch: dict[str, np.ndarray[Any, Any]]) -> dict[str, list[str]]:
        """JSON options of requests → JSON bodies."""
        from diffagent.agent.agent import Agent

        requests = [{**self.options, **json.loads(options)} for options in batch["request"]]
        try:
            self.agent = self.agent or Agent.load(*self.load)
            bodies = row_bodies(self.agent, requests)
        except DiffAgentError as error:
            fatal = {"type": type(error).__name__, "message": str(error), "hint": error.hint}
            bodies = [{FATAL: fatal} for _ in requests]
        return {"body": [json.dumps(body) for body in bodies]}


def ray_answers(address: str, workers: int, load: Load, options: dict[str, Any]) -> Answer:
    """Answers from ``workers`` actors on the cluster at ``address``; ``local`` starts one on this machine.

    Raises:
        MissingExtra: Ray is not installed. BadInput: no cluster answers there.
    """
    try:
        import ray
        import ray.data
    except ImportError:
        raise MissingExtra("a cluster needs Ray: pip install 'diffagent[ray]'") from None

    def answer(blocks: Iterable[list[BatchRow]]) -> Iterator[list[Body]]:
        _connect(ray, address, workers)
        try:
            remaining = iter(blocks)
            while wave := _wave(remaining):
                bodies = _bodies(ray, [row for rows in wave for row in rows], workers, load, options)
                for rows in wave:
                    yield list(islice(bodies, len(rows)))
                next(bodies, None)  # so that Ray ends its run before it is shut down
        finally:
            ray.shutdown()

    return answer


def _wave(blocks: Iterator[list[BatchRow]]) -> list[list[BatchRow]]:
    """The next blocks, about :data:`WAVE` rows together."""
    wave: list[list[BatchRow]] = []
    count = 0
    for rows in blocks:
        wave.append(rows)
        count += len(rows)
        if count >= WAVE:
            break
    return wave


def _connect(ray: Any, address: str, workers: int) -> None:
    quiet = {"log_to_driver": False, "logging_level": "ERROR"}
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    try:
        if address == "local":
            ray.init(address, num_cpus=workers + 1, include_dashboard=False, **quiet)
            return
        host, _, port = urlsplit(address if "://" in address else f"//{address}").netloc.rpartition(":")
        if port.isdigit():  # Ray itself tries for minutes
            socket.create_connection((host.strip("[]"), int(port)), PATIENCE).close()
        ray.init(address, **quiet)
    except (OSError, ValueError, RuntimeError) as error:
        raise BadInput(
            f"no Ray cluster answers at {address!r} ({' '.join(str(error).split())[:160]})",
            "start one with ray start --head, or pass --ray local",
        ) from None


def _bodies(
    ray: Any, rows: Sequence[BatchRow], workers: int, load: Load, options: dict[str, Any]
) -> Iterator[Body]:
    """The bodies of rows, in order, as the actors finish."""
    if not rows:
        return
    context = ray.data.DataContext.get_current()
    context.execution_options.preserve_order = True
    context.enable_progress_bars = False
    requests = [{"request": json.dumps(row.options)} for row in rows]
    gpus = 1 if load[2] == "vllm" and ray.cluster_resources().get("GPU") else 0
    dataset = ray.data.from_items(requests, override_num_blocks=-(-len(requests) // BATCH)).map_batches(
        Router,
        fn_constructor_args=(load, options),
        batch_size=BATCH,
        compute=ray.data.ActorPoolStrategy(size=workers),
        num_cpus=1,
        num_gpus=gpus,
    )
    try:
        for record in dataset.iter_rows():
            body = json.loads(record["body"])
            if FATAL in body:
                fatal = body[FATAL]
                raise getattr(errors, fatal["type"])(fatal["message"], fatal["hint"])
            yield body
    except ray.exceptions.RayError as error:
        first = _first(error)
        reason = f"{type(first).__name__} {' '.join(str(first).split())[:200]}"
        raise EngineGone(f"the actors failed ({reason}): run the same command again to go on") from error


def _first(error: BaseException) -> BaseException:
    """The actor's own exception, without Ray's wrappers."""
    cause = getattr(error, "cause", None) or error.__cause__
    return _first(cause) if isinstance(cause, BaseException) and str(cause).strip() else error
