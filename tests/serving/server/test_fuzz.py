"""500 fuzzed requests on a tiny real Llama: none breaks the server. ``tests/fuzzing.py`` sends more."""

from __future__ import annotations

from pathlib import Path

import pytest
from fuzzing import POSTS, fuzz, fuzzed_server


@pytest.mark.wide
@pytest.mark.filterwarnings("ignore::Warning:schemathesis", "ignore::hypothesis.errors.HypothesisWarning")
def test_no_request_breaks_the_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIFFAGENT_HOME", str(tmp_path / "home"))
    with fuzzed_server(tmp_path) as url:
        counts = fuzz(url, 500)
    assert sum(counts.values()) >= 500
    assert {(path, status) for path in POSTS for status in (200, 400)} <= set(counts)
