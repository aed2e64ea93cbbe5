"""Pictures of a request: base64 or data URLs → bytes of image files. No address is ever fetched."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence

from diffagent.data.errors import BadInput
from diffagent.serving.server.config import ServerConfig

_DATA_URL = re.compile(r"data:(?P<kind>[\w.+/-]*)(?:;[\w=.+-]+)*?(?P<coded>;base64)?,", re.A)
_BEGINNINGS = (
    b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a", b"BM", b"II*\x00", b"MM\x00*",
)  # fmt: skip


def read_pictures(sources: Sequence[str], config: ServerConfig) -> tuple[bytes, ...]:
    """Image files from base64 text or data URLs; decoding their pixels is the agent's.

    Raises:
        BadInput: too many, too large, no base64, an address, or no image file.
    """
    check_count(len(sources), config)
    return tuple(check_picture(_decoded(source), config) for source in sources)


def check_count(count: int, config: ServerConfig) -> None:
    if count > config.images:
        raise BadInput(f"{count} images were given, but at most {config.images} are read: leave some out")


def check_picture(data: bytes, config: ServerConfig) -> bytes:
    """The bytes, if they are of an allowed size and begin as an image file does."""
    if len(data) > config.image_bytes:
        raise BadInput(
            f"an image has {len(data):,} bytes, but at most {config.image_bytes:,} are read: reduce it first"
        )
    webp = data[:4] == b"RIFF" and data[8:12] == b"WEBP"
    avif = data[4:12] in (b"ftypavif", b"ftypavis", b"ftypmif1")
    if not (webp or avif or data.startswith(_BEGINNINGS)):
        raise BadInput(
            "an image is no file of PNG, JPEG, WebP, GIF, BMP, TIFF or AVIF: send the file's bytes"
        )
    return data


def _decoded(source: str) -> bytes:
    if re.match(r"\s*(?:https?|ftp|file):", source, re.I):
        raise BadInput("an image is an address, and none is fetched: send it as base64 or as a data URL")
    text = source.strip()
    if text[:5].lower() == "data:":
        head = _DATA_URL.match(text[:200])
        if head is None or not head["coded"]:
            raise BadInput("an image is a data URL without base64: write data:image/png;base64,…")
        text = text[head.end() :]
    try:
        return base64.b64decode("".join(text.split()).encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise BadInput(f"an image is neither base64 nor a data URL ({error})"[:120]) from None
