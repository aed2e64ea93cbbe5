"""EfficientNet-Lite0 (Tan & Le 2019; TensorFlow's "lite" variant) in plain torch: pixels in, feature maps
out.

Sixteen inverted residual blocks without squeeze-and-excitation, ReLU6, "same" padding as TensorFlow pads
(the odd pixel at the right and bottom). Batch norms are folded into the convolutions.

    for name, maps in network.layers(pixels): ...   # "stem", "block0", …, "block15", "head"
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from diffagent.data.errors import MissingWeights

if TYPE_CHECKING:
    import torch

STRIDES = {1: 2, 3: 2, 5: 2, 11: 2}
"""Blocks that halve the resolution."""
BLOCKS = 16


class EfficientNet:
    """The network's convolutions. Safe to share between threads."""

    def __init__(self, tensors: dict[str, torch.Tensor], mean: float = 127.0, scale: float = 128.0) -> None:
        self._tensors = tensors
        self._mean, self._scale = mean, scale

    @classmethod
    def load(cls, folder: Path) -> EfficientNet:
        """Reads a folder of :mod:`diffagent.data.weights.efficientnet_weights`.

        Raises:
            MissingWeights: the folder holds another model.
        """
        from safetensors.torch import load_file

        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        if config.get("model_type") != "efficientnet-lite0":
            raise MissingWeights(
                f"{folder} holds a model of type {config.get('model_type')!r}, not EfficientNet-Lite0: give "
                "efficientnet-lite0, or a CLIP for transformers"
            )
        return cls(load_file(folder / "model.safetensors"), config["mean"], config["scale"])

    def normalise(self, pixels: torch.Tensor) -> torch.Tensor:
        """Normalises pixels 0…255 as in training: (x − 127) / 128."""
        return (pixels - self._mean) / self._scale

    def layers(self, inputs: torch.Tensor, blocks: int = BLOCKS) -> Iterator[tuple[str, torch.Tensor]]:
        """Yields feature maps [n, channels, h, w] of normalised inputs [n, 3, H, W], layer by layer.

        ``stem``, then the output of each of the first ``blocks`` blocks, then, after all of them, ``head``.
        """
        import torch

        states = self._convolve("stem", inputs, 2).clamp_(0, 6)
        yield "stem", states
        for n in range(blocks):
            inner, at = states, f"blocks.{n}"
            if n:
                inner = self._convolve(f"{at}.expand", inner).clamp_(0, 6)
            inner = self._convolve(f"{at}.depthwise", inner, STRIDES.get(n, 1)).clamp_(0, 6)
            inner = self._convolve(f"{at}.project", inner)
            states = inner + states if inner.shape == states.shape else inner
            yield f"block{n}", states
        if blocks == BLOCKS:
            yield "head", torch.clamp(self._convolve("head", states), 0, 6)

    def _convolve(self, at: str, states: torch.Tensor, stride: int = 1) -> torch.Tensor:
        from torch.nn.functional import conv2d, pad

        weight, bias = self._tensors[f"{at}.weight"], self._tensors[f"{at}.bias"]
        size, groups = weight.shape[-1], states.shape[1] // weight.shape[1]
        down, right = (_same(side, size, stride) for side in states.shape[-2:])
        if down == right and down % 2 == 0:
            return conv2d(states, weight, bias, stride, down // 2, 1, groups)
        padded = pad(states, (right // 2, right - right // 2, down // 2, down - down // 2))
        return conv2d(padded, weight, bias, stride, 0, 1, groups)


def _same(side: int, size: int, stride: int) -> int:
    """The pixels that TensorFlow's "same" padding adds to a side for a kernel of ``size``."""
    return max((-(-side // stride) - 1) * stride + size - side, 0)
