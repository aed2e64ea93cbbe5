"""The text encoder: texts in, unit vectors out (all-MiniLM-L6-v2, 384-d, in fp32).

The forward pass is BERT's (Devlin et al. 2019) in plain torch, because importing transformers takes seconds
and a query here about ten milliseconds. A test compares it with ``transformers.BertModel`` and mean pooling.

    >>> TextEncoder.load().encode(["a cute corgi", "a dog"]).shape
    (2, 384)
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Protocol
from weakref import WeakValueDictionary

from diffagent.data.cores import fitting_threads
from diffagent.data.errors import MissingWeights
from diffagent.data.weights.weights import DEFAULT_IMAGE_ENCODER, DEFAULT_TEXT_ENCODER, resolve

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

MAX_TOKENS = 256
WINDOW = 510
"""Tokens per window, without the two special tokens: BERT has 512 positions."""
BATCH_TOKENS = 1024
"""Tokens per batch on CPUs: batches of 64 texts take a fifth longer and twice the memory."""


Adapter = Mapping[str, "tuple[torch.Tensor, torch.Tensor]"]
"""Low-rank changes (Hu et al. 2021) by linear map: ``down`` [rank, in] and ``up`` [out, rank]."""
Span = tuple[int, int]
_MAP = re.compile(r"encoder\.layer\.\d+\.(?:\w+\.)+(?:query|key|value|dense)\.weight")
_LOADED: WeakValueDictionary[str, TextEncoder] = WeakValueDictionary()
_LOADING = Lock()


class Encoder(Protocol):
    """Text encoder T of the CGI paper: texts → unit vectors, float32 ``[n, d]``."""

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]: ...


def load_text_encoder(image_encoder: str) -> tuple[Any, str]:
    """Loads the text encoder T of an image encoder, a CLIP's own or else MiniLM; returns it with its name."""
    if image_encoder == DEFAULT_IMAGE_ENCODER:
        return TextEncoder.load(), DEFAULT_TEXT_ENCODER
    from diffagent.data.encoders.clip_encoder import ClipTextEncoder

    return ClipTextEncoder.load(image_encoder), image_encoder


