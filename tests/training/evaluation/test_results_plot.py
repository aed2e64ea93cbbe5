"""Results as a picture, and files that hold none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from diffagent.data.errors import BadInput
from diffagent.training.evaluation.results_plot import _bar, draw, read_results

RESULT = {
    "n": 20,
    "prefilter": {"1": 60.0},
    "agent": {"1": 65.0},
    "ci95": {"prefilter": {"1": [50.0, 72.5]}, "agent": {"1": [55.0, 75.0]}},
}


def test_results_are_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="needs pip install 'diffagent[plot]'")
    paths = [tmp_path / "test.json", tmp_path / "test_novel.json"]
    for path in paths:
        path.write_text(json.dumps(RESULT))
    results = read_results(paths)
    assert list(results) == ["test", "test_novel"]
    draw(results, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")


def test_a_bar_has_its_interval() -> None:
    assert _bar(RESULT, "prefilter") == (60.0, 10.0, 12.5)
    assert _bar(RESULT, "untuned") is None


@pytest.mark.parametrize("text", ["", "[]", '{"n": 2}', json.dumps({**RESULT, "ci95": {}})])
def test_files_without_results_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "r.json"
    path.write_text(text)
    with pytest.raises(BadInput, match=r"r\.json holds no results"):
        read_results([path])
