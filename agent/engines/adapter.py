"""Low-rank adapters: fine-tuned changes of the default model, small enough to ship.

A folder with ``adapter.safetensors``: for each linear layer ``NAME.lora_A`` [r, in] and ``NAME.lora_B``
[out, r], with the rank, alpha and the base weights' digest as metadata. Merged at load:

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
"""The file, and the key of its metadata: one JSON text, because safetensors does not order keys."""


@dataclass(frozen=True)
class Adapter:
    """One adapter file; ``base`` is the SHA-256 of the weights that it was trained on."""

    path: Path
    base: str
    scale: float

    @classmethod
    def open(cls, folder: Path) -> Adapter:
        """Opens a folder. Raises :class:`MissingWeights` where it has no adapter, or one without metadata."""
        from safetensors import SafetensorError, safe_open

        path = folder / FILE
        try:
            with safe_open(path, framework="pt") as source:
                stored = json.loads((source.metadata() or {})[KEY])
            return cls(path, stored["base"], float(stored["alpha"]) / float(stored["r"]))
        except (OSError, SafetensorError, KeyError, ValueError) as error:
            raise MissingWeights(
                f"{path} is not an adapter ({type(error).__name__}: {error})",
                "give a folder of diffagent train sft",
            ) from None

    @property
    def digest(self) -> str:
        """SHA-256 of the file."""
        return sha256(self.path)

    def merge(self, tensors: dict[str, torch.Tensor], digest: str) -> None:
        """Adds the adapter to the weights of SHA-256 ``digest``; replaces tensors, does not write into them.

        Raises:
            MissingWeights: the adapter was trained on other weights.
        """
        if digest != self.base:
            raise MissingWeights(
                f"the adapter {self.path.parent} was trained on weights of SHA-256 {self.base[:12]}…, but "
                f"these are {digest[:12]}…",
                "fetch the default weights again, or name a model with --llm",
            )
        import torch

        for name, (a, b) in self.pairs().items():
            weight = tensors[f"{name}.weight"]
            added = torch.addmm(weight.float(), b.to(weight.device), a.to(weight.device), alpha=self.scale)
            tensors[f"{name}.weight"] = added.to(weight.dtype)

    def pairs(self) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
        """Returns linear layer's name → A [r, in] and B [out, r], in fp32."""
        from safetensors.torch import load_file

        stored = load_file(self.path)
        names = sorted(name.removesuffix(".lora_A") for name in stored if name.endswith(".lora_A"))
        return {name: (stored[f"{name}.lora_A"].float(), stored[f"{name}.lora_B"].float()) for name in names}


def shipped() -> Path | None:
    """Returns the folder of the packaged adapter, or None."""
    folder = Path(str(files("diffagent.agent") / "default" / "adapter"))
    return folder if (folder / FILE).is_file() else None
