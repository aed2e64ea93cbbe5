"""An agent whose catalog has image specifications."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

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
