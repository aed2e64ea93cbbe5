"""Servers on the invented catalog."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from server_runs import Serve, served

from diffagent.agent.agent import Agent
from diffagent.serving.server.app import create_app
from diffagent.serving.server.config import ServerConfig


@pytest.fixture
def serve() -> Serve:
    """Serves an agent with a configuration, and gives a client to it."""

    @contextmanager
    def serving(agent: Agent, **settings: Any) -> Iterator[httpx.Client]:
        app = create_app(agent, ServerConfig(**settings))
        with served(app) as url, httpx.Client(base_url=url, timeout=30, trust_env=False) as client:
            yield client

    return serving


@pytest.fixture
def client(agent: Agent, serve: Serve) -> Iterator[httpx.Client]:
    with serve(agent) as opened:
        yield opened
