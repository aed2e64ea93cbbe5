"""Example images as a program names them: a local path or a data URL → the bytes of an image file."""

from __future__ import annotations

import base64
import binascii
import re
from pathlib import Path
from urllib.parse import unquote, urlparse

from diffagent.data.errors import BadInput

MAX_BYTES = 20 * 2**20
FORMATS = "PNG, JPEG or WebP"


def read_image(text: str) -> bytes:
    """The file's bytes, which begin as an image does; nothing is fetched.

    ``text`` is a path, a ``file:`` URL or a ``data:`` URL in base64.

    Raises:
        BadInput: not one of these, not there, over 20 MiB, or no image.
    """
    if text.startswith("data:"):
        data = _from_data_url(text)
    elif re.match(r"(?!file:)[a-zA-Z][a-zA-Z0-9+.-]+://", text):
        raise BadInput(f"{_brief(text)} is a URL, which is not fetched: save it, and give the file's path")
    else:
        data = _from_file(text)
    if not _is_image(data):
        raise BadInput(f"{_brief(text)} is no image of a known format: give {FORMATS}")
    return data


def _from_data_url(text: str) -> bytes:
    head, _, body = text.partition(",")
    if not head.endswith(";base64"):
        raise BadInput(f"{_brief(text)} is no data URL in base64: give data:image/png;base64,…")
    if len(body) > MAX_BYTES * 4 // 3 + 4:
        raise BadInput(f"an image has more than {MAX_BYTES >> 20} MiB: give a smaller one")
    try:
        return base64.b64decode(re.sub(r"\s", "", body), validate=True)
    except binascii.Error as error:
        raise BadInput(f"{_brief(text)} is not base64 ({error}): encode the file's bytes again") from None


def _from_file(text: str) -> bytes:
    path = Path(unquote(urlparse(text).path) if text.startswith("file:") else text).expanduser()
    try:
        if not path.is_file():
            raise BadInput(f"there is no file {_brief(text)}: give the path of {FORMATS}, or a data URL")
        if path.stat().st_size > MAX_BYTES:
            raise BadInput(f"{_brief(text)} has more than {MAX_BYTES >> 20} MiB: give a smaller image")
        return path.read_bytes()
    except (OSError, ValueError) as error:
        raise BadInput(f"cannot read {_brief(text)} ({error}): give a file that may be read") from None


def _is_image(data: bytes) -> bool:
    webp = data[:4] == b"RIFF" and data[8:12] == b"WEBP"
    return webp or data.startswith((b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"))


def _brief(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "…")
