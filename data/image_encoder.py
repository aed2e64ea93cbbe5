"""The image encoder G of the CGI paper (Eq. 4): images in, what they show and how they are made out.

``content`` is what the paper matches: the last layer, pooled, of unit length. ``style`` are moments of feature
maps of early layers (Gatys et al. 2016 read style there): which textures and colours occur and how they vary,
wherever in the image. The default, EfficientNet-Lite0, is one set of bytes everywhere; any CLIP of
transformers' takes its place by name.

    >>> load_image_encoder().encode([image]).style.shape
    (1, 3768)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, Self

from diffagent.data.errors import MissingWeights
from diffagent.data.weights import DEFAULT_IMAGE_ENCODER, resolve

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray
    from PIL.Image import Image

    from diffagent.data.efficientnet import EfficientNet

Progress = Callable[[Iterable[Any]], Iterable[Any]]


@dataclass(frozen=True)
class Features:
    """Of n images: ``content`` float32 [n, d], rows of length 1; ``style`` float32 [n, s]."""

    content: NDArray[np.float32]
    style: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.content)

    def __getitem__(self, rows: Any) -> Features:
        return Features(self.content[rows], self.style[rows])


class ImageEncoder(Protocol):
    """Images in mode RGB → :class:`Features`; vectors of another name or digest cannot be compared."""

    name: str
    digest: str
    content_size: int
    style_size: int

    def encode(self, images: Sequence[Image]) -> Features: ...


def load_image_encoder(name: str = DEFAULT_IMAGE_ENCODER) -> ImageEncoder:
    """By name or folder (see :func:`diffagent.data.weights.resolve`).

    Raises:
        MissingWeights: found nowhere, or neither EfficientNet-Lite0 nor a CLIP.
    """
    import json

    weights = resolve(name)
    kind = json.loads((weights.path / "config.json").read_text("utf-8")).get("model_type")
    if kind == "efficientnet-lite0":
        return EfficientNetEncoder.load(name)
    if kind == "clip":
        from diffagent.data.clip_encoder import ClipImageEncoder

        return ClipImageEncoder.load(name)
    raise MissingWeights(
        f"{name!r} holds a model of type {kind!r}: give efficientnet-lite0, or a CLIP such as "
        "openai/clip-vit-base-patch32"
    )


STYLE_SIDE = 320
"""Pixels of the shorter side for style: finer than G is used to, because a generator is told by its textures."""
CONTENT_SIDE = 224
LONGEST = 2
"""Of an image, times its shorter side; what is beyond is cropped at both ends."""
STYLE_BLOCKS = 11


class EfficientNetEncoder:
    """EfficientNet-Lite0: content 1,280-d of the head at 224 pixels; style of the stem and eleven blocks."""

    name = DEFAULT_IMAGE_ENCODER
    content_size = 1280

    def __init__(self, network: EfficientNet, digest: str) -> None:
        self._network = network
        self.digest = digest

    @classmethod
    def load(cls, name: str = DEFAULT_IMAGE_ENCODER) -> Self:
        from diffagent.data.efficientnet import EfficientNet

        weights = resolve(name)
        return cls(EfficientNet.load(weights.path), weights.digest)
