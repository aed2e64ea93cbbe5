"""Checkpoints of published scorers, by name or path.

A name is a folder, a file, or a repository of the Hugging Face hub, which is read through its client and
cache. Checkpoints are opened with ``weights_only``: tensors, no code.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from diffagent.data.errors import MissingWeights


def checkpoint_folder(name: str, weights: bool = True) -> str:
    """The folder of a configuration and a tokenizer, with weights or without."""
    if Path(name).expanduser().is_dir():
        return str(Path(name).expanduser())
    patterns = ["*.json", "*.txt", "*.model"] + (["*.safetensors", "*.bin"] if weights else [])
    from huggingface_hub import snapshot_download

    return str(_download(name, lambda: snapshot_download(name, allow_patterns=patterns)))


def checkpoint_file(name: str | None, published: tuple[str, str]) -> Path:
    """The checkpoint file at a path, or the published one (repository, file)."""
    if name is not None:
        path = Path(name).expanduser()
        if not path.is_file():
            raise MissingWeights(
                f"{name} is not a checkpoint file: give a path, or leave it out for the one of {published[0]}"
            )
        return path
    from huggingface_hub import hf_hub_download

    return Path(_download(published[0], lambda: hf_hub_download(*published)))


def _download(name: str, get: Any) -> Any:
    try:
        return get()
    except Exception as error:  # huggingface_hub, httpx and the file system each raise errors of their own
        message = " ".join(str(error).split())[:160]
        raise MissingWeights(
            f"{name} is neither a folder nor on a hub that answers ({type(error).__name__}: {message}): "
            "give a path"
        ) from None


def read_state(path: Path) -> Mapping[str, Any]:
    """The tensors of a checkpoint, safetensors or torch's, in fp32; wrapped in ``state_dict`` or not.

    Raises:
        MissingWeights: the file is not a checkpoint.
    """
    import pickle

    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        if path.suffix == ".safetensors":
            stored: Any = load_file(path)
        else:
            stored = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError, SafetensorError) as error:
        raise MissingWeights(
            f"{path} is not a checkpoint of tensors ({type(error).__name__}): fetch it again"
        ) from None
    stored = stored.get("state_dict", stored) if isinstance(stored, Mapping) else {}
    if not stored:
        raise MissingWeights(f"{path} holds no tensors: fetch it again")
    return {name: value.float() if value.is_floating_point() else value for name, value in stored.items()}
