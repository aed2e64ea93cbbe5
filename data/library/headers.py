"""Headers of model files: names, types and shapes of the tensors, and the file's metadata.

    read_header(Path("models/Lora/ink.safetensors")).shapes["lora_unet_….lora_down.weight"]   -> (16, 320)

Only the header is read, no tensor and no pickle. It is checked against the size of the file, which detects
half-copied files, lying shapes and overlapping tensors. Format: https://huggingface.co/docs/safetensors,
"Format".
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from diffagent.data.errors import BadInput

LARGEST_HEADER = 16_000_000
"""The most bytes of a header, read in about 100 MB of memory; real models stay below 5 MB."""
LARGEST_METADATA = 4_000_000
"""The most characters of metadata; the longest values are dropped first."""
LONGEST_NAME = 1_000
_METADATA = "__metadata__"

_BITS: Mapping[str, int] = {
    "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8,
    "U16": 16, "I16": 16, "F16": 16, "BF16": 16,
    "U32": 32, "I32": 32, "F32": 32, "U64": 64, "I64": 64, "F64": 64, "C64": 64,
}  # fmt: skip
"""Type → bits of one number."""

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Header:
    """A header: ``shapes`` of the tensors by name in PyTorch's order; ``digest`` is the SHA-256 (64 digits)
    of header and file size, which identifies the file before it is hashed."""

    format: str
    """ "safetensors" or "gguf"."""
    shapes: Mapping[str, Shape]
    metadata: Mapping[str, str] = field(default_factory=dict)
    digest: str = ""
    types: Mapping[str, int] = field(default_factory=dict)
    """Type of number → number of tensors."""


class BadHeader(BadInput):
    """A file that is not what its name says, or incomplete; the message says why and what to do."""


def read_header(path: Path) -> Header:
    """Reads the header of a safetensors or GGUF file.

    Raises:
        BadHeader: the header is not valid. OSError: the file cannot be read.
    """
    from diffagent.data.library.gguf import MAGIC, read_gguf

    with path.open("rb") as stream:
        size = stream.seek(0, 2)
        stream.seek(0)
        start = stream.read(64)
        if start.startswith(MAGIC):
            return read_gguf(stream, size)
        refuse_others(start, size)
        return _read_safetensors(stream, size)


def digest_of(header: bytes, size: int) -> str:
    """The SHA-256 of a header's bytes and the size of its file (eight bytes, little-endian)."""
    return hashlib.sha256(header + size.to_bytes(8, "little")).hexdigest()


