"""The loss of RRHF (paper, section 3.2.2; Yuan et al. 2023): better responses are to be more probable.

    p_i = Σ_t log P(r_it | query, r_i<t) / |r_i|
    L   = Σ_{s_i < s_j} max(0, p_i − p_j)  −  Σ_t log P(r_i't | query, r_i'<t),   i' = argmax_i s_i

|r_i| is the number of the response's own tokens: padding and the query count for nothing. Both terms weigh
the same. Of several best responses the first is i'; equal scores make no pair. A batch of several queries
has the mean of their losses.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Loss:
    """``total`` is what is minimised, ``rank`` and ``cross_entropy`` its two terms (nats). ``ordered``: the
    share of pairs of unequal score whose better response is the more probable one, NaN without such pairs.
    ``best``: the share of queries whose most probable response is a best one."""

    total: torch.Tensor
    rank: float
    cross_entropy: float
    ordered: float
    best: float


def token_log_probs(logits: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    """log P of each token given those before it: float32 [R, L − 1].

    Args:
        logits: [R, L, vocabulary], at each position those of the next token.
        ids: int64 [R, L].
    """
    wanted = ids[:, 1:, None]
    found: torch.Tensor = logits[:, :-1].float().log_softmax(-1).gather(-1, wanted)[..., 0]
    return found


def response_log_probs(log_probs: torch.Tensor, own: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The sum over each response's own tokens, and their number: [R] each.

    Args:
        log_probs: [R, T], of each token.
        own: booleans [R, T], true at the response's own tokens, of which each row has one at least.
    """
    total = log_probs.masked_fill(~own, 0.0).sum(1)
    return total, own.sum(1).to(total.dtype)


def rrhf_loss(
    total: torch.Tensor,
    length: torch.Tensor,
    scores: torch.Tensor,
    query: torch.Tensor,
    whole: torch.Tensor | None = None,
) -> Loss:
    """The loss of R responses to one or more queries.

    Args:
        total: [R], the summed log-probability of each response's tokens.
        length: [R], how many these are.
        scores: [R], the rewards s_i.
        query: int64 [R], which query each response answers; those of one need not stand together.
        whole: [R], ``total`` of all of its tokens where only some are ranked; default: all are.
    """
    p = total / length
    same = query[:, None] == query[None, :]
    pairs = same & (scores[:, None] < scores[None, :])
    rank = (p[:, None] - p[None, :]).clamp(min=0)[pairs].sum()
    best = _best(scores, query)
    cross_entropy = -(total if whole is None else whole)[best].sum()
    count = len(best)
    kept = p.detach()
    liked = scores[_best(kept, query)] >= scores[best]
    ordered = (kept[:, None] < kept[None, :])[pairs].float().mean()
    return Loss(
        (rank + cross_entropy) / count,
        float(rank.detach()) / count,
        float(cross_entropy.detach()) / count,
        float(ordered),
        float(liked.float().mean()),
    )


def _best(values: torch.Tensor, query: torch.Tensor) -> torch.Tensor:
    """The place of the greatest value of each query, the first of equals."""
    import torch

    places = torch.arange(len(values), device=values.device)
    found = [places[query == one][values[query == one].argmax()] for one in query.unique()]
    return torch.stack(found)
