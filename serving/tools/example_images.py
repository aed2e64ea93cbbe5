"""Example images named by a program on this machine: a path or a data URL → the bytes of a file."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote, urlparse

from diffagent.data.errors import BadInput
from diffagent.data.json_rows import brief
from diffagent.serving.images import FORMATS, check_file, decode

MAX_BYTES = 20 * 2**20


def read_image(text: str) -> bytes:
    """The bytes of an image file; nothing is fetched.

    ``text`` is a path, a ``file:`` URL or a ``data:`` URL in base64.

    Raises:
        BadInput: the text is none of these, or the file is missing, over 20 MiB or not an image.
    """
    if text.startswith("data:"):
        return decode(text, MAX_BYTES)
    if re.match(r"(?!file:)[a-zA-Z][a-zA-Z0-9+.-]+://", text):
        raise BadInput(f"{brief(text)} is a URL, which is not fetched: save it, and give the file's path")
    path = Path(unquote(urlparse(text).path) if text.startswith("file:") else text).expanduser()
    try:
        if not path.is_file():
            raise BadInput(f"there is no file {brief(text)}: give the path of {FORMATS}, or a data URL")
        with path.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)  # one more than allowed
    except (OSError, ValueError) as error:
        raise BadInput(f"cannot read {brief(text)} ({error}): give a file that may be read") from None
    return check_file(data, MAX_BYTES, brief(text))
