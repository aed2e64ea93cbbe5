"""The loss of RRHF (paper, section 3.2.2; Yuan et al. 2023), which makes better responses more probable.

    p_i = Σ_t log P(r_it | query, r_i<t) / |r_i|
    L   = Σ_{s_i < s_j} max(0, p_i − p_j)  −  Σ_t log P(r_i't | query, r_i'<t),   i' = argmax_i s_i

|r_i| is the number of the response's own tokens, without padding and query. Both terms have the same weight
unless a recipe says otherwise.
Of several best responses the first is i'; equal scores make no pair. A batch of several queries has the mean
of their losses.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Loss:
    """A loss: ``total`` is minimised, ``rank`` and ``cross_entropy`` are its two terms (nats). ``ordered``:
    the share of pairs of unequal score whose better response is more probable, NaN without such pairs.
    ``best``: the share of queries whose most probable response has the best score."""

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
    next_ids = ids[:, 1:, None]
    log_probs: torch.Tensor = logits[:, :-1].float().log_softmax(-1).gather(-1, next_ids)[..., 0]
    return log_probs


def response_log_probs(
    log_probs: torch.Tensor, is_response: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """The sum over each response's own tokens, and their number: [R] each.

    Args:
        log_probs: [R, T], of each token.
        is_response: booleans [R, T], true at the response's own tokens; each row has at least one.
    """
    total = log_probs.masked_fill(~is_response, 0.0).sum(1)
    return total, is_response.sum(1).to(total.dtype)


def rrhf_loss(
    total: torch.Tensor,
    length: torch.Tensor,
    scores: torch.Tensor,
    query: torch.Tensor,
    whole: torch.Tensor | None = None,
    rank_weight: float = 1.0,
) -> Loss:
    """The loss of R responses to one or more queries.

    Args:
        total: [R], the summed log-probability of each response's tokens.
        length: [R], the number of these tokens.
        scores: [R], the rewards s_i.
        query: int64 [R], the query of each response; those of a query need not be adjacent.
        whole: [R], ``total`` over all its tokens where only some are ranked; default: all are.
        rank_weight: the weight of the ranking term in ``Loss.total``.
    """
    p = total / length
    same = query[:, None] == query[None, :]
    pairs = same & (scores[:, None] < scores[None, :])
    rank = (p[:, None] - p[None, :]).clamp(min=0)[pairs].sum()
    best = _best(scores, query)
    cross_entropy = -(total if whole is None else whole)[best].sum()
    count = len(best)
    log_prob = p.detach()
    is_best = scores[_best(log_prob, query)] >= scores[best]
    ordered = (log_prob[:, None] < log_prob[None, :])[pairs].float().mean()
    return Loss(
        (rank_weight * rank + cross_entropy) / count,
        float(rank.detach()) / count,
        float(cross_entropy.detach()) / count,
        float(ordered),
        float(is_best.float().mean()),
    )


def _best(values: torch.Tensor, query: torch.Tensor) -> torch.Tensor:
    """The index of each query's greatest value, the first of equals."""
    import torch

    places = torch.arange(len(values), device=values.device)
    best = [places[query == number][values[query == number].argmax()] for number in query.unique()]
    return torch.stack(best)
