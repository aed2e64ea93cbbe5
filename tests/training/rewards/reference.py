"""CLIP and ImageReward's BLIP written out from the published architectures, on tensors of the published
names."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import torch
from torch.nn.functional import conv2d, gelu, layer_norm, linear, normalize

State = Mapping[str, torch.Tensor]


def clip_state(
    width: int, layers: int, patches: int, words: int, context: int, patch: int, out: int
) -> dict[str, Any]:
    """Random tensors under the names of open_clip's CLIP; both towers alike."""
    torch.manual_seed(1)
    state: dict[str, torch.Tensor] = {
        "logit_scale": torch.tensor(4.6052),
        "positional_embedding": torch.randn(context, width),
        "token_embedding.weight": torch.randn(words, width),
        "ln_final.weight": torch.rand(width) + 0.5,
        "ln_final.bias": torch.randn(width),
        "text_projection": torch.randn(width, out),
        "visual.class_embedding": torch.randn(width),
        "visual.positional_embedding": torch.randn(patches + 1, width),
        "visual.conv1.weight": torch.randn(width, 3, patch, patch) / patch,
        "visual.proj": torch.randn(width, out),
    }
    for name in ("visual.ln_pre", "visual.ln_post"):
        state |= {f"{name}.weight": torch.rand(width) + 0.5, f"{name}.bias": torch.randn(width)}
    for tower in ("", "visual."):
        for i in range(layers):
            state |= _clip_block(f"{tower}transformer.resblocks.{i}", width)
    return state


def _clip_block(at: str, width: int) -> dict[str, torch.Tensor]:
    def pair(name: str, rows: int, columns: int) -> dict[str, torch.Tensor]:
        return {
            f"{at}.{name}.weight": torch.randn(rows, columns) / 4,
            f"{at}.{name}.bias": torch.randn(rows) / 4,
        }

    weights = {
        f"{at}.attn.in_proj_weight": torch.randn(3 * width, width) / 4,
        f"{at}.attn.in_proj_bias": torch.randn(3 * width) / 4,
        **pair("attn.out_proj", width, width),
        **pair("mlp.c_fc", 2 * width, width),
        **pair("mlp.c_proj", width, 2 * width),
    }
    for name in ("ln_1", "ln_2"):
        weights |= {f"{at}.{name}.weight": torch.rand(width) + 0.5, f"{at}.{name}.bias": torch.randn(width)}
    return weights


