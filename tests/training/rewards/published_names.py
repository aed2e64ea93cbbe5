"""Names and shapes of the tensors in the published checkpoints, written down from what saved them.

ImageReward.pt: ``ImageReward/ImageReward.py`` and ``models/BLIP/{blip_pretrain,vit,med}.py`` of
THUDM/ImageReward at c1392c6, with med_config.json. HPS_v2.1_compressed.pt and HPS_v2_compressed.pt: the CLIP
of ``hpsv2/src/open_clip/{model,transformer}.py`` with ``model_configs/ViT-H-14.json`` of tgxs002/HPSv2 at
866735e, which does not save ``attn_mask``.
"""

from __future__ import annotations

import itertools

Shapes = dict[str, tuple[int, ...]]


def _linear(name: str, into: int, out: int) -> Shapes:
    return {f"{name}.weight": (out, into), f"{name}.bias": (out,)}


def _norm(name: str, width: int) -> Shapes:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def image_reward() -> Shapes:
    """BLIP's ViT-L/16 and BERT-base with cross-attention, and five linear layers."""
    vision, text = "blip.visual_encoder", "blip.text_encoder"
    shapes: Shapes = {
        f"{vision}.cls_token": (1, 1, 1024),
        f"{vision}.pos_embed": (1, 197, 1024),
        f"{vision}.patch_embed.proj.weight": (1024, 3, 16, 16),
        f"{vision}.patch_embed.proj.bias": (1024,),
    }
    for i in range(24):
        at = f"{vision}.blocks.{i}"
        shapes |= _norm(f"{at}.norm1", 1024) | _norm(f"{at}.norm2", 1024)
        shapes |= _linear(f"{at}.attn.qkv", 1024, 3072) | _linear(f"{at}.attn.proj", 1024, 1024)
        shapes |= _linear(f"{at}.mlp.fc1", 1024, 4096) | _linear(f"{at}.mlp.fc2", 4096, 1024)
    shapes |= _norm(f"{vision}.norm", 1024)
    shapes |= {
        f"{text}.embeddings.position_ids": (1, 512),
        f"{text}.embeddings.word_embeddings.weight": (30524, 768),
        f"{text}.embeddings.position_embeddings.weight": (512, 768),
        **_norm(f"{text}.embeddings.LayerNorm", 768),
    }
    for i in range(12):
        at = f"{text}.encoder.layer.{i}"
        for kind, width in (("attention", 768), ("crossattention", 1024)):
            shapes |= _linear(f"{at}.{kind}.self.query", 768, 768)
            shapes |= _linear(f"{at}.{kind}.self.key", width, 768) | _linear(
                f"{at}.{kind}.self.value", width, 768
            )
            shapes |= _linear(f"{at}.{kind}.output.dense", 768, 768)
            shapes |= _norm(f"{at}.{kind}.output.LayerNorm", 768)
        shapes |= _linear(f"{at}.intermediate.dense", 768, 3072) | _linear(f"{at}.output.dense", 3072, 768)
        shapes |= _norm(f"{at}.output.LayerNorm", 768)
    shapes |= _linear("blip.vision_proj", 1024, 256) | _linear("blip.text_proj", 768, 256)
    sizes = (768, 1024, 128, 64, 16, 1)
    for place, (into, out) in zip((0, 2, 4, 6, 7), itertools.pairwise(sizes), strict=True):
        shapes |= _linear(f"mlp.layers.{place}", into, out)
    return shapes


def hps() -> Shapes:
    """open_clip's CLIP ViT-H/14."""
    shapes: Shapes = {
        "positional_embedding": (77, 1024),
        "text_projection": (1024, 1024),
        "logit_scale": (),
        "visual.class_embedding": (1280,),
        "visual.positional_embedding": (257, 1280),
        "visual.proj": (1280, 1024),
        "visual.conv1.weight": (1280, 3, 14, 14),
        **_norm("visual.ln_pre", 1280),
        **_norm("visual.ln_post", 1280),
        "token_embedding.weight": (49408, 1024),
        **_norm("ln_final", 1024),
    }
    for tower, layers, width in (("visual.", 32, 1280), ("", 24, 1024)):
        for i in range(layers):
            at = f"{tower}transformer.resblocks.{i}"
            shapes |= _norm(f"{at}.ln_1", width) | _norm(f"{at}.ln_2", width)
            shapes |= {
                f"{at}.attn.in_proj_weight": (3 * width, width),
                f"{at}.attn.in_proj_bias": (3 * width,),
            }
            shapes |= _linear(f"{at}.attn.out_proj", width, width)
            shapes |= _linear(f"{at}.mlp.c_fc", width, 4 * width) | _linear(
                f"{at}.mlp.c_proj", 4 * width, width
            )
    return shapes