class TextEncoder:
    """Mean-pooled, L2-normalised sentence embeddings. Safe to share between threads."""

    def __init__(self, tokenizer: Any, network: Bert, digest: str) -> None:
        self._tokenizer = tokenizer
        self._network = network
        self.digest = digest
        """SHA-256 of the weights: embeddings of another digest cannot be compared."""

    @property
    def size(self) -> int:
        """The length of an embedding."""
        return self._network.size

    def linear_maps(self) -> dict[str, tuple[int, int]]:
        """Returns the inputs and outputs of the linear maps that an adapter may change, by name."""
        return self._network.linear_maps()

    @classmethod
    def load(cls, name: str = DEFAULT_TEXT_ENCODER) -> TextEncoder:
        """Loads by name or folder (see :func:`diffagent.data.weights.weights.resolve`).

        Encoders of the same weights are one object while it is referenced.
        """
        from tokenizers import Tokenizer

        weights = resolve(name)
        with _LOADING:
            encoder = _LOADED.get(weights.digest)
            if encoder is None:
                tokenizer = Tokenizer.from_file(str(weights.path / "tokenizer.json"))
                tokenizer.no_padding()
                tokenizer.no_truncation()
                encoder = cls(tokenizer, Bert.load(weights.path), weights.digest)
                _LOADED[weights.digest] = encoder
            return encoder

    def count(self, text: str) -> int:
        """Returns the number of a text's tokens, without the two special ones."""
        return len(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def encode(
        self, texts: Sequence[str], batch_tokens: int = BATCH_TOKENS, progress: bool = False
    ) -> NDArray[np.float32]:
        """Embeds ``texts`` → float32 ``[len(texts), size]`` in unit rows.

        Texts are cut to 256 tokens. Batches have texts of similar length and at most ``batch_tokens``, so
        that there is little padding and activations stay in the cache; a row is independent of its batch (to
        about 1e-6).
        """
        import numpy as np
        import torch
        from tqdm import tqdm

        # tokenizers refuse a lone surrogate, as from a JSON escape
        clean = [text.encode("utf-8", "replace").decode("utf-8") for text in texts]
        ids = [_cut(encoding.ids, MAX_TOKENS) for encoding in self._tokenizer.encode_batch(clean)]
        order = sorted(range(len(ids)), key=lambda i: -len(ids[i]))
        vectors = np.empty((len(ids), self.size), dtype=np.float32)
        with torch.inference_mode(), tqdm(total=len(ids), unit="text", disable=not progress) as bar:
            start = 0
            while start < len(order):
                rows = order[start : start + max(1, batch_tokens // len(ids[order[start]]))]
                vectors[rows] = self._network.embed([ids[i] for i in rows]).numpy()
                bar.update(len(rows))
                start += len(rows)
        return vectors

    def token_states(
        self, texts: Sequence[str], adapter: Adapter | None = None
    ) -> list[tuple[torch.Tensor, list[Span]]]:
        """Returns the last layer's states of each text's tokens, ``[tokens, size]``, and the tokens' places.

        A text of more than 510 tokens is read in windows of as many; all windows are one batch, so texts
        should be of similar length. ``adapter`` changes the network's linear maps; gradients flow to it.
        """
        import torch

        encodings = self._tokenizer.encode_batch(list(texts), add_special_tokens=False)
        first, last = self._tokenizer.encode("").ids
        windows = [
            (row, [first, *encoding.ids[at : at + WINDOW], last])
            for row, encoding in enumerate(encodings)
            for at in range(0, len(encoding.ids), WINDOW)
        ]
        parts: list[list[torch.Tensor]] = [[torch.zeros(0, self.size)] for _ in encodings]
        if windows:
            states = self._network.padded_states([ids for _, ids in windows], adapter)[0]
            for (row, ids), window in zip(windows, states, strict=True):
                parts[row].append(window[1 : len(ids) - 1])
        return [(torch.cat(part), encoding.offsets) for part, encoding in zip(parts, encodings, strict=True)]


def _cut(ids: list[int], length: int) -> list[int]:
    """Returns a text's ids truncated like a tokenizer does: the end token stays."""
    return ids if len(ids) <= length else [*ids[: length - 1], ids[-1]]


class Bert:
    """BERT's encoder with mean pooling over the tokens and L2 normalisation."""

    def __init__(self, config: dict[str, Any], tensors: dict[str, torch.Tensor]) -> None:
        self._tensors = tensors
        self.size: int = config["hidden_size"]
        self._heads: int = config["num_attention_heads"]
        self._epsilon: float = config["layer_norm_eps"]
        self._layers = range(config["num_hidden_layers"])

    @classmethod
    def load(cls, folder: Path) -> Bert:
        """Reads ``config.json`` and ``model.safetensors`` of a BERT with exact GELU and absolute
        positions."""
        import torch
        from safetensors.torch import load_file

        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        kind = (config.get("model_type"), config.get("hidden_act"))
        if kind != ("bert", "gelu") or not (folder / "model.safetensors").is_file():
            raise MissingWeights(
                f"{folder} holds a model of type {kind[0]!r} with activation {kind[1]!r}; the text encoder "
                "takes a BERT with GELU and one model.safetensors, as sentence-transformers/all-MiniLM-L6-v2"
            )
        tensors = load_file(folder / "model.safetensors")
        weights = {name.removeprefix("bert."): tensor.to(torch.float32) for name, tensor in tensors.items()}
        return cls(config, weights)

    def embed(self, ids: Sequence[Sequence[int]]) -> torch.Tensor:
        """Token ids → ``[len(ids), size]`` unit vectors."""
        from torch.nn.functional import normalize

        states, real = self.padded_states(ids)
        weights = real[:, :, None].to(states.dtype)
        return normalize((states * weights).sum(1) / weights.sum(1), dim=1)

    def padded_states(
        self, ids: Sequence[Sequence[int]], adapter: Adapter | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Token ids of several texts → their states, padded to the longest, and which of them are real."""
        import torch

        longest = max(map(len, ids))
        tokens = torch.tensor([[*row, *[0] * (longest - len(row))] for row in ids])
        real = torch.arange(longest) < torch.tensor([[len(row)] for row in ids])
        mask = None if bool(real.all()) else real[:, None, None, :]
        return self.states(tokens, mask, adapter), real

    @fitting_threads()
    def states(
        self, tokens: torch.Tensor, mask: torch.Tensor | None = None, adapter: Adapter | None = None
    ) -> torch.Tensor:
        """Token ids ``[n, length]`` → the last layer's states ``[n, length, size]``."""
        states = self._embed_tokens(tokens)
        for layer in self._layers:
            states = self._layer(f"encoder.layer.{layer}", states, mask, adapter or {})
        return states

    def linear_maps(self) -> dict[str, tuple[int, int]]:
        """Returns the inputs and outputs of the layers' linear maps, by name."""
        shapes = {name: tensor.shape for name, tensor in self._tensors.items() if _MAP.fullmatch(name)}
        return {name.removesuffix(".weight"): (inputs, outputs) for name, (outputs, inputs) in shapes.items()}

    def _embed_tokens(self, tokens: torch.Tensor) -> torch.Tensor:
        tables = self._tensors
        states = tables["embeddings.word_embeddings.weight"][tokens]
        states = states + tables["embeddings.position_embeddings.weight"][: tokens.shape[1]]
        return self._norm(
            "embeddings.LayerNorm", states + tables["embeddings.token_type_embeddings.weight"][0]
        )

    def _layer(
        self, at: str, states: torch.Tensor, mask: torch.Tensor | None, adapter: Adapter
    ) -> torch.Tensor:
        from torch.nn.functional import gelu, scaled_dot_product_attention

        batch, length, size = states.shape
        heads = (batch, length, self._heads, size // self._heads)
        query, key, value = (
            self._linear(f"{at}.attention.self.{name}", states, adapter).view(heads).transpose(1, 2)
            for name in ("query", "key", "value")
        )
        mixed = scaled_dot_product_attention(query, key, value, attn_mask=mask)
        mixed = mixed.transpose(1, 2).reshape(batch, length, size)
        mixed = self._linear(f"{at}.attention.output.dense", mixed, adapter)
        states = self._norm(f"{at}.attention.output.LayerNorm", states + mixed)
        inner = gelu(self._linear(f"{at}.intermediate.dense", states, adapter))
        outer = self._linear(f"{at}.output.dense", inner, adapter)
        return self._norm(f"{at}.output.LayerNorm", states + outer)

    def _linear(self, at: str, states: torch.Tensor, adapter: Adapter) -> torch.Tensor:
        from torch.nn.functional import linear

        output = linear(states, self._tensors[f"{at}.weight"], self._tensors[f"{at}.bias"])
        if at not in adapter:
            return output
        down, up = adapter[at]
        return output + linear(linear(states, down), up)

    def _norm(self, at: str, states: torch.Tensor) -> torch.Tensor:
        from torch.nn.functional import layer_norm

        weight, bias = self._tensors[f"{at}.weight"], self._tensors[f"{at}.bias"]
        return layer_norm(states, (self.size,), weight, bias, self._epsilon)
