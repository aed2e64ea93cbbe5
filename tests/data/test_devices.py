"""Each process has a device of its own, and nothing picks one by itself."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from diffagent.data.devices import own_device, share

REPO = Path(__file__).parents[2]


def test_each_process_takes_its_own_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 4)
    assert (own_device(), share()) == ("cuda", (0, 1))
    monkeypatch.setenv("WORLD_SIZE", "8")
    for rank, local in ((0, 0), (3, 3), (6, 2)):  # the third process of the second machine
        monkeypatch.setenv("RANK", str(rank))
        monkeypatch.setenv("LOCAL_RANK", str(local))
        assert (own_device(), share()) == (f"cuda:{local}", (rank, 8))
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert own_device() == "cpu"


def test_whatever_computes_is_loaded_on_the_process_own_device() -> None:
    """ "cuda" alone is the first GPU of a machine; only a script for the user's own machine names it."""
    paths = {
        str(path.relative_to(REPO))
        for folder in ("data", "agent", "training", "serving")
        for path in (REPO / folder).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Constant) and node.value == "cuda"
    }
    assert paths == {"data/devices.py"}
