"""Weights for other engines: a model's folder, with the packaged adapter merged into the default model.

vLLM reads a folder, so the merged weights are written to the cache once, in fp32: every engine that casts
them to its own dtype then has the same numbers.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from pathlib import Path

from diffagent.agent.engines.adapter import Adapter, shipped
from diffagent.data.errors import MissingWeights
from diffagent.data.weights.weights import DEFAULT_LLM, DIGEST_FILE, Weights, home, resolve


def merge_weights(llm: str | None = None, adapter: Path | None = None) -> Weights:
    """Returns the folder to serve for ``llm``; default: the embedded model with its adapter.

    Raises:
        MissingWeights: the weights are missing, the adapter fits others, or the cache is not writable.
    """
    weights = resolve(llm or DEFAULT_LLM)
    folder = adapter or (shipped() if llm is None else None)
    if folder is None:
        return weights
    opened = Adapter.open(folder)
    digest = merged_digest(weights.digest, opened)
    target = home() / "merged" / digest[:16]
    if not (target / DIGEST_FILE).is_file():
        try:
            _write(weights, opened, digest, target)
        except OSError as error:
            raise MissingWeights(
                f"cannot write the merged weights to {target}: {error}; free the disk, or set DIFFAGENT_HOME "
                "to a writable folder"
            ) from None
    return Weights(target)


def merged_digest(base: str, adapter: Adapter) -> str:
    """Returns the digest of weights of SHA-256 ``base`` with an adapter merged in."""
    return hashlib.sha256(f"{base} {adapter.digest}".encode()).hexdigest()


def _write(weights: Weights, adapter: Adapter, digest: str, target: Path) -> None:
    import torch
    from safetensors.torch import save_file

    from diffagent.agent.engines.llama import read_tensors

    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}-") as scratch:
        folder = Path(scratch) / "made"
        shutil.copytree(
            weights.path, folder, ignore=shutil.ignore_patterns("*.safetensors*", "*.gguf", DIGEST_FILE)
        )
        tensors = read_tensors(sorted(weights.path.glob("*.safetensors")), torch.float32, "cpu")
        adapter.merge(tensors, weights.digest)
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
        (folder / DIGEST_FILE).write_text(f"{digest}  model.safetensors\n", encoding="utf-8")
        if target.exists():
            shutil.rmtree(target)
        folder.rename(target)
