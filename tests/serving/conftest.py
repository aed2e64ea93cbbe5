"""Agents that the faces load: a stand-in, and one whose catalog has image specifications."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from invented_images import ColourEncoder, write_manifest
from stand_ins import RuleEngine, WordEncoder, plain_ranker

from diffagent.agent.agent import Agent
from diffagent.agent.choosing.fusion import Fusion
from diffagent.agent.choosing.prefilter import Prefilter
from diffagent.agent.pmi.building import build
from diffagent.agent.pmi.feature_cache import EncoderPair
from diffagent.agent.pmi.identifier import Identifier
from diffagent.agent.pmi.manifest import read_examples
from diffagent.data.catalog.catalog import Catalog


@pytest.fixture
def loads(make_agent: Callable[..., Agent], monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """``Agent.load`` gives the stand-in agent; what it was called with is noted."""
    agent = make_agent(RuleEngine(), Fusion(choice_weight=1.0))
    noted: list[tuple[Any, ...]] = []

    def load(*arguments: Any) -> Agent:
        noted.append(arguments)
        return agent

    monkeypatch.setattr(Agent, "load", load)
    return noted


@pytest.fixture
def seeing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Agent]:
    """Three invented models that are told apart by their colours (:data:`invented_images.STYLES`)."""
    monkeypatch.setenv("DIFFAGENT_HOME", str(tmp_path / "home"))
    hub = tmp_path / "hub.sqlite"
    examples = read_examples(write_manifest(tmp_path / "images"))
    build(examples, hub, EncoderPair(ColourEncoder(), WordEncoder(), "words", "3d" * 32))
    with Catalog.open(hub) as catalog:
        agent = Agent(catalog, Prefilter.of(catalog, WordEncoder(), plain_ranker()), RuleEngine(), Fusion())
        agent.identifier = Identifier.beside(hub, ColourEncoder())
        yield agent
