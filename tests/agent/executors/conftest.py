"""The invented catalog, and keys that only the tests' servers know."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from target_calls import invented_catalog

from diffagent.data.catalog.catalog import Catalog


@pytest.fixture(scope="session")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Catalog]:
    opened = invented_catalog(tmp_path_factory.mktemp("executors") / "invented.sqlite")
    yield opened
    opened.close()


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("A1111_AUTH", "OPENAI_API_KEY", "AI_HORDE_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CIVITAI_API_KEY", "a-key")
