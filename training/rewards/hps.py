"""HPS v2 (paper, Eq. 3; Wu et al. 2023): Enc(text) · Enc(image) / τ, of a CLIP ViT-H/14 that was tuned on
choices.

The embeddings have unit length and 1/τ is the tuned CLIP's ``exp(logit_scale)`` (100), so that values are a
hundred times a cosine, as in the paper's tables. The published checkpoint (``xswu/HPSv2``) has open_clip's
names; :func:`from_open_clip` translates them to those of transformers. Pictures are scaled to fit and padded
with black, as in the published code, so that no part of a tall picture is cut off.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

from diffagent.training.rewards.clip_score import ClipScore
from diffagent.training.rewards.pictures import FITTED, Preparation

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image

CHECKPOINT = ("xswu/HPSv2", "HPS_v2_compressed.pt")
"""Version 2.0, which the paper's figures (25 to 28) come from; those of 2.1 differ."""
NEWER = ("xswu/HPSv2", "HPS_v2.1_compressed.pt")
BASE = "laion/CLIP-ViT-H-14-laion2B-s32B-b79K"
"""The source of configuration and tokenizer: the CLIP that was tuned."""


class HPSv2:
    """A :class:`~diffagent.training.rewards.Scorer`."""

    name = "hps"

    def __init__(
        self, model: Any, tokenizer: Any, preparation: Preparation | None = None, batch: int = 16
    ) -> None:
        size = model.config.vision_config.image_size
        self._clip = ClipScore(model, tokenizer, preparation or FITTED.at(size), batch)

    @classmethod
    def load(cls, name: str | None = None, base: str = BASE, device: str | None = None) -> Self:
        """The published checkpoint of version 2.0 (2.1 by the name ``v2.1``), or a file of the same layout;
        ``base`` is a folder or repository."""
        import torch
        from transformers import AutoTokenizer, CLIPConfig, CLIPModel

        from diffagent.data.devices import own_device
        from diffagent.training.rewards.checkpoints import checkpoint_file, checkpoint_folder, read_state

        folder = checkpoint_folder(base, weights=False)
        with torch.device("meta"):
            model = CLIPModel(CLIPConfig.from_pretrained(folder))
        file = checkpoint_file(None, NEWER) if name == "v2.1" else checkpoint_file(name, CHECKPOINT)
        state = from_open_clip(read_state(file))
        model.load_state_dict(state, strict=False, assign=True)
        return cls(
            materialise(model, state).to(device or own_device()), AutoTokenizer.from_pretrained(folder)
        )

    def score(self, prompt: str, images: Sequence[Image]) -> list[float]:
        scale = float(self._clip.model.logit_scale.detach().exp())
        return [scale * cosine for cosine in self._clip.cosines(prompt, images)]


def materialise(model: Any, state: Mapping[str, Any]) -> Any:
    """A model from the meta device with the weights of ``state``: position ids filled in, weights in fp32.

    Raises:
        MissingWeights: a parameter is not in ``state``.
    """
    import torch

    from diffagent.data.errors import MissingWeights

    lacking = [name for name, _ in model.named_parameters() if name not in state]
    if lacking:
        raise MissingWeights(
            f"the checkpoint lacks {len(lacking)} tensors of this architecture, the first {lacking[0]}: "
            "give a checkpoint of the published layout"
        )
    for module in model.modules():
        for name, buffer in list(module._buffers.items()):
            if buffer is not None and buffer.is_meta:
                module._buffers[name] = torch.arange(buffer.shape[-1]).expand(buffer.shape)
    return model.float()


_SIMPLE = {
    "logit_scale": "logit_scale",
    "positional_embedding": "text_model.embeddings.position_embedding.weight",
    "token_embedding.weight": "text_model.embeddings.token_embedding.weight",
    "ln_final.weight": "text_model.final_layer_norm.weight",
    "ln_final.bias": "text_model.final_layer_norm.bias",
    "visual.class_embedding": "vision_model.embeddings.class_embedding",
    "visual.positional_embedding": "vision_model.embeddings.position_embedding.weight",
    "visual.conv1.weight": "vision_model.embeddings.patch_embedding.weight",
    "visual.ln_pre.weight": "vision_model.pre_layrnorm.weight",
    "visual.ln_pre.bias": "vision_model.pre_layrnorm.bias",
    "visual.ln_post.weight": "vision_model.post_layernorm.weight",
    "visual.ln_post.bias": "vision_model.post_layernorm.bias",
}
_TRANSPOSED = {"text_projection": "text_projection.weight", "visual.proj": "visual_projection.weight"}
_BLOCK = re.compile(r"(visual\.)?transformer\.resblocks\.(\d+)\.(.+)")
_INSIDE = {
    "ln_1": "layer_norm1",
    "ln_2": "layer_norm2",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
    "attn.out_proj": "self_attn.out_proj",
}


def from_open_clip(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """A CLIP's tensors under transformers' names; ``attn.in_proj`` is split into query, key and value.

    Raises:
        MissingWeights: a name does not belong to an open_clip CLIP.
    """
    from diffagent.data.errors import MissingWeights

    tensors: dict[str, torch.Tensor] = {}
    for name, value in state.items():
        block = _BLOCK.fullmatch(name)
        if name in _SIMPLE:
            tensors[_SIMPLE[name]] = value
        elif name in _TRANSPOSED:
            tensors[_TRANSPOSED[name]] = value.T.contiguous()
        elif block:
            tower = "vision_model" if block[1] else "text_model"
            tensors |= _block(f"{tower}.encoder.layers.{block[2]}", block[3], value)
        elif name != "attn_mask":
            raise MissingWeights(
                f"the tensor {name} does not belong to an open_clip CLIP: give HPS v2's checkpoint"
            )
    return tensors


def _block(layer: str, name: str, value: torch.Tensor) -> dict[str, torch.Tensor]:
    if name.startswith("attn.in_proj_"):
        kind = name.removeprefix("attn.in_proj_")
        parts = zip(("q_proj", "k_proj", "v_proj"), value.chunk(3), strict=True)
        return {f"{layer}.self_attn.{part}.{kind}": weight for part, weight in parts}
    inside, _, kind = name.rpartition(".")
    return {f"{layer}.{_INSIDE[inside]}.{kind}": value}
