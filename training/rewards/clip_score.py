"""CLIP score (paper, Eq. 1; Hessel et al. 2021): w · max(cos(text, image), 0), w = 2.5, CLIP ViT-B.

The text is prefixed with "A photo depicts", as in Hessel et al.'s section 3 and published code. The paper
takes the score and its w from there and writes the text alone, as their formula does.

The model is transformers' CLIPModel with openai/clip-vit-base-patch32 by default, or any folder or repository
of that class.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

from diffagent.training.rewards.pictures import CROPPED, Preparation, batches

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image

WEIGHT = 2.5
PREFIX = "A photo depicts "
DEFAULT = "openai/clip-vit-base-patch32"
MOST_TOKENS = 77


class ClipScore:
    """A :class:`~diffagent.training.rewards.Scorer`; ``tokenizer`` is transformers' CLIPTokenizer or
    equivalent."""

    name = "clip"

    def __init__(
        self, model: Any, tokenizer: Any, preparation: Preparation | None = None, batch: int = 32
    ) -> None:
        self.model, self.tokenizer, self.batch = model.eval(), tokenizer, batch
        self.preparation = preparation or CROPPED.at(model.config.vision_config.image_size)

    @classmethod
    def load(cls, name: str = DEFAULT, device: str | None = None) -> Self:
        """The scorer of a folder or hub repository, on the process's GPU where there is one."""
        from transformers import AutoTokenizer, CLIPModel

        from diffagent.data.devices import own_device
        from diffagent.training.rewards.checkpoints import checkpoint_folder

        folder = checkpoint_folder(name)
        model = CLIPModel.from_pretrained(folder).to(device or own_device())
        return cls(model, AutoTokenizer.from_pretrained(folder))

    def score(self, prompt: str, images: Sequence[Image]) -> list[float]:
        return [WEIGHT * max(value, 0.0) for value in self.cosines(PREFIX + prompt, images)]

    def cosines(self, text: str, images: Sequence[Image]) -> list[float]:
        """The cosine of the embeddings of an unchanged text and of each image."""
        import torch
        from torch.nn.functional import normalize

        with torch.inference_mode():
            text_embedding = normalize(self._text(text), dim=-1)
            cosines: list[float] = []
            for pixels in batches(images, self.preparation, self.batch):
                picture = features(self.model.get_image_features(pixel_values=pixels.to(self.model.device)))
                cosines += (normalize(picture, dim=-1) @ text_embedding.T)[:, 0].tolist()
        return cosines

    def _text(self, text: str) -> torch.Tensor:
        tokens = self.tokenizer([text], truncation=True, max_length=MOST_TOKENS, return_tensors="pt")
        tokens = {name: tokens[name].to(self.model.device) for name in ("input_ids", "attention_mask")}
        return features(self.model.get_text_features(**tokens))


def features(output: Any) -> torch.Tensor:
    """The projected embedding [n, d]: transformers 5 wraps it as the pooled output."""
    embedding: torch.Tensor = getattr(output, "pooler_output", output)
    return embedding
