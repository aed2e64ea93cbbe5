"""The captioner of the CGI paper (Eq. 7): an image in, one sentence about it out.

Optional: any image-to-text model of transformers on the hub or in a folder, such as BLIP
(``Salesforce/blip-image-captioning-base``). Without one, only a user's prompt describes the images.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol, Self

from diffagent.data.errors import MissingWeights
from diffagent.data.weights.weights import resolve

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_TOKENS = 40


class ImageDescriber(Protocol):
    """A captioner: images → one description each."""

    def describe(self, images: Sequence[Image]) -> list[str]: ...


class Captioner:
    """A transformers image-to-text model."""

    def __init__(self, model: Any, processor: Any) -> None:
        self._model = model
        self._processor = processor

    @classmethod
    def load(cls, name: str) -> Self:
        """Loads by folder or hub name (see :func:`diffagent.data.weights.weights.resolve`).

        Raises:
            MissingWeights: the weights are missing, or not of an image-to-text model.
        """
        from transformers import AutoModelForImageTextToText, AutoProcessor

        folder = str(resolve(name).path)
        try:
            model = AutoModelForImageTextToText.from_pretrained(folder).eval()
            return cls(model, AutoProcessor.from_pretrained(folder))
        except (ValueError, OSError) as error:
            raise MissingWeights(
                f"{name!r} holds no image-to-text model ({' '.join(str(error).split())[:120]}): give "
                f"one such as "
                "Salesforce/blip-image-captioning-base, or describe the images by the prompt"
            ) from None

    def describe(self, images: Sequence[Image]) -> list[str]:
        """Returns a description of each image, by greedy decoding of at most 40 tokens."""
        import torch

        with torch.inference_mode():
            inputs = self._processor(images=list(images), return_tensors="pt")
            tokens = self._model.generate(**inputs, max_new_tokens=MAX_TOKENS, do_sample=False)
        texts: list[str] = self._processor.batch_decode(tokens, skip_special_tokens=True)
        return [" ".join(text.split()) for text in texts]
