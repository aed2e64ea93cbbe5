"""Frozen blocks: the part of a model below its first trained block, which is computed once for each sequence.

Where only the upper blocks are trained, those below give a sequence the same hidden states in every epoch.
They are kept, so that later epochs begin at the first trained block. Each sequence is computed alone: its
states depend on no batch, and a resumed run has the same.
"""

from __future__ import annotations

import copy
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

MOST_BYTES = 3 * 2**30
"""The size up to which states are kept in main memory; further ones are computed again."""


def freeze(model: Any, first_block: int, dtype: torch.dtype) -> None:
    """Leaves the blocks from ``first_block`` up and the last norm to be trained; the rest is frozen and
    stored in ``dtype``."""
    backbone = model.base_model
    for part in (backbone.embed_tokens, *backbone.layers[:first_block]):
        part.to(dtype)
        part.requires_grad_(False)
    model.get_output_embeddings().requires_grad_(False)


def first_trained_block(model: Any) -> int:
    """The lowest block with a trained parameter; 0 where one stands outside the blocks and the last norm."""
    numbers = []
    for name, parameter in model.base_model.named_parameters():
        if parameter.requires_grad and not name.startswith("norm."):
            block = re.match(r"layers\.(\d+)\.", name)
            numbers.append(int(block[1]) if block else 0)
    return min(numbers, default=0)


class FrozenBlocks:
    """The lower blocks of a model as transformers builds a Llama (``embed_tokens``, ``layers``, ``norm``),
    with the states that they gave, and the blocks above them."""

    def __init__(self, model: Any, first_block: int, most_bytes: int = MOST_BYTES) -> None:
        import torch

        backbone = model.base_model
        self._below = _part(backbone, 0, first_block, torch.nn.Identity())
        self._above = _part(backbone, first_block, len(backbone.layers), backbone.norm)
        self._states: dict[bytes, torch.Tensor] = {}
        self._room = most_bytes

    def above(self, ids: torch.Tensor, real: torch.Tensor, cache: Any, prefix_length: int) -> torch.Tensor:
        """The final hidden states [batch, length − prefix, hidden]. ``cache`` has the keys and values of the
        first ``prefix_length`` tokens in every block; the longest row has no padding."""
        from torch.nn.utils.rnn import pad_sequence

        rows = [
            self._below_row(row[: int(count)])[prefix_length:]
            for row, count in zip(ids, real.sum(1), strict=True)
        ]
        states = pad_sequence([row.to(ids.device) for row in rows], batch_first=True)
        trained_dtype = next(self._above.layers.parameters()).dtype
        output = self._above(
            inputs_embeds=states.to(trained_dtype),
            attention_mask=real,
            past_key_values=cache,
            use_cache=cache is not None,
        )
        final_states: torch.Tensor = output.last_hidden_state
        return final_states

    def _below_row(self, ids: torch.Tensor) -> torch.Tensor:
        """The states [length, hidden] of one sequence in main memory."""
        import torch

        key = ids.cpu().numpy().tobytes()
        if (kept := self._states.get(key)) is not None:
            return kept
        with torch.no_grad():
            states: torch.Tensor = (
                self._below(input_ids=ids[None], use_cache=False).last_hidden_state[0].cpu()
            )
        size = states.numel() * states.element_size()
        if size <= self._room:
            self._room -= size
            self._states[key] = states
        return states


def _part(backbone: Any, first: int, last: int, norm: Any) -> Any:
    """The blocks from ``first`` up to ``last`` and a norm, as a model that shares the backbone's weights."""
    import torch

    part = copy.copy(backbone)
    part._modules = dict(backbone._modules)
    part.config = copy.copy(backbone.config)
    part.config.num_hidden_layers = last - first
    part.layers, part.norm = torch.nn.ModuleList(backbone.layers[first:last]), norm
    return part
