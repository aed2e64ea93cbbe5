"""Every kind of image that people send: decoded to upright RGB, or refused in one line."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from diffagent.data.encoders import image_loading
from diffagent.data.encoders.image_loading import MAX_SIDE, load_image
from diffagent.data.errors import BadImage


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def plain(mode: str = "RGB", size: tuple[int, int] = (40, 30), colour: Any = None) -> Image.Image:
    return Image.new(mode, size, colour if colour is not None else 0)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF"])
def test_usual_formats(kind: str) -> None:
    image = load_image(encoded(plain(colour=(200, 30, 30)), kind))
    assert (image.mode, image.size) == ("RGB", (40, 30))
    assert np.abs(np.asarray(image).astype(int) - (200, 30, 30)).max() <= 6


def test_from_a_path_and_from_pillow(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(encoded(plain(colour=(1, 2, 3))))
    assert load_image(path).getpixel((0, 0)) == (1, 2, 3)
    assert load_image(str(path)).getpixel((0, 0)) == (1, 2, 3)
    assert load_image(plain(colour=(4, 5, 6))).getpixel((0, 0)) == (4, 5, 6)


def test_grey_one_bit_and_palette() -> None:
    assert load_image(encoded(plain("L", colour=77))).getpixel((3, 3)) == (77, 77, 77)
    assert load_image(encoded(plain("1", colour=1))).getpixel((3, 3)) == (255, 255, 255)
    assert load_image(encoded(plain(colour=(9, 99, 199)).convert("P"))).mode == "RGB"


def test_sixteen_bits_are_scaled_rather_than_clipped() -> None:
    deep = Image.fromarray(np.full((20, 20), 32768, np.uint16))
    assert load_image(encoded(deep)).getpixel((0, 0)) == (127, 127, 127)


def test_floats_are_scaled() -> None:
    deep = Image.fromarray(np.linspace(0, 2, 400, dtype=np.float32).reshape(20, 20))
    pixels = np.asarray(load_image(encoded(deep, "TIFF")))
    assert (pixels.min(), pixels.max()) == (0, 255)


def test_cmyk() -> None:
    image = load_image(encoded(Image.new("CMYK", (32, 32), (0, 0, 0, 0)), "JPEG"))
    assert min(pixel(image, (5, 5))) >= 250


def test_transparency_is_laid_on_white() -> None:
    half = Image.new("RGBA", (20, 20), (0, 0, 0, 0))
    assert load_image(encoded(half)).getpixel((0, 0)) == (255, 255, 255)
    half = Image.new("LA", (20, 20), (0, 128))
    assert abs(pixel(load_image(encoded(half)))[0] - 127) <= 1
    keyed = encoded(plain(colour=(1, 2, 3)), transparency=(1, 2, 3))
    assert load_image(keyed).getpixel((0, 0)) == (255, 255, 255)


def test_first_frame_of_an_animation() -> None:
    frames = [plain(colour=(250, 0, 0)), plain(colour=(0, 0, 250))]
    animation = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert pixel(load_image(animation))[0] > 200


def test_exif_rotation() -> None:
    image = plain(size=(40, 20), colour=(0, 0, 0))
    image.putpixel((0, 0), (255, 255, 255))
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90° clockwise
    upright = load_image(encoded(image, "PNG", exif=exif))
    assert upright.size == (20, 40)
    assert upright.getpixel((19, 0)) == (255, 255, 255)


def test_a_large_image_is_reduced() -> None:
    image = load_image(encoded(plain(size=(MAX_SIDE + 1000, 500))))
    assert max(image.size) == MAX_SIDE


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"not an image at all", "not a readable image"),
        (b"\x89PNG\r\n\x1a\n", "not a readable image|broken"),
        (b"GIF89a", "not a readable image|broken"),
        (b"%PDF-1.4 ", "not a readable image"),
    ],
)
def test_what_is_no_image(content: bytes, reason: str) -> None:
    with pytest.raises(BadImage, match=reason):
        load_image(content)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP", "TIFF"])
def test_a_truncated_file_is_broken(kind: str) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8))
    content = encoded(noise, kind)
    with pytest.raises(BadImage, match=r"broken|not a readable image"):
        load_image(content[: len(content) // 2])


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "TIFF"])
def test_damaged_bytes_are_an_image_or_a_clear_error(kind: str) -> None:
    content = encoded(plain(size=(64, 64), colour=(9, 90, 200)), kind)
    rng = np.random.default_rng(1)
    for _ in range(60):
        copy = bytearray(content)
        for at in rng.integers(0, len(content), 8):
            copy[at] = rng.integers(0, 256)
        assert outcome(bytes(copy)) in ("RGB", "refused")


def pixel(image: Image.Image, at: tuple[int, int] = (0, 0)) -> tuple[int, ...]:
    value = image.getpixel(at)
    assert isinstance(value, tuple)
    return value


def outcome(content: bytes) -> str:
    try:
        return load_image(content).mode
    except BadImage:
        return "refused"


def test_a_decompression_bomb_is_refused_before_it_is_decoded() -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 1000))
    with pytest.raises(BadImage, match="pixels"):
        load_image(bomb)
    header = struct.pack(">IIBBBBB", 8_000, 8_000, 8, 2, 0, 0, 0)  # below Pillow's own limit
    with pytest.raises(BadImage, match="8000x8000 pixels"):
        load_image(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")))


def test_too_many_bytes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(image_loading, "MAX_BYTES", 50)
    content = encoded(plain())
    with pytest.raises(BadImage, match="at most 50"):
        load_image(content)
    path = tmp_path / "big.png"
    path.write_bytes(content)
    with pytest.raises(BadImage, match=r"big\.png has"):
        load_image(path)


def test_too_small_and_strips() -> None:
    with pytest.raises(BadImage, match="8x40 pixels"):
        load_image(encoded(plain(size=(8, 40))))
    with pytest.raises(BadImage, match="strip"):
        load_image(encoded(plain(size=(16, 20_000))))


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(BadImage, match="cannot read the image"):
        load_image(tmp_path / "none.png")
    with pytest.raises(BadImage, match="cannot read the image"):
        load_image(tmp_path)
    with pytest.raises(BadImage, match="cannot read the image"):
        load_image("a\0b.png")


def test_other_types_are_refused() -> None:
    with pytest.raises(BadImage, match="it has to be a path"):
        load_image(3)
