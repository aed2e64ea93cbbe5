"""Images as files: PNG with A1111's infotext and the call inside, a contact sheet, a manifest.

A file appears under its name when it is complete. The text chunk ``parameters`` holds the infotext, where
A1111, Civitai and image viewers look for it; ``diffagent`` holds the call as JSON, and ``diffagent
not_carried`` the fields that the server did not carry.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diffagent.agent.executors.captions import LEADING, Captions, fonts_here
from diffagent.data.errors import BadInput, Censored, JobFailed, MissingExtra
from diffagent.data.metadata import picture
from diffagent.data.metadata.generation import Generation
from diffagent.data.weights.weights import home

if TYPE_CHECKING:
    from PIL import Image

MANIFEST = "manifest.jsonl"
NOT_CARRIED = "diffagent not_carried"
SHEET = "contact-sheet.png"
CAPTION = 4
"""The most lines of a caption's paragraph."""
_THUMBNAIL, _GAP = 256, 8
_MOST_ON_SHEET = 64


def require() -> None:
    """Raises:
    MissingExtra: images cannot be written without Pillow.
    """
    try:
        import PIL  # noqa: F401
    except ImportError:
        raise MissingExtra("making images needs Pillow: pip install 'diffagent[images]'") from None


def check_folder(folder: Path) -> None:
    """Refuses a folder that cannot be created or written, before anything is paid for.

    Raises:
        BadInput: it is a file, lies below one, or is not writable.
    """
    here = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not here.is_dir():
        raise BadInput(f"{here} is a file, so {folder} cannot be a folder of images: give another -o")
    if not os.access(here, os.W_OK | os.X_OK):
        raise BadInput(f"{here} is not writable by this user: give another -o")


@contextmanager
def prepared(folder: Path) -> Iterator[None]:
    """Creates the folder of the images if it is missing, and locks it against other runs.

    Raises:
        BadInput: it cannot be created or written.
    """
    from filelock import FileLock

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"{folder} cannot be a folder of images ({error.strerror}): give another -o") from None
    locks = home() / "locks"
    locks.mkdir(parents=True, exist_ok=True)
    with FileLock(locks / hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:16]):
        yield


