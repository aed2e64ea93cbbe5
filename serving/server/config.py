"""How a server is set: its limits, who may ask, and where images are made. Checked when made."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field

from diffagent.agent.pmi.requirement import MOST_IMAGES
from diffagent.agent.targets import load
from diffagent.data.errors import BadInput
from diffagent.serving.server.keys import Keys

MEGABYTE = 2**20
LOOPBACK_NAMES = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class ServerConfig:
    """Sizes in bytes, times in seconds.

    ``queue`` requests wait at most, ``batch`` are taken to the agent at once; ``hosts`` are the names that
    the server answers to (none: any), ``origins`` the foreign web pages that may call it.
    """

    host: str = "127.0.0.1"
    keys: Keys = field(default_factory=Keys)
    hosts: tuple[str, ...] = LOOPBACK_NAMES
    origins: tuple[str, ...] = ()
    queue: int = 64
    batch: int = 16
    deadline: float = 120.0
    body_bytes: int = 32 * MEGABYTE
    body_seconds: float = 30.0
    images: int = MOST_IMAGES
    image_bytes: int = 10 * MEGABYTE
    target: str | None = None
    target_url: str | None = None
    nearest: bool = False
    max_price: float | None = None
    image_jobs: int = 4
    image_deadline: float = 900.0
    log_prompts: bool = False

    def __post_init__(self) -> None:
        if not is_loopback(self.host) and not self.keys:
            raise BadInput(
                f"{self.host} can be reached from other machines, and no API key is asked for: "
                "pass --api-keys FILE, or --host 127.0.0.1"
            )
        for name in ("queue", "batch", "deadline", "body_bytes", "images", "image_jobs", "image_deadline"):
            if getattr(self, name) <= 0:
                raise BadInput(f"{name.replace('_', '-')} is {getattr(self, name)}: give more than 0")
        for origin in self.origins:
            scheme, _, rest = origin.partition("://")
            if scheme not in ("http", "https") or not rest or "/" in rest or "*" in rest:
                raise BadInput(
                    f"{origin!r} is no origin: give a scheme and a host, as in https://example.org"
                )
        if self.target is not None:
            load(self.target)
        elif self.target_url is not None:
            raise BadInput("--target-url is given without --target: say what kind of server that is")


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
