"""Identifies the model files of an A1111, Forge or ComfyUI folder without running them.

In: a folder. Out: one :class:`InstalledModel` per file. A safetensors file is hashed (SHA-256, cached by
path, size and time) and identified by its header: the tensors' names and shapes tell checkpoints from LoRAs,
and the width of the text context the base model. A pickle is listed and never opened.

    models/Stable-diffusion/aurora.safetensors  ->  Checkpoint, SD 1.5 family, 1b5f8211ec…
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from diffagent.data.base_models import by_context, by_keys
from diffagent.data.errors import BadInput, DiffAgentError

if TYPE_CHECKING:
    from diffagent.data.hubs.civitai import CivitaiClient

PICKLES = (".ckpt", ".pt", ".pth", ".bin")
CACHE = "hashes.sqlite"

_CONTEXT_KEYS = ("attn2.to_k.weight", "attn2_to_k.lora_down.weight", "attn2.to_k.lora_A.weight")
_FIRST_CONVOLUTION = "model.diffusion_model.input_blocks.0.0.weight"


@dataclass(frozen=True)
class InstalledModel:
    """One file; ``path`` is relative to the folder, unknown fields are None.

    ``type`` is "Checkpoint" or "LORA" as Civitai spells them, or "Other"; ``base_model`` is the family's
    usual member, since the header only tells families apart; ``problem`` says why a safetensors file cannot
    be read. The Civitai ids are those of the file's version.
    """

    path: str
    bytes: int
    type: str | None = None
    base_model: str | None = None
    sha256: str | None = None
    pickle: bool = False
    inpainting: bool = False
    problem: str | None = None
    model_id: int | None = None
    version_id: int | None = None

    @property
    def autov2(self) -> str | None:
        """The ten digits that A1111 shows as the model hash."""
        return self.sha256[:10] if self.sha256 else None


def read_installed(
    folder: str | Path, cache: Path, progress: Callable[[int, int], None] = lambda *_: None
) -> list[InstalledModel]:
    """Reads the folder's model files in order of path; ``progress`` receives the number read and the total.

    ``cache`` is the folder for the hashes.

    Raises:
        BadInput: the folder does not exist.
    """
    root = Path(folder)
    if not root.is_dir():
        raise BadInput(f"{root} is not a folder: give the models folder of A1111, Forge or ComfyUI")
    files = sorted(_model_files(root))
    models = []
    with closing(_HashCache(cache)) as hashes:
        for number, path in enumerate(files, 1):
            models.append(_read(root, path, hashes))
            progress(number, len(files))
    return models


async def identify(models: Sequence[InstalledModel], client: CivitaiClient) -> list[InstalledModel]:
    """Returns the models with the Civitai ids of their hashes; of several versions, the oldest."""
    ids = await client.ids_by_hash(model.sha256 for model in models if model.sha256)
    identified = []
    for model in models:
        versions = ids.get((model.sha256 or "").upper())
        if versions:
            model_id, version_id = min(versions, key=lambda pair: pair[1])
            model = replace(model, model_id=model_id, version_id=version_id)
        identified.append(model)
    return identified


def _model_files(root: Path) -> Iterator[Path]:
    walked = set()  # people link model folders, and links can form a circle
    for folder, below, names in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        if real in walked:
            below.clear()
            continue
        walked.add(real)
        for name in names:
            path = Path(folder, name)
            if path.suffix.lower() in (".safetensors", *PICKLES) and path.is_file():
                yield path


def _read(root: Path, path: Path, hashes: _HashCache) -> InstalledModel:
    size, name = path.stat().st_size, path.relative_to(root).as_posix()
    if path.suffix.lower() in PICKLES:
        return InstalledModel(name, size, pickle=True)
    try:
        shapes = _shapes(path)
    except (OSError, DiffAgentError) as error:
        return InstalledModel(name, size, problem=" ".join(str(error).split())[:200])
    kind, base_model, inpainting = what_it_is(shapes)
    return InstalledModel(name, size, kind, base_model, hashes.sha256(path), inpainting=inpainting)


def what_it_is(shapes: Mapping[str, Sequence[int]]) -> tuple[str, str | None, bool]:
    """Returns type, base model and whether it inpaints, from the tensors' names and shapes.

    The base model is the one with these tensors, or else with the text width that the cross-attention keys
    read (:mod:`diffagent.data.base_models`); an inpainting UNet's first convolution takes nine channels
    instead of four.
    """
    lora = any(".lora_" in name or name.startswith("lora_") for name in shapes)
    base_model = by_keys(shapes)
    checkpoint = not lora and (
        base_model is not None or any(name.startswith("model.diffusion_model.") for name in shapes)
    )
    widths = {shape[-1] for name, shape in shapes.items() if name.endswith(_CONTEXT_KEYS) and len(shape) == 2}
    widths |= {shape[1] for name, shape in shapes.items() if name.endswith(_CONTEXT_KEYS) and len(shape) == 4}
    if not (lora or checkpoint):
        return "Other", None, False
    of_widths = [name for width in sorted(widths) if (name := by_context(width)) is not None]
    if base_model is None and of_widths:
        base_model = of_widths[-1]
    first = shapes.get(_FIRST_CONVOLUTION, ())
    return "Checkpoint" if checkpoint else "LORA", base_model, len(first) > 1 and first[1] == 9


def _shapes(path: Path) -> dict[str, list[int]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as header:
            return {name: header.get_slice(name).get_shape() for name in header.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise BadInput(f"not a safetensors file: {error}") from None


class _HashCache:
    """A cache of SHA-256 by path, size and modification time, so that gigabytes are read once."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(folder / CACHE, isolation_level=None, timeout=30)
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS file (path TEXT PRIMARY KEY, size INTEGER, mtime INTEGER,"
            " sha256 TEXT)"
        )

    def close(self) -> None:
        self._db.close()

    def sha256(self, path: Path) -> str:
        stat, name = path.stat(), str(path.resolve())
        row = self._db.execute("SELECT size, mtime, sha256 FROM file WHERE path = ?", (name,)).fetchone()
        if row is not None and row[:2] == (stat.st_size, stat.st_mtime_ns):
            return str(row[2])
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        self._db.execute(
            "REPLACE INTO file VALUES (?, ?, ?, ?)", (name, stat.st_size, stat.st_mtime_ns, digest)
        )
        return digest
