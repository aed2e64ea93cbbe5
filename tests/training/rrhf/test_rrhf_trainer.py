"""Batches of RRHF: how queries and responses are laid out, and that no layout changes a probability."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from diffagent.data.errors import BadInput
from diffagent.training.rrhf.config import read_config
from diffagent.training.rrhf.trainer import (
    ScoredQuery,
    collate,
    shared_log_probs,
    use_float32_logits,
    whole_log_probs,
)
from diffagent.training.sft.recipe import shipped

QUERIES = [
    ScoredQuery([5, 6, 7], [[8, 9, 2], [10, 2]], [0.2, 0.9]),
    ScoredQuery([5, 11], [[12, 13, 14, 15, 2], [16, 2], [12, 17, 2]], [0.1, 0.5, 0.4]),
]


@pytest.fixture(scope="module")
def model(tiny_folder: Path) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(tiny_folder, dtype=torch.float32)


def test_a_batch_on_literal_ids() -> None:
    batch = collate(QUERIES[:1], pad=0)
    assert batch["input_ids"].tolist() == [[5, 6, 7, 8, 9, 2], [5, 6, 7, 10, 2, 0]]
    assert batch["attention_mask"].tolist() == [[1] * 6, [1, 1, 1, 1, 1, 0]]
    assert batch["own"].int().tolist() == [[0, 0, 0, 1, 1, 1], [0, 0, 0, 1, 1, 0]]
    assert batch["scores"].tolist() == pytest.approx([0.2, 0.9])
    left_batch = collate(QUERIES[:1], pad=0, side="left")
    assert left_batch["input_ids"].tolist() == [[5, 6, 7, 8, 9, 2], [0, 5, 6, 7, 10, 2]]
    assert left_batch["own"].int().tolist() == [[0, 0, 0, 1, 1, 1], [0, 0, 0, 0, 1, 1]]
    assert left_batch["ranked"].equal(left_batch["own"])
    few = collate([replace(QUERIES[0], counted=[2, 1])], pad=0, side="left")
    assert few["ranked"].int().tolist() == [[0, 0, 0, 1, 1, 0], [0, 0, 0, 0, 1, 0]]
    assert collate(QUERIES, pad=0)["query"].tolist() == [0, 0, 1, 1, 1]


def one_by_one(model: Any, queries: Sequence[ScoredQuery] = tuple(QUERIES)) -> tuple[list[float], list[int]]:
    """Σ log P of every response by a pass of its own, without padding."""
    totals, lengths = [], []
    for query in queries:
        for response in query.responses:
            ids = torch.tensor([query.prompt + response])
            logits = model(ids).logits[0].log_softmax(-1)
            at = range(len(query.prompt) - 1, len(query.prompt) + len(response) - 1)
            totals.append(sum(float(logits[i, ids[0, i + 1]]) for i in at))
            lengths.append(len(response))
    return totals, lengths


@torch.no_grad()  # type: ignore[untyped-decorator]
@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_changes_no_probability(model: Any, side: Any) -> None:
    expected, lengths = one_by_one(model)
    total, length, _ = whole_log_probs(model, collate(QUERIES, pad=3, side=side))
    assert total.tolist() == pytest.approx(expected, abs=1e-4)
    assert length.tolist() == lengths


@torch.no_grad()  # type: ignore[untyped-decorator]
def test_a_query_that_is_computed_once_changes_no_probability(model: Any) -> None:
    expected, lengths = one_by_one(model)
    total, length, _ = shared_log_probs(model, collate(QUERIES, pad=3))
    assert total.tolist() == pytest.approx(expected, abs=1e-4)
    assert length.tolist() == lengths


@torch.no_grad()  # type: ignore[untyped-decorator]
@pytest.mark.parametrize("way", [whole_log_probs, shared_log_probs])
def test_what_is_ranked_may_be_less_than_what_is_learnt(model: Any, way: Any) -> None:
    expected, _ = one_by_one(model)
    counts = [[1, 1], [2, 1, 3]]
    less = [replace(query, counted=few) for query, few in zip(QUERIES, counts, strict=True)]
    short = [
        replace(query, responses=[response[:n] for response, n in zip(query.responses, few, strict=True)])
        for query, few in zip(QUERIES, counts, strict=True)
    ]
    cut, _ = one_by_one(model, short)
    total, length, whole = way(model, collate(less, pad=3))
    assert length.tolist() == [1, 1, 2, 1, 3]
    assert total.tolist() == pytest.approx(cut, abs=1e-4)
    assert whole.tolist() == pytest.approx(expected, abs=1e-4)


def test_both_ways_have_the_same_gradients(model: Any) -> None:
    gradients = []
    for way in (whole_log_probs, shared_log_probs):
        model.zero_grad()
        total, length, _ = way(model, collate(QUERIES, pad=3))
        (total / length).sum().backward()
        gradients.append(model.model.layers[0].self_attn.q_proj.weight.grad.clone())
    torch.testing.assert_close(*gradients, atol=1e-4, rtol=1e-3)


def test_logits_are_not_rounded_to_eighths() -> None:
    head = torch.nn.Linear(2, 2, bias=False, dtype=torch.bfloat16)
    with torch.no_grad():
        head.weight.copy_(torch.tensor([[20.0, 0.0], [20.0, 0.03125]]))
    states = torch.ones(1, 2, dtype=torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        assert head(states).tolist() == [[20.0, 20.0]]
        use_float32_logits(head)
        assert head(states).tolist() == [[20.0, 20.03125]]


def test_recipes_ship_and_unknown_values_are_refused(tmp_path: Path) -> None:
    names = ["llama-2-7b", "smollm2-135m", "smollm2-135m-memory", "smollm2-135m-requests"]
    assert shipped("rrhf") == names
    for name in shipped("rrhf"):
        assert read_config(name).name == name
    assert read_config("llama-2-7b").form == "memory"
    assert (read_config("smollm2-135m-requests").form, read_config("llama-2-7b").rank_weight) == ("choice", 1)
    path = tmp_path / "mine.yaml"
    for text, reason in (
        ("responses: 0", "responses is 0 in mine.yaml: it should be greater than 0"),
        ("form: reading", "form is 'reading' in mine.yaml: it should be 'candidates', 'choice' or 'memory'"),
        ("rank_weight: 0", "rank_weight is 0 in mine.yaml: it should be greater than 0"),
        ("ranked: half", "ranked is 'half' in mine.yaml: it should be 'whole' or 'model'"),
        ("parameters: any", "parameters is 'any' in mine.yaml: it should be 'usual' or 'drawn'"),
        ("mix: {memory: 1}", "mine.yaml has the unknown key 'mix'; known are accumulate, batch,"),
    ):
        path.write_text(text)
        with pytest.raises(BadInput, match=reason):
            read_config(str(path))
    with pytest.raises(BadInput, match="one of llama-2-7b, smollm2-135m"):
        read_config("none")
