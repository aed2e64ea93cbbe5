"""The configuration of a server: limits, access, target. It is checked when it is made."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field, replace

from diffagent.agent.pmi.requirement import MOST_IMAGES
from diffagent.agent.targets import TABLE, load
from diffagent.data.errors import BadInput
from diffagent.serving.json_bounds import JsonBounds
from diffagent.serving.server.keys import Keys

MEGABYTE = 2**20
WITH_IMAGES = ("/v1/route", "/v1/identify", "/v1/chat/completions")
"""The addresses whose JSON holds images; base64 takes 4/3 of their bytes, plus line breaks."""
POSITIVE = (
    "connections", "head_seconds", "idle_seconds", "stall_seconds", "queue", "batch", "deadline",
    "body_bytes", "body_seconds", "held_bytes", "images", "image_jobs", "image_deadline",
)  # fmt: skip
LOOPBACK_NAMES = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class ServerConfig:
    """Sizes in bytes, times in seconds.

    ``installed``: every endpoint chooses among the installed models of the target's server.

    ``queue``: requests that may wait. ``batch``: requests that the agent takes at once. ``hosts``: names that
    the server answers to (none: any). ``origins``: foreign web pages that may call it.

    At most ``connections`` are open, fewer if the process may have fewer descriptors; a new one replaces the
    one that has been idle longest. A request's head has to arrive within ``head_seconds``, the next request
    on a connection within ``idle_seconds``. A client that takes no bytes of its answer for ``stall_seconds``
    is cut off.

    A body has at most ``body_bytes`` and has to arrive within ``body_seconds``; all bodies that the server
    holds at a time have at most ``held_bytes``. JSON is bounded by ``json`` before anything is built from it;
    a text that may be an image, by ``image_bytes`` in base64.
    """

    host: str = "127.0.0.1"
    keys: Keys = field(default_factory=Keys)
    hosts: tuple[str, ...] = LOOPBACK_NAMES
    origins: tuple[str, ...] = ()
    queue: int = 64
    batch: int = 16
    deadline: float = 120.0
    connections: int = 512
    head_seconds: float = 10.0
    idle_seconds: float = 15.0
    stall_seconds: float = 15.0
    body_bytes: int = 32 * MEGABYTE
    body_seconds: float = 30.0
    held_bytes: int = 256 * MEGABYTE
    json: JsonBounds = field(default_factory=JsonBounds)
    images: int = MOST_IMAGES
    image_bytes: int = 10 * MEGABYTE
    target: str | None = None
    target_url: str | None = None
    installed: bool = False
    nearest: bool = False
    max_price: float | None = None
    image_jobs: int = 4
    image_deadline: float = 900.0
    log_prompts: bool = False

    def __post_init__(self) -> None:
        if not is_loopback(self.host) and not self.keys:
            raise BadInput(
                f"{self.host} can be reached from other machines, and no API key is asked for",
                "pass --api-keys FILE, or --host 127.0.0.1",
            )
        for name in POSITIVE:
            if getattr(self, name) <= 0:
                raise BadInput(f"{name.replace('_', '-')} is {getattr(self, name)}: give more than 0")
        for origin in self.origins:
            scheme, _, rest = origin.partition("://")
            if scheme not in ("http", "https") or not rest or "/" in rest or "*" in rest:
                raise BadInput(
                    f"{origin!r} is not an origin: give a scheme and a host, as in https://example.org"
                )
        if self.installed and (self.target is None or load(self.target).lists is None):
            able = ", ".join(name for name in TABLE if load(name).lists is not None)
            raise BadInput(
                f"installed models are chosen among, but the target {self.target} has no list of them",
                f"name the target of the server with --target {able}",
            )
        if self.target is not None:
            load(self.target)
        elif self.target_url is not None:
            raise BadInput("the URL of a target is given without its kind", "say the kind with --target")

    def json_of(self, path: str) -> JsonBounds:
        """The bounds of an address's JSON."""
        if path not in WITH_IMAGES:
            return self.json
        return replace(self.json, string=max(self.json.string, self.image_bytes * 3 // 2))


def is_loopback(host: str) -> bool:
    """Whether an address can be reached from this machine only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
