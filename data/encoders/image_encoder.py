"""The image encoder G of the CGI paper (Eq. 4): images in, their content and style out.

``content`` is what the paper matches: the last layer, pooled, of unit length. ``style`` is the moments of
early layers' feature maps (Gatys et al. 2016): which textures and colours occur and how they vary, anywhere
in the image. The default, EfficientNet-Lite0, is one set of bytes everywhere; any CLIP of transformers
replaces it by name.

    >>> load_image_encoder().encode([image]).style.shape
    (1, 1504)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, Self

from diffagent.data.encoders.features import Features
from diffagent.data.errors import MissingWeights
from diffagent.data.weights.weights import DEFAULT_IMAGE_ENCODER, resolve

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray
    from PIL.Image import Image

    from diffagent.data.encoders.efficientnet import EfficientNet

Progress = Callable[[Iterable[Any]], Iterable[Any]]


class ImageEncoder(Protocol):
    """Images in mode RGB → :class:`Features`; vectors of another name or digest cannot be compared."""

    name: str
    digest: str
    content_size: int
    style_sizes: tuple[int, ...]
    """The size of each layer's part of the style vector, from the first layer on."""
    crops: int

    def encode(self, images: Sequence[Image]) -> Features: ...


def load_image_encoder(name: str = DEFAULT_IMAGE_ENCODER) -> ImageEncoder:
    """Loads an image encoder by name or folder (see :func:`diffagent.data.weights.weights.resolve`).

    Raises:
        MissingWeights: the weights are missing, or of neither EfficientNet-Lite0 nor a CLIP.
    """
    import json

    weights = resolve(name)
    kind = json.loads((weights.path / "config.json").read_text("utf-8")).get("model_type")
    if kind == "efficientnet-lite0":
        return EfficientNetEncoder.load(name)
    if kind == "clip":
        from diffagent.data.encoders.clip_encoder import ClipImageEncoder

        return ClipImageEncoder.load(name)
    raise MissingWeights(
        f"{name!r} holds a model of type {kind!r}: give efficientnet-lite0, or a CLIP such as "
        "openai/clip-vit-base-patch32"
    )


STYLE_SIDE = 320
"""Pixels of the shorter side for style: larger than in G's training, because textures identify a
generator."""
CONTENT_SIDE = 224
LONGEST = 2
"""The longest side of an image in shorter sides; the rest is cropped at both ends."""
STYLE_BLOCKS = 11


class EfficientNetEncoder:
    """EfficientNet-Lite0: content 1,280-d of the head at 224 pixels; style of the stem and eleven blocks."""

    name = DEFAULT_IMAGE_ENCODER
    content_size = 1280
    style_sizes = tuple(2 * channels for channels in (32, 16, 24, 24, 40, 40, 80, 80, 80, 112, 112, 112))
    crops = 4

    def __init__(self, network: EfficientNet, digest: str) -> None:
        self._network = network
        self.digest = digest

    @classmethod
    def load(cls, name: str = DEFAULT_IMAGE_ENCODER) -> Self:
        from diffagent.data.encoders.efficientnet import EfficientNet

        weights = resolve(name)
        return cls(EfficientNet.load(weights.path), weights.digest)

    def encode(self, images: Sequence[Image]) -> Features:
        """Returns content and style of RGB images, one by one: about 0.15 s each on one core."""
        import numpy as np

        rows = [self._encode(image) for image in images]
        content = np.array([content for content, _ in rows], np.float32).reshape(-1, self.content_size)
        regions = np.array([regions for _, regions in rows], np.float32)
        regions = regions.reshape(-1, 1 + self.crops, sum(self.style_sizes))
        return Features(content, regions[:, 0], regions[:, 1:])

    def _encode(self, image: Image) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Returns content [d], and style of the whole image and of its crops [1 + c, s]."""
        import torch

        fine, coarse = (self._pixels(resize(image, side)) for side in (STYLE_SIDE, CONTENT_SIDE))
        with torch.inference_mode():
            layers = self._network.layers(fine, STYLE_BLOCKS)
            regions = torch.cat([_moments(maps) for _, maps in layers], 1)
            head = coarse
            for name, maps in self._network.layers(coarse):
                if name == "head":
                    head = maps.mean((0, 2, 3))
        content = torch.nn.functional.normalize(head, dim=0)
        return content.numpy(), regions.numpy()

    def _pixels(self, image: Image) -> torch.Tensor:
        import numpy as np
        import torch

        pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float()
        normal = self._network.normalise(pixels)
        return normal.contiguous(memory_format=torch.channels_last)  # a third faster on CPUs


def resize(image: Image, side: int) -> Image:
    """Resizes the image to a shorter side of ``side`` pixels; its longer side is cropped at both ends to
    twice that."""
    from PIL import Image as pillow

    width, height = image.size
    most = LONGEST * min(width, height)
    x, y = max(width - most, 0) // 2, max(height - most, 0) // 2
    box = (x, y, width - x, height - y)
    factor = side / min(width, height)
    target = [max(side, round((end - start) * factor)) for start, end in ((x, box[2]), (y, box[3]))]
    if image.size == tuple(target):
        return image
    return image.resize((target[0], target[1]), pillow.Resampling.BICUBIC, box)


def _moments(maps: torch.Tensor) -> torch.Tensor:
    """Means and standard deviations of the channels, over the whole and each quarter: [1, c, h, w] → [5, 2
    c]."""
    import torch

    whole = maps[0].contiguous()
    down, right = (side // 2 for side in whole.shape[1:])
    quarters = [whole[:, y : y + down, x : x + right] for y in (0, down) for x in (0, right)]
    rows = [torch.cat([region.mean((1, 2)), region.std((1, 2))]) for region in (whole, *quarters)]
    return torch.stack(rows)
