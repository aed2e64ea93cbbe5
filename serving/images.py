"""Image files that programs send as text: base64 or data URLs → the files' bytes.

No address is fetched, and no pixel decoded: that is done by :mod:`diffagent.data.encoders.image_loading`.
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


def decoded(text: str, most: int) -> bytes:
    """The image file of at most ``most`` bytes that base64 text or a data URL holds.

    Raises:
        BadInput: neither of these, too large, or no image file.
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
    return checked(data, most)


def checked(data: bytes, most: int, name: str = "an image") -> bytes:
    """The bytes, if they are ``most`` at most and begin as an image file does.

    Raises:
        BadInput: they are more, or begin otherwise.
    """
    if len(data) > most:
        raise BadInput(f"{name} has more than {most:,} bytes: reduce it first")
    webp = data[:4] == b"RIFF" and data[8:12] == b"WEBP"
    avif = data[4:12] in (b"ftypavif", b"ftypavis", b"ftypmif1")
    if not (webp or avif or data.startswith(_BEGINNINGS)):
        raise BadInput(f"{name} is no file of {FORMATS}: give an image file")
    return data
