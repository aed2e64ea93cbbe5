"""Generation data in the text inside a picture's file.

    picture.read(path)   ->   Generation      PNG's text chunks; Exif and comments of JPEG and WebP

A1111 and its forks write infotext (``parameters``, Exif's UserComment), ComfyUI graphs (``prompt`` and
``workflow``, in a WebP behind "prompt:" in Exif's Model), SwarmUI JSON (``sui_image_params``). A UserComment
is UTF-16 of either byte order, with or without a mark, ASCII or UTF-8 (Exif 2.3, 4.6.5).
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diffagent.data.errors import BadImage, BadInput, MissingExtra
from diffagent.data.metadata import comfyui, infotext
from diffagent.data.metadata.generation import Generation, ModelUse, number, whole

if TYPE_CHECKING:
    from PIL import Image

_MAKE, _MODEL, _DESCRIPTION, _EXIF, _USER_COMMENT = 0x010F, 0x0110, 0x010E, 0x8769, 0x9286
_CODES = {b"UNICODE\0": "utf-16", b"ASCII\0\0\0": "utf-8", b"JIS\0\0\0\0\0": "iso2022_jp", b"\0" * 8: "utf-8"}
_GRAPHS = ("prompt", "workflow")


def read(source: Path | bytes) -> Generation:
    """Returns a picture's generation data; a missing size is the picture's own.

    Raises:
        BadImage: it is not a picture. BadInput: its file has no generation data, or of an unknown form.
    """
    with _open(source) as image:
        size, chunks = image.size, texts(image)
    generation = from_texts(chunks)
    if generation.width is None or generation.height is None:
        note = "the metadata does not give the size: the picture's own was taken"
        generation = replace(generation, width=size[0], height=size[1], notes=(*generation.notes, note))
    return generation


def from_texts(chunks: Mapping[str, str]) -> Generation:
    """Returns the generation data of a file's texts by name; infotext comes before a graph.

    Raises:
        BadInput: the texts have no generation data, or of an unknown form.
    """
    graphs = {name: chunks[name] for name in _GRAPHS if name in chunks}
    reasons = []
    for name, text in chunks.items():
        if name in _GRAPHS:
            continue
        try:
            return from_text(text)
        except BadInput as error:
            reasons.append(str(error))
    for text in graphs.values():
        try:
            return comfyui.read(text)
        except BadInput as error:
            reasons.append(str(error))
    raise BadInput(
        reasons[0] if reasons else "the picture's file does not say how it was made: it has no metadata"
    )


def from_text(text: str) -> Generation:
    """Returns the generation data of any program's text.

    Raises:
        BadInput: the text's form is unknown.
    """
    if not text.lstrip().startswith("{"):
        return infotext.read(text)
    value = comfyui.parse_json(text)
    swarm = value.get("sui_image_params") if isinstance(value, dict) else None
    return _swarmui(swarm) if isinstance(swarm, dict) else comfyui.read(value)


def texts(image: Image.Image, *, decoded: bool = True) -> dict[str, str]:
    """The texts of an opened picture by name: "parameters", "prompt", "workflow" and others.

    ``decoded``: whether to decode the pixels, which a PNG's last texts may follow.
    """
    with contextlib.suppress(OSError, SyntaxError, ValueError):  # a picture that is cut off
        if decoded:
            image.load()
    chunks = {
        str(name): value for name, value in image.info.items() if isinstance(value, str) and value.strip()
    }
    comment = image.info.get("comment")
    if isinstance(comment, bytes):
        chunks.setdefault("comment", _decode(comment))
    try:
        exif = image.getexif()
        below = exif.get_ifd(_EXIF)
    except (ValueError, SyntaxError, OSError, TypeError, KeyError, OverflowError):  # a garbled block
        return chunks
    for tag in (_MODEL, _MAKE, _DESCRIPTION):
        value = exif.get(tag)
        if not isinstance(value, str):
            continue
        name, colon, rest = value.partition(":")
        if colon and name.casefold() in _GRAPHS:
            chunks.setdefault(name.casefold(), rest.strip("\0 "))
        elif tag == _DESCRIPTION and value.strip():
            chunks.setdefault("description", value)
    comment_data = below.get(_USER_COMMENT)
    if isinstance(comment_data, bytes | str) and comment_data:
        chunks.setdefault(
            "parameters", user_comment(comment_data) if isinstance(comment_data, bytes) else comment_data
        )
    return chunks


def user_comment(data: bytes) -> str:
    """The text of an Exif UserComment, whose first eight bytes name its encoding."""
    encoding = _CODES.get(data[:8])
    if encoding is None:
        return _decode(data)
    rest = data[8:]
    if encoding != "utf-16":
        return _decode(rest)
    for mark, order in ((b"\xfe\xff", "utf-16-be"), (b"\xff\xfe", "utf-16-le")):
        if rest.startswith(mark):
            return rest[2:].decode(order, "replace").strip("\0")
    zeros = rest[:2000:2].count(0), rest[1:2000:2].count(0)
    order = "utf-16-be" if zeros[0] >= zeros[1] else "utf-16-le"
    return rest.decode(order, "replace").strip("\0")


def _decode(data: bytes) -> str:
    try:
        return data.decode("utf-8").strip("\0")
    except UnicodeDecodeError:
        return data.decode("latin-1").strip("\0")


def _open(source: Path | bytes) -> Image.Image:
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError:
        raise MissingExtra("reading pictures needs Pillow: pip install 'diffagent[images]'") from None
    try:
        return Image.open(source if isinstance(source, Path) else io.BytesIO(source))
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        name = source if isinstance(source, Path) else f"{len(source)} bytes"
        raise BadImage(f"{name} is not a readable picture: {str(error)[:80]}") from None


def _swarmui(params: Mapping[str, Any]) -> Generation:
    """SwarmUI's parameters (``docs/Image Metadata Format.md``)."""
    prompt, negative = (params.get(name) for name in ("prompt", "negativeprompt"))
    guidance = number(params.get("fluxguidancescale"))
    return Generation(
        prompt=prompt if isinstance(prompt, str) else "",
        negative_prompt=negative if isinstance(negative, str) else "",
        sampler=params["sampler"] if isinstance(params.get("sampler"), str) else None,
        schedule=params["scheduler"] if isinstance(params.get("scheduler"), str) else None,
        steps=whole(params.get("steps")),
        cfg_scale=number(params.get("cfgscale")),
        guidance=guidance,
        seed=whole(params.get("seed")),
        width=whole(params.get("width")),
        height=whole(params.get("height")),
        clip_skip=-stop if (stop := whole(params.get("clipstopatlayer"))) is not None else None,
        checkpoint=ModelUse(params["model"] if isinstance(params.get("model"), str) else ""),
        loras=tuple(_swarm_loras(params)),
        program="SwarmUI",
    )


def _swarm_loras(params: Mapping[str, Any]) -> Iterator[ModelUse]:
    """Yields LoRAs with their weights, from lists or from text with commas."""
    names, weights = (
        value.split(",") if isinstance(value, str) else value if isinstance(value, list) else []
        for value in (params.get("loras"), params.get("loraweights"))
    )
    for place, name in enumerate(names):
        weight = number(weights[place]) if place < len(weights) else None
        if isinstance(name, str) and name.strip():
            yield ModelUse(name.strip(), weight=1.0 if weight is None else weight)
