"""Images of a request: base64 or data URLs → bytes of image files, within the server's limits."""

from __future__ import annotations

import re
from collections.abc import Sequence

from diffagent.data.errors import BadInput
from diffagent.serving.images import decode
from diffagent.serving.server.config import ServerConfig

_ADDRESS = re.compile(r"\s*+(?:https?|ftp|file):", re.I)


def read_pictures(sources: Sequence[str], config: ServerConfig) -> tuple[bytes, ...]:
    """The bytes of image files in base64 text or data URLs.

    Raises:
        BadInput: there are too many, or one is too large, not base64, an address or not an image file.
    """
    check_count(len(sources), config)
    if any(_ADDRESS.match(source) for source in sources):
        raise BadInput("an image is an address, and none is fetched: send it as base64 or as a data URL")
    return tuple(decode(source, config.image_bytes) for source in sources)


def check_count(count: int, config: ServerConfig) -> None:
    """Raises BadInput where more images are given than the server reads."""
    if count > config.images:
        raise BadInput(f"{count} images were given, but at most {config.images} are read: leave some out")
