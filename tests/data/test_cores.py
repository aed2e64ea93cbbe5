"""Threads beside other processes: as many as cores are free."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from diffagent.agent.agent import Agent
from diffagent.agent.asking.request import Request
from diffagent.agent.choosing.suitability import Floats, Suitability
from diffagent.data import cores
from diffagent.data.cores import fitting_threads, free_cores, running, running_here
from diffagent.data.encoders.text_encoder import Bert
from diffagent.data.weights.weights import DEFAULT_TEXT_ENCODER, resolve


@pytest.fixture
def four_threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Four cores, of which torch takes four."""
    import torch

    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3})
    threads = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def tasks(tmp_path: Path) -> Path:
    """Two threads of a process, of which one runs; one has an awkward name."""
    for number, stat in (("7", "7 (a) R (b) S 1 7"), ("8", "8 (python) R 1 7")):
        (tmp_path / "task" / number).mkdir(parents=True)
        (tmp_path / "task" / number / "stat").write_text(stat)
    return tmp_path / "task"


def load(folder: Path, runnable: int) -> Path:
    file = folder / "loadavg"
    file.write_text(f"0.20 0.18 0.12 {runnable}/80 11206\n")
    return file


def test_cores_are_free_that_no_other_process_wants(
    tmp_path: Path, tasks: Path, four_threads: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert running_here(tasks) == 1
    assert [free_cores(load(tmp_path, n), tasks) for n in (0, 1, 2, 4, 5, 60)] == [4, 4, 3, 1, 1, 1]
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})  # two of the four, and half of the others
    assert [free_cores(load(tmp_path, n), tasks) for n in (1, 3, 5)] == [2, 1, 1]


def test_a_system_that_does_not_say_changes_nothing(tmp_path: Path) -> None:
    assert running(tmp_path / "none") is None
    (tmp_path / "odd").write_text("0.1 0.2")
    assert running(tmp_path / "odd") is None
    assert free_cores(tmp_path / "none") is None


def test_a_pass_keeps_to_the_free_cores(four_threads: None, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    threads = []
    for free in (1, 3, 9, None):
        monkeypatch.setattr(cores, "free_cores", lambda free=free: free)
        with fitting_threads():
            threads.append(torch.get_num_threads())
        assert torch.get_num_threads() == 4
    assert threads == [1, 3, 4, 4]
    monkeypatch.setattr(cores, "free_cores", lambda: 2)
    with pytest.raises(ValueError, match="broken"), fitting_threads():
        raise ValueError("broken")
    assert torch.get_num_threads() == 4


def test_the_numbers_of_a_call_are_computed_on_one_numpy_thread(make_reader: Callable[..., Agent]) -> None:
    """Threads of NumPy that spin behind their work slow the language model's pass to half its speed."""
    counts: list[int] = []
    agent = make_reader()

    class Counting(Suitability):
        def among(self, tables: Sequence[Floats]) -> Floats:
            counts.extend(pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas")
            return super().among(tables)

    with threadpool_limits(2, user_api="blas"):
        agent.suitability = Counting(**vars(agent.suitability))
        agent.decide(Request.from_prompt("a fox in the snow"))
        assert counts
        assert set(counts) == {1}
        assert {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"} == {2}


def test_the_text_encoder_keeps_to_the_free_cores(
    monkeypatch: pytest.MonkeyPatch, four_threads: None
) -> None:
    """On two cores of which neither was free, two of its threads took a call from 140 ms to 380."""
    import torch

    counts: list[int] = []

    class Counting(Bert):
        def _embed_tokens(self, tokens: torch.Tensor) -> torch.Tensor:
            counts.append(torch.get_num_threads())
            return super()._embed_tokens(tokens)

    monkeypatch.setattr(cores, "free_cores", lambda: 1)
    network = Counting.load(resolve(DEFAULT_TEXT_ENCODER).path)
    network.embed([[101, 4419, 102]])
    assert counts == [1]
    assert torch.get_num_threads() == 4


@pytest.mark.skipif(running() is None, reason="the system does not say what runs")
def test_this_process_counts_its_own_threads() -> None:
    ended = threading.Event()
    spinning = threading.Thread(target=lambda: [None for _ in iter(ended.is_set, True)])
    spinning.start()
    try:
        assert running_here() >= 1
        assert (running() or 0) >= 1
    finally:
        ended.set()
        spinning.join()
