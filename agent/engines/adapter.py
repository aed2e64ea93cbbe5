"""Low-rank adapters: what fine-tuning changed of the default model, small enough to ship.

A folder with ``adapter.safetensors``: for each linear layer ``NAME.lora_A`` [r, in] and ``NAME.lora_B``
[out, r], and as metadata the rank, alpha and the digest of the weights that it belongs to. Merged at load:

    W ← W + B·A·alpha/r
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from diffagent.data.errors import MissingWeights
from diffagent.data.weights.wheel import sha256

if TYPE_CHECKING:
    import torch

FILE, KEY = "adapter.safetensors", "adapter"
"""The file, and where its facts stand in the metadata: one JSON text, because keys have no order there."""


@dataclass(frozen=True)
class Adapter:
    """One adapter file; ``base`` is the SHA-256 of the weights that it was trained on."""

    path: Path
    base: str
    scale: float

    @classmethod
    def open(cls, folder: Path) -> Adapter:
        """Raises :class:`MissingWeights` where the folder holds no adapter, or one without its metadata."""
        from safetensors import SafetensorError, safe_open

        path = folder / FILE
        try:
            with safe_open(path, framework="pt") as source:
                stored = json.loads((source.metadata() or {})[KEY])
            return cls(path, stored["base"], float(stored["alpha"]) / float(stored["r"]))
        except (OSError, SafetensorError, KeyError, ValueError) as error:
            raise MissingWeights(
                f"{path} is no adapter ({type(error).__name__}: {error})",
                "give a folder of diffagent train sft",
            ) from None

    @property
    def digest(self) -> str:
        """SHA-256 of the file."""
        return sha256(self.path)

    def merge(self, tensors: dict[str, torch.Tensor], digest: str) -> None:
        """Add the adapter to the weights of digest ``digest``; tensors are replaced, not written into.

        Raises:
            MissingWeights: it was trained on other weights.
        """
        if digest != self.base:
            raise MissingWeights(
                f"the adapter {self.path.parent} was trained on weights of SHA-256 {self.base[:12]}…, but "
                f"these are {digest[:12]}…",
                "fetch the default weights again, or name a model with --llm",
            )
        import torch

        for name, (a, b) in self.pairs().items():
            held = tensors[f"{name}.weight"]
            added = torch.addmm(held.float(), b.to(held.device), a.to(held.device), alpha=self.scale)
            tensors[f"{name}.weight"] = added.to(held.dtype)

    def pairs(self) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
        """Name of a linear layer → A [r, in] and B [out, r], in fp32."""
        from safetensors.torch import load_file

        stored = load_file(self.path)
        names = sorted(name.removesuffix(".lora_A") for name in stored if name.endswith(".lora_A"))
        return {name: (stored[f"{name}.lora_A"].float(), stored[f"{name}.lora_B"].float()) for name in names}


def shipped() -> Path | None:
    """The folder of the adapter that ships, or None."""
    folder = Path(str(files("diffagent.agent") / "default" / "adapter"))
    return folder if (folder / FILE).is_file() else None
