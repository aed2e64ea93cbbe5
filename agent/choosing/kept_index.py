"""The cached index of a large catalog, which takes seconds to build from specifications.

    catalog file → its stamp (path, size, time) → the cached arrays, memory-mapped; else built and cached

The cache has one safetensors file per catalog, replaced when the catalog changes. It contains vectors, counts
and hashes of terms, no text.
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

from diffagent.agent.choosing.gathering import CatalogTerms
from diffagent.agent.choosing.term_lists import TermIndex
from diffagent.agent.choosing.whitening import WhitenedSpace, Whitening
from diffagent.data.catalog.catalog import ALL, Filter
from diffagent.data.weights.weights import home

VERSION = 1
"""The version of the file's layout; another one is built again."""
LARGE = 20_000
"""The least entries of a cached index: a smaller one is built in about a second."""
_KINDS = ("prompts", "negatives", "names", "tags", "profiles")
_DTYPES = {"I8": "<i1", "I32": "<i4", "I64": "<i8", "F32": "<f4"}

Arrays = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class KeptIndex:
    """The cache file of a catalog's index."""

    path: Path
    stamp: str

    @classmethod
    def of(cls, catalog: Path, selection: Filter = ALL) -> KeptIndex:
        """Returns the cache file for a selection of a catalog's entries."""
        facts = catalog.stat()
        text = f"{catalog.resolve()} {selection}"
        name = sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:16]
        stamp = f"{VERSION} {facts.st_size} {facts.st_mtime_ns}"
        return cls(home() / "indexes" / f"{name}.safetensors", stamp)

    def read(self) -> tuple[CatalogTerms, WhitenedSpace] | None:
        """Reads the index, memory-mapped; None where it is missing, or from another state of the catalog."""
        try:
            arrays = _memory_map(self.path, self.stamp)
            if arrays is None:
                return None
            kinds = (
                TermIndex(*(arrays[f"{kind}.{name}"] for name in ("documents", "start", "norms")))
                for kind in _KINDS
            )
            space = WhitenedSpace(Whitening(arrays["center"], arrays["matrix"]), arrays["lengths"])
            return CatalogTerms(arrays["vectors"], arrays["count"], *kinds), space
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def write(self, specifications: CatalogTerms, space: WhitenedSpace) -> None:
        """Writes an index; where the folder is not writable, it is built again the next time."""
        from safetensors.numpy import save_file

        arrays = {"vectors": specifications.vectors, "count": specifications.count, "lengths": space.lengths}
        arrays |= {"center": space.whitening.center, "matrix": space.whitening.matrix}
        for kind in _KINDS:
            index = getattr(specifications, kind)
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


def _memory_map(path: Path, stamp: str) -> Arrays | None:
    """Returns the memory-mapped arrays of a safetensors file with this stamp, else None."""
    if not path.is_file():
        return None
    with path.open("rb") as stream:
        size = int.from_bytes(stream.read(8), "little")
        head = json.loads(stream.read(min(size, 1 << 20)))
    metadata = head.pop("__metadata__", {})
    if metadata.get("stamp") != stamp:
        return None
    stored = np.memmap(path, np.uint8, "r", 8 + size)
    if len(stored) != max(tensor["data_offsets"][1] for tensor in head.values()):
        return None
    arrays = {}
    for name, tensor in head.items():
        first, last = tensor["data_offsets"]
        arrays[name] = np.asarray(stored[first:last]).view(_DTYPES[tensor["dtype"]]).reshape(tensor["shape"])
    return arrays