def attention(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, heads: int, mask: Any = None
) -> torch.Tensor:
    """softmax(q kᵀ / √d) v over heads; ``mask`` is added."""

    def split(x: torch.Tensor) -> torch.Tensor:
        return x.view(*x.shape[:2], heads, -1).transpose(1, 2)

    scores = split(q) @ split(k).transpose(-1, -2) / (q.shape[-1] // heads) ** 0.5
    weights = (scores if mask is None else scores + mask).softmax(-1)
    return (weights @ split(v)).transpose(1, 2).flatten(2)


def norm(x: torch.Tensor, state: State, name: str, eps: float) -> torch.Tensor:
    return layer_norm(x, x.shape[-1:], state[f"{name}.weight"], state[f"{name}.bias"], eps)


def dense(x: torch.Tensor, state: State, name: str) -> torch.Tensor:
    return linear(x, state[f"{name}.weight"], state[f"{name}.bias"])


def _clip_layers(
    x: torch.Tensor, state: State, tower: str, layers: int, heads: int, mask: Any
) -> torch.Tensor:
    for i in range(layers):
        at = f"{tower}transformer.resblocks.{i}"
        inner = norm(x, state, f"{at}.ln_1", 1e-5)
        q, k, v = linear(inner, state[f"{at}.attn.in_proj_weight"], state[f"{at}.attn.in_proj_bias"]).chunk(
            3, -1
        )
        x = x + dense(attention(q, k, v, heads, mask), state, f"{at}.attn.out_proj")
        inner = norm(x, state, f"{at}.ln_2", 1e-5)
        x = x + dense(gelu(dense(inner, state, f"{at}.mlp.c_fc")), state, f"{at}.mlp.c_proj")
    return x


def clip_cosine(
    state: State, pixels: torch.Tensor, ids: torch.Tensor, layers: int, heads: int
) -> torch.Tensor:
    """Cosine [n] of a text and n pictures. Of the text the state of its highest id is read, the end."""
    patch = state["visual.conv1.weight"].shape[-1]
    x = conv2d(pixels, state["visual.conv1.weight"], stride=patch).flatten(2).transpose(1, 2)
    x = torch.cat([state["visual.class_embedding"].expand(len(x), 1, -1), x], 1)
    x = norm(x + state["visual.positional_embedding"], state, "visual.ln_pre", 1e-5)
    x = _clip_layers(x, state, "visual.", layers, heads, None)
    picture = norm(x[:, 0], state, "visual.ln_post", 1e-5) @ state["visual.proj"]
    length = ids.shape[1]
    t = state["token_embedding.weight"][ids] + state["positional_embedding"][:length]
    t = _clip_layers(t, state, "", layers, heads, torch.full((length, length), float("-inf")).triu(1))
    text = norm(t, state, "ln_final", 1e-5)[:, int(ids[0].argmax())] @ state["text_projection"]
    return (normalize(picture, dim=-1) @ normalize(text, dim=-1).T)[:, 0]


def blip_state(width: int, layers: int, patches: int, words: int, patch: int) -> dict[str, torch.Tensor]:
    """Random tensors under the names of ImageReward's checkpoint, with some of what belongs to
    pre-training."""
    torch.manual_seed(2)
    vision, text = "blip.visual_encoder", "blip.text_encoder"
    state: dict[str, torch.Tensor] = {
        f"{vision}.cls_token": torch.randn(1, 1, width),
        f"{vision}.pos_embed": torch.randn(1, patches + 1, width),
        f"{vision}.patch_embed.proj.weight": torch.randn(width, 3, patch, patch) / patch,
        f"{text}.embeddings.word_embeddings.weight": torch.randn(words, width),
        f"{text}.embeddings.position_embeddings.weight": torch.randn(40, width),
        f"{text}.embeddings.position_ids": torch.arange(40)[None],
        "blip.vision_proj.weight": torch.randn(4, width),
        "blip.itm_head.weight": torch.randn(2, width),
    }
    shapes = {
        f"{vision}.patch_embed.proj": None,
        f"{vision}.norm": width,
        f"{text}.embeddings.LayerNorm": width,
    }
    linears: dict[str, tuple[int, int]] = {}
    for i in range(layers):
        at = f"{vision}.blocks.{i}"
        shapes |= {f"{at}.norm1": width, f"{at}.norm2": width}
        linears |= {
            f"{at}.attn.qkv": (3 * width, width), f"{at}.attn.proj": (width, width),
            f"{at}.mlp.fc1": (2 * width, width), f"{at}.mlp.fc2": (width, 2 * width),
        }  # fmt: skip
        at = f"{text}.encoder.layer.{i}"
        for kind in ("attention", "crossattention"):
            linears |= {f"{at}.{kind}.self.{part}": (width, width) for part in ("query", "key", "value")}
            linears[f"{at}.{kind}.output.dense"] = (width, width)
            shapes[f"{at}.{kind}.output.LayerNorm"] = width
        linears |= {f"{at}.intermediate.dense": (2 * width, width), f"{at}.output.dense": (width, 2 * width)}
        shapes[f"{at}.output.LayerNorm"] = width
    sizes = (width, 1024, 128, 64, 16, 1)
    for place, (a, b) in zip((0, 2, 4, 6, 7), itertools.pairwise(sizes), strict=True):
        linears[f"mlp.layers.{place}"] = (b, a)
    for name, size in shapes.items():
        state[f"{name}.bias"] = torch.randn(width)
        if size:
            state[f"{name}.weight"] = torch.rand(width) + 0.5
    for name, (rows, columns) in linears.items():
        state[f"{name}.weight"] = torch.randn(rows, columns) / columns**0.5
        state[f"{name}.bias"] = torch.randn(rows) / 4
    return state


def image_reward(
    state: State, pixels: torch.Tensor, ids: torch.Tensor, real: torch.Tensor, layers: int, heads: int
) -> torch.Tensor:
    """The standardised preference [n] of n pictures for one text [1, length] with its mask."""
    vision, text = "blip.visual_encoder", "blip.text_encoder"
    patch = state[f"{vision}.patch_embed.proj.weight"].shape[-1]
    x = conv2d(
        pixels, state[f"{vision}.patch_embed.proj.weight"], state[f"{vision}.patch_embed.proj.bias"], patch
    )
    x = x.flatten(2).transpose(1, 2)
    x = torch.cat([state[f"{vision}.cls_token"].expand(len(x), -1, -1), x], 1) + state[f"{vision}.pos_embed"]
    for i in range(layers):
        at = f"{vision}.blocks.{i}"
        q, k, v = dense(norm(x, state, f"{at}.norm1", 1e-6), state, f"{at}.attn.qkv").chunk(3, -1)
        x = x + dense(attention(q, k, v, heads), state, f"{at}.attn.proj")
        inner = gelu(dense(norm(x, state, f"{at}.norm2", 1e-6), state, f"{at}.mlp.fc1"))
        x = x + dense(inner, state, f"{at}.mlp.fc2")
    patches = norm(x, state, f"{vision}.norm", 1e-6)
    words = state[f"{text}.embeddings.word_embeddings.weight"][ids]
    t = words + state[f"{text}.embeddings.position_embeddings.weight"][: ids.shape[1]]
    t = norm(t, state, f"{text}.embeddings.LayerNorm", 1e-12).expand(len(patches), -1, -1)
    mask = (1 - real[:, None, None, :].float()) * -1e9
    for i in range(layers):
        at = f"{text}.encoder.layer.{i}"
        t = _bert_attention(t, t, state, f"{at}.attention", heads, mask)
        t = _bert_attention(t, patches, state, f"{at}.crossattention", heads, None)
        inner = dense(gelu(dense(t, state, f"{at}.intermediate.dense")), state, f"{at}.output.dense")
        t = norm(t + inner, state, f"{at}.output.LayerNorm", 1e-12)
    y = t[:, 0]
    for place in (0, 2, 4, 6, 7):
        y = dense(y, state, f"mlp.layers.{place}")
    return (y[:, 0] - 0.16717362830052426) / 1.0333394966054072


def _bert_attention(
    x: torch.Tensor, source: torch.Tensor, state: State, at: str, heads: int, mask: Any
) -> torch.Tensor:
    q = dense(x, state, f"{at}.self.query")
    k, v = (dense(source, state, f"{at}.self.{part}") for part in ("key", "value"))
    out = dense(attention(q, k, v, heads, mask), state, f"{at}.output.dense")
    return norm(x + out, state, f"{at}.output.LayerNorm", 1e-12)
