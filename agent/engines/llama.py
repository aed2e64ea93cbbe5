"""The Llama forward pass (Touvron et al. 2023) with a key-value cache that can be cropped.

From token ids to the final hidden states; logits are computed only for requested tokens, the few legal ones
of a grammar. Equal to ``transformers.LlamaForCausalLM`` (a test compares them), without the seconds that
importing transformers takes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

CACHE_STEP = 256


class Llama:
    """One model and one sequence: :meth:`extend` appends tokens, :meth:`crop` removes them."""

    def __init__(self, config: Mapping[str, Any], tensors: Mapping[str, torch.Tensor]) -> None:
        self.tensors = dict(tensors)
        self.max_length: int = config["max_position_embeddings"]
        self.length = 0
        self._heads: int = config["num_attention_heads"]
        self._kv_heads: int = config.get("num_key_value_heads") or self._heads
        self._head_size: int = config.get("head_dim") or config["hidden_size"] // self._heads
        self._epsilon: float = config["rms_norm_eps"]
        self._layers = range(config["num_hidden_layers"])
        self._base = _rope_base(config)
        self._embedding = tensors["model.embed_tokens.weight"]
        self.dtype = self._embedding.dtype
        self._head = tensors.get("lm_head.weight", self._embedding)
        self._joined = [self._join(f"model.layers.{layer}.self_attn") for layer in self._layers]
        self._keys, self._values = self._room(0), self._room(0)
        self._grow(CACHE_STEP)

    @staticmethod
    def fits(config: Mapping[str, Any]) -> bool:
        """Whether a ``config.json`` describes a plain Llama, which this module computes."""
        rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
        plain = rope.get("rope_type", rope.get("type", "default")) == "default"
        biased = config.get("attention_bias") or config.get("mlp_bias") or config.get("quantization_config")
        silu = config.get("hidden_act", "silu") == "silu"
        return config.get("model_type") == "llama" and plain and silu and not biased

    def extend(self, ids: Sequence[int], keep: int) -> torch.Tensor:
        """Appends ``ids`` and returns the final hidden states ``[keep, hidden]`` of the last ``keep``."""
        import torch
        from torch.nn.functional import embedding

        start, self.length = self.length, self.length + len(ids)
        if self.length > self._keys.shape[2]:
            self._grow(-(-self.length // CACHE_STEP) * CACHE_STEP)
        states = embedding(torch.tensor(ids, device=self._embedding.device), self._embedding)
        # added to the scores; a boolean mask would be converted in every layer
        mask = torch.full((len(ids), self.length), -torch.inf, dtype=states.dtype, device=states.device)
        mask = mask.triu(start + 1)
        for layer in self._layers:
            rows = keep if layer == self._layers[-1] else len(ids)
            states = self._layer(layer, states, start, mask, rows)
        return self._norm("model.norm", states)

    def crop(self, length: int) -> None:
        """Drops all but the first ``length`` tokens."""
        assert 0 <= length <= self.length
        self.length = length

    def logits(self, state: torch.Tensor, tokens: Sequence[int]) -> torch.Tensor:
        """Returns the logits of ``tokens`` after one hidden state, in fp32 on the CPU."""
        import torch

        rows = self._head[torch.tensor(tokens, device=self._head.device)]
        return (rows.to(torch.float32) @ state.to(torch.float32)).cpu()

    def _join(self, at: str) -> torch.Tensor:
        """Joins the weights of queries, keys and values into one matrix; ``tensors`` then holds views of
        it."""
        import torch

        names = [f"{at}.{part}_proj.weight" for part in "qkv"]
        parts = [self.tensors[name] for name in names]
        joined = torch.cat(parts)
        self.tensors |= zip(names, joined.split([len(part) for part in parts]), strict=True)
        return joined

    def _grow(self, capacity: int) -> None:
        import torch

        keys, values, filled = self._room(capacity), self._room(capacity), self._keys.shape[2]
        keys[:, :, :filled], values[:, :, :filled] = self._keys, self._values
        self._keys, self._values = keys, values
        frequencies = self._base ** -(
            torch.arange(0, self._head_size, 2, dtype=torch.float32) / self._head_size
        )
        angles = torch.outer(torch.arange(capacity, dtype=torch.float32), frequencies)[:, None]
        self._cosines = torch.cat((angles.cos(), angles.cos()), -1).to(self._embedding)
        self._sines = torch.cat((-angles.sin(), angles.sin()), -1).to(self._embedding)

    def _room(self, capacity: int) -> torch.Tensor:
        """Returns keys or values of all layers: ``[layers, heads, capacity, head_size]``."""
        import torch

        shape = (len(self._layers), self._kv_heads, capacity, self._head_size)
        return torch.zeros(shape, dtype=self._embedding.dtype, device=self._embedding.device)

    def _layer(
        self, layer: int, states: torch.Tensor, start: int, mask: torch.Tensor, keep: int
    ) -> torch.Tensor:
        """Computes one decoder layer, only the last ``keep`` rows of its output."""
        from torch.nn.functional import linear, scaled_dot_product_attention, silu

        at, count, end = f"model.layers.{layer}", len(states), start + len(states)
        normed = self._norm(f"{at}.input_layernorm", states)
        parts = linear(normed, self._joined[layer]).view(count, -1, self._head_size)
        turned = self._rotate(parts[:, : -self._kv_heads], start)  # queries and keys
        self._keys[layer, :, start:end] = turned[:, self._heads :].transpose(0, 1)
        self._values[layer, :, start:end] = parts[:, -self._kv_heads :].transpose(0, 1)
        states = states[-keep:]
        mixed = scaled_dot_product_attention(
            turned[-keep:, : self._heads].transpose(0, 1)[None],
            self._keys[layer, None, :, :end],
            self._values[layer, None, :, :end],
            attn_mask=mask[-keep:],
            enable_gqa=True,
        )
        mixed = mixed[0].transpose(0, 1).reshape(keep, -1)
        states = states + self._linear(f"{at}.self_attn.o_proj", mixed)
        normed = self._norm(f"{at}.post_attention_layernorm", states)
        gated = silu(self._linear(f"{at}.mlp.gate_proj", normed)) * self._linear(f"{at}.mlp.up_proj", normed)
        return states + self._linear(f"{at}.mlp.down_proj", gated)

    def _rotate(self, rows: torch.Tensor, start: int) -> torch.Tensor:
        """Applies the rotary embedding to ``[count, heads, head_size]`` at positions from ``start``."""
        import torch

        half, end = self._head_size // 2, start + len(rows)
        swapped = torch.cat((rows[..., half:], rows[..., :half]), -1)
        return torch.addcmul(rows * self._cosines[start:end], swapped, self._sines[start:end])

    def _linear(self, at: str, rows: torch.Tensor) -> torch.Tensor:
        from torch.nn.functional import linear

        return linear(rows, self.tensors[f"{at}.weight"])

    def _norm(self, at: str, rows: torch.Tensor) -> torch.Tensor:
        """Applies RMS norm, computed in fp32."""
        import torch

        wide = rows.to(torch.float32)
        wide = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + self._epsilon)
        return self.tensors[f"{at}.weight"] * wide.to(rows.dtype)


def read_tensors(files: Iterable[Path], dtype: torch.dtype, device: str) -> dict[str, torch.Tensor]:
    """Reads safetensors files as ``dtype`` on ``device``; maps instead of copying where neither changes."""
    from safetensors import safe_open

    tensors = {}
    for file in files:
        with safe_open(file, framework="pt") as source:
            for name in source.keys():  # noqa: SIM118  (safe_open is not a mapping)
                tensors[name] = source.get_tensor(name).to(device=device, dtype=dtype)
    return tensors


def _rope_base(config: Mapping[str, Any]) -> float:
    return float(
        (config.get("rope_parameters") or {}).get("rope_theta") or config.get("rope_theta") or 10_000.0
    )
