"""Any causal language model of transformers, with the interface of our :mod:`~diffagent.agent.engines.llama`.

Serves the architectures that ``llama.py`` does not compute, and plain ``generate()`` for all of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


class CausalLM:
    """One model and one sequence: :meth:`extend` appends tokens, :meth:`crop` removes them."""

    def __init__(self, model: Any) -> None:
        from transformers.cache_utils import DynamicCache

        self.model = model.eval()
        self.max_length: int = getattr(model.config, "max_position_embeddings", 2048)
        self.dtype: torch.dtype = model.dtype
        self._cache = DynamicCache(config=model.config)

    @classmethod
    def load(cls, folder: Path, dtype: torch.dtype, device: str) -> CausalLM:
        """Loads a folder in the layout of transformers' ``save_pretrained``."""
        from transformers import AutoModelForCausalLM
        from transformers.utils import logging

        logging.disable_progress_bar()
        return cls(AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).to(device))

    @classmethod
    def of_llama(cls, config: Mapping[str, Any], tensors: Mapping[str, torch.Tensor]) -> CausalLM:
        """Builds transformers' Llama around our own tensors; no weight is copied or initialised."""
        import torch
        from transformers.models.llama.configuration_llama import LlamaConfig
        from transformers.models.llama.modeling_llama import LlamaForCausalLM, LlamaRotaryEmbedding

        head = tensors.get("lm_head.weight", tensors["model.embed_tokens.weight"])
        settings = LlamaConfig(**config)
        with torch.device("meta"):
            model = LlamaForCausalLM(settings)
        model.load_state_dict({**tensors, "lm_head.weight": head}, assign=True)
        model.model.rotary_emb = LlamaRotaryEmbedding(settings).to(head.device)
        return cls(model.requires_grad_(False))

    @property
    def length(self) -> int:
        return int(self._cache.get_seq_length())

    def extend(self, ids: Sequence[int], keep: int) -> torch.Tensor:
        """Appends ``ids`` and returns the final hidden states ``[keep, hidden]`` of the last ``keep``."""
        import torch

        tokens = torch.tensor([list(ids)], device=self.model.device)
        output = self.model.base_model(input_ids=tokens, past_key_values=self._cache, use_cache=True)
        states: torch.Tensor = output.last_hidden_state[0, -keep:]
        return states

    def crop(self, length: int) -> None:
        """Drops all but the first ``length`` tokens."""
        if length < self.length:
            self._cache.crop(length)

    def logits(self, state: torch.Tensor, tokens: Sequence[int]) -> torch.Tensor:
        """Returns the logits of ``tokens`` after one hidden state, in fp32 on the CPU."""
        import torch

        rows = self.model.get_output_embeddings().weight[torch.tensor(tokens, device=state.device)]
        return (rows.to(torch.float32) @ state.to(torch.float32)).cpu()

    def generate(
        self, batch: Sequence[Sequence[int]], end_ids: Sequence[int], most: int, least: int
    ) -> list[list[int]]:
        """Returns greedy continuations of ``batch``, from ``least`` to ``most`` tokens each."""
        import torch
        from transformers import GenerationConfig

        longest = max(map(len, batch))
        pad = end_ids[0]
        tokens = torch.tensor(
            [[*[pad] * (longest - len(row)), *row] for row in batch], device=self.model.device
        )
        real = torch.tensor(
            [[0] * (longest - len(row)) + [1] * len(row) for row in batch], device=self.model.device
        )
        config = GenerationConfig(
            do_sample=False,
            max_new_tokens=most,
            min_new_tokens=least,
            eos_token_id=list(end_ids),
            pad_token_id=pad,
        )
        output = self.model.generate(input_ids=tokens, attention_mask=real, generation_config=config)
        return [row.tolist() for row in output[:, longest:]]
