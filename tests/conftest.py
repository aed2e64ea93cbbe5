"""Fixtures that several floors share: an invented catalog and agents on it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from stand_ins import ENTRIES, RuleEngine, WordEncoder, plain_ranker, plain_suitability, read_entries
from tiny_llama import write_tiny_llama

from diffagent.agent.agent import Agent
from diffagent.agent.choosing.fusion import Fusion
from diffagent.agent.choosing.prefilter import Prefilter
from diffagent.agent.engines.transformers_engine import TransformersEngine
from diffagent.data.catalog.catalog import Catalog
from diffagent.data.catalog.importing import add_entries
from diffagent.data.encoders.text_encoder import TextEncoder


def pytest_xdist_auto_num_workers() -> int:
    """One more than the cores: many tests wait for servers and clients of their own."""
    return (os.cpu_count() or 1) + 1


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files begin first, so that no worker is left alone with one in the end."""
    items.sort(key=lambda item: item.path.name not in ("test_patterns.py", "test_connections.py"))


@pytest.fixture(autouse=True)
def _no_library(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees a library of whoever runs it."""
    monkeypatch.setenv("DIFFAGENT_LIBRARY", str(tmp_path_factory.getbasetemp() / "no-library"))


@pytest.fixture
def encoder() -> WordEncoder:
    return WordEncoder()


@pytest.fixture
def catalog_path(tmp_path: Path, encoder: WordEncoder) -> Path:
    path = tmp_path / "invented.sqlite"
    with Catalog.create(path) as catalog:
        add_entries(catalog, ENTRIES, encoder)
    return path


@pytest.fixture
def real_catalog_path(tmp_path: Path) -> Path:
    """The invented catalog as ``Agent.load`` reads it: its prompts went through the default text encoder."""
    path = tmp_path / "encoded.sqlite"
    with Catalog.create(path) as catalog:
        add_entries(catalog, ENTRIES, TextEncoder.load())
    return path


@pytest.fixture
def make_agent(catalog_path: Path, encoder: WordEncoder) -> Iterator[Callable[..., Agent]]:
    catalogs: list[Catalog] = []

    def make(engine: RuleEngine | None = None, fusion: Fusion | None = None) -> Agent:
        catalog = Catalog.open(catalog_path)
        catalogs.append(catalog)
        prefilter = Prefilter.of(catalog, encoder, plain_ranker())
        return Agent(catalog, prefilter, engine or RuleEngine(), fusion or Fusion(choice_weight=0.1))

    yield make
    for catalog in catalogs:
        catalog.close()


@pytest.fixture
def make_reader(tmp_path: Path, encoder: WordEncoder) -> Iterator[Callable[..., Agent]]:
    """Agents on the invented catalog as a person has read it."""
    path = tmp_path / "read.sqlite"
    with Catalog.create(path) as catalog:
        add_entries(catalog, read_entries(), encoder)
    catalogs: list[Catalog] = []

    def make(engine: RuleEngine | None = None, fusion: Fusion | None = None) -> Agent:
        catalog = Catalog.open(path)
        catalogs.append(catalog)
        prefilter = Prefilter.of(catalog, encoder, plain_ranker())
        agent = Agent(catalog, prefilter, engine or RuleEngine(), fusion or Fusion())
        agent.suitability = plain_suitability()
        return agent

    yield make
    for catalog in catalogs:
        catalog.close()


@pytest.fixture
def agent(make_agent: Callable[..., Agent]) -> Agent:
    return make_agent()


@pytest.fixture(scope="session")
def real_agent() -> Iterator[Agent]:
    """What ships: the embedded catalog, ranker and fusion, and the default weights (fetched on first use)."""
    loaded = Agent.load()
    yield loaded
    loaded.catalog.close()


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama of two layers with grouped heads and random weights."""
    folder = tmp_path_factory.mktemp("tiny-llama")
    write_tiny_llama(folder)
    return folder


@pytest.fixture(scope="session")
def tiny(tiny_folder: Path) -> TransformersEngine:
    return TransformersEngine.load(str(tiny_folder), device="cpu", dtype="float32")


@pytest.fixture(scope="session")
def smollm() -> TransformersEngine:
    """The embedded default; fetched on first use."""
    return TransformersEngine.load(device="cpu")
