"""CLIP of transformers as image encoder G and text encoder T, where its weights are available.

Content is the projected image embedding, as in the CGI paper; style is the means and deviations of the states
of the first half of the vision transformer's layers, over the patches of the image and of each quarter.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

from diffagent.data.encoders.features import Features
from diffagent.data.errors import MissingWeights
from diffagent.data.weights.weights import resolve

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray
    from PIL.Image import Image

BATCH = 16


class ClipImageEncoder:
    """The vision half: content [n, projection], style [n, 2 × hidden × layers / 2]."""

    crops = 4

    def __init__(self, model: Any, processor: Any, name: str, digest: str) -> None:
        self._model = model
        self._processor = processor
        self.name = name
        self.digest = digest
        vision = model.config.vision_config
        self.content_size: int = model.config.projection_dim
        self._layers = range(1, vision.num_hidden_layers // 2 + 1)
        self.style_sizes = (2 * vision.hidden_size,) * len(self._layers)

    @classmethod
    def load(cls, name: str) -> Self:
        """Loads by folder or hub name."""
        from transformers import CLIPImageProcessor, CLIPModel

        weights = resolve(name)
        try:
            model = CLIPModel.from_pretrained(weights.path).eval()
            processor = CLIPImageProcessor.from_pretrained(weights.path)
        except (OSError, ValueError) as error:
            raise MissingWeights(
                f"{name!r} cannot be read as a CLIP ({' '.join(str(error).split())[:120]}): give "
                "one such as openai/clip-vit-base-patch32, or efficientnet-lite0"
            ) from None
        return cls(model, processor, name, weights.digest)

    def encode(self, images: Sequence[Image]) -> Features:
        """Returns content and style of RGB images, in batches of 16."""
        import numpy as np

        parts = [self._encode(images[at : at + BATCH]) for at in range(0, len(images), BATCH)]
        style = sum(self.style_sizes)
        shapes = (self.content_size,), (style,), (self.crops, style)
        nothing = Features(*(np.zeros((0, *shape), np.float32) for shape in shapes))
        return Features.concatenate([nothing, *parts])

    def _encode(self, images: Sequence[Image]) -> Features:
        import torch
        from torch.nn.functional import normalize

        pixels = self._processor(images=list(images), return_tensors="pt")["pixel_values"]
        with torch.inference_mode():
            output = self._model.vision_model(pixel_values=pixels, output_hidden_states=True)
            content = normalize(self._model.visual_projection(output.pooler_output), dim=1)
            regions = torch.cat([_moments(output.hidden_states[layer][:, 1:]) for layer in self._layers], 2)
        return Features(content.numpy(), regions[:, 0].numpy(), regions[:, 1:].numpy())


def _moments(states: torch.Tensor) -> torch.Tensor:
    """Means and deviations over all patches and over each quarter's: [n, side², h] → [n, 5, 2 h]."""
    import torch

    side = round(states.shape[1] ** 0.5)
    grid = states.reshape(len(states), side, side, -1)
    half = side // 2
    quarters = [grid[:, y : y + half, x : x + half].flatten(1, 2) for y in (0, half) for x in (0, half)]
    return torch.stack([torch.cat([region.mean(1), region.std(1)], 1) for region in (states, *quarters)], 1)


class ClipTextEncoder:
    """The text half: texts → unit vectors, float32 [n, projection]."""

    def __init__(self, model: Any, tokenizer: Any, name: str, digest: str) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self.name = name
        self.digest = digest
        self.size: int = model.config.projection_dim

    @classmethod
    def load(cls, name: str) -> Self:
        """Loads by folder or hub name."""
        from transformers import AutoTokenizer, CLIPModel

        weights = resolve(name)
        model = CLIPModel.from_pretrained(weights.path).eval()
        return cls(model, AutoTokenizer.from_pretrained(weights.path), name, weights.digest)

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embeds ``texts``, cut to CLIP's 77 tokens."""
        import torch
        from torch.nn.functional import normalize

        tokens = self._tokenizer(list(texts), padding=True, truncation=True, return_tensors="pt")
        with torch.inference_mode():
            states = self._model.text_model(**tokens).pooler_output
            vectors: NDArray[np.float32] = normalize(self._model.text_projection(states), dim=1).numpy()
        return vectors
