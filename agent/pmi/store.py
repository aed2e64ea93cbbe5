"""A folder with a hub's specifications, reduced to find a few candidates, and whole to decide among them.

    store.json     counts, gamma, bounds over all models, sizes and checksums of the other files; written last
    reduction.npz  prompts, basis, centre and mean Gram matrix of :class:`Reduction`
    index.faiss    the reduced rows, float16 [M, width], as a FAISS index for inner products
    features.f16   float16 [M, N, d]
    gram.f32       float32 [M, N (N − 1) / 2]: the Gram matrices below the diagonal, which is 1

Models are read block by block; one block is in memory at a time, beside the reduced rows. Features and Gram
matrices are memory-mapped: a search reads those of its candidates only.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from diffagent.agent.pmi.exact import Floats, squares
from diffagent.agent.pmi.reduction import Halves, Reduction, kernel
from diffagent.data.errors import BadCatalog, BadInput, MissingExtra

FORMAT = 1
ROWS = 4
"""Axes of the prompts in reduced rows: each takes 1 kB per model and reduces the candidates."""
FILES = ("reduction.npz", "index.faiss", "features.f16", "gram.f32")
CHECKED = ("reduction.npz", "index.faiss")
"""Files that are read whole and checked by CRC-32; of the others the size is checked."""
LENGTH_TOLERANCE = 1e-2


@dataclass(frozen=True)
class Store:
    """An open store: ``features`` float16 [M, N, d] and ``gram`` float32 [M, N (N − 1) / 2], memory-mapped;
    the FAISS ``index`` of reduced rows; ``prompts`` float32 [N, t]."""

    folder: Path
    prompts: Floats
    reduction: Reduction
    index: Any
    features: Halves
    gram: Floats

    def __len__(self) -> int:
        return len(self.features)

    @classmethod
    def build(
        cls, folder: Path, blocks: Iterable[Halves], prompts: Floats, gamma: float = 0.02, rows: int = ROWS
    ) -> Store:
        """Builds from features [b, N, d] of unit length, block by block; the first block sets the centre."""
        faiss = require_faiss()
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "store.json").unlink(missing_ok=True)
        reduction: Reduction | None = None
        index: Any = None
        count = 0
        radius = norm_gap = 0.0
        below = np.tril_indices(len(prompts), -1)
        with open(folder / "features.f16", "wb") as features, open(folder / "gram.f32", "wb") as gram:
            for chunk in blocks:
                halves = np.ascontiguousarray(chunk, np.float16)
                block = halves.astype(np.float32)
                norm_gap = max(norm_gap, _norm_gap(block, count))
                if reduction is None:
                    reduction = Reduction.fit(block, prompts, gamma, rows)
                    index = _empty_index(faiss, reduction.width)
                apart = block - reduction.center
                radius = max(radius, float(np.sqrt(squares(apart).max())))
                kernels = kernel(block, gamma)
                index.add_sa_codes(reduction.reduce(block, kernels).view(np.uint8))
                features.write(halves.data)
                gram.write(np.ascontiguousarray(kernels[:, *below]).data)
                count += len(block)
        if reduction is None:
            raise BadInput("no models were given: a store needs at least one")
        reduction = replace(reduction, radius=radius, norm_gap=norm_gap)
        faiss.write_index(index, str(folder / "index.faiss"))
        _describe(folder, reduction, prompts, count)
        return cls.open(folder)

    @classmethod
    def open(cls, folder: Path, gamma: float | None = None) -> Store:
        """Opens and checks a store; ``gamma``: the value that it must have been built with.

        Raises :class:`BadCatalog` where a file is missing or damaged, or has another format or gamma.
        """
        facts = _check_manifest(folder)
        if gamma is not None and facts["gamma"] != gamma:
            raise BadCatalog(
                f"the store {folder} was built with gamma {facts['gamma']}, not {gamma}: build it again"
            )
        faiss = require_faiss()
        with np.load(folder / "reduction.npz") as arrays:
            prompts = arrays["prompts"]
            reduction = Reduction(
                arrays["basis"], arrays["center"], arrays["gram"],
                facts["rows"], facts["gamma"], facts["radius"], facts["norm_gap"],
            )  # fmt: skip
        m, (n, d) = facts["models"], reduction.center.shape
        index = faiss.read_index(str(folder / "index.faiss"))
        if (index.ntotal, index.d) != (m, reduction.width):
            raise BadCatalog(f"the store {folder} has an index of other models: build it again")
        features = np.memmap(folder / "features.f16", np.float16, "r", shape=(m, n, d))
        gram = np.memmap(folder / "gram.f32", np.float32, "r", shape=(m, n * (n - 1) // 2))
        return cls(folder, prompts, reduction, index, features, gram)


def require_faiss() -> Any:
    """Returns the module ``faiss``. Raises :class:`MissingExtra` where it is not installed."""
    try:
        import faiss
    except ImportError:
        raise MissingExtra("matching in large hubs needs FAISS: pip install 'diffagent[match]'") from None
    return faiss


def _empty_index(faiss: Any, width: int) -> Any:
    return faiss.IndexScalarQuantizer(width, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)


def _norm_gap(block: Floats, before: int) -> float:
    """Returns the largest |‖z‖² − 1|. Raises :class:`BadInput` where a row is not of unit length."""
    gaps = np.abs(squares(block) - 1)
    worst = float(gaps.max())
    if not worst <= LENGTH_TOLERANCE:
        model = before + int(np.argmax(np.nan_to_num(gaps, nan=np.inf).max(1)))
        raise BadInput(
            f"a feature of model {model} does not have length 1: normalise features before storing them"
        )
    return worst


def _describe(folder: Path, reduction: Reduction, prompts: Floats, count: int) -> None:
    """Writes the small files, the manifest last."""
    np.savez(
        folder / "reduction.npz",
        prompts=prompts,
        basis=reduction.basis,
        center=reduction.center,
        gram=reduction.gram,
    )
    facts = {
        "format": FORMAT,
        "models": count,
        "rows": reduction.rows,
        "gamma": reduction.gamma,
        "radius": reduction.radius,
        "norm_gap": reduction.norm_gap,
        "sizes": {name: (folder / name).stat().st_size for name in FILES},
        "crc32": {name: checksum(folder / name) for name in CHECKED},
    }
    partial = folder / "store.json.partial"
    partial.write_text(json.dumps(facts, indent=1), "utf-8")
    partial.replace(folder / "store.json")


def _check_manifest(folder: Path) -> dict[str, Any]:
    """Returns the manifest of a store after checking the files that it describes."""
    again = "build it again"
    try:
        facts: dict[str, Any] = json.loads((folder / "store.json").read_text("utf-8"))
        if facts["format"] != FORMAT:
            raise BadCatalog(f"the store {folder} has format {facts['format']}, not {FORMAT}: {again}")
        for name in FILES:
            size = (folder / name).stat().st_size
            if size != facts["sizes"][name]:
                raise BadCatalog(
                    f"{folder / name} has {size:,} bytes instead of {facts['sizes'][name]:,}: {again}"
                )
        for name in CHECKED:
            if checksum(folder / name) != facts["crc32"][name]:
                raise BadCatalog(f"{folder / name} is damaged, its checksum differs: {again}")
    except FileNotFoundError as error:
        raise BadCatalog(f"{folder} is not a complete store, {error.filename} is missing: {again}") from None
    except (ValueError, KeyError, TypeError) as error:
        raise BadCatalog(f"{folder / 'store.json'} is damaged ({error}): {again}") from None
    return facts


def checksum(path: Path) -> int:
    """Returns the CRC-32 of a file."""
    crc = 0
    with open(path, "rb") as file:
        while piece := file.read(1 << 20):
            crc = zlib.crc32(piece, crc)
    return crc
