"""Users' images → RGB pixels for an encoder.

In: a path, bytes, or a Pillow image of any mode. Out: a Pillow image in mode RGB, upright, with sides of 16
to 2,048 pixels; transparency becomes white, an animation its first frame, CMYK and grey RGB. Images that
cannot be decoded safely raise :class:`~diffagent.data.errors.BadImage`.
"""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diffagent.data.errors import BadImage

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_PIXELS = 50_000_000
"""The most pixels by an image's header: 150 MB decoded. A decompression bomb has more."""
MAX_BYTES = 64_000_000
MIN_SIDE = 16
MAX_SIDE = 2048
"""The side to which larger images are reduced: encoders read a few hundred pixels at most."""
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
"""The formats that people share; Pillow's other decoders are not run."""
WHITE = (255, 255, 255)


def load_image(source: Any) -> Image:
    """Decodes and normalises one image.

    Raises:
        BadImage: missing, empty, broken or truncated, of an unknown format, too small or too large.
    """
    from PIL import Image as pillow
    from PIL import UnidentifiedImageError

    if isinstance(source, pillow.Image):
        return _normalise(source, "the image")
    pillow.init()
    formats = [kind for kind in FORMATS if kind in pillow.OPEN]  # AVIF is not in every build
    name, content = _read(source)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore"
            )  # Pillow warns of large sizes and odd metadata; both are judged here
            with pillow.open(io.BytesIO(content), formats=formats) as image:
                _check_size(image.size, name)
                if image.format == "JPEG":
                    image.draft("RGB", (MAX_SIDE, MAX_SIDE))
                image.load()
                return _normalise(image, name)
    except BadImage:
        raise
    except pillow.DecompressionBombError:
        raise BadImage(_too_large(name, "more pixels than any decoder should make")) from None
    except UnidentifiedImageError:
        raise BadImage(f"{name} is not a readable image: give one of {', '.join(FORMATS[:6])}") from None
    except (
        Exception
    ) as error:  # decoders of broken files raise what they like: OSError, SyntaxError, struct.error
        raise BadImage(f"{name} is broken ({error or type(error).__name__}): save it again") from None


def load_images(sources: Sequence[Any]) -> list[Image]:
    """Loads several images; see :func:`load_image`."""
    return [load_image(source) for source in sources]


def _read(source: Any) -> tuple[str, bytes]:
    """Returns the image's name for errors, and its bytes."""
    if isinstance(source, bytes | bytearray | memoryview):
        name, content = "the image", bytes(source)
    elif isinstance(source, str | os.PathLike):
        path = Path(source)
        name = str(path)
        try:
            if path.stat().st_size > MAX_BYTES:
                raise BadImage(
                    f"{name} has {path.stat().st_size:,} bytes, but at most {MAX_BYTES:,} are read: reduce it"
                )
            content = path.read_bytes()
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise BadImage(
                f"cannot read the image {name} ({reason}): give the path of an image file"
            ) from None
    else:
        raise BadImage(
            f"an image is {type(source).__name__}, but it has to be a path, bytes or a Pillow image"
        )
    if not content:
        raise BadImage(f"{name} is empty (0 bytes): save it again")
    if len(content) > MAX_BYTES:
        raise BadImage(f"{name} has {len(content):,} bytes, but at most {MAX_BYTES:,} are read: reduce it")
    return name, content


def _check_size(size: tuple[int, int], name: str) -> None:
    if size[0] * size[1] > MAX_PIXELS:
        raise BadImage(_too_large(name, f"{size[0]}x{size[1]} pixels"))
    if min(size) < MIN_SIDE:
        raise BadImage(
            f"{name} has {size[0]}x{size[1]} pixels, but {MIN_SIDE} a side are the least an encoder can use: "
            "give the image itself, not an icon of it"
        )


def _too_large(name: str, excess: str) -> str:
    return f"{name} has {excess}, but at most {MAX_PIXELS:,} pixels are decoded: reduce it first"


def _normalise(image: Image, name: str) -> Image:
    from PIL import Image as pillow
    from PIL import ImageOps

    _check_size(image.size, name)
    upright = ImageOps.exif_transpose(image)
    if max(upright.size) > MAX_SIDE:
        upright = upright.copy()
        upright.thumbnail((MAX_SIDE, MAX_SIDE), pillow.Resampling.BOX, reducing_gap=2.0)
        if min(upright.size) < MIN_SIDE:
            raise BadImage(f"{name} is a strip of {image.size[0]}x{image.size[1]} pixels: crop it first")
    if upright.mode == "RGB" and "transparency" not in upright.info:
        return upright.copy()
    if upright.mode.startswith("I;16") or upright.mode in ("I", "F"):
        return _eight_bits(upright)
    if upright.has_transparency_data:
        clear = upright.convert("RGBA")
        ground = pillow.new("RGB", clear.size, WHITE)
        ground.paste(clear, mask=clear.getchannel("A"))
        return ground
    return upright.convert("RGB")


def _eight_bits(deep: Image) -> Image:
    """Scales 16-bit, 32-bit and floating grey to 8 bits; Pillow would clip them at 255 to white."""
    import numpy as np
    from PIL import Image as pillow

    values = np.nan_to_num(np.asarray(deep, dtype=np.float64))
    peak = 65535.0 if deep.mode != "F" else max(float(values.max(initial=0.0)), 1e-9)
    grey = np.clip(values * (255.0 / peak), 0, 255).astype(np.uint8)
    return pillow.fromarray(grey, "L").convert("RGB")
