"""Requirement generation (CGI paper, Eq. 6–8): one to six example images → R = {Z, Q}.

Z are the images' features. Q embeds their descriptions: a captioner's, if given; else the user's prompt for
all of them; else nothing, and all images of a specification weigh the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from diffagent.agent.pmi.kernel_matching import Points
from diffagent.data.encoders.features import Features
from diffagent.data.encoders.image_encoder import ImageEncoder
from diffagent.data.encoders.image_loading import load_images
from diffagent.data.encoders.text_encoder import Encoder
from diffagent.data.errors import BadInput

if TYPE_CHECKING:
    from diffagent.data.encoders.captioner import ImageDescriber

MOST_IMAGES = 6
"""As in the paper's Table 2; more images add little."""


@dataclass(frozen=True)
class ImageRequirement:
    """``features`` of N images; ``text`` float32 [N, t], or None for uniform weights."""

    features: Features
    text: npt.NDArray[np.float32] | None = None

    @classmethod
    def of(
        cls,
        images: Sequence[Any],
        encoder: ImageEncoder,
        text_encoder: Encoder | None = None,
        prompt: str = "",
        captioner: ImageDescriber | None = None,
    ) -> Self:
        """Encodes paths, bytes or Pillow images.

        Raises:
            BadInput: there is no image, or more than six. BadImage: one cannot be decoded.
        """
        check_count(images)
        loaded = load_images(images)
        captions = captioner.describe(loaded) if captioner else [prompt] * len(loaded) if prompt else []
        text = text_encoder.encode(captions) if captions and text_encoder else None
        return cls(encoder.encode(loaded), text)

    def points(self) -> Points:
        """Returns the paper's matching input: content and descriptions."""
        text = None if self.text is None else self.text.astype(np.float64)
        return Points(self.features.content.astype(np.float64), text)


def check_count(images: Sequence[Any]) -> None:
    """Raises:
    BadInput: no image, or more than six.
    """
    if isinstance(images, str | bytes):
        raise BadInput("images are a list: give [image], not the image itself")
    if not 1 <= len(images) <= MOST_IMAGES:
        raise BadInput(f"{len(images)} example images were given: give 1 to {MOST_IMAGES}")


def missing(catalog: Path) -> BadInput:
    """Returns the error for example images with a catalog without image specifications."""
    return BadInput(
        f"example images were given, but the catalog {catalog.name} has no image specifications",
        "build them from sample images with diffagent pmi build IMAGES -o CATALOG, and give that with "
        "--catalog CATALOG",
    )