def decode(data: bytes) -> Image.Image:
    """The picture that a target sent, in RGB.

    Raises:
        JobFailed: the bytes are not a complete image. Censored: the image is entirely black.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        image = Image.open(io.BytesIO(data)).convert("RGB")
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError):
        raise JobFailed(f"the answer ({len(data)} bytes) is not a complete image: run again") from None
    if image.getextrema() == ((0, 0), (0, 0), (0, 0)):
        raise Censored(
            "the image is entirely black: a safety filter blanked it, or the VAE overflowed in half "
            "precision: rephrase the prompt, or start the server with a full-precision VAE"
        )
    return image


def save(
    image: Image.Image,
    path: Path,
    infotext: str,
    call: Mapping[str, Any],
    not_carried: Mapping[str, str] | None = None,
) -> None:
    """Writes one PNG with its texts: the infotext of what was done, the call that was asked for, and which of
    its fields were not carried, with why."""
    from PIL.PngImagePlugin import PngInfo

    texts = PngInfo()
    texts.add_text("parameters", infotext)
    texts.add_text("diffagent", json.dumps(call, ensure_ascii=False))
    if not_carried:
        texts.add_text(NOT_CARRIED, json.dumps(dict(not_carried), ensure_ascii=False))
    buffer = io.BytesIO()
    image.save(buffer, "PNG", pnginfo=texts)
    replace_file(path, buffer.getvalue())


def read_texts(path: Path) -> dict[str, str]:
    """The text chunks of a PNG.

    Raises:
        BadInput: the file is not an image.
    """
    from PIL import Image

    try:
        with Image.open(path) as image:
            image.load()
            return {str(key): value for key, value in image.info.items() if isinstance(value, str)}
    except (OSError, SyntaxError) as error:
        raise BadInput(f"{path} is not an image: {error}") from None


def contact_sheet(
    images: Iterable[Image.Image], path: Path, captions: Sequence[Sequence[str]] = ()
) -> tuple[str, ...]:
    """Draws all images, at most 256 pixels a side, in a square of rows; below each its caption's paragraphs
    of up to ``CAPTION`` lines. Returns the scripts that no font of this machine has."""
    from PIL import Image, ImageDraw

    small = []
    for image in images:
        copy = image.copy()
        copy.thumbnail((_THUMBNAIL, _THUMBNAIL))
        small.append(copy)
    across = int((len(small) - 1) ** 0.5) + 1
    wide, tall = max(thumbnail.width for thumbnail in small), max(thumbnail.height for thumbnail in small)
    letters = Captions(fonts_here() if captions else ())
    wide = _THUMBNAIL if captions else wide
    texts = [
        [line for part in caption for line in letters.wrapped(part, wide, CAPTION)] for caption in captions
    ]
    tall += LEADING * max(map(len, texts), default=0)
    rows = (len(small) + across - 1) // across
    sheet_size = (across * (wide + _GAP) + _GAP, rows * (tall + _GAP) + _GAP)
    sheet = Image.new("RGB", sheet_size, "white")
    pen = ImageDraw.Draw(sheet)
    for number, thumbnail in enumerate(small):
        row, column = divmod(number, across)
        x, y = _GAP + column * (wide + _GAP), _GAP + row * (tall + _GAP)
        sheet.paste(thumbnail, (x, y))
        for place, line in enumerate(texts[number] if texts else ()):
            letters.draw(pen, (x, y + thumbnail.height + 2 + place * LEADING), line)
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG")
    replace_file(path, buffer.getvalue())
    return tuple(sorted(letters.lacking))


def draw_sheet(folder: Path) -> tuple[str, ...]:
    """Draws the contact sheet of a folder's newest pictures, by its manifest, each with its model, settings
    and prompt. Returns the scripts that no font of this machine has."""
    from PIL import Image

    manifest = folder / MANIFEST
    lines = manifest.read_text("utf-8", "replace").splitlines() if manifest.exists() else []
    files = [folder / name for line in lines if (name := _file_of(line))]
    pictures, captions = [], []
    for path in [path for path in files if path.is_file()][-_MOST_ON_SHEET:]:
        try:
            with Image.open(path) as image:
                generation = picture.from_texts(picture.texts(image))
                pictures.append(image.convert("RGB"))
        except (OSError, SyntaxError, ValueError, BadInput):
            continue
        pictures[-1].thumbnail((_THUMBNAIL, _THUMBNAIL))
        captions.append(_caption(generation))
    if not pictures:
        return ()
    return contact_sheet(pictures, folder / SHEET, captions)


def _caption(generation: Generation) -> tuple[str, ...]:
    """Returns a picture's metadata as paragraphs."""
    models = [str(generation.checkpoint), *(f"{lora.name} {lora.weight:g}" for lora in generation.loras)]
    settings = {
        "seed": generation.seed, "steps": generation.steps,
        "": " ".join(filter(None, (generation.sampler, generation.schedule))),
        "CFG": generation.cfg_scale, "guidance": generation.guidance, "clip skip": generation.clip_skip,
    }  # fmt: skip
    parts = [
        f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}".strip()
        for name, value in settings.items()
        if value not in (None, "")
    ]
    return " + ".join(models), ", ".join(parts), generation.prompt


def add_row(folder: Path, row: Mapping[str, Any]) -> None:
    """Adds an image to the folder's manifest, in place of an older row of the same file."""
    path = folder / MANIFEST
    lines = path.read_text("utf-8", "replace").splitlines() if path.exists() else []
    others = [line for line in lines if line.strip() and _file_of(line) != row["file"]]
    others.append(json.dumps(row, ensure_ascii=False))
    replace_file(path, ("\n".join(others) + "\n").encode())


def _file_of(line: str) -> str | None:
    """Returns the file of a manifest's line; None for another program's line, which stays as it is."""
    try:
        row = json.loads(line)
    except ValueError:
        return None
    return row.get("file") if isinstance(row, dict) else None


def free_path(folder: Path, model: str, seed: int | None, call: Mapping[str, Any]) -> Path:
    """Returns the path of a new image: its name, numbered where that file is a picture of another call."""
    path = first = folder / file_name(model, seed)
    number = 1
    while path.exists() and not _is_of(path, call):
        number += 1
        path = first.with_name(f"{first.stem}-{number}.png")
    return path


def _is_of(path: Path, call: Mapping[str, Any]) -> bool:
    try:
        return bool(json.loads(read_texts(path).get("diffagent", "null")) == call)
    except (BadInput, ValueError):
        return False


def file_name(model: str, seed: int | None) -> str:
    """``grand-xl-7.png``: letters and digits of the model's name, and the seed."""
    slug = "-".join(re.findall(r"[a-z0-9]+", model.casefold()))[:60] or "image"
    return f"{slug}-{'unseeded' if seed is None else seed}.png"


def sha256(path: Path) -> str:
    """Returns the hexadecimal digest of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def replace_file(path: Path, data: bytes) -> None:
    """Writes a file under another name and renames it, so that no half of it is ever seen."""
    part = path.with_name(f".{path.name}.part")
    part.write_bytes(data)
    os.replace(part, path)
