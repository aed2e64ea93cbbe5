"""A question to a causal language model of transformers, with a key-value cache that branches."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np

from diffagent.training.rrhf.beams import Floats


class Prefill:
    """The model's pass over a question, computed once; each :meth:`branch` decodes from there."""

    def __init__(self, model: Any, ids: Sequence[int]) -> None:
        import torch
        from transformers.cache_utils import DynamicCache

        self._model, self._cache = model, DynamicCache(config=model.config)
        with torch.inference_mode():
            tokens = torch.tensor([list(ids)], device=model.device)
            output = model(tokens, past_key_values=self._cache, use_cache=True, logits_to_keep=1)
        self._first = _log_probs(output.logits)[0]

    def branch(self) -> Branch:
        return Branch(self._model, self._cache, self._first)


class Branch:
    """A :class:`diffagent.training.rrhf.beams.Decoder`."""

    def __init__(self, model: Any, cache: Any, first: Floats) -> None:
        self._model, self._prompt_cache, self._first = model, cache, first
        self._cache: Any = None

    def first(self) -> Floats:
        return self._first

    def extend(self, parents: Sequence[int], tokens: Sequence[int]) -> Floats:
        import torch

        with torch.inference_mode():
            if self._cache is None:
                self._cache = copy.deepcopy(self._prompt_cache)
            chosen = torch.tensor(list(parents), device=self._model.device)
            self._cache.batch_select_indices(chosen)
            ids = torch.tensor([[token] for token in tokens], device=self._model.device)
            output = self._model(ids, past_key_values=self._cache, use_cache=True)
        return _log_probs(output.logits)


def _log_probs(logits: Any) -> Floats:
    log_probs: Floats = logits[:, -1].float().log_softmax(-1).cpu().numpy().astype(np.float32)
    return log_probs
