"""The Llama forward pass (Touvron et al. 2023) with a key-value cache that can be cropped.

Token ids go in, the final hidden states come out; logits are computed only for the tokens that are asked for,
the few legal ones of a grammar. Equal to ``transformers.LlamaForCausalLM`` (a test compares them), less the
seconds that importing transformers takes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

CACHE_STEP = 256


class Llama:
    """One model and one sequence: :meth:`extend` appends tokens, :meth:`crop` takes them back."""

    def __init__(self, config: Mapping[str, Any], tensors: Mapping[str, torch.Tensor]) -> None:
        self.tensors = tensors
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
        self._keys, self._values = self._room(0), self._room(0)
        self._grow(CACHE_STEP)

    @staticmethod
    def fits(config: Mapping[str, Any]) -> bool:
        """Whether a ``config.json`` describes a plain Llama, as this module computes it."""
        rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
        plain = rope.get("rope_type", rope.get("type", "default")) == "default"
        biased = config.get("attention_bias") or config.get("mlp_bias") or config.get("quantization_config")
        silu = config.get("hidden_act", "silu") == "silu"
        return config.get("model_type") == "llama" and plain and silu and not biased

    def extend(self, ids: Sequence[int], keep: int) -> torch.Tensor:
        """Append ``ids`` → final hidden states ``[keep, hidden]`` of the last ``keep`` of them."""
        import torch
        from torch.nn.functional import embedding

        start, self.length = self.length, self.length + len(ids)
        if self.length > self._keys.shape[2]:
            self._grow(-(-self.length // CACHE_STEP) * CACHE_STEP)
        states = embedding(torch.tensor(ids, device=self._embedding.device), self._embedding)
        # added to the scores; a mask of booleans would be turned into this in every layer
        mask = torch.full((len(ids), self.length), -torch.inf, dtype=states.dtype, device=states.device)
        mask = mask.triu(start + 1)
        for layer in self._layers:
            kept = keep if layer == self._layers[-1] else len(ids)
            states = self._layer(layer, states, start, mask, kept)
        return self._norm("model.norm", states)

    def crop(self, length: int) -> None:
        """Forget all but the first ``length`` tokens."""
        assert 0 <= length <= self.length
        self.length = length

    def logits(self, state: torch.Tensor, tokens: Sequence[int]) -> torch.Tensor:
        """Logits of ``tokens`` after one hidden state, in fp32 on the CPU."""
        import torch

        rows = self._head[torch.tensor(tokens, device=self._head.device)]
        return (rows.to(torch.float32) @ state.to(torch.float32)).cpu()

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
        """Keys or values of all layers: ``[layers, heads, capacity, head_size]``."""
        import torch

        shape = (len(self._layers), self._kv_heads, capacity, self._head_size)
        return torch.zeros(shape, dtype=self._embedding.dtype, device=self._embedding.device)

    def _layer(
        self, layer: int, states: torch.Tensor, start: int, mask: torch.Tensor, kept: int
    ) -> torch.Tensor:
        """One decoder layer; of its result only the last ``kept`` rows are computed."""
        from torch.nn.functional import scaled_dot_product_attention, silu

        at, count, end = f"model.layers.{layer}", len(states), start + len(states)
        normed = self._norm(f"{at}.input_layernorm", states)
        keys = self._linear(f"{at}.self_attn.k_proj", normed).view(count, self._kv_heads, -1)
        values = self._linear(f"{at}.self_attn.v_proj", normed).view(count, self._kv_heads, -1)
        self._keys[layer, :, start:end] = self._rotate(keys, start).transpose(0, 1)
        self._values[layer, :, start:end] = values.transpose(0, 1)
        states, normed = states[-kept:], normed[-kept:]
        queries = self._linear(f"{at}.self_attn.q_proj", normed).view(kept, self._heads, -1)
        mixed = scaled_dot_product_attention(
            self._rotate(queries, end - kept).transpose(0, 1)[None],
            self._keys[layer, None, :, :end],
            self._values[layer, None, :, :end],
            attn_mask=mask[-kept:],
            enable_gqa=True,
        )
        mixed = mixed[0].transpose(0, 1).reshape(kept, -1)
        states = states + self._linear(f"{at}.self_attn.o_proj", mixed)
        normed = self._norm(f"{at}.post_attention_layernorm", states)
        gated = silu(self._linear(f"{at}.mlp.gate_proj", normed)) * self._linear(f"{at}.mlp.up_proj", normed)
        return states + self._linear(f"{at}.mlp.down_proj", gated)

    def _rotate(self, rows: torch.Tensor, start: int) -> torch.Tensor:
        """Rotary position embedding of ``[count, heads, head_size]`` at positions from ``start``."""
        import torch

        half, end = self._head_size // 2, start + len(rows)
        swapped = torch.cat((rows[..., half:], rows[..., :half]), -1)
        return rows * self._cosines[start:end] + swapped * self._sines[start:end]

    def _linear(self, at: str, rows: torch.Tensor) -> torch.Tensor:
        from torch.nn.functional import linear

        return linear(rows, self.tensors[f"{at}.weight"])

    def _norm(self, at: str, rows: torch.Tensor) -> torch.Tensor:
        """RMS norm, in fp32 inside."""
        import torch

        wide = rows.to(torch.float32)
        wide = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + self._epsilon)
        return self.tensors[f"{at}.weight"] * wide.to(rows.dtype)


def read_tensors(files: Iterable[Path], dtype: torch.dtype, device: str) -> dict[str, torch.Tensor]:
    """All tensors of safetensors files as ``dtype`` on ``device``; mapped, not copied, if neither changes."""
    from safetensors import safe_open

    tensors = {}
    for file in files:
        with safe_open(file, framework="pt") as source:
            for name in source.keys():  # noqa: SIM118  (safe_open is no mapping)
                tensors[name] = source.get_tensor(name).to(device=device, dtype=dtype)
    return tensors


def _rope_base(config: Mapping[str, Any]) -> float:
    return float(
        (config.get("rope_parameters") or {}).get("rope_theta") or config.get("rope_theta") or 10_000.0
    )
