"""The loss of RRHF on literal tensors, against values worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from diffagent.training.rrhf.loss import response_log_probs, rrhf_loss, token_log_probs

LN = {n: math.log(n) for n in (2, 3, 4, 5)}


def loss(
    total: list[float], length: list[int], scores: list[float], query: list[int] | None = None
) -> torch.Tensor:
    return rrhf_loss(
        torch.tensor(total, requires_grad=True),
        torch.tensor(length, dtype=torch.float32),
        torch.tensor(scores),
        torch.tensor(query or [0] * len(total)),
    )


def test_cross_entropy_is_on_all_tokens_where_some_are_ranked() -> None:
    total, length = torch.tensor([-4.0, -1.0]), torch.tensor([2.0, 1.0])
    scores, query = torch.tensor([1.0, 0.0]), torch.tensor([0, 0])
    terms = rrhf_loss(total, length, scores, query, whole=torch.tensor([-9.0, -3.0]))
    assert (terms.rank, terms.cross_entropy) == (1.0, 9.0)  # −1 of the worse is above −2 of the better
    assert rrhf_loss(total, length, scores, query).cross_entropy == 4.0


def test_the_ranking_term_has_its_weight() -> None:
    total, one = torch.tensor([-4.0, -1.0]), torch.ones(2)
    scores, query = torch.tensor([1.0, 0.0]), torch.tensor([0, 0])
    terms = rrhf_loss(total, one, scores, query, rank_weight=0.1)
    assert (terms.rank, terms.cross_entropy) == (3.0, 4.0)
    assert float(terms.total) == pytest.approx(4.3)


def test_log_probabilities_are_those_of_the_next_token() -> None:
    logits = torch.tensor([[[0.0, 0.0], [LN[3], 0.0], [9.0, 9.0]]])  # softmax: ½ ½, ¾ ¼
    log_probs = token_log_probs(logits, torch.tensor([[1, 1, 0]]))
    assert log_probs.tolist() == [pytest.approx([-LN[2], LN[3] - LN[4]])]


def test_length_counts_the_responses_own_tokens_not_padding_or_query() -> None:
    log_probs = torch.tensor([[-9.0, -1.0, -3.0, -9.0], [-9.0, -2.0, -9.0, -9.0]])
    mask = torch.tensor([[0, 1, 1, 0], [0, 1, 0, 0]]).bool()
    total, length = response_log_probs(log_probs, mask)
    assert (total.tolist(), length.tolist()) == ([-4.0, -2.0], [2.0, 1.0])


def test_padding_that_is_not_a_number_does_not_spread() -> None:
    total, _ = response_log_probs(torch.tensor([[-1.0, -math.inf]]), torch.tensor([[True, False]]))
    assert total.tolist() == [-1.0]


def test_pairs_in_the_wrong_order_pay_their_difference() -> None:
    """p = −1, −2, −4 with scores 0.1, 0.9, 0.5: wrong are (0, 1) by 1 and (0, 2) by 3; the best is the
    second."""
    terms = loss([-2.0, -6.0, -4.0], [2, 3, 1], [0.1, 0.9, 0.5])
    assert terms.rank == pytest.approx(4.0)
    assert terms.cross_entropy == pytest.approx(6.0)  # a sum, not a mean
    assert terms.total.item() == pytest.approx(10.0)
    assert terms.ordered == pytest.approx(1 / 3)
    assert terms.best == 0.0


def test_the_right_order_pays_the_cross_entropy_of_the_best_alone() -> None:
    terms = loss([-1.0, -2.0, -3.0], [1, 1, 1], [3.0, 2.0, 1.0])
    assert (terms.rank, terms.total.item(), terms.ordered, terms.best) == (0.0, 1.0, 1.0, 1.0)


def test_length_decides_by_its_mean() -> None:
    """A long response of sum −8 over 8 tokens (−1) is preferred to a short one of −3 over 2 (−1.5)."""
    terms = loss([-8.0, -3.0], [8, 2], [0.0, 1.0])
    assert terms.rank == pytest.approx(0.5)
    assert terms.total.item() == pytest.approx(3.5)


def test_equal_scores_make_no_pair_and_the_first_best_counts() -> None:
    terms = loss([-1.0, -5.0, -2.0], [1, 1, 1], [0.7, 0.7, 0.7])
    assert (terms.rank, terms.cross_entropy) == (0.0, 1.0)
    assert math.isnan(terms.ordered)
    tied = loss([-4.0, -1.0, -2.0], [1, 1, 1], [0.7, 0.2, 0.7])  # the second is worse than both
    assert tied.rank == pytest.approx((-1 + 4) + (-1 + 2))
    assert tied.cross_entropy == 4.0


def test_one_response_is_fine_tuning() -> None:
    terms = loss([-2.5], [5], [0.3])
    assert (terms.rank, terms.total.item(), terms.best) == (0.0, 2.5, 1.0)


def test_queries_of_a_batch_do_not_meet() -> None:
    """Two queries, their rows mixed: each pays its own pairs, and the batch the mean of both."""
    terms = loss([-1.0, -10.0, -3.0, -20.0], [1, 1, 1, 1], [0.0, 1.0, 1.0, 0.0], [7, 2, 7, 2])
    assert terms.rank == pytest.approx((2.0 + 0.0) / 2)
    assert terms.cross_entropy == pytest.approx((3.0 + 10.0) / 2)
    assert terms.best == 0.5


def test_gradients_raise_the_better_and_lower_the_worse() -> None:
    total = torch.tensor([-1.0, -4.0], requires_grad=True)
    rrhf_loss(
        total, torch.tensor([1.0, 2.0]), torch.tensor([0.0, 1.0]), torch.tensor([0, 0])
    ).total.backward()
    assert total.grad is not None
    assert total.grad.tolist() == [1.0, -1.5]  # d rank = 1 and −1/2, d cross entropy = −1 on the best
