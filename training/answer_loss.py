"""The loss of supervised fine-tuning: cross entropy over the answers' tokens, and nothing else computed.

Two things are left out that change nothing in the result: the logits of tokens that no loss is
computed on (a vocabulary of 49,152 is half of a small model's work), and the beginning that all prompts of a
batch share (the system turn), which goes through the model once and is then seen by all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from diffagent.training.dialogues import IGNORED

if TYPE_CHECKING:
    import torch


def answer_loss(
    model: Any,
    ids: torch.Tensor,
    real: torch.Tensor,
    labels: torch.Tensor,
    count: Any = None,
    choice_weight: float = 1.0,
) -> tuple[torch.Tensor, float]:
    """Cross entropy in nats over the labelled tokens, and the share of them that come first.

    Args:
        model: a causal language model of transformers (``base_model``, ``get_output_embeddings``).
        ids, real, labels: int64 [batch, length], padded at the right; ``real`` is 1 where a token is none of
            the padding, ``labels`` is −100 where there is no loss.
        count: what the sum is divided by; default: the number of labelled tokens.
        choice_weight: how often each answer's first token counts, the letter of the chosen candidate: one
            token in forty, and the one that decides.
    """
    import torch
    from torch.nn.functional import cross_entropy

    states = _states(model, ids, real, _shared(ids, labels))
    start = ids.shape[1] - states.shape[1]
    targets = labels[:, start + 1 :]
    scored = targets != IGNORED
    logits = model.get_output_embeddings()(states[:, :-1][scored])
    wanted = targets[scored]
    first_ones = scored & (scored.cumsum(1) == 1)
    weights = 1 + (choice_weight - 1) * first_ones[scored].to(logits.dtype)
    total = (weights * cross_entropy(logits.float(), wanted, reduction="none")).sum()
    with torch.no_grad():
        first = float((logits.argmax(-1) == wanted).float().mean()) if len(wanted) else 0.0
    return total / (max(len(wanted), 1) if count is None else count), first


def _shared(ids: torch.Tensor, labels: torch.Tensor) -> int:
    """How many tokens all rows begin with alike and without a loss, the last of them left to each row."""
    alike = ((ids == ids[:1]) & (labels == IGNORED)).all(0)
    differs = (~alike).nonzero()
    length = int(differs[0]) if len(differs) else ids.shape[1]
    return max(length - 1, 0) if len(ids) > 1 else 0


def _states(model: Any, ids: torch.Tensor, real: torch.Tensor, shared: int) -> torch.Tensor:
    """Final hidden states [batch, length − shared, hidden] behind the first ``shared`` tokens."""
    backbone = model.base_model
    if not shared:
        states: torch.Tensor = backbone(input_ids=ids, attention_mask=real, use_cache=False).last_hidden_state
        return states
    from transformers.cache_utils import DynamicCache

    cache = DynamicCache(config=model.config)
    backbone(input_ids=ids[:1, :shared], past_key_values=cache, use_cache=True)
    cache.batch_repeat_interleave(len(ids))
    output = backbone(input_ids=ids[:, shared:], attention_mask=real, past_key_values=cache, use_cache=True)
    states = output.last_hidden_state
    return states
