"""Generation data in previews: the text that image programs write into PNG, JPEG and WebP files.

In: the path of a picture. Out: the text, or "". No picture is decoded: PNG chunks are read here, Exif by
:mod:`diffagent.data.metadata.picture`.
"""

from __future__ import annotations

import zlib
from pathlib import Path

from diffagent.data.metadata import picture

LONGEST = 200_000
"""The most bytes of a picture's text."""
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_KEYWORDS = (b"parameters", b"sui_image_params")


def read_text(path: Path) -> str:
    """Returns the text with a picture's generation data, or ""."""
    try:
        with path.open("rb") as stream:
            if stream.read(8) == _SIGNATURE:
                return _png(path)
        return _exif(path)
    except (OSError, ValueError, SyntaxError, zlib.error, EOFError):
        return ""


def _png(path: Path) -> str:
    with path.open("rb") as stream:
        stream.seek(8)
        for _ in range(200):
            head = stream.read(8)
            if len(head) < 8 or head[4:] == b"IEND":
                return ""
            length = int.from_bytes(head[:4], "big")
            if head[4:] in (b"tEXt", b"zTXt", b"iTXt") and length <= LONGEST:
                keyword, _, rest = stream.read(length).partition(b"\0")
                if keyword in _KEYWORDS:
                    return _decode(head[4:], rest)
                stream.seek(4, 1)
            else:
                stream.seek(length + 4, 1)
    return ""


def _decode(kind: bytes, data: bytes) -> str:
    if kind == b"tEXt":
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError:
            return data.decode("latin-1")
    if kind == b"zTXt":
        return _inflate(data[1:]).decode("latin-1")
    is_packed, _, rest = data[:1] == b"\1", data[1:2], data[2:]
    text = rest.partition(b"\0")[2].partition(b"\0")[2]
    return (_inflate(text) if is_packed else text).decode("utf-8", "replace")


def _inflate(data: bytes) -> bytes:
    return zlib.decompressobj().decompress(data, LONGEST)


def _exif(path: Path) -> str:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            texts = picture.texts(image, decoded=False)
    except (UnidentifiedImageError, Image.DecompressionBombError):
        return ""
    return texts.get("parameters", "")[:LONGEST]
