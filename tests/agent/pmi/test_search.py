from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diffagent.agent.pmi.exact import Doubles, Ints

pytest.importorskip("faiss", reason="needs pip install 'diffagent[match]'")

from diffagent.agent.pmi import search
from diffagent.agent.pmi.exact import Task, distances
from diffagent.agent.pmi.search import Searcher, best
from diffagent.agent.pmi.store import Store
from diffagent.agent.pmi.synthetic import Hub, in_memory
from diffagent.data.errors import BadInput

SMALL = Hub(150, seed=1, prompt_count=9, dimensions=32)


def ranked(
    features: npt.NDArray[np.floating[Any]], task: Task, gamma: float, k: int = 16
) -> tuple[Ints, Doubles]:
    true = distances(features, task, gamma)
    return best(np.arange(len(true)), true, k)


@given(
    seed=st.integers(0, 10**6),
    gamma=st.sampled_from([0.005, 0.02, 0.5]),
    rows=st.integers(1, 9),
    images=st.integers(1, 3),
    threads=st.integers(1, 3),
    uniform=st.booleans(),
)
@settings(max_examples=25, deadline=None)
def test_the_exact_search_never_loses_one_of_the_nearest(
    tmp_path_factory: pytest.TempPathFactory,
    seed: int,
    gamma: float,
    rows: int,
    images: int,
    threads: int,
    uniform: bool,
) -> None:
    hub = Hub(90, seed, 9, 32)
    store = Store.build(tmp_path_factory.mktemp("store"), hub.blocks(), hub.prompts, gamma, rows)
    _, task = hub.task(seed, images)
    if uniform:
        task = Task.of(task.images, None, hub.prompts)
    models, true = ranked(in_memory(hub), task, gamma)
    with Searcher(store, threads) as searcher:
        neighbours = searcher.exact(task)
    assert neighbours.distances == pytest.approx(true, abs=1e-6)
    assert all(true[-1] - distance < 1e-6 for distance in true[~np.isin(models, neighbours.models)])


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store.build(tmp_path_factory.mktemp("store"), SMALL.blocks(), SMALL.prompts, 0.02, 3)


def test_the_exact_search_evaluates_few_models_where_models_differ(store: Store) -> None:
    with Searcher(store, 2) as searcher:
        neighbours = searcher.exact(
            Task.of(in_memory(SMALL)[7, :4].astype(np.float32), None, SMALL.prompts), k=1
        )
    assert neighbours.models.tolist() == [7]
    assert neighbours.evaluated < len(store)


def test_a_second_look_finds_what_the_first_leaves_out(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "FIRST_LOOK", 16)
    _, task = SMALL.task(5)
    with Searcher(store, 1) as searcher:
        neighbours = searcher.exact(task)
    assert neighbours.scans > 1
    assert neighbours.models.tolist() == ranked(in_memory(SMALL), task, 0.02)[0].tolist()


def test_the_reduced_search_finds_nearly_all_of_the_nearest(store: Store) -> None:
    with Searcher(store, 1) as searcher:
        pairs = [(searcher.exact(task), searcher.nearest(task)) for _, task in map(SMALL.task, range(20))]
    recalls = [np.isin(exact.models, near.models).mean() for exact, near in pairs]
    assert np.mean(recalls) > 0.99
    assert all(near.evaluated == 64 for _, near in pairs)


def test_answers_come_nearest_first_with_distances_of_eq_9(store: Store) -> None:
    _, task = SMALL.task(2, images=2)
    with Searcher(store, 2) as searcher:
        neighbours = searcher.nearest(task, k=5)
    assert neighbours.distances == pytest.approx(np.sort(neighbours.distances))
    assert neighbours.distances == pytest.approx(
        distances(in_memory(SMALL), task, 0.02)[neighbours.models], abs=1e-6
    )


def test_equal_models_tie_and_the_earlier_comes_first(tmp_path: Path) -> None:
    features = in_memory(SMALL)[:6]
    twice = np.concatenate([features, features])
    with Searcher(Store.build(tmp_path, [twice], SMALL.prompts), 1) as searcher:
        neighbours = searcher.exact(SMALL.task(0)[1], k=12)
    assert neighbours.distances[::2].tolist() == neighbours.distances[1::2].tolist()
    assert (neighbours.models[1::2] - neighbours.models[::2]).tolist() == [6] * 6


def test_more_are_asked_for_than_there_are(tmp_path: Path) -> None:
    with Searcher(Store.build(tmp_path, [in_memory(SMALL)[:3]], SMALL.prompts), 4) as searcher:
        _, task = SMALL.task(0)
        assert sorted(searcher.exact(task).models.tolist()) == [0, 1, 2]
        assert sorted(searcher.nearest(task).models.tolist()) == [0, 1, 2]


@pytest.mark.parametrize(("d", "prompts"), [(31, 9), (32, 8)])
def test_a_task_of_another_space_is_refused(store: Store, d: int, prompts: int) -> None:
    task = Task(np.zeros((1, d), np.float32), np.ones((1, prompts), np.float32))
    with Searcher(store, 1) as searcher, pytest.raises(BadInput, match="32 dimensions and 9 prompts"):
        searcher.exact(task)
