"""Export: low-rank extraction by hand, and what an adapter's file says."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from diffagent.agent.engines.adapter import FILE, Adapter
from diffagent.data.errors import BadInput
from diffagent.training.sft.export import extract, save_adapter


def test_a_difference_of_rank_one_is_extracted_whole() -> None:
    base = torch.zeros(3, 2)
    tuned = torch.outer(torch.tensor([1.0, 2.0, 2.0]), torch.tensor([3.0, 4.0]))  # one singular value, 15
    a, b = extract({"q": tuned}, {"q": base}, 1)["q"]
    assert (a.shape, b.shape) == ((1, 2), (3, 1))
    torch.testing.assert_close(b @ a, tuned)
    torch.testing.assert_close(a.norm() ** 2, torch.tensor(15.0))  # each takes the root of it


def test_of_a_difference_of_more_the_largest_part_stays() -> None:
    a, b = extract({"q": torch.diag(torch.tensor([5.0, 3.0, 1.0]))}, {"q": torch.zeros(3, 3)}, 2)["q"]
    torch.testing.assert_close(b @ a, torch.diag(torch.tensor([5.0, 3.0, 0.0])))
    with pytest.raises(BadInput, match="a rank of 0 extracts nothing"):
        extract({}, {}, 0)


def test_an_adapter_comes_back_in_bf16_with_its_base(tmp_path: Path) -> None:
    pairs = {"q": (torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0]]))}
    report = save_adapter(pairs, 8, 2, {"base": "abc"}, tmp_path / FILE)
    assert "too_large_to_ship" not in report
    adapter = Adapter.open(tmp_path)
    assert (adapter.base, adapter.scale) == ("abc", 4.0)
    assert [matrix.tolist() for matrix in adapter.pairs()["q"]] == [[[1.0, 2.0]], [[3.0]]]
    assert save_adapter(pairs, 8, 2, {"base": "abc"}, tmp_path / FILE, most=5)["too_large_to_ship"]
