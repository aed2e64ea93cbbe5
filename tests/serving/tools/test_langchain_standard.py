"""langchain-tests' standard tests of a tool, unit and integration."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.tools import BaseTool
from langchain_tests.integration_tests import ToolsIntegrationTests
from langchain_tests.unit_tests import ToolsUnitTests

from diffagent.agent.agent import Agent
from diffagent.serving.tools.langchain import DiffAgentTool


class OnStandIns:
    """What both kinds of tests are told: the class, on an agent of stand-ins, and an example."""

    @pytest.fixture(autouse=True)
    def _agent(self, agent: Agent) -> None:
        self.agent = agent

    @property
    def tool_constructor(self) -> type[BaseTool]:
        return DiffAgentTool

    @property
    def tool_constructor_params(self) -> dict[str, Any]:
        return {"agent": self.agent}

    @property
    def tool_invoke_params_example(self) -> dict[str, Any]:
        return {"prompt": "a small fox, pixel art", "negative_prompt": "blurry", "seed": 7}


class TestUnit(OnStandIns, ToolsUnitTests):
    pass


class TestIntegration(OnStandIns, ToolsIntegrationTests):
    pass


class TestIntegrationOfWhatShips(ToolsIntegrationTests):
    """The default: the embedded catalog and weights."""

    @pytest.fixture(autouse=True)
    def _agent(self, real_agent: Agent) -> None:
        self.agent = real_agent

    tool_constructor = OnStandIns.tool_constructor
    tool_constructor_params = OnStandIns.tool_constructor_params
    tool_invoke_params_example = OnStandIns.tool_invoke_params_example
