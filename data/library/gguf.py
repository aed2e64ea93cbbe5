"""GGUF headers: the file's metadata, and the tensors' names and shapes.

In: a stream and the size of its file. Out: a :class:`~diffagent.data.library.headers.Header` whose shapes
are in PyTorch's order. Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from typing import IO, Any, Literal

from diffagent.data.library.headers import LARGEST_HEADER, LONGEST_NAME, BadHeader, Header, Shape, digest_of

MAGIC = b"GGUF"
MOST_TENSORS, MOST_PAIRS = 200_000, 10_000
MOST_ITEMS = 2_000_000
"""The most items of all arrays together; vocabularies have up to 260,000 words."""

_NUMBERS: Mapping[int, str] = {
    0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "B", 10: "Q", 11: "q", 12: "d",
}  # fmt: skip
_STRING, _ARRAY = 8, 9
_BLOCKS: Mapping[int, tuple[str, int, int]] = {
    0: ("F32", 1, 4), 1: ("F16", 1, 2), 2: ("Q4_0", 32, 18), 3: ("Q4_1", 32, 20), 6: ("Q5_0", 32, 22),
    7: ("Q5_1", 32, 24), 8: ("Q8_0", 32, 34), 9: ("Q8_1", 32, 36), 10: ("Q2_K", 256, 84),
    11: ("Q3_K", 256, 110), 12: ("Q4_K", 256, 144), 13: ("Q5_K", 256, 176), 14: ("Q6_K", 256, 210),
    15: ("Q8_K", 256, 292), 16: ("IQ2_XXS", 256, 66), 17: ("IQ2_XS", 256, 74), 18: ("IQ3_XXS", 256, 98),
    19: ("IQ1_S", 256, 50), 20: ("IQ4_NL", 32, 18), 21: ("IQ3_S", 256, 110), 22: ("IQ2_S", 256, 82),
    23: ("IQ4_XS", 256, 136), 24: ("I8", 1, 1), 25: ("I16", 1, 2), 26: ("I32", 1, 4), 27: ("I64", 1, 8),
    28: ("F64", 1, 8), 29: ("IQ1_M", 256, 56), 30: ("BF16", 1, 2), 34: ("TQ1_0", 256, 54),
    35: ("TQ2_0", 256, 66),
}  # fmt: skip
"""Type of number → its name, the numbers of a block and the block's bytes."""


def read_gguf(stream: IO[bytes], size: int) -> Header:
    """Reads the header of an open file of ``size`` bytes.

    Raises:
        BadHeader: damaged, half-copied, or of an unknown version.
    """
    try:
        return _Reader(stream, size).header()
    except struct.error:
        raise BadHeader(f"half-copied: {size:,} bytes, less than its header: copy it again") from None


class _Reader:
    def __init__(self, stream: IO[bytes], size: int) -> None:
        stream.seek(0)
        self._stream, self._size = stream, size
        self._raw = bytearray()
        self._items = 0
        self._order: Literal["<", ">"] = "<"

    def header(self) -> Header:
        self._take(4)
        version = self._number("I")
        if version & 0xFFFF == 0:  # written on a big-endian machine
            self._order, version = ">", int.from_bytes(version.to_bytes(4, "little"), "big")
        if version not in (1, 2, 3):
            raise BadHeader(f"a GGUF file of version {version}, where 1 to 3 are known: fetch it again")
        self._long = "I" if version == 1 else "Q"
        tensors, pairs = self._number(self._long), self._number(self._long)
        if tensors > MOST_TENSORS or pairs > MOST_PAIRS:
            raise BadHeader(f"damaged: {tensors:,} tensors and {pairs:,} facts: fetch it again")
        facts: dict[str, Any] = {}
        for _ in range(pairs):
            name = self._text()
            facts[name] = self._value(self._number("I"))
        shapes, types, end = self._tensors(tensors)
        return Header("gguf", shapes, _texts(facts), self._checked(facts, end), types)

    def _tensors(self, count: int) -> tuple[dict[str, Shape], dict[str, int], int]:
        """Reads shapes, counts of types, and the end of the last tensor behind the header."""
        shapes: dict[str, Shape] = {}
        types: dict[str, int] = {}
        end = 0
        for _ in range(count):
            name = self._text()[:LONGEST_NAME]
            rank = self._number("I")
            if rank > 8:
                raise BadHeader(f"damaged: tensor {name[:60]!r} of {rank} dimensions: fetch it again")
            shape = tuple(reversed([self._number(self._long) for _ in range(rank)]))
            kind, place = self._number("I"), self._number("Q")
            if name in shapes:
                raise BadHeader(f"damaged: two tensors are named {name[:60]!r}: fetch it again")
            shapes[name] = shape
            block = _BLOCKS.get(kind)
            label = block[0] if block else f"type {kind}"
            types[label] = types.get(label, 0) + 1
            if block:
                place += math.ceil(math.prod(shape) / block[1]) * block[2]
            end = max(end, place)
        return shapes, types, end

    def _checked(self, facts: Mapping[str, Any], end: int) -> str:
        alignment = facts.get("general.alignment")
        step = alignment if isinstance(alignment, int) and 0 < alignment <= 1 << 20 else 32
        start = math.ceil(len(self._raw) / step) * step
        if start + end > self._size and end:
            share = max(0, self._size - start) / end
            raise BadHeader(
                f"half-copied: {self._size:,} of {start + end:,} bytes are there ({share:.0%}): copy it again"
            )
        return digest_of(bytes(self._raw), self._size)

    def _take(self, count: int) -> bytes:
        if count > LARGEST_HEADER or len(self._raw) + count > LARGEST_HEADER:
            raise BadHeader(
                f"a header of more than the {LARGEST_HEADER / 1e6:.0f} MB that are read: fetch it again"
            )
        piece = self._stream.read(count)
        if len(piece) < count:
            raise struct.error("short")
        self._raw += piece
        return piece

    def _number(self, code: str) -> Any:
        return struct.unpack(self._order + code, self._take(struct.calcsize(self._order + code)))[0]

    def _text(self) -> str:
        return self._take(self._number(self._long)).decode("utf-8", "replace")

    def _value(self, kind: int) -> Any:
        """Reads a fact's value; arrays are skipped."""
        if kind in _NUMBERS:
            return self._number(_NUMBERS[kind])
        if kind == _STRING:
            return self._text()
        if kind != _ARRAY:
            raise BadHeader(f"damaged: a fact of unknown type {kind}: fetch it again")
        inner, count = self._number("I"), self._number(self._long)
        self._items += count
        if self._items > MOST_ITEMS or inner == _ARRAY:
            raise BadHeader("damaged: an array of more items than any model has: fetch it again")
        if inner in _NUMBERS:
            self._take(count * struct.calcsize("<" + _NUMBERS[inner]))
        elif inner == _STRING:
            for _ in range(count):
                self._take(self._number(self._long))
        else:
            raise BadHeader(f"damaged: an array of unknown type {inner}: fetch it again")
        return None


def _texts(facts: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(value)[:10_000] for name, value in facts.items() if value is not None}
