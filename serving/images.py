"""Image files sent as text: base64 or data URLs → the files' bytes.

Nothing is fetched. Pixels are decoded in :mod:`diffagent.data.encoders.image_loading`.
"""

from __future__ import annotations

import base64
import binascii
import re

from diffagent.data.errors import BadInput

FORMATS = "PNG, JPEG, WebP, GIF, BMP, TIFF or AVIF"
_DATA_URL = re.compile(r"data:[\w.+/-]*(?:;[\w=.+-]+)*?(?P<coded>;base64)?,", re.A | re.I)
_BLANKS = b" \t\n\r\f\v"
_BEGINNINGS = (
    b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a", b"BM", b"II*\x00", b"MM\x00*",
)  # fmt: skip


def decode(text: str, limit: int) -> bytes:
    """The image file, at most ``limit`` bytes, in base64 text or a data URL.

    Raises:
        BadInput: the text is neither, or the file is too large or not an image.
    """
    text = text.strip()
    if text[:5].lower() == "data:":
        head = _DATA_URL.match(text[:200])
        if head is None or not head["coded"]:
            raise BadInput("an image is a data URL without base64: write data:image/png;base64,…")
        text = text[head.end() :]
    try:
        data = base64.b64decode(text.encode("ascii").translate(None, _BLANKS), validate=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise BadInput(f"an image is neither base64 nor a data URL ({error})"[:120]) from None
    return check_file(data, limit)


def check_file(data: bytes, limit: int, name: str = "an image") -> bytes:
    """The bytes, at most ``limit``, which begin as an image file does; ``name`` names them in errors.

    Raises:
        BadInput: there are more, or they begin otherwise.
    """
    if len(data) > limit:
        raise BadInput(f"{name} has more than {limit:,} bytes: send a smaller one")
    webp = data[:4] == b"RIFF" and data[8:12] == b"WEBP"
    avif = data[4:12] in (b"ftypavif", b"ftypavis", b"ftypmif1")
    if not (webp or avif or data.startswith(_BEGINNINGS)):
        raise BadInput(f"{name} is not a file of {FORMATS}: give an image file")
    return data
