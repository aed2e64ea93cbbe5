"""The invented catalog, open for all tests of targets."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from target_calls import invented_catalog

from diffagent.data.catalog.catalog import Catalog


@pytest.fixture(scope="session")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Catalog]:
    opened = invented_catalog(tmp_path_factory.mktemp("targets") / "invented.sqlite")
    yield opened
    opened.close()
