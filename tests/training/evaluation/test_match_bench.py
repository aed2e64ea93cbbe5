from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

pytest.importorskip("faiss", reason="needs pip install 'diffagent[match]'")

from diffagent.agent.pmi.search import Neighbours
from diffagent.agent.pmi.store import Store
from diffagent.agent.pmi.synthetic import Hub
from diffagent.data.errors import BadInput
from diffagent.serving.cli import root
from diffagent.training.evaluation import match_bench
from diffagent.training.evaluation.match_bench import bytes_read, evaluate, match, mean_overlap

SMALL = Hub(120, 0, 6, 32)


@pytest.fixture(autouse=True)
def small_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(match_bench, "COPIED", 1 << 16)


def test_the_command_prints_what_the_contract_names() -> None:
    result = CliRunner().invoke(root, ["bench", "match", "--models", "20", "--tasks", "2", "--json"])
    assert result.exit_code == 0, result.output
    figures = json.loads(result.stdout)
    assert {"models", "p50_ms", "naive_p50_ms", "ratio", "agreement"} < set(figures)
    assert {"exact_p50_ms", "exact_ratio", "rank1", "bytes_read", "bandwidth_share"} < set(figures)
    assert (figures["models"], figures["naive_tasks"]) == (20, 2)
    assert figures["agreement"] == figures["exact_agreement"] == 1


def test_figures_follow_from_each_other(tmp_path: Path) -> None:
    figures = match(SMALL, 4, 2, images=2, folder=tmp_path)
    naive, ours, ratio, rounded = figures["naive_p50_ms"], figures["p50_ms"], figures["ratio"], 0.051
    assert (ratio - rounded) * (ours - rounded) <= naive + rounded  # all three are rounded to a tenth
    assert naive - rounded <= (ratio + rounded) * (ours + rounded)
    assert figures["evaluated"] == 64
    store = Store.open(tmp_path)
    assert figures["bytes_read"] == bytes_read(store, Neighbours(np.arange(16), np.zeros(16), 64))


def test_a_store_that_is_kept_is_used_again_by_the_same_hub_only(tmp_path: Path) -> None:
    match(SMALL, 2, 1, folder=tmp_path)
    mtime = (tmp_path / "store.json").stat().st_mtime_ns
    assert match(SMALL, 2, 1, folder=tmp_path)["build_s"] == 0
    assert (tmp_path / "store.json").stat().st_mtime_ns == mtime
    for other in (Hub(119, 0, 6, 32), Hub(120, 1, 6, 32), Hub(120, 0, 7, 32)):
        with pytest.raises(BadInput, match="120 models of another hub"):
            match(other, 2, 1, folder=tmp_path)


def test_bytes_are_rows_of_all_models_and_features_and_gram_rows_of_some(tmp_path: Path) -> None:
    store = Store.build(tmp_path, SMALL.blocks(), SMALL.prompts, rows=1)
    # 32 + 6 + 4 numbers in a row of 48; features 6 × 32 float16; 15 float32 below the diagonal
    neighbours = Neighbours(np.arange(2), np.zeros(2), evaluated=10, scans=2)
    assert bytes_read(store, neighbours) == 2 * 120 * 48 * 2 + 10 * (6 * 32 * 2 + 15 * 4)


def test_direct_evaluation_finds_the_true_order(tmp_path: Path) -> None:
    store = Store.build(tmp_path, SMALL.blocks(), SMALL.prompts)
    tasks = [SMALL.task(number)[1] for number in range(2)]
    spent, nearest = evaluate(tasks, store)
    assert all(milliseconds > 0 for milliseconds in spent)
    assert [len(row) for row in nearest] == [16, 16]


def test_the_share_of_expected_models() -> None:
    assert mean_overlap([np.array([1, 2]), np.array([3, 4])], [np.array([2, 1]), np.array([4, 9])]) == 0.75


def test_a_full_disk_is_said_before_anything_is_made(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"need 76006\.0 GB"):
        match(Hub(10**9), 1, 1, folder=tmp_path)
    assert not list(tmp_path.iterdir())
