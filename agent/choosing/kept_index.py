"""The index of a large catalog, kept: what takes seconds to make of specifications is read back in no time.

    catalog file → its stamp (path, size, time) → the kept arrays, mapped into memory; or made, and kept

One safetensors file a catalog lies in the cache, replaced when the catalog has changed. It holds vectors,
counts and hashes of terms, no text.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from diffagent.agent.choosing.gathering import Gathered
from diffagent.agent.choosing.term_lists import TermIndex
from diffagent.agent.choosing.whitening import Space, Whitening
from diffagent.data.catalog.catalog import ALL, Filter
from diffagent.data.weights.weights import home

VERSION = 1
"""Of what is kept; another one is made again."""
LARGE = 20_000
"""Entries from which an index is kept: a smaller one is made in about a second."""
_KINDS = ("prompts", "negatives", "names", "tags", "profiles")
_DTYPES = {"I8": "<i1", "I32": "<i4", "I64": "<i8", "F32": "<f4"}

Arrays = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class KeptIndex:
    """Where the index of a catalog file is kept."""

    path: Path
    stamp: str

    @classmethod
    def of(cls, catalog: Path, wanted: Filter = ALL) -> KeptIndex:
        """Of the entries of a catalog file that are wanted."""
        facts = catalog.stat()
        text = f"{catalog.resolve()} {wanted}"
        name = sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:16]
        stamp = f"{VERSION} {facts.st_size} {facts.st_mtime_ns}"
        return cls(home() / "indexes" / f"{name}.safetensors", stamp)

    def read(self) -> tuple[Gathered, Space] | None:
        """The index, mapped; None where none is kept, or that of another state of the catalog."""
        try:
            arrays = _mapped(self.path, self.stamp)
            if arrays is None:
                return None
            kinds = (
                TermIndex(*(arrays[f"{kind}.{name}"] for name in ("documents", "start", "norms")))
                for kind in _KINDS
            )
            space = Space(Whitening(arrays["center"], arrays["matrix"]), arrays["lengths"])
            return Gathered(arrays["vectors"], arrays["count"], *kinds), space
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def write(self, found: Gathered, space: Space) -> None:
        """Keeps an index; where nothing can be written, it is made again the next time."""
        from safetensors.numpy import save_file

        arrays = {"vectors": found.vectors, "count": found.count, "lengths": space.lengths}
        arrays |= {"center": space.whitening.center, "matrix": space.whitening.matrix}
        for kind in _KINDS:
            index = getattr(found, kind)
            arrays |= {f"{kind}.{name}": getattr(index, name) for name in ("documents", "start", "norms")}
        part = self.path.with_name(f"{self.path.name}.{os.getpid()}.part")
        with suppress(OSError):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            try:
                whole = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
                save_file(whole, part, {"stamp": self.stamp})
                part.replace(self.path)
            finally:
                part.unlink(missing_ok=True)


def _mapped(path: Path, stamp: str) -> Arrays | None:
    """The arrays of a safetensors file with this stamp, as they lie on disk."""
    if not path.is_file():
        return None
    with path.open("rb") as stream:
        size = int.from_bytes(stream.read(8), "little")
        head = json.loads(stream.read(min(size, 1 << 20)))
    told = head.pop("__metadata__", {})
    if told.get("stamp") != stamp:
        return None
    stored = np.memmap(path, np.uint8, "r", 8 + size)
    if len(stored) != max(one["data_offsets"][1] for one in head.values()):
        return None
    arrays = {}
    for name, one in head.items():
        first, last = one["data_offsets"]
        arrays[name] = np.asarray(stored[first:last]).view(_DTYPES[one["dtype"]]).reshape(one["shape"])
    return arrays