def refuse_others(start: bytes, size: int) -> None:
    """Refuses other content that is often saved under a model's name.

    Raises:
        BadHeader: the file's first bytes are of something else.
    """
    if size == 0:
        raise BadHeader("empty: the download or copy did not begin; fetch it again")
    if start.startswith((b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")):
        raise BadHeader("a pickle under another name, which can run code when it is opened: not opened")
    if start.startswith(b"version https://git-lfs"):
        raise BadHeader("a Git LFS pointer without its file: fetch it with git lfs pull")
    text = start.lstrip()[:16].lower()
    if text.startswith((b"<!doctype", b"<html", b"<?xml")):
        raise BadHeader(
            "a web page saved as a model: fetch it again, with an account where the hub wants one"
        )
    if text.startswith(b'{"') and not 0 < int.from_bytes(start[:8], "little") <= size:
        raise BadHeader(
            "a server's answer saved as a model: fetch it again, with a key where the hub wants one"
        )
    if not any(start) and size >= len(start):
        raise BadHeader("begins with zeros: the space was reserved and never filled; fetch it again")


def _read_safetensors(stream: IO[bytes], size: int) -> Header:
    stream.seek(0)
    prefix = stream.read(8)
    if len(prefix) < 8:
        raise BadHeader(f"not a safetensors file: {size} bytes: fetch it again")
    length = int.from_bytes(prefix, "little")
    if length > LARGEST_HEADER:
        if length <= size - 8:
            raise BadHeader(
                f"a header of {length / 1e6:.0f} MB, more than the {LARGEST_HEADER / 1e6:.0f} MB of any model"
            )
        raise BadHeader("not a safetensors file: it does not begin with the length of a header")
    if length > size - 8:
        raise BadHeader(f"half-copied: {size:,} bytes, its header alone has {length + 8:,}: copy it again")
    raw = stream.read(length)
    if len(raw) < length:
        raise BadHeader("it became shorter while it was read: scan again when the copy is complete")
    shapes, metadata, types = _parse(raw, size - 8 - length)
    return Header("safetensors", shapes, metadata, digest_of(prefix + raw, size), types)


def _parse(raw: bytes, room: int) -> tuple[dict[str, Shape], dict[str, str], dict[str, int]]:
    """Parses shapes, metadata and counts of types of a safetensors header with ``room`` bytes of tensors."""
    try:
        pairs = json.loads(raw, object_pairs_hook=_compact)
    except (ValueError, RecursionError) as error:
        raise BadHeader(f"damaged: the header is not JSON ({str(error)[:60]}): fetch it again") from None
    del raw
    if not isinstance(pairs, _Pairs):
        raise BadHeader("damaged: the header is not a JSON object: fetch it again")
    shapes: dict[str, Shape] = {}
    types: dict[str, int] = {}
    metadata: dict[str, str] = {}
    places: list[tuple[int, int]] = []
    for name, value in pairs.items:
        if name == _METADATA:
            metadata = _texts(value)
            continue
        if not isinstance(value, _Tensor):
            raise BadHeader(f"damaged: tensor {name[:60]!r} has no type, shape and place: fetch it again")
        if name in shapes:
            raise BadHeader(f"damaged: two tensors are named {name[:60]!r}: fetch it again")
        shapes[name[:LONGEST_NAME]] = value.shape
        types[value.type] = types.get(value.type, 0) + 1
        bits = _BITS.get(value.type)
        start, end = value.place
        if bits is not None and math.prod(value.shape) * bits != (end - start) * 8:
            raise BadHeader(
                f"lying shapes: tensor {name[:60]!r} of {list(value.shape)} {value.type} has {end - start:,} "
                "bytes: fetch it again"
            )
        places.append(value.place)
    _check_places(places, room)
    return shapes, metadata, types


def _check_places(places: list[tuple[int, int]], room: int) -> None:
    end = 0
    for start, stop in sorted(places):
        if start < end:
            raise BadHeader("damaged: tensors overlap in the file: fetch it again")
        if start > end:
            raise BadHeader(f"damaged: a hole of {start - end:,} bytes between two tensors: fetch it again")
        end = stop
    if end > room:
        raise BadHeader(
            f"half-copied: {room:,} of {end:,} bytes of tensors are there ({room / end:.0%}): copy it again"
        )
    if end < room:
        raise BadHeader(f"damaged: {room - end:,} bytes too many behind the last tensor: fetch it again")


@dataclass(frozen=True, slots=True)
class _Tensor:
    type: str
    shape: Shape
    place: tuple[int, int]


@dataclass(frozen=True, slots=True)
class _Pairs:
    """A JSON object with all its pairs, repeated keys included."""

    items: list[tuple[str, Any]]


def _compact(pairs: list[tuple[str, Any]]) -> _Tensor | _Pairs:
    """Returns a JSON object; a tensor's takes a quarter of the memory."""
    if len(pairs) == 3:
        values = dict(pairs)
        kind, shape, place = values.get("dtype"), values.get("shape"), values.get("data_offsets")
        if (
            isinstance(kind, str) and isinstance(shape, list) and isinstance(place, list)
            and len(place) == 2 and len(shape) <= 16 and _are_sizes(shape + place)
            and place[0] <= place[1]
        ):  # fmt: skip
            return _Tensor(kind[:16], tuple(shape), (place[0], place[1]))
    return _Pairs(pairs)


def _are_sizes(numbers: list[Any]) -> bool:
    """Whether all are integers in 0…2⁶³−1; booleans are not."""
    return set(map(type, numbers)) == {int} and min(numbers) >= 0 and max(numbers) < 1 << 63


def _texts(value: object) -> dict[str, str]:
    """Metadata as text to text, without pictures and oversized values."""
    texts = {k: v for k, v in value.items if isinstance(v, str)} if isinstance(value, _Pairs) else {}
    for name in ("modelspec.thumbnail", "ssmd_cover_images", "workflow", "prompt"):
        texts.pop(name, None)
    while sum(map(len, texts.values())) > LARGEST_METADATA:
        del texts[max(texts, key=lambda name: len(texts[name]))]
    return texts
