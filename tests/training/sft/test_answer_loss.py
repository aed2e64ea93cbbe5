"""The loss on answers: that of plain cross entropy over all logits, and a number worked out by hand."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.nn.functional import cross_entropy, one_hot

from diffagent.training.sft.answer_loss import AnswerWeights, answer_loss, shared_length

IGNORED = -100


class Echo(torch.nn.Module):  # type: ignore[misc]
    """A model of four tokens whose logits are log 7 for the token read last, and 0 for the others."""

    config = None

    @property
    def base_model(self) -> Any:
        def states(input_ids: Any, **_: Any) -> Any:
            return SimpleNamespace(last_hidden_state=one_hot(input_ids, 4).float() * math.log(7))

        return states

    def get_output_embeddings(self) -> Any:
        return torch.nn.Identity()


def test_by_hand() -> None:
    ids = torch.tensor([[1, 2, 2, 3]])
    labels = torch.tensor([[IGNORED, IGNORED, 2, 3]])
    # of 7 + 1 + 1 + 1: the second 2 has odds 7 in 10 after a 2, the 3 has 1 in 10
    loss, right = answer_loss(Echo(), ids, torch.ones_like(ids), labels)
    assert float(loss) == pytest.approx(-(math.log(0.7) + math.log(0.1)) / 2)
    assert right == {"mean_token_accuracy": 0.5}
    # the first token of the answer, the 2, counts four times; the divisor stays
    weighted_loss, _ = answer_loss(Echo(), ids, torch.ones_like(ids), labels, choice=AnswerWeights(plain=4))
    assert float(weighted_loss) == pytest.approx(-(4 * math.log(0.7) + math.log(0.1)) / 2)
    # the last token, the 3, stands behind the parameters and counts four times; the letter does not
    behind = torch.tensor([[2, 3]])
    identity, _ = answer_loss(
        Echo(), ids, torch.ones_like(ids), labels, choice=AnswerWeights(identity=4), parameters=behind
    )
    assert float(identity) == pytest.approx(-(math.log(0.7) + 4 * math.log(0.1)) / 2)
    half_loss, _ = answer_loss(Echo(), ids, torch.ones_like(ids), labels, count=4)
    assert float(half_loss) == pytest.approx(float(loss) / 2)


def test_how_often_prefilter_and_model_are_right_by_hand() -> None:
    # both questions end in token 1, and the answers are letters, 2 and 3; the model gives token 1 odds of 7,
    # which is no letter, so both letters stand at 1 to 1 and the prior alone decides
    ids = torch.tensor([[0, 1, 2], [0, 1, 3]])
    labels = torch.tensor([[IGNORED, IGNORED, 2], [IGNORED, IGNORED, 3]])
    log_priors = torch.tensor([[math.log(0.8), math.log(0.2)], [-math.inf, -math.inf]])
    choice = AnswerWeights(letters=(2, 3, 0))
    loss, right = answer_loss(Echo(), ids, torch.ones_like(ids), labels, 1, choice, log_priors)
    assert float(loss) == pytest.approx(-2 * math.log(0.1), rel=1e-6)
    assert right == {"mean_token_accuracy": 0.0, "prefilter_recall": 1.0, "fused_recall": 1.0}
    # a model that reads 3 last says 3 with odds of 7 to 1, against the prior of 8 to 2: 7 · 0.2 to 1 · 0.8
    ids, labels = torch.tensor([[1, 3, 3]]), torch.tensor([[IGNORED, IGNORED, 3]])
    _, right = answer_loss(Echo(), ids, torch.ones_like(ids), labels, 1, choice, log_priors[:1])
    assert (right["prefilter_recall"], right["fused_recall"]) == (0.0, 1.0)


def test_letters_that_are_right_in_part_by_hand() -> None:
    # token 1 is read last, so it has odds of 7 in 10, and the letters 2 and 3 have 1 in 10 each
    ids = torch.tensor([[0, 1, 2, 2], [0, 1, 3, 3]])
    labels = torch.tensor([[IGNORED, IGNORED, 2, 2], [IGNORED, IGNORED, 3, 3]])
    targets = torch.tensor([[0.75, 0.25, 0.0], [0.0, 0.0, 0.0]])
    choice = AnswerWeights(plain=4, letters=(1, 2, 3))

    def summed(targets: torch.Tensor | None, choice: AnswerWeights) -> float:
        real = torch.ones_like(ids)
        return float(answer_loss(Echo(), ids, real, labels, 1, choice, letter_targets=targets)[0])

    # what follows a letter counts once, and stands at 7 in 10; the second row's letter alone is right
    spread = -(0.75 * math.log(0.7) + 0.25 * math.log(0.1))
    rest = -2 * math.log(0.7)
    assert summed(targets, choice) == pytest.approx(4 * spread - 4 * math.log(0.1) + rest, rel=1e-6)
    plain = -8 * math.log(0.1) + rest
    assert summed(None, choice) == pytest.approx(plain, rel=1e-6)
    assert summed(targets[:, :0], choice) == pytest.approx(plain, rel=1e-6)  # a batch without a choice
    one_right = torch.tensor([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    assert summed(one_right, choice) == pytest.approx(plain, rel=1e-6)


@pytest.mark.parametrize(
    ("ids", "labels", "alike"),
    [
        ([[5, 6, 7], [5, 6, 8]], [[-100, -100, 7], [-100, -100, 8]], 1),
        ([[5, 6, 7], [5, 6, 7]], [[-100, -100, 7], [-100, -100, 7]], 1),  # never into the answer
        ([[4, 6, 7], [5, 6, 7]], [[-100, -100, 7], [-100, -100, 7]], 0),
        ([[5, 6, 7]], [[-100, -100, 7]], 0),
    ],
)
def test_what_a_batch_begins_with_is_shared(
    ids: list[list[int]], labels: list[list[int]], alike: int
) -> None:
    assert shared_length(torch.tensor(ids), torch.tensor(labels) == IGNORED) == alike


def test_equals_the_loss_over_all_logits_and_its_gradients(tiny_folder: Path) -> None:
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(tiny_folder, dtype=torch.float32)
    rows = [[1, 9, 8, 7, 30, 31, 32, 2], [1, 9, 8, 7, 40, 41, 2], [1, 9, 8, 50, 51, 52, 53, 2]]
    answers = (5, 5, 4)
    ids = torch.zeros(3, 8, dtype=torch.long)
    real, labels = torch.zeros_like(ids), torch.full_like(ids, IGNORED)
    for at, (row, answer) in enumerate(zip(rows, answers, strict=True)):
        ids[at, : len(row)], real[at, : len(row)] = torch.tensor(row), 1
        labels[at, answer : len(row)] = torch.tensor(row[answer:])
    assert shared_length(ids, labels == IGNORED) == 2
    plain = model(input_ids=ids, attention_mask=real).logits[:, :-1].flatten(0, 1)
    expected = cross_entropy(plain, labels[:, 1:].flatten(), ignore_index=IGNORED)
    expected.backward()
    gradients = {
        name: parameter.grad.clone()
        for name, parameter in model.named_parameters()
        if parameter.grad is not None
    }
    for wrapped in (None, model):  # through its parts, and as several processes call it
        model.zero_grad()
        loss, _ = answer_loss(model, ids, real, labels, wrapped=wrapped)
        loss.backward()
        assert float(loss.detach()) == pytest.approx(float(expected.detach()), rel=1e-5)
        for name, parameter in model.named_parameters():
            if parameter.grad is not None:
                torch.testing.assert_close(parameter.grad, gradients[name], rtol=1e-3, atol=1e-5)
