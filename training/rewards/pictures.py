"""The input of CLIP and BLIP: pictures scaled, cropped or padded to a square, and standardised."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, Self

import numpy as np

from diffagent.data.errors import BadInput

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image

MEAN = (0.48145466, 0.4578275, 0.40821073)
DEVIATION = (0.26862954, 0.26130258, 0.27577711)


@dataclass(frozen=True)
class Preparation:
    """``crop``: the shorter side scaled to ``size`` pixels and the middle kept; ``pad``: the longer side
    scaled, with a black margin."""

    how: Literal["crop", "pad"]
    size: int = 224

    def at(self, size: int) -> Self:
        return replace(self, size=size)

    def __call__(self, image: Image) -> torch.Tensor:
        """The standardised picture, float32 [3, size, size]."""
        import torch

        values = np.asarray(self.square(image.convert("RGB")), np.float32) / 255
        standard = (values - np.array(MEAN, np.float32)) / np.array(DEVIATION, np.float32)
        return torch.from_numpy(standard).permute(2, 0, 1).contiguous()

    def square(self, image: Image) -> Image:
        """The picture at ``size`` × ``size`` pixels."""
        from PIL import Image as Pillow

        side = min(image.size) if self.how == "crop" else max(image.size)
        # torchvision truncates the longer side where it crops, and rounds where it fits
        scaled = [
            self.size * n // side if self.how == "crop" else max(1, round(self.size * n / side))
            for n in image.size
        ]
        small = image.resize((scaled[0], scaled[1]), Pillow.Resampling.BICUBIC)
        if self.how == "pad":
            framed = Pillow.new("RGB", (self.size, self.size))
            framed.paste(small, ((self.size - scaled[0]) // 2, (self.size - scaled[1]) // 2))
            return framed
        left, top = (round((n - self.size) / 2) for n in scaled)
        return small.crop((left, top, left + self.size, top + self.size))


CROPPED = Preparation("crop")
FITTED = Preparation("pad")


def batches(images: Sequence[Image], prepare: Preparation, size: int) -> Iterator[torch.Tensor]:
    """Batches of prepared images, float32 [≤ size, 3, side, side].

    Raises:
        BadInput: there are no images.
    """
    import torch

    if not images:
        raise BadInput("there are no images to score: give one at least")
    for start in range(0, len(images), size):
        yield torch.stack([prepare(image) for image in images[start : start + size]])
