"""The server under load: ``python tests/benchmarks/load.py --clients 64 --seconds 60 [-- OPTIONS OF SERVE]``.

Starts ``diffagent serve``, and that many clients that each ask one prompt after another, no two alike, until
the time is over; then waits for the last answers and stops the server. Prints one JSON object: answers by
status, lost answers (a connection that broke, an answer of another prompt), waits in seconds, and the
server's resident memory at half time and at the end.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import itertools
import json
import random
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import httpx

THINGS = ("fox", "castle", "harbour", "lighthouse", "forest", "robot", "teapot", "bridge", "violin", "garden")
LOOKS = ("pixel art", "oil painting", "ink drawing", "studio photo", "watercolor", "3d render", "anime")
PLACES = ("at night", "in the rain", "at dawn", "in snow", "by the sea", "in a town", "under neon light")
LONGEST = 600.0
"""Seconds a client waits: longer than any deadline, so that an answer that never comes is seen as lost."""


@dataclass
class Seen:
    """What the clients and the watcher of memory saw."""

    statuses: collections.Counter[int] = field(default_factory=collections.Counter)
    lost: list[str] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    memory: list[tuple[float, float]] = field(default_factory=list)
    """Seconds since the start, MB."""


def prompt(number: int) -> str:
    rng = random.Random(number)
    return f"{rng.choice(LOOKS)} of a {rng.choice(THINGS)} {rng.choice(PLACES)}, number {number}"


async def client(numbers: itertools.count[int], web: httpx.AsyncClient, until: float, record: Seen) -> None:
    while time.monotonic() < until:
        text = prompt(next(numbers))
        start_time = time.monotonic()
        try:
            answer = await web.post("/v1/route", json={"prompt": text})
        except httpx.HTTPError as error:
            record.lost.append(type(error).__name__)
            continue
        record.statuses[answer.status_code] += 1
        if answer.status_code == 200:
            record.waits.append(time.monotonic() - start_time)
            if not answer.json()["call"]["prompt"].endswith(text):
                record.lost.append("answer of another prompt")
        elif answer.status_code == 429:
            await asyncio.sleep(float(answer.headers["Retry-After"]))


async def watch(pid: int, start_time: float, record: Seen) -> None:
    """The server's resident memory, twice a second."""
    while True:
        status = Path(f"/proc/{pid}/status").read_text()
        kilobytes = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))
        record.memory.append((time.monotonic() - start_time, kilobytes / 1024))
        await asyncio.sleep(0.5)


async def load(url: str, pid: int, clients: int, seconds: float) -> Seen:
    record, numbers, start_time = Seen(), itertools.count(), time.monotonic()
    limits = httpx.Limits(max_connections=clients, max_keepalive_connections=clients)
    async with httpx.AsyncClient(base_url=url, timeout=LONGEST, limits=limits, trust_env=False) as web:
        watching = asyncio.create_task(watch(pid, start_time, record))
        await asyncio.gather(*(client(numbers, web, start_time + seconds, record) for _ in range(clients)))
        watching.cancel()
    return record


def report(record: Seen, clients: int, seconds: float) -> dict[str, Any]:
    duration = record.memory[-1][0] if record.memory else seconds
    early = [mb for at, mb in record.memory if 0.45 * duration <= at <= 0.55 * duration]
    late = [mb for at, mb in record.memory if at >= 0.9 * duration]
    half, end = statistics.median(early), statistics.median(late)
    waits = sorted(record.waits) or [float("nan")]
    return {
        "clients": clients,
        "seconds": round(duration, 1),
        "answers": dict(sorted(record.statuses.items())),
        "lost": dict(collections.Counter(record.lost)),
        "per_s": round(len(record.waits) / duration, 2),
        "p50_s": round(waits[len(waits) // 2], 3),
        "p95_s": round(waits[min(len(waits) - 1, int(0.95 * len(waits)))], 3),
        "max_s": round(waits[-1], 3),
        "rss_mb": {"half": round(half), "end": round(end), "growth": round(end / half - 1, 4)},
    }


def start(options: list[str], log: IO[str]) -> tuple[subprocess.Popen[str], str]:
    """The server's process and its URL, once it is ready."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-c", "from diffagent.serving.cli import main; main()", "serve"]
    server = subprocess.Popen([*command, "--port", str(port), *options], stderr=log, text=True)
    url = f"http://127.0.0.1:{port}"
    for _ in range(1200):
        if server.poll() is not None:
            raise SystemExit(f"the server ended with status {server.returncode}: see {log.name}")
        try:
            if httpx.get(f"{url}/readyz", trust_env=False).status_code == 200:
                return server, url
        except httpx.HTTPError:
            time.sleep(0.1)
    raise SystemExit("the server did not come up within two minutes")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("options", nargs="*", help="options of diffagent serve, behind --")
    args = parser.parse_args()
    with tempfile.NamedTemporaryFile("w", prefix="diffagent-load-", suffix=".log", delete=False) as log:
        server, url = start(args.options, log)
        try:
            record = asyncio.run(load(url, server.pid, args.clients, args.seconds))
        finally:
            server.send_signal(signal.SIGTERM)
            status = server.wait(300)
    print(json.dumps(report(record, args.clients, args.seconds) | {"exit": status, "log": log.name}))


if __name__ == "__main__":
    main()
