"""An invented hub with image specifications."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from invented_images import ColourEncoder, write_manifest
from stand_ins import WordEncoder

from diffagent.agent.pmi.building import BuildReport, build
from diffagent.agent.pmi.feature_cache import EncoderPair
from diffagent.agent.pmi.manifest import read_examples


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Features are kept here and not in the user's cache."""
    monkeypatch.setenv("DIFFAGENT_HOME", str(tmp_path / "home"))


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    return write_manifest(tmp_path / "images")


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., BuildReport]:
    """Builds specifications of a manifest or folder beside ``hub.sqlite``."""

    def build_it(source: Path, **options: object) -> BuildReport:
        return build(
            read_examples(source),
            tmp_path / "hub.sqlite",
            EncoderPair(ColourEncoder(), WordEncoder(), "words", "3d" * 32),
            **options,  # type: ignore[arg-type]
        )

    return build_it


@pytest.fixture
def hub(make: Callable[..., BuildReport], manifest: Path, tmp_path: Path) -> Path:
    """The path of a catalog of three models with specifications."""
    make(manifest)
    return tmp_path / "hub.sqlite"
