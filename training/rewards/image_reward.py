"""ImageReward (paper, Eq. 2; Xu et al. 2023): MLP(Enc_text(text, Enc_image(image))), a standardised
preference.

transformers' BlipVisionModel (ViT-L) and BlipTextModel (BERT with cross-attention) hold the published
checkpoint (``THUDM/ImageReward``), whose names :func:`from_published` translates. The text is padded to 35
tokens; the first token's state goes through five linear layers; mean and deviation are the published ones.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

from diffagent.training.rewards.pictures import CROPPED, batches

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image

CHECKPOINT = ("THUDM/ImageReward", "ImageReward.pt")
TOKENIZER = "google-bert/bert-base-uncased"
MEAN, DEVIATION = 0.16717362830052426, 1.0333394966054072
TOKENS = 35
LAYERS = (1024, 128, 64, 16, 1)
PLACES = (0, 2, 4, 6, 7)
"""The indices of the linear layers in the published head, whose first layers alternate with dropouts."""


class ImageReward:
    """A :class:`~diffagent.training.rewards.Scorer`."""

    name = "image_reward"

    def __init__(self, vision: Any, text: Any, head: Any, tokenizer: Any, batch: int = 16) -> None:
        self.vision, self.text, self.head = vision.eval(), text.eval(), head.eval()
        self.tokenizer, self.batch = tokenizer, batch
        self.preparation = CROPPED.at(vision.config.image_size)

    @classmethod
    def load(cls, name: str | None = None, tokenizer: str = TOKENIZER, device: str | None = None) -> Self:
        """The published checkpoint, or a file of the same layout; ``tokenizer`` is BERT's."""
        import torch
        from transformers import AutoTokenizer

        from diffagent.data.devices import own_device
        from diffagent.training.rewards.checkpoints import checkpoint_file, checkpoint_folder, read_state
        from diffagent.training.rewards.hps import materialise

        where = device or own_device()
        state = from_published(read_state(checkpoint_file(name, CHECKPOINT)))
        with torch.device("meta"):
            parts = architecture()
        for part, tensors in zip(parts, state, strict=True):
            part.load_state_dict(tensors, strict=False, assign=True)
        vision, text, head = (
            materialise(part, tensors).to(where) for part, tensors in zip(parts, state, strict=True)
        )
        words = AutoTokenizer.from_pretrained(checkpoint_folder(tokenizer, weights=False))
        return cls(vision, text, head, words)

    def score(self, prompt: str, images: Sequence[Image]) -> list[float]:
        import torch

        tokens = self.tokenizer(
            [prompt], padding="max_length", truncation=True, max_length=TOKENS, return_tensors="pt"
        )
        scores: list[float] = []
        with torch.inference_mode():
            for pixels in batches(images, self.preparation, self.batch):
                patches = self.vision(pixel_values=pixels.to(self.vision.device)).last_hidden_state
                count = len(pixels)
                states = self.text(
                    input_ids=tokens["input_ids"].to(patches.device).expand(count, -1),
                    attention_mask=tokens["attention_mask"].to(patches.device).expand(count, -1),
                    encoder_hidden_states=patches,
                    encoder_attention_mask=torch.ones(
                        patches.shape[:-1], dtype=torch.long, device=patches.device
                    ),
                ).last_hidden_state
                scores += ((self.head(states[:, 0])[:, 0] - MEAN) / DEVIATION).tolist()
        return scores


def architecture(vision: Mapping[str, Any] | None = None, text: Mapping[str, Any] | None = None) -> Any:
    """Image encoder, text encoder and head as published (ViT-L/16 at 224 pixels, BERT-base), or smaller."""
    from transformers import BlipTextConfig, BlipVisionConfig
    from transformers.models.blip.modeling_blip import BlipVisionModel
    from transformers.models.blip.modeling_blip_text import BlipTextModel

    vision_options = {
        "hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24, "num_attention_heads": 16,
        "image_size": 224, "patch_size": 16, "layer_norm_eps": 1e-6, **(vision or {}),
    }  # fmt: skip
    text_options = {
        "vocab_size": 30524, "hidden_size": 768, "encoder_hidden_size": vision_options["hidden_size"],
        "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12,
        "max_position_embeddings": 512, "layer_norm_eps": 1e-12, **(text or {}),
    }  # fmt: skip
    encoder = BlipVisionModel(BlipVisionConfig(**vision_options))
    return (
        encoder,
        BlipTextModel(BlipTextConfig(**text_options), add_pooling_layer=False),
        head(text_options["hidden_size"]),
    )


def head(width: int) -> Any:
    """Five linear layers without nonlinearities, as published; dropouts are for training only."""
    from torch import nn

    sizes = (width, *LAYERS)
    layers = [nn.Linear(a, b) for a, b in itertools.pairwise(sizes)]
    return nn.Sequential(*layers)


_VISION = {
    "cls_token": "embeddings.class_embedding",
    "pos_embed": "embeddings.position_embedding",
    "patch_embed.proj.weight": "embeddings.patch_embedding.weight",
    "patch_embed.proj.bias": "embeddings.patch_embedding.bias",
    "norm.weight": "post_layernorm.weight",
    "norm.bias": "post_layernorm.bias",
}
_INSIDE = {
    "norm1": "layer_norm1",
    "norm2": "layer_norm2",
    "attn.qkv": "self_attn.qkv",
    "attn.proj": "self_attn.projection",
    "mlp.fc1": "mlp.fc1",
    "mlp.fc2": "mlp.fc2",
}
_BLOCK = re.compile(r"blocks\.(\d+)\.(.+)\.(weight|bias)")
Tensors = dict[str, "torch.Tensor"]


def from_published(state: Mapping[str, torch.Tensor]) -> tuple[Tensors, Tensors, Tensors]:
    """The published tensors under the names of image encoder, text encoder and head.

    The tensors of BLIP's pre-training (projections, queues, momentum copies, the decoder) are left out.
    """
    vision: Tensors = {}
    text: Tensors = {}
    scorer: Tensors = {}
    for name, value in state.items():
        if name.startswith("blip.visual_encoder."):
            vision[_vision_name(name.removeprefix("blip.visual_encoder."))] = value
        elif name.startswith("blip.text_encoder."):
            inside = name.removeprefix("blip.text_encoder.")
            if not inside.startswith(("embeddings.position_ids", "pooler.", "cls.")):
                text[inside.removeprefix("bert.")] = value
        elif name.startswith("mlp.layers."):
            place, _, kind = name.removeprefix("mlp.layers.").partition(".")
            scorer[f"{PLACES.index(int(place))}.{kind}"] = value
    return vision, text, scorer


def _vision_name(name: str) -> str:
    block = _BLOCK.fullmatch(name)
    return f"encoder.layers.{block[1]}.{_INSIDE[block[2]]}.{block[3]}" if block else _VISION[name]
